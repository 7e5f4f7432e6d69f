/* SPDX-License-Identifier: MIT */
/*
 * progress.h - how far a run is, on stderr
 *
 * On a terminal one line that is drawn again and again, with the time that is
 * left; elsewhere a line for each trial, when its round is over.  verbosity.h has
 * what the user may change of that.
 */
#ifndef HARNESS_PROGRESS_H
#define HARNESS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/verbosity.h"
#include "results/record.h"

struct progress {
	bool terminal;
	enum verbosity verbosity; /* may be set after progress_init() */
	bool drawn;               /* the cursor stands behind a line of ours */
	uint64_t rounds;          /* of the run */
	uint64_t round;           /* at work; 0: warm-up */
	double round_s; /* that a round is expected to take; 0: not known */
	double round_began_s;
	double after_s; /* what comes after the rounds is expected to take */
	char pass[48];  /* at work; "" before the first */
};

void progress_init(struct progress *p);

/* A line that stays, however quiet: what has to be known. */
void progress_say(struct progress *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A line that goes; on a terminal only, unless quiet. */
void progress_draw(struct progress *p, const char *text);

void progress_round(struct progress *p, uint64_t round);
void progress_pass(struct progress *p, const char *pass);

/* The answer to SIGUSR1, as a line that stays: round, pass, seconds left, and
 * how many rounds are whole. */
void progress_status(struct progress *p, uint64_t whole);

/* A round is over: a line for each trial.  On a terminal only if verbose. */
void progress_trials(struct progress *p, const struct rows *trials);

/* Take the line away. */
void progress_done(struct progress *p);

/* Seconds left, by the expected length of a round; 0: not known. */
double progress_left(const struct progress *p, double now_s);

#endif
