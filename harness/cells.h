/* SPDX-License-Identifier: MIT */
/*
 * cells.h - from trials to cells: medians, intervals, paired ratios, verdicts
 *
 * A cell is one configuration in one pass; cells.csv has a row for each of its
 * metrics.  Pairs are trials of one round: the trial is the unit of inference.
 * Pure.  Used by verb_run (cells.csv, table, advice) and report.
 */
#ifndef HARNESS_CELLS_H
#define HARNESS_CELLS_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/stats/rank.h"
#include "harness/stats/verdict.h"
#include "results/record.h"

struct cells_contrast {
	const char *label; /* qcow2-off */
	const char *raw;   /* raw-sparse */
};

/* Any label may be NULL: then there is no such comparison. */
struct cells_opts {
	const char *reference;
	const char *baseline;
	const struct cells_contrast *contrasts;
	size_t ncontrasts;
	double margin; /* 0.05; 0 means 0.05 */
	/* Order of the rows, as the plan has it.  Labels that are not among
	 * them come last. */
	const char *const *labels;
	size_t nlabels;
};

/*
 * Add rows of table_cells to *cells: by label (as opts->labels has them, then
 * as cells_labels() does), pass and metric.
 * Trials with an error take part in n_flagged only.  Where a round was redone,
 * only its last attempt counts.  Every metric that has a value in some trial of
 * the cell gets a row; ratios need values above 0 in every pair.
 */
void cells_compute(const struct rows *trials, const struct cells_opts *opts,
		   struct rows *cells);

/* The cell of that label, pass and metric (a column name such as "iops"), or
 * NULL. */
const struct record *cells_find(const struct rows *cells, const char *label,
				const char *pass, const char *metric);

/*
 * Values of one metric of two labels in the rounds that have both, paired and
 * in order of round.  Returns their number; base and other have room for max.
 */
struct cells_pair {
	const char *base, *other; /* labels */
	const char *pass;
	int col; /* TRIAL_iops */
};
size_t cells_pairs(const struct rows *trials, const struct cells_pair *pair,
		   double *base, double *other, size_t max);

/* Whole rounds: rounds in which every label that has the pass somewhere in
 * trials has it, without an error. */
size_t cells_whole_rounds(const struct rows *trials, const char *pass);

/*
 * Labels, each once: raw before qcow2, and from sparse or off to written or
 * full; else as they first occur, which in trials is the order of creation.
 * The caller frees the array, the texts belong to trials (or cells: any rows
 * with a label).
 */
const char **cells_labels(const struct rows *rows, size_t *ret_n);

/* Labels of cells as they stand there; the rest as of cells_labels(). */
const char **cells_labels_in_order(const struct rows *cells, size_t *ret_n);

/* Is a greater value of the metric better, worse, or neither? */
enum cells_better {
	CELLS_NONE,
	CELLS_HIGHER,
	CELLS_LOWER
};
enum cells_better cells_better(int trial_col);

/* A metric that is no column of trials.csv: processor time, user and system,
 * for the bytes of the pass. */
#define CELLS_CPU TRIAL_COLUMNS
/* Metrics by name; CELLS_NONE also for what is none. */
enum cells_better cells_metric_better(const char *name);
size_t cells_metrics(void);
const char *cells_metric_at(size_t i);

#endif
