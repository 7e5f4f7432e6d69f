/* SPDX-License-Identifier: MIT */
/* entry.c - L2 entries to and from their parts */
#include "engine/format/entry.h"

static struct l2_entry
decode_compressed(const struct geom *g, uint64_t word)
{
	unsigned x = 62 - (g->cluster_bits - 8);
	struct l2_entry e = {.kind = CLUSTER_COMPRESSED};
	uint64_t more;

	e.copied = word & ENTRY_COPIED;
	e.host = word & ((UINT64_C(1) << x) - 1);
	more = (word & (ENTRY_COMPRESSED - 1)) >> x;
	e.len = (more + 1) * Q2_SECTOR - (e.host & (Q2_SECTOR - 1));
	return e;
}

struct l2_entry
l2_decode(const struct geom *g, uint64_t word)
{
	struct l2_entry e = {.kind = CLUSTER_UNALLOCATED};

	if (word & ENTRY_COMPRESSED)
		return decode_compressed(g, word);

	e.copied = word & ENTRY_COPIED;
	e.host = word & ENTRY_OFFSET_MASK;
	/* With extended L2 the flag is reserved: zeros are in the bitmap. */
	if ((word & ENTRY_ZERO) && g->l2_entry_size == 8)
		e.kind = e.host ? CLUSTER_ZERO_ALLOC : CLUSTER_ZERO_PLAIN;
	else if (e.host)
		e.kind = CLUSTER_NORMAL;
	return e;
}

uint64_t
l2_encode(const struct l2_entry *e)
{
	uint64_t word = e->copied ? ENTRY_COPIED : 0;

	assert(!(e->host & ~ENTRY_OFFSET_MASK));
	switch (e->kind) {
	case CLUSTER_UNALLOCATED:
		assert(!e->host && !e->copied);
		return 0;
	case CLUSTER_ZERO_PLAIN:
		assert(!e->host && !e->copied);
		return ENTRY_ZERO;
	case CLUSTER_ZERO_ALLOC:
		assert(e->host);
		return word | e->host | ENTRY_ZERO;
	case CLUSTER_NORMAL:
		assert(e->host);
		return word | e->host;
	case CLUSTER_COMPRESSED:
		break;
	}
	assert(!"compressed entries are not encoded here");
	return 0;
}

uint32_t
entry_run(const struct geom *g, const uint64_t *entries, uint32_t n,
	  uint64_t mask)
{
	uint32_t i = 1;

	while (i < n &&
	       (entries[i] & mask) == (entries[0] & mask) + i * g->cluster_size)
		i++;
	return i;
}
