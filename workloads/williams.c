/* SPDX-License-Identifier: MIT */
/* williams.c - balanced orders; see williams.h */
#include "workloads/williams.h"

#include <assert.h>

#include "engine/base/rng.h"

unsigned
williams_rows(unsigned k)
{
	return k % 2 ? 2 * k : k;
}

/* Fisher and Yates. */
static void
shuffled(unsigned *v, unsigned n, uint64_t seed)
{
	struct rng rng = {seed};

	for (unsigned i = 0; i < n; i++)
		v[i] = i;
	for (unsigned i = n; i > 1; i--) {
		unsigned j = (unsigned)rng_below(&rng, i), t = v[i - 1];

		v[i - 1] = v[j];
		v[j] = t;
	}
}

/* 0, k-1, 1, k-2, 2 ...: all differences of neighbours are distinct mod k. */
static unsigned
zigzag(unsigned k, unsigned col)
{
	return col % 2 ? k - 1 - col / 2 : col / 2;
}

void
williams_order(unsigned k, uint64_t seed, unsigned round, unsigned *order)
{
	unsigned rows = williams_rows(k), square = round / rows, row;
	unsigned labels[WILLIAMS_MAX], row_order[2 * WILLIAMS_MAX];

	assert(k >= 1 && k <= WILLIAMS_MAX);
	seed = rng_derive(seed, square);
	shuffled(labels, k, rng_derive(seed, 0));
	shuffled(row_order, rows, rng_derive(seed, 1));
	row = row_order[round % rows];
	for (unsigned col = 0; col < k; col++) {
		/* Rows from k on belong to the mirrored square of odd k. */
		unsigned at = row < k ? col : k - 1 - col;

		order[col] = labels[(zigzag(k, at) + row) % k];
	}
}
