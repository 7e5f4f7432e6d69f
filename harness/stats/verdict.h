/* SPDX-License-Identifier: MIT */
/*
 * verdict.h - from an interval and a margin to a word
 *
 * The margin is the user's; noise never widens it, it only moves the verdict
 * to CANNOT_TELL.  Used by cells.c, advice.c.
 */
#ifndef HARNESS_STATS_VERDICT_H
#define HARNESS_STATS_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/stats/rank.h"

enum verdict {
	VERDICT_REGRESSION,  /* the whole interval is worse than the margin */
	VERDICT_IMPROVEMENT, /* better than the margin */
	VERDICT_SAME,        /* inside the margin: a finding */
	VERDICT_MINOR,       /* differs, but perhaps by less than the margin */
	VERDICT_CANNOT_TELL,
};

/* As cells.csv has it: "regression", "cannot_tell". */
const char *verdict_word(enum verdict v);
/* For people: "slower", "faster", "same", "different, perhaps by less",
 * "cannot tell". */
const char *verdict_plain(enum verdict v);

/*
 * The verdict on a log-ratio [lo, hi]; margin 0.05 is 5 %.  The ends are
 * turned into changes by exp - 1.  lower_is_better turns the ratio over first.
 */
enum verdict verdict_of(double lo, double hi, double margin,
			bool lower_is_better);

/* The same for an estimate; without an interval it cannot tell. */
enum verdict verdict_of_shift(const struct rank_shift *shift, double margin,
			      bool lower_is_better);

/*
 * The least slowdown that would have been called one in 80 % of runs:
 * 1 - (1 - margin) exp(-c sd).  c comes from simulation (1.79 at 6 rounds, 0.68
 * at 20), interpolated in 1/sqrt(n-2) and continued by it beyond.  n >= 6.
 */
double verdict_mde(size_t n, double sd, double margin);

/* About how many rounds would find a log difference: 7.85 (sd/diff)^2 + 2
 * (95 % confidence, 80 % power), at least 6. */
size_t verdict_rounds_for(double sd, double diff);

/* Share of the total time that was lost in turns slower than three times the
 * median turn: what they took beyond that median.  n > 0. */
double stall_share(const double *turn_s, size_t n);

#endif
