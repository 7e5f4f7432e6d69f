/* SPDX-License-Identifier: MIT */
/*
 * env.h - seeds and lengths of random tests, from the environment
 *
 *	Q2_SEED=N		replay: every random test starts from N
 *	Q2_TEST_SCALE=PERCENT	more or fewer rounds; 100 is `make test`
 *
 * and memory, for tests that open images by the thousand
 */
#ifndef TESTS_ENV_H
#define TESTS_ENV_H

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The seed to use, printed so that a failure can be replayed. */
static inline uint64_t
test_seed(uint64_t usual)
{
	const char *text = getenv("Q2_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : usual;

	printf("Q2_SEED=%llu\n", (unsigned long long)seed);
	(void)fflush(stdout); /* should the test abort */
	return seed;
}

/* rounds, scaled; at least 1. */
static inline unsigned
test_rounds(unsigned rounds)
{
	const char *text = getenv("Q2_TEST_SCALE");
	uint64_t percent = text ? strtoull(text, NULL, 10) : 100;
	uint64_t scaled = rounds * percent / 100;

	return scaled > 0 ? (unsigned)scaled : 1;
}

/* In tests that fail each request in turn, or cut the power at each moment: a
 * step from one to the next, odd, for short runs. */
static inline unsigned
test_stride(void)
{
	return test_rounds(100) >= 50 ? 1 : 7;
}

/* The moment after `at` of those that end with `last`, which is not left out. */
static inline uint64_t
test_next(uint64_t at, uint64_t last)
{
	uint64_t next = at + test_stride();

	return at < last && next > last ? last : next;
}

/* What is freed is used again instead of given back: buffers and caches of a
 * MiB would be fresh pages with each image, which cost more than its test. */
static inline void
test_keep_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 16 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

#endif
