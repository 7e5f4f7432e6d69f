/* SPDX-License-Identifier: MIT */
/*
 * findings.h - what a suite has found: a sentence for each thing it judges
 *
 * judge= names passes and metrics.  Each configuration that has them is compared
 * with the reference by the verdict in cells.csv, which is that of
 * stats/verdict.h on the interval of the paired ratios: better, worse, the same
 * within the margin, different by perhaps less, or cannot tell, with about the number
 * of rounds that would.  Nothing else decides.  Pure; used by report.c.
 */
#ifndef HARNESS_FINDINGS_H
#define HARNESS_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "harness/stats/verdict.h"
#include "results/record.h"

/* One configuration in one judged metric. */
struct finding {
	const struct record *cell; /* of cells.csv; borrowed */
	enum verdict verdict;
	size_t rounds_needed; /* VERDICT_CANNOT_TELL: about so many */
};

#define FINDINGS_NOTES 3

/* What stands of one judged metric. */
struct findings_of {
	const char *pass, *metric;
	struct finding *v;
	size_t n;
	char *sentence;
};

struct findings {
	const char *reference; /* borrowed */
	double margin;
	struct findings_of *of;
	size_t n;
	char *sum; /* what is better in something and worse in nothing */
	const char *notes[FINDINGS_NOTES];
	size_t nnotes;
	int exit_code; /* 0, or 4: nothing could be judged */
};

/* json: the array `judge` of run.json's plan, pairs of pass and metric. */
void findings_of_cells(const struct rows *cells, const json_t *judge,
		       const char *reference, struct findings *ret);
void findings_done(struct findings *f);

/* For people: a few lines for each judged metric, the sum and the notes. */
void findings_print(const struct findings *f, FILE *out);

/* An array: pass, metric, sentence and the verdicts. */
json_t *findings_json(const struct findings *f);

#endif
