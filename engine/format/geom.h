/* SPDX-License-Identifier: MIT */
/*
 * geom.h - the shape of an image: sizes that follow from the header
 *
 * A struct geom is computed once, when an image is opened or planned, and
 * never changes but for a resize.  All sizes are in bytes unless the name says
 * otherwise.
 *
 *	guest offset   |   l1 index   |   l2 index   | offset in cluster |
 *	                               <-- l2_bits --> <- cluster_bits -->
 *
 * A *subcluster* is the least that has a state of its own: a 32nd of a cluster
 * with extended L2 entries, else the cluster itself.
 */
#ifndef Q2_FORMAT_GEOM_H
#define Q2_FORMAT_GEOM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/num.h"

struct geom {
	unsigned cluster_bits;
	uint64_t cluster_size;
	unsigned l2_entry_size; /* 8, or 16 with extended L2 */
	unsigned l2_bits;       /* log2 of the entries of an L2 table */
	uint64_t l2_entries;
	unsigned sub_bits; /* log2 of a subcluster's bytes */
	uint64_t sub_size;
	unsigned subs;           /* subclusters of a cluster: 1 or 32 */
	bool external_data;      /* guest data is in a file of its own, where
				   host offset = guest offset */
	unsigned refcount_order; /* refcounts are 2^order bits wide */
	unsigned refcount_bits;
	uint64_t refcount_max;
	unsigned refblock_bits; /* log2 of the entries of a refblock */
	uint64_t refblock_entries;
	uint64_t virtual_size;
};

/* The arguments must be valid: cluster_bits and refcount_order in range. */
struct geom geom_init(unsigned cluster_bits, unsigned refcount_order,
		      bool extended_l2, uint64_t virtual_size);

/* Entries that an L1 table needs to map size bytes. */
uint64_t geom_l1_entries(const struct geom *g, uint64_t size);

/* Bytes of the last cluster that no allocation counts: behind the end of the
 * disk, in whole subclusters.  0 with plain L2 entries. */
uint64_t geom_spare_bytes(const struct geom *g);

static inline uint64_t
geom_l1_index(const struct geom *g, uint64_t guest)
{
	return guest >> (g->l2_bits + g->cluster_bits);
}

static inline uint64_t
geom_l2_index(const struct geom *g, uint64_t guest)
{
	return (guest >> g->cluster_bits) & (g->l2_entries - 1);
}

static inline uint64_t
geom_in_cluster(const struct geom *g, uint64_t off)
{
	return off & (g->cluster_size - 1);
}

static inline uint64_t
geom_cluster_start(const struct geom *g, uint64_t off)
{
	return off & ~(g->cluster_size - 1);
}

#endif
