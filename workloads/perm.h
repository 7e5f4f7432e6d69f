/* SPDX-License-Identifier: MIT */
/*
 * perm.h - a seeded permutation of 0 .. n-1 in constant memory
 *
 * An alternating Feistel network over the smallest power of two that holds n;
 * values outside are walked on until they fall inside (Black and Rogaway,
 * "Ciphers with arbitrary finite domains", 2002).  Any element is computed on
 * its own, in fewer than two steps on average.  Used by stream.c.
 */
#ifndef WORKLOADS_PERM_H
#define WORKLOADS_PERM_H

#include <stdint.h>

#define PERM_ROUNDS 6

struct perm {
	uint64_t n;
	unsigned left_bits, right_bits;
	uint64_t keys[PERM_ROUNDS];
};

/* The permutation of 0 .. n-1 that belongs to seed; n is 1 .. 2^62. */
void perm_init(struct perm *p, uint64_t n, uint64_t seed);

/* Where i goes; i < n. */
uint64_t perm_at(const struct perm *p, uint64_t i);

#endif
