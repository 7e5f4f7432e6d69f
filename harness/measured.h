/* SPDX-License-Identifier: MIT */
/*
 * measured.h - what a run folder tells: run.json, and the rounds that are whole
 *
 * The way back from trials.jsonl.  A round counts when the line that closes it
 * follows the lines of all its trials; what a crash, a full disk or Ctrl-C has
 * cut off, and what was put aside because others disturbed it, counts as partial
 * and goes no further.  Rounds through QEMU compare the two policies that all
 * rounds of the suite have found best: those that stand before a round of the
 * suite do not count.  Everything else in the folder can be made again from here
 * (report.h), and a run can go on from here (run_resume.c).
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

/* The rounds of the suite, or those that follow them through QEMU: told apart by
 * the member "part" of a line. */
enum measured_part {
	MEASURED_SUITE,
	MEASURED_QEMU
};
#define MEASURED_PARTS 2
/* NULL: the member is left out. */
extern const char *const measured_part_names[MEASURED_PARTS];

/* Whole rounds. */
struct measured_rounds {
	struct rows trials, series;
	struct hists hists;
	uint64_t n;
};

/* Nobody takes a run up more often; what is above was not written by a run. */
#define MEASURED_SESSIONS_MOST 1000000

struct measured {
	json_t *run; /* run.json; NULL: there is none yet */
	struct measured_rounds of[MEASURED_PARTS];
	double seconds;  /* that those of the suite took, together */
	uint64_t redone; /* attempts put aside because others disturbed them */
	uint64_t
		disturbed; /* rounds of the suite that were kept all the same */
	uint64_t session;  /* the greatest in the file; 0: none */
	uint64_t partial;  /* trials that do not count */
	bool torn;         /* the last line was cut */
	/* The round at the end that is not whole; trials 0: there is none. */
	uint64_t cut_round, cut_session, cut_trials;
	enum measured_part cut_part;
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
void measured_add_round(struct measured *m, enum measured_part part,
			struct rows *trials, struct rows *series,
			struct hists *hists, double seconds);

/* Count a whole round, for the caller to add its rows to what is returned. */
struct measured_rounds *measured_count_round(struct measured *m,
					     enum measured_part part,
					     const struct rows *trials,
					     double seconds);

/* Is this round whole? */
bool measured_has_round(const struct measured *m, enum measured_part part,
			uint64_t round);

/* run.json's plan.KEY as text ("" if none), number (0) or truth. */
const char *measured_text(const json_t *json, const char *key);
uint64_t measured_int(const json_t *json, const char *key);

/* An integer of up to 64 bits: beyond 2^63 it is text, as in records. */
json_t *measured_json_int(uint64_t value);

#endif
