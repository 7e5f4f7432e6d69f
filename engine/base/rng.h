/* SPDX-License-Identifier: MIT */
/*
 * rng.h - seeded random numbers and a 64-bit mixing function
 *
 * splitmix64 (Steele, Lea, Flood, 2014): one word of state, every seed is
 * good, the same numbers on every machine.  Not for secrets.
 */
#ifndef Q2_BASE_RNG_H
#define Q2_BASE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t state;
};

/* A bijection of 64-bit words that spreads every bit (splitmix64's output
 * function). */
static inline uint64_t
mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint64_t
rng_next(struct rng *rng)
{
	rng->state += UINT64_C(0x9e3779b97f4a7c15);
	return mix64(rng->state);
}

/* Uniform in [0, n), n > 0: multiply and shift (Lemire, 2019), without the
 * rejection step: the bias is below n / 2^64. */
static inline uint64_t
rng_below(struct rng *rng, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rng_next(rng) * n) >> 64);
}

/* A seed derived from another and a number: seed(seed, round, pass). */
static inline uint64_t
rng_derive(uint64_t seed, uint64_t n)
{
	return mix64(seed + mix64(n + UINT64_C(0x9e3779b97f4a7c15)));
}

#endif
