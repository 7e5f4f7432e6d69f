/* SPDX-License-Identifier: MIT */
/*
 * output.h - the folder that a run leaves behind
 *
 *	run.json	what was asked, resolved and found; the environment
 *	trials.jsonl	a line for each trial, synced: the truth
 *	trials.csv, cells.csv, series.csv
 *	plots/		(plots/plots.h)
 *
 * The folder is new: nothing that exists is written to.
 */
#ifndef HARNESS_OUTPUT_H
#define HARNESS_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "engine/base/err.h"
#include "results/record.h"

#define OUTPUT_PATH 1024

struct output {
	char path[OUTPUT_PATH];
	int jsonl; /* -1: not open */
	bool made;
	bool in_use; /* else output_done() removes it again */
};

/* The name: asked, or one with suite and time that does not exist yet.  -EEXIST
 * if it exists, -ENOENT, -EACCES ... if it could not be made; nothing is made. */
int output_name(struct output *out, const char *asked, const char *suite,
		struct q2_err *err);

/* Make the folder and open trials.jsonl.  -EEXIST, -ENOENT, -EACCES ... */
int output_make(struct output *out, struct q2_err *err);
void output_done(struct output *out);

/* Replace run.json; takes json. */
int output_run_json(const struct output *out, json_t *json, struct q2_err *err);

/*
 * Append the trials of a round, a line each, in the order in which they were
 * made.  partial: the round was not finished; why may be NULL.
 */
int output_round(const struct output *out, const struct rows *trials,
		 const struct rows *series, bool partial, const char *why,
		 struct q2_err *err);

int output_csv(const struct output *out, const char *file,
	       const struct table *table, const struct rows *rows,
	       struct q2_err *err);

#endif
