/* SPDX-License-Identifier: MIT */
/*
 * advice_qemu.h - the two best policies once more, through QEMU, in words
 *
 * The sentence of advice.h rests on our own engine.  Where QEMU is installed,
 * its policy and the fastest rival have done their first writes through QEMU
 * too (run_qemu.c).  It is QEMU that will write: if its order is beyond doubt
 * and another, that counts; and a dearer policy that gains no more than the
 * margin there is not worth its price.  Pure; used by report_qemu.c.
 */
#ifndef HARNESS_ADVICE_QEMU_H
#define HARNESS_ADVICE_QEMU_H

#include "harness/advice.h"

enum advice_qemu_kind {
	ADVICE_QEMU_TOO_FEW,     /* no interval */
	ADVICE_QEMU_CANNOT_TELL, /* the interval crosses the margin */
	ADVICE_QEMU_SAME,        /* it lies inside the margin */
	ADVICE_QEMU_NO_BETTER,   /* policy, the dearer, gains no more than it */
	ADVICE_QEMU_AGREES,      /* policy beats rival by more than it */
	ADVICE_QEMU_DIFFERS,     /* rival beats policy by more than it */
};

struct advice_qemu {
	enum advice_qemu_kind kind;
	enum advice_policy policy; /* what to use now */
	double ratio, lo, hi;      /* speed of own->policy against its rival */
	size_t rounds;             /* with both */
	char sentence[1024]; /* instead of own->sentence; "": that holds */
	bool use_cheaper;    /* that advice holds, with its notes */
	char note[512];
};

/*
 * trials: those of target qemu; others are passed over.  own: of ADVICE_BETTER
 * or later.  cheaper: what it says of the policies but own->policy; looked at
 * only for ADVICE_BETTER.  version: "QEMU 7.2.22", or "QEMU".  margin: 0.05.
 */
void advice_qemu_of(const struct rows *trials, const struct advice *own,
		    const struct advice *cheaper, const char *version,
		    double margin, struct advice_qemu *ret);

#endif
