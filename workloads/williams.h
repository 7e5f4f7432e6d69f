/* SPDX-License-Identifier: MIT */
/*
 * williams.h - balanced orders: who comes first, who follows whom
 *
 * A Williams square of k treatments has k rows (E. J. Williams, "Experimental
 * designs balanced for the estimation of residual effects of treatments",
 * 1949).  Over its rows every treatment stands in every position once and
 * follows every other treatment once.  That needs an even k; for odd k two
 * squares, 2k rows, have each twice.  Used by the harness for the order of
 * creation of a round's images.
 */
#ifndef WORKLOADS_WILLIAMS_H
#define WORKLOADS_WILLIAMS_H

#include <stdint.h>

#define WILLIAMS_MAX 256

/* Rows after which everything is balanced: k, or 2k if k is odd. */
unsigned williams_rows(unsigned k);

/*
 * The order of round `round` (from 0): a permutation of 0 .. k-1 in order[].
 * Rounds of one square share a seeded labelling and order of rows; the next
 * square is labelled afresh.  1 <= k <= WILLIAMS_MAX.
 */
void williams_order(unsigned k, uint64_t seed, unsigned round, unsigned *order);

#endif
