/* SPDX-License-Identifier: MIT */
/* geom.c - sizes that follow from the header */
#include "engine/format/geom.h"

#include "engine/format/limits.h"

struct geom
geom_init(unsigned cluster_bits, unsigned refcount_order, bool extended_l2,
	  uint64_t virtual_size)
{
	struct geom g;

	assert(cluster_bits >= Q2_MIN_CLUSTER_BITS &&
	       cluster_bits <= Q2_MAX_CLUSTER_BITS);
	assert(refcount_order <= 6);

	g.cluster_bits = cluster_bits;
	g.cluster_size = UINT64_C(1) << cluster_bits;
	g.l2_entry_size = extended_l2 ? 16 : 8;
	g.l2_bits = cluster_bits - (extended_l2 ? 4 : 3);
	g.l2_entries = UINT64_C(1) << g.l2_bits;
	g.subs = extended_l2 ? 32 : 1;
	g.sub_bits = cluster_bits - (extended_l2 ? 5 : 0);
	g.sub_size = UINT64_C(1) << g.sub_bits;
	g.external_data = false;
	g.refcount_order = refcount_order;
	g.refcount_bits = 1U << refcount_order;
	g.refcount_max = UINT64_MAX >> (64 - g.refcount_bits);
	g.refblock_bits = cluster_bits + 3 - refcount_order;
	g.refblock_entries = UINT64_C(1) << g.refblock_bits;
	g.virtual_size = virtual_size;
	return g;
}

uint64_t
geom_l1_entries(const struct geom *g, uint64_t size)
{
	unsigned bits = g->l2_bits + g->cluster_bits;
	uint64_t mask = (UINT64_C(1) << bits) - 1;

	return (size >> bits) + ((size & mask) != 0);
}

uint64_t
geom_spare_bytes(const struct geom *g)
{
	return align_up(g->virtual_size, g->cluster_size) -
	       align_up(g->virtual_size, g->sub_size);
}
