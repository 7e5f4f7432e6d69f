/* SPDX-License-Identifier: MIT */
/*
 * summary.h - how many clusters are free in the region of each refcount block
 *
 * Without it, a free cluster that is used again at the beginning of a full
 * image would cost a walk over all refcount blocks behind it.  A count is
 * learnt when the allocator walks over the whole block, at no cost, and kept
 * right from then on; where it never walked the count is unknown.
 *
 * Counted is what the refcounts in the cache say: clusters that are reserved in
 * memory only are free.
 */
#ifndef Q2_IMAGE_SUMMARY_H
#define Q2_IMAGE_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#define SUMMARY_UNKNOWN UINT32_MAX

struct summary {
	uint32_t *free; /* one a refcount-table entry, or SUMMARY_UNKNOWN */
	uint32_t n;
	unsigned bits; /* log2 of the clusters of a region */
	/* The walk through the first unknown region: of its clusters up to
	 * walk_end, walk_free are free. */
	uint64_t walk_block, walk_end;
	uint32_t walk_free;
};

/* n blocks, all unknown. 0 or -ENOMEM. */
int summary_init(struct summary *s, uint32_t n, unsigned bits);
void summary_done(struct summary *s);
/* Another number of blocks; those that stay keep their counts. 0 or -ENOMEM,
 * and nothing has changed. */
int summary_resize(struct summary *s, uint32_t n);

/* Somebody else has changed refcounts: nothing is known any more. */
void summary_forget(struct summary *s);
/* That many clusters of the block's region are free. */
void summary_set(struct summary *s, uint64_t block, uint32_t n_free);
/* Is it known that nothing is free? */
bool summary_is_full(const struct summary *s, uint64_t block);

/* n clusters from first on, of one region, have been taken, or are free now. */
void summary_took(struct summary *s, uint64_t first, uint64_t n);
void summary_freed(struct summary *s, uint64_t first, uint64_t n);

/* The allocator has looked at n clusters from first on, of one region: the last
 * n_free of them are free, the others in use. */
void summary_walked(struct summary *s, uint64_t first, uint64_t n,
		    uint64_t n_free);

#endif
