/* SPDX-License-Identifier: MIT */
/* hist.c - log-linear histogram of latencies; see hist.h */
#include "harness/stats/hist.h"

#include <assert.h>
#include <string.h>

static_assert((UINT64_C(56) << 7) + 255 == HIST_BUCKETS - 1,
	      "the bucket of UINT64_MAX is the last one");

void
hist_init(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

void
hist_bounds(unsigned b, uint64_t *ret_first, uint64_t *ret_last)
{
	unsigned shift;

	assert(b < HIST_BUCKETS);
	if (b < 256) {
		*ret_first = *ret_last = b;
		return;
	}
	/* The upper part of b is shift + 1, its lower 7 bits and the octave's
	 * leading one are the value's first 8 bits. */
	shift = (b >> 7) - 1;
	*ret_first = (uint64_t)(b - (shift << 7)) << shift;
	*ret_last = *ret_first + ((UINT64_C(1) << shift) - 1);
}

static double
bucket_middle(unsigned b)
{
	uint64_t first, last;

	hist_bounds(b, &first, &last);
	return (double)first + (double)(last - first) / 2;
}

void
hist_add_bucket(struct hist *h, unsigned b, uint64_t n)
{
	uint64_t middle;

	assert(b < HIST_BUCKETS);
	if (n == 0)
		return;
	middle = (uint64_t)bucket_middle(b);
	if (h->count == 0 || middle < h->min)
		h->min = middle;
	if (h->count == 0 || middle > h->max)
		h->max = middle;
	h->count += n;
	h->sum += (double)n * bucket_middle(b);
	h->buckets[b] += n;
}

void
hist_merge(struct hist *to, const struct hist *from)
{
	if (from->count == 0)
		return;
	if (to->count == 0 || from->min < to->min)
		to->min = from->min;
	if (to->count == 0 || from->max > to->max)
		to->max = from->max;
	to->count += from->count;
	to->sum += from->sum;
	for (unsigned b = 0; b < HIST_BUCKETS; b++)
		to->buckets[b] += from->buckets[b];
}

double
hist_mean(const struct hist *h)
{
	assert(h->count > 0);
	return h->sum / (double)h->count;
}

/* max(1, ceil(q n)), exactly. */
static uint64_t
quantile_rank(uint64_t n, unsigned q)
{
	unsigned __int128 parts = (unsigned __int128)n * q;
	uint64_t rank = (uint64_t)((parts + HIST_Q_ONE - 1) / HIST_Q_ONE);

	return rank ? rank : 1;
}

double
hist_quantile(const struct hist *h, unsigned q)
{
	uint64_t rank, seen = 0;
	unsigned b = 0;
	double v;

	assert(h->count > 0 && q <= HIST_Q_ONE);
	rank = quantile_rank(h->count, q);
	for (;; b++) {
		assert(b < HIST_BUCKETS);
		seen += h->buckets[b];
		if (seen >= rank)
			break;
	}
	v = bucket_middle(b);
	if (v < (double)h->min)
		return (double)h->min;
	return v > (double)h->max ? (double)h->max : v;
}

bool
hist_printable(const struct hist *h, unsigned q)
{
	assert(q <= HIST_Q_ONE);
	return (unsigned __int128)h->count * (HIST_Q_ONE - q) >=
	       (unsigned __int128)10 * HIST_Q_ONE;
}
