/* SPDX-License-Identifier: MIT */
/*
 * pairwise.h - covering arrays: few rows in which all pairs of values meet
 *
 * A row has one value, a small number, of each factor.  Most faults need one
 * value or two that meet (Kuhn, Wallace, Gallo, 2004), and the rows that hold
 * every pair are about as many as the two largest factors have pairs, however
 * many factors there are.
 */
#ifndef TESTS_INTEROP_PAIRWISE_H
#define TESTS_INTEROP_PAIRWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/rng.h"

#define PAIRWISE_FACTORS 12 /* at most */
#define PAIRWISE_VALUES  8  /* of a factor, at most */

#define PAIRWISE_ANY UINT8_MAX /* a value that is not chosen yet */

struct pairwise_row {
	uint8_t value[PAIRWISE_FACTORS];
};

struct pairwise {
	unsigned factors;
	uint8_t values[PAIRWISE_FACTORS]; /* how many each has */
	/* Of a row with some values: do those that it has go together? */
	bool (*is_valid)(const struct pairwise_row *row);
};

/*
 * Rows in which all pairs occur that are in any valid row at all; the same
 * ones each time, *ret_n of them.  The caller frees them.  NULL: no memory.
 */
struct pairwise_row *pairwise_rows(const struct pairwise *p, size_t *ret_n);

/* A valid row, by chance; false: there is none. */
bool pairwise_random(const struct pairwise *p, struct rng *rng,
		     struct pairwise_row *ret_row);

/* The rows, of n, in which factor f has value a and factor g has b. */
size_t pairwise_count(const struct pairwise_row *rows, size_t n,
		      const unsigned f[2], const unsigned value[2]);

#endif
