/* SPDX-License-Identifier: MIT */
#include "engine/image/summary.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/base/num.h"

static void
forget_walk(struct summary *s)
{
	s->walk_block = UINT64_MAX;
	s->walk_end = 0;
	s->walk_free = 0;
}

void
summary_forget(struct summary *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		s->free[i] = SUMMARY_UNKNOWN;
	forget_walk(s);
}

int
summary_init(struct summary *s, uint32_t n, unsigned bits)
{
	*s = (struct summary){.n = n, .bits = bits};
	s->free = malloc(((size_t)n + 1) * sizeof(*s->free));
	if (!s->free)
		return -ENOMEM;
	summary_forget(s);
	return 0;
}

void
summary_done(struct summary *s)
{
	free(s->free);
	s->free = NULL;
}

int
summary_resize(struct summary *s, uint32_t n)
{
	uint32_t *counts = malloc(((size_t)n + 1) * sizeof(*counts));

	if (!counts)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		counts[i] = i < s->n ? s->free[i] : SUMMARY_UNKNOWN;
	free(s->free);
	s->free = counts;
	s->n = n;
	return 0;
}

void
summary_set(struct summary *s, uint64_t block, uint32_t n_free)
{
	assert(block < s->n);
	s->free[block] = n_free;
	if (s->walk_block == block)
		forget_walk(s);
}

bool
summary_is_full(const struct summary *s, uint64_t block)
{
	return s->free[block] == 0;
}

/* The count that clusters from first on belong to, and how many of n. */
static uint32_t *
counter(struct summary *s, uint64_t first, uint64_t *n)
{
	uint64_t block = first >> s->bits;

	assert(block < s->n && (first + *n - 1) >> s->bits == block);
	if (s->free[block] != SUMMARY_UNKNOWN)
		return &s->free[block];
	if (s->walk_block != block || first >= s->walk_end)
		return NULL;
	*n = min_u64(*n, s->walk_end - first);
	return &s->walk_free;
}

void
summary_took(struct summary *s, uint64_t first, uint64_t n)
{
	uint32_t *count = counter(s, first, &n);

	if (!count)
		return;
	if (*count >= n) {
		*count -= (uint32_t)n;
		return;
	}
	/* Two entries of the file's table name one block. */
	summary_forget(s);
}

void
summary_freed(struct summary *s, uint64_t first, uint64_t n)
{
	uint32_t *count = counter(s, first, &n);

	if (count)
		*count += (uint32_t)n;
}

void
summary_walked(struct summary *s, uint64_t first, uint64_t n, uint64_t n_free)
{
	uint64_t block = first >> s->bits, end = first + n;
	uint64_t start = block << s->bits;

	if (s->free[block] != SUMMARY_UNKNOWN)
		return;
	if (s->walk_block != block && first == start) {
		s->walk_block = block;
		s->walk_end = start;
		s->walk_free = 0;
	}
	/* A walk that begins in the middle learns nothing; one that has gone
	 * back counts only what it has not seen before. */
	if (s->walk_block != block || first > s->walk_end || end <= s->walk_end)
		return;
	s->walk_free += (uint32_t)min_u64(n_free, end - s->walk_end);
	s->walk_end = end;
	if (end == start + (UINT64_C(1) << s->bits)) {
		s->free[block] = s->walk_free;
		forget_walk(s);
	}
}
