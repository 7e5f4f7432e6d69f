/* SPDX-License-Identifier: MIT */
/*
 * drawing.h - what the plots of one run share: configurations, styles, cells
 *
 * A configuration has a place (from 1, in order of the cells) and a style of
 * style.gp, the same in every picture.  For the files of this folder only.
 */
#ifndef PLOTS_DRAWING_H
#define PLOTS_DRAWING_H

#include <limits.h>

#include "plots/plots.h"

/* Distinct words in order of appearance; the words are borrowed. */
struct words {
	const char **v;
	size_t n, room;
};

/* Place of a word, from 1; 0 if it is not there. */
size_t words_find(const struct words *words, const char *word);
/* The same; a new word is added. */
size_t words_place(struct words *words, const char *word);
void words_done(struct words *words);

/* Memory of zeros for n of that size; without memory there is no plot, and no
 * program either. */
void *zeroed(size_t n, size_t size);

struct drawing {
	const struct rows *trials, *cells;
	const struct plots_opts *opts;
	char dir[PATH_MAX]; /* OUT/plots */
	struct words labels;
	unsigned *styles; /* by place - 1 */
	/* Trials that count (whole, of the last attempt of their round), by
	 * trial_id and pass. */
	const struct record **counted;
	size_t ncounted;
};

void drawing_init(struct drawing *d, const struct rows *trials,
		  const struct rows *cells, const struct plots_opts *opts);
void drawing_done(struct drawing *d);

/* The cell's row for a metric (a column name such as "iops"), or NULL. */
const struct record *drawing_cell(const struct drawing *d, const char *label,
				  const char *pass, const char *metric);
/* The trial that counts, or NULL. */
const struct record *drawing_trial(const struct drawing *d, const char *id,
				   const char *pass);

bool is_metric(const struct record *cell, const char *name);
/* Is this row the speed of its cell: IOPS, or MiB/s for large requests? */
bool is_speed(const struct record *cell);
/* Requests so large that bytes say more than their number. */
bool is_large(uint64_t bs_bytes);
/* From what the row says to what is_large() asks for: 1, or MiB. */
double speed_scale(const struct record *cell);
const char *speed_unit(const struct record *cell);

/*
 * The first pass that writes where nothing was written before, and the first
 * that writes there again; NULL if there is none.  The text is the trials'.
 */
const char *first_write_pass(const struct drawing *d);
const char *rewrite_pass(const struct drawing *d, const char *first);

/* "6", or "5-6" where some trial of the pass has failed. */
#define COUNT_TEXT 48
void count_text(const struct drawing *d, const char *pass,
		char text[COUNT_TEXT]);

/* The middle value, or the mean of the middle two; sorts v.  n > 0. */
double median_of(double *v, size_t n);

/* A unit in which most is below 2000, and how many bytes it has. */
const char *bytes_unit(double most, double *ret_scale);
/* "640 MiB" */
#define BYTES_TEXT 32
void bytes_text(double bytes, char text[BYTES_TEXT]);
/* The same to three digits, for what was estimated. */
void bytes_about(double bytes, char text[BYTES_TEXT]);

#endif
