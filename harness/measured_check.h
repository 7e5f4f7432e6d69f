/* SPDX-License-Identifier: MIT */
/*
 * measured_check.h - can the numbers of a row be true?
 *
 * Of rows that came from a file: what no run can have measured is a damaged or
 * edited file, and would go into medians without a trace.
 */
#ifndef HARNESS_MEASURED_CHECK_H
#define HARNESS_MEASURED_CHECK_H

#include <jansson.h>

#include "engine/base/err.h"
#include "results/record.h"

/* No text in it can command a terminal: a table shows labels of files that
 * came from elsewhere.  Lines may be ended. */
int measured_check_texts(const json_t *json, struct q2_err *err);

/* -EINVAL names the column and its value. */
int measured_check_trial(const struct record *rec, struct q2_err *err);

/* before: the row of the series before it, or NULL; time goes on within a pass
 * of a trial. */
int measured_check_series(const struct record *rec, const struct record *before,
			  struct q2_err *err);

#endif
