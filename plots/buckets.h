/* SPDX-License-Identifier: MIT */
/*
 * buckets.h - rows of hist.csv, added up over trials
 *
 * Histograms of equal work are merged by adding the counts of equal buckets,
 * which is exact; quantiles are then those of all requests together.  Used by
 * latency.c.
 */
#ifndef PLOTS_BUCKETS_H
#define PLOTS_BUCKETS_H

#include <stddef.h>
#include <stdint.h>

struct bucket {
	uint64_t lo, hi; /* ns; hi is not included */
	uint64_t count;
};

/* Initialise with {0}. */
struct buckets {
	struct bucket *v;
	size_t n, room;
	uint64_t count; /* of all */
};

/* Memory stays in proportion to the number of different buckets. */
void buckets_add(struct buckets *b, const struct bucket *bucket);

/* Sort and merge; before buckets_quantile(). */
void buckets_merge(struct buckets *b);

/*
 * The value in ns with `above` values above it, as the middle of its bucket:
 * the nearest-rank quantile 1 - above/count.  above < count.
 */
double buckets_quantile(const struct buckets *b, uint64_t above);

void buckets_done(struct buckets *b);

#endif
