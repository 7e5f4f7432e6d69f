/* SPDX-License-Identifier: MIT */
/*
 * output.h - the folder that a run leaves behind, and the one who writes it
 *
 *	run.json	what was asked, resolved and found; the environment
 *	trials.jsonl	a line for each trial and for each whole round, synced:
 *			the truth
 *	trials.csv, cells.csv, series.csv, hist.csv
 *	plots/		(plots/plots.h)
 *	lock		there while somebody writes, with the number of his
 *			process
 *
 * A run makes the folder: nothing that exists is written to, but by a run that
 * is taken up again, and by `report`.
 *
 * In trials.jsonl a line that closes a round follows the lines of its trials,
 * and all of them are appended at once.  A crash may cut them anywhere: trials
 * whose round is not closed do not count (measured.h).
 */
#ifndef HARNESS_OUTPUT_H
#define HARNESS_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "engine/base/err.h"
#include "harness/hists.h"
#include "results/record.h"

#define OUTPUT_PATH 1024

struct output {
	char path[OUTPUT_PATH];
	const char *suite; /* whose name it bears; NULL: the user named it */
	int jsonl, lock;   /* -1: not open */
	bool made;
	bool in_use; /* else output_done() removes it again */
};

/* The name: asked, or one with suite and time that does not exist yet.  -EEXIST
 * if it exists, -ENOENT, -EACCES ... if it could not be made; nothing is made.
 * suite is borrowed until output_make(). */
int output_name(struct output *out, const char *asked, const char *suite,
		struct q2_err *err);

/* Make the folder, lock it and open trials.jsonl.  -EEXIST, -ENOENT ...  Where
 * somebody else has made one of that name meanwhile, and the user has not asked
 * for it, it gets another. */
int output_make(struct output *out, struct q2_err *err);

/* Is there such a folder?  -ENOENT, -ENAMETOOLONG; the reason names the folders
 * of its groups. */
int output_check(const char *path, struct q2_err *err);

/*
 * Lock a folder that is there; append: open its trials.jsonl too, from which a
 * line that a crash has cut is removed.  -EBUSY names the process that is
 * writing there, -ENOENT: no such folder.
 */
int output_open(struct output *out, const char *path, bool append,
		struct q2_err *err);

void output_done(struct output *out);

/* Replace run.json; json stays the caller's. */
int output_run_json(const struct output *out, const json_t *json,
		    struct q2_err *err);

/* What a round leaves; all borrowed. */
struct output_lines {
	uint64_t round, session;
	const struct rows *trials, *series;
	const struct hists *hists;
	double seconds;
	json_t *state;    /* struct round's; may be NULL */
	const char *part; /* measured_part_names[]; NULL: the suite's */
	bool partial;     /* not whole: it will be done again */
	bool redone;      /* partial: whole, but others disturbed it */
	const char *why;  /* partial: the reason; may be NULL */
};

/* Append the trials of a round, in the order in which they were made, and what
 * closes it.  After an error nothing was appended. */
int output_round(const struct output *out, const struct output_lines *lines,
		 struct q2_err *err);

/* Say of the trials at the end that their round was cut short: they are
 * partial, and the round will be done again.  Of lines, round, session and part
 * are used. */
int output_cut(const struct output *out, const struct output_lines *lines,
	       uint64_t trials, struct q2_err *err);

/* The line of the trial that rec is a row of. */
json_t *output_trial_json(const struct output_lines *lines,
			  const struct record *rec);

/* Is the row the first of its trial? */
bool output_is_first(const struct rows *trials, size_t i);

#endif
