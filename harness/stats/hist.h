/* SPDX-License-Identifier: MIT */
/*
 * hist.h - log-linear histogram of latencies in nanoseconds
 *
 * Values below 256 are kept exactly; above, every octave has 128 buckets, so
 * a bucket's middle is within 1/256 (0.4 %) of each value in it.  With
 * e = floor(log2 v) and s = e - 7 the bucket is (s << 7) + (v >> s).  All of
 * uint64_t fits in 7424 buckets (58 KiB).  Histograms of equal work are merged
 * by adding; percentiles are never averaged.  Used by trials, and by the
 * coordinator to write hist.csv.
 *
 * Quantiles are nearest-rank: the smallest value whose cumulative count is at
 * least max(1, ceil(q n)), with q given as parts of 100000 so that the product
 * is exact.
 */
#ifndef HARNESS_STATS_HIST_H
#define HARNESS_STATS_HIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIST_BUCKETS 7424
#define HIST_Q_ONE   100000 /* hist_quantile(h, 99900) is p99.9 */

struct hist {
	uint64_t count;
	uint64_t min, max; /* exact; valid if count > 0 */
	double sum;
	uint64_t buckets[HIST_BUCKETS];
};

void hist_init(struct hist *h);

static inline unsigned
hist_bucket(uint64_t v)
{
	unsigned shift;

	if (v < 256)
		return (unsigned)v;
	shift = 63U - (unsigned)__builtin_clzll(v) - 7U;
	return (shift << 7) + (unsigned)(v >> shift);
}

/* Count one value; a handful of instructions. */
static inline void
hist_add(struct hist *h, uint64_t v)
{
	if (h->count == 0 || v < h->min)
		h->min = v;
	if (h->count == 0 || v > h->max)
		h->max = v;
	h->count++;
	h->sum += (double)v;
	h->buckets[hist_bucket(v)]++;
}

/* Count n values of bucket b, as read from a file. min, max and sum become
 * those of the bucket's middle, unless the caller sets them afterwards. */
void hist_add_bucket(struct hist *h, unsigned b, uint64_t n);

/* First and last value of a bucket, both included. */
void hist_bounds(unsigned b, uint64_t *ret_first, uint64_t *ret_last);

void hist_merge(struct hist *to, const struct hist *from);

double hist_mean(const struct hist *h);

/* The value, as the middle of its bucket kept inside [min, max]; count > 0. */
double hist_quantile(const struct hist *h, unsigned q);

/* May the quantile be printed: at least 10 samples above it, n (1-q) >= 10? */
bool hist_printable(const struct hist *h, unsigned q);

#endif
