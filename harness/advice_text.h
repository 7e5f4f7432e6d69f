/* SPDX-License-Identifier: MIT */
/*
 * advice_text.h - what advice.c has found out, and its words; for those two and advice_qemu.c
 */
#ifndef HARNESS_ADVICE_TEXT_H
#define HARNESS_ADVICE_TEXT_H

#include "harness/advice.h"
#include "harness/stats/rank.h"

/* What was measured of one policy; label is NULL if it was not. */
struct advice_found {
	const char *label;
	struct rank_shift shift; /* first-write against off, log-ratios */
	size_t beyond;           /* rounds in which it beat off by the margin */
	bool beats[ADVICE_POLICIES];  /* by the margin, in every round */
	double create_s, alloc_bytes; /* medians, at the size of the run */
	double write_s;               /* first-write, median */
	bool emulated;                /* falloc that writes zeroes */
	bool slower_elsewhere;
	char slower_pass[32];
};

struct advice_case {
	const struct rows *trials;
	const struct advice_opts *opts;
	double margin;
	struct advice_found of[ADVICE_POLICIES];
	const struct record *any; /* a trial of off, or of anything */
	const char *filesystem, *medium;
	uint64_t image_bytes, ops, write_bytes; /* of first-write */
	uint64_t stride_bytes, bs_bytes;        /* one write to a stride */
	enum advice_policy doubtful;            /* CANNOT_TELL: which */
	/* of the recommended policy, at the size that the user wants
	 * (advice_price.h) */
	uint64_t disk_bytes;
	double first_bytes; /* all the first writes that it has room for */
	double price_s, off_s, price_bytes;
	bool price_computed, price_at_most;
	/* the cheaper one that it takes longest to catch up with */
	enum advice_policy against;
	/* if that is never: the one with the least time in all */
	enum advice_policy payer;
	double payer_bytes; /* of first writes, till it has caught up with off */
};

/* A phrase that stays short. */
struct phrase {
	char text[96];
};

/* "76 % faster", "2.0 % slower", "3.4 times as fast", "equally fast" */
struct phrase advice_change(double ratio);

/* After advice_change(ratio), in its unit: "18 to 23 %", "1.9 to 2.1 times",
 * "from 2.0 % slower to 19 % faster". */
struct phrase advice_range(double ratio, double lo, double hi);

/* "; creating a 64 GiB disk then takes 2 s (off: 1 ms) and 64 GiB of space at
 * once", or "" where that is not known. */
void advice_price(const struct advice_case *c, char *ret_text, size_t size);

/* Write ret->sentence and ret->notes from everything else. */
void advice_write(const struct advice_case *c, struct advice *ret);

#endif
