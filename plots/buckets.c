/* SPDX-License-Identifier: MIT */
/* buckets.c - rows of hist.csv, added up over trials; see buckets.h */
#include "plots/buckets.h"

#include <assert.h>
#include <stdlib.h>

static int
compare(const void *a, const void *b)
{
	const struct bucket *x = a, *y = b;

	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return (x->hi > y->hi) - (x->hi < y->hi);
}

void
buckets_merge(struct buckets *b)
{
	size_t n = 0;

	if (b->n == 0)
		return;
	qsort(b->v, b->n, sizeof(*b->v), compare);
	for (size_t i = 1; i < b->n; i++) {
		if (compare(&b->v[n], &b->v[i]) == 0)
			b->v[n].count += b->v[i].count;
		else
			b->v[++n] = b->v[i];
	}
	b->n = n + 1;
}

void
buckets_add(struct buckets *b, const struct bucket *bucket)
{
	if (b->n == b->room) {
		buckets_merge(b);
		/* Half of it free, or the next merge would come soon. */
		if (2 * b->n >= b->room) {
			b->room = b->room ? 2 * b->room : 256;
			b->v = reallocarray(b->v, b->room, sizeof(*b->v));
			if (!b->v)
				abort();
		}
	}
	b->v[b->n++] = *bucket;
	b->count += bucket->count;
}

double
buckets_quantile(const struct buckets *b, uint64_t above)
{
	uint64_t rank = b->count - above, seen = 0;
	size_t i = 0;

	assert(above < b->count);
	while ((seen += b->v[i].count) < rank)
		i++;
	/* A bucket of one value, [v, v + 1), is that value. */
	return (double)b->v[i].lo + (double)(b->v[i].hi - 1 - b->v[i].lo) / 2;
}

void
buckets_done(struct buckets *b)
{
	free(b->v);
	*b = (struct buckets){0};
}
