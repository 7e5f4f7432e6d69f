/* SPDX-License-Identifier: MIT */
/*
 * advice.h - the sentence: which preallocation policy, as a pure function
 *
 * Reads the trials of a run of suites/preallocation and answers in plain
 * English.  Rules (docs/statistics.md): the cheapest policy in the order off,
 * metadata, falloc, full, unless a dearer one beats it in first-write with
 * every paired ratio beyond the margin.  Only qcow2 trials with zero=range
 * count: that is how QEMU writes.  Used by verb_run.
 */
#ifndef HARNESS_ADVICE_H
#define HARNESS_ADVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "results/record.h"

/* From cheap to dear. */
enum advice_policy {
	ADVICE_OFF,
	ADVICE_METADATA,
	ADVICE_FALLOC,
	ADVICE_FULL,
	ADVICE_POLICIES
};
const char *advice_policy_name(enum advice_policy p);

/* What is not in the trials. */
struct advice_opts {
	double margin; /* 0: 0.05 */
	bool quick;    /* a burst of few first writes, not a filled disk */
	uint64_t user_bytes; /* disk that the user wants; 0: not known */
	/* Creation of user_bytes, measured; seconds, negative: not measured. */
	double create_user_s[ADVICE_POLICIES];
	/* Bytes that it took then; negative or 0: not measured. */
	double alloc_user_bytes[ADVICE_POLICIES];
	unsigned without; /* bits of policies, 1U << p, to be passed over */
	size_t disturbed; /* rounds that count though others disturbed them */
	/* Seconds one round takes, for "about K rounds, M minutes"; 0: not
	 * known. */
	double round_s;
};

enum advice_kind {
	ADVICE_NONE_MEDIUM,   /* tmpfs, overlayfs, FUSE, network: no advice */
	ADVICE_NONE_MODEL,    /* simulated device: no advice for a real disk */
	ADVICE_NONE_CACHE,    /* cache=unsafe: nothing reaches the disk */
	ADVICE_NONE_DATA,     /* no off, or no dearer policy to compare */
	ADVICE_TOO_FEW,       /* fewer than 6 whole rounds */
	ADVICE_BETTER,        /* a dearer policy beats the cheaper ones */
	ADVICE_NO_DIFFERENCE, /* every interval against off inside the margin */
	ADVICE_NOT_WORTH,     /* no dearer policy gains more than the margin */
	ADVICE_CANNOT_TELL,   /* off, because nothing better was shown */
};

#define ADVICE_NOTES 12

struct advice {
	enum advice_kind kind;
	enum advice_policy policy; /* from ADVICE_TOO_FEW on: ADVICE_OFF */
	bool decided;              /* policy is a recommendation */
	/* From ADVICE_BETTER on: the fastest of the others in first-write, the
	 * one to compare policy with once more. */
	enum advice_policy rival;
	char rival_price[256];            /* as advice_price() */
	int exit_code;                    /* 0, or 4: nothing could be judged */
	double ratio, ratio_lo, ratio_hi; /* first-write against off */
	/* First writes after which policy has caught up with every cheaper one
	 * that it beats, creation counted; negative: no price. */
	double break_even_gib;
	bool never_pays;      /* that is more than the disk has room for */
	size_t rounds;        /* whole rounds */
	size_t rounds_needed; /* CANNOT_TELL: about so many */
	char sentence[1024];
	char notes[ADVICE_NOTES][512]; /* further lines, in order */
	size_t nnotes;
	size_t nwinner; /* of these, the first ones: about policy alone */
};

void advice_of(const struct rows *trials, const struct advice_opts *opts,
	       struct advice *ret);

#endif
