/* SPDX-License-Identifier: MIT */
/*
 * plot_runs.h - made-up run folders for tests of the plots: a usual one, and
 * those at which pictures break
 */
#ifndef TESTS_PLOT_RUNS_H
#define TESTS_PLOT_RUNS_H

#include "results/record.h"

/* What may be drawn; break_even needs two policies. */
#define DRAWS_CREATE     1u
#define DRAWS_IOPS       2u
#define DRAWS_LATENCY    4u
#define DRAWS_PROGRESS   8u
#define DRAWS_BREAK_EVEN 16u
#define DRAWS_ALL        31u

struct plot_run {
	const char *name;
	unsigned draws;
	const char *n; /* as pictures say it: "n = 6" */
	void (*make)(struct rows *trials);
	unsigned samples;  /* latencies of a trial and pass; 0: no hist.csv */
	bool zero_latency; /* of some, or of all that are equal */
	bool equal_latency;
	unsigned turns; /* of a pass; 0: no series.csv */
};

extern const struct plot_run plot_runs[];
extern const unsigned plot_runs_n;

/* series.csv and hist.csv of the trials, as rows. */
void plot_run_series(const struct plot_run *run, const struct rows *trials,
		     struct rows *series);
void plot_run_hist(const struct plot_run *run, const struct rows *trials,
		   struct rows *rows);

#endif
