/* SPDX-License-Identifier: MIT */
/*
 * each_row.h - a result file that is too long to be held as records
 */
#ifndef PLOTS_EACH_ROW_H
#define PLOTS_EACH_ROW_H

#include "plots/drawing.h"

/* The record is read over for each row: keep nothing of it. */
typedef void each_row_fn(void *arg, const struct record *row);

/*
 * Call fn for each row of OUT/series.csv or OUT/hist.csv, whose columns are
 * found by the names in its header.  A file that is not there has no rows.
 * Returns 0, or a negative errno with file, line and reason.
 */
int each_row(const struct drawing *d, const struct table *table,
	     each_row_fn *fn, void *arg, struct q2_err *err);

#endif
