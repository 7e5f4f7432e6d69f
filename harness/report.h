/* SPDX-License-Identifier: MIT */
/*
 * report.h - from what was measured to CSV files, table, sentence, plots, JSON
 *
 * Everything here follows from run.json and trials.jsonl alone, so that `run`
 * at its end and `report` years later give the same.  Used by run_finish.c and
 * verb_report.c.
 */
#ifndef HARNESS_REPORT_H
#define HARNESS_REPORT_H

#include <stdio.h>

#include "harness/advice.h"
#include "harness/exit.h"
#include "harness/findings.h"
#include "harness/measured.h"
#include "plots/plots.h"

enum report_format {
	REPORT_TABLE, /* for people */
	REPORT_JSON,  /* one document: everything */
	REPORT_CSV,   /* trials.csv */
};
/* "table", "json", "csv", NULL; NULL and "table" are REPORT_TABLE. */
extern const char *const report_formats[];
enum report_format report_format_of(const char *word);

struct report {
	const struct measured *m; /* with run.json */
	struct rows cells, qemu_cells;
	const char *color; /* a word of --color, or NULL */
	bool headless;     /* CSV: the line of names stands above already */
	bool has_advice; /* the suite ends with a sentence, and there is data */
	struct advice advice;
	bool has_findings; /* the suite judges, and there is data */
	struct findings findings;
};

/* Compute cells and sentence; m stays the caller's. */
void report_init(struct report *r, const struct measured *m);
void report_done(struct report *r);

/* trials.csv, cells.csv, series.csv, hist.csv in the folder out. */
int report_write_csv(const struct report *r, const char *out,
		     struct q2_err *err);

/* plots/ in the folder out. */
int report_draw(const struct report *r, const char *out,
		struct plots_result *ret, struct q2_err *err);

/* On f, in this format. */
void report_print(const struct report *r, FILE *f, enum report_format format);

/* BENCH_OK, what the sentence says, or BENCH_NOTHING without a whole round. */
enum bench_exit report_exit(const struct report *r);

#endif
