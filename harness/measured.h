/* SPDX-License-Identifier: MIT */
/*
 * measured.h - what a run folder tells: run.json, and the rounds that are whole
 *
 * The way back from trials.jsonl.  A round counts when the line that closes it
 * follows the lines of all its trials; what a crash, a full disk or Ctrl-C has
 * cut off counts as partial and goes no further.  Everything else in the folder
 * can be made again from here (report.h), and a run can go on from here
 * (run_resume.c).
 *
 * Whatever the file says is checked: errors begin with file and line, say what
 * is wrong there and what to do.
 */
#ifndef HARNESS_MEASURED_H
#define HARNESS_MEASURED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "harness/hists.h"
#include "results/record.h"

struct measured {
	json_t *run; /* run.json; NULL: there is none yet */
	/* Of the whole rounds. */
	struct rows trials, series;
	struct hists hists;
	uint64_t rounds;  /* whole ones, those done again counted once */
	double seconds;   /* that they took, together */
	uint64_t session; /* the greatest in the file; 0: none */
	uint64_t partial; /* trials of rounds that are not whole */
	bool torn;        /* the last line was cut */
	/* The round at the end that is not whole; 0: there is none. */
	uint64_t cut_round, cut_session, cut_trials;
};

/*
 * Read OUT/run.json and OUT/trials.jsonl.  -EBADE: the configurations of a
 * round have done different operations; -ENOENT: no such file; else what is
 * wrong with it.  measured_done() in every case.
 */
int measured_load(struct measured *m, const char *out, struct q2_err *err);
void measured_done(struct measured *m);

/* Add a round that has just been measured, as it would be read back: trial by
 * trial.  The three are empty then. */
void measured_add_round(struct measured *m, struct rows *trials,
			struct rows *series, struct hists *hists,
			double seconds);

/* Is this round whole? */
bool measured_has_round(const struct measured *m, uint64_t round);

/* run.json's plan.KEY as text ("" if none), number (0) or truth. */
const char *measured_text(const json_t *json, const char *key);
uint64_t measured_int(const json_t *json, const char *key);

/* An integer of up to 64 bits: beyond 2^63 it is text, as in records. */
json_t *measured_json_int(uint64_t value);

#endif
