/* SPDX-License-Identifier: MIT */
/* perm.c - a seeded permutation of 0 .. n-1; see perm.h */
#include "workloads/perm.h"

#include <assert.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"

void
perm_init(struct perm *p, uint64_t n, uint64_t seed)
{
	unsigned bits = 2; /* a half of no bits would not be mixed */
	struct rng rng = {seed};

	assert(n > 0 && n <= UINT64_C(1) << 62);
	while (n > UINT64_C(1) << bits)
		bits++;
	p->n = n;
	p->left_bits = bits / 2;
	p->right_bits = bits - p->left_bits;
	for (unsigned i = 0; i < PERM_ROUNDS; i++)
		p->keys[i] = rng_next(&rng);
}

/* One pass through the network.  Each round changes one half by a function of
 * the other, so it can be undone: a bijection whatever the halves' sizes. */
static uint64_t
perm_feistel(const struct perm *p, uint64_t x)
{
	uint64_t left_mask = (UINT64_C(1) << p->left_bits) - 1;
	uint64_t right_mask = (UINT64_C(1) << p->right_bits) - 1;
	uint64_t left = x >> p->right_bits, right = x & right_mask;

	for (unsigned i = 0; i < PERM_ROUNDS; i += 2) {
		left ^= mix64(right + p->keys[i]) & left_mask;
		right ^= mix64(left + p->keys[i + 1]) & right_mask;
	}
	return left << p->right_bits | right;
}

uint64_t
perm_at(const struct perm *p, uint64_t i)
{
	assert(i < p->n);
	do
		i = perm_feistel(p, i);
	while (i >= p->n);
	return i;
}
