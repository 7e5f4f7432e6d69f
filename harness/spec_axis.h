/* SPDX-License-Identifier: MIT */
/*
 * spec_axis.h - the values of a key that is an axis
 *
 *	off,metadata,full	a list
 *	1..1024*2		1, 2, 4 ... 1024
 *	1..9+2			1, 3, 5, 7, 9
 *	4k,64k..2m*4		a list with a range in it
 */
#ifndef HARNESS_SPEC_AXIS_H
#define HARNESS_SPEC_AXIS_H

#include "harness/spec_keys.h"

#define SPEC_AXIS_MAX 64 /* values of one key */

struct spec_axis {
	const struct spec_key *key;
	struct spec_value *v;
	size_t n;
};

/* All values of a word; each one is checked. */
int spec_axis_parse(struct spec_mem *mem, const struct spec_key *key,
		    const struct spec_word *word, struct spec_axis *ret,
		    struct q2_err *err);

#endif
