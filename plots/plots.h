/* SPDX-License-Identifier: MIT */
/*
 * plots.h - CSV, gnuplot script and picture for each question of a run
 *
 * plots_write() puts into OUT/plots/ a CSV and a script per question, style.gp
 * beside them, and runs gnuplot there.  The scripts are part of the program and
 * need nothing but their CSV: change one and run `gnuplot NAME.gp` again.
 * Used by verb_run and verb_plot.
 */
#ifndef PLOTS_PLOTS_H
#define PLOTS_PLOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "results/record.h"

/* A metric (a column such as "iops") of a pass. */
struct plots_judged {
	const char *pass, *metric;
};

struct plots_opts {
	const char *out;     /* the run folder; plots/ is made inside it */
	const char *device;  /* caption: "ext4 on /dev/vda (ssd), cache none" */
	const char *gnuplot; /* program; NULL: "gnuplot" from PATH */
	unsigned timeout_s;  /* per script; 0: 30 */
	/* What the suite judges, the question that it asks, and the key that is
	 * the axis: of configurations or, by_pass, of passes. */
	const struct plots_judged *judged;
	size_t njudged;
	const char *question, *sweep; /* may be NULL */
	bool by_pass;
};

struct plots_result {
	unsigned written; /* pictures: PNG and SVG count apart */
	char notice[256]; /* one line when pictures are missing, else "" */
};

/*
 * Draws what the run has data for: creation, speeds, latencies (from
 * OUT/hist.csv), progress (from OUT/series.csv), break-even.  No gnuplot, or a
 * gnuplot that fails, is a notice and not an error: CSV and scripts stay.
 * Errors are those of writing files, and of a hist.csv or series.csv that is
 * damaged; one that is not there is not missed.
 */
int plots_write(const struct rows *trials, const struct rows *cells,
		const struct plots_opts *opts, struct plots_result *ret,
		struct q2_err *err);

#endif
