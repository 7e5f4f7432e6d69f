/* SPDX-License-Identifier: MIT */
/* entry.c - L2 entries to and from their parts */
#include "engine/format/entry.h"

/* x in entry.h: bits of the byte offset. */
static unsigned
compressed_bits(const struct geom *g)
{
	return 62 - (g->cluster_bits - 8);
}

uint64_t
l2_compressed_end(const struct geom *g)
{
	return min_u64(UINT64_C(1) << compressed_bits(g), UINT64_C(1) << 56);
}

static struct l2_entry
decode_compressed(const struct geom *g, uint64_t word)
{
	unsigned x = compressed_bits(g);
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
	else if (e.host || (g->external_data && e.copied))
		e.kind = CLUSTER_NORMAL;
	return e;
}

struct l2_entry
l2_load(const struct geom *g, const uint8_t *p)
{
	struct l2_entry e = l2_decode(g, load_be64(p));
	uint64_t bitmap;

	/* Of compressed clusters the bitmap is not used, whatever it says. */
	if (g->l2_entry_size == 8 || e.kind == CLUSTER_COMPRESSED)
		return e;
	bitmap = load_be64(p + 8);
	e.sub_alloc = (uint32_t)bitmap;
	e.sub_zero = (uint32_t)(bitmap >> 32);
	return e;
}

enum cluster_kind
l2_sub_kind(const struct geom *g, const struct l2_entry *e, unsigned sub)
{
	bool has_host = e->kind == CLUSTER_NORMAL;

	if (g->subs == 1 || e->kind == CLUSTER_COMPRESSED)
		return e->kind;
	if (e->sub_zero >> sub & 1)
		return has_host ? CLUSTER_ZERO_ALLOC : CLUSTER_ZERO_PLAIN;
	if (e->sub_alloc >> sub & 1)
		return CLUSTER_NORMAL;
	return has_host ? CLUSTER_UNALLOCATED_AT : CLUSTER_UNALLOCATED;
}

bool
l2_subs_are_valid(const struct l2_entry *e)
{
	if (e->kind == CLUSTER_COMPRESSED)
		return !e->sub_alloc && !e->sub_zero;
	if (e->sub_alloc & e->sub_zero)
		return false;
	return e->kind == CLUSTER_NORMAL || !e->sub_alloc;
}

bool
kind_has_host(enum cluster_kind kind)
{
	return kind == CLUSTER_NORMAL || kind == CLUSTER_ZERO_ALLOC ||
	       kind == CLUSTER_UNALLOCATED_AT;
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
		assert(e->host || e->copied);
		return word | e->host | ENTRY_ZERO;
	case CLUSTER_NORMAL:
		assert(e->host || e->copied);
		return word | e->host;
	case CLUSTER_UNALLOCATED_AT:
	case CLUSTER_COMPRESSED:
		break;
	}
	assert(!"no entry of this kind is encoded here");
	return 0;
}

static uint64_t
encode_compressed(const struct geom *g, const struct l2_entry *e)
{
	uint64_t more = (e->host + e->len - 1) / Q2_SECTOR -
			e->host / Q2_SECTOR;

	assert(!e->copied && e->len);
	assert(e->host < l2_compressed_end(g));
	assert(more < UINT64_C(1) << (g->cluster_bits - 8));
	return ENTRY_COMPRESSED | more << compressed_bits(g) | e->host;
}

void
l2_store(const struct geom *g, const struct l2_entry *e, uint8_t *p)
{
	bool packed = e->kind == CLUSTER_COMPRESSED;

	store_be64(p, packed ? encode_compressed(g, e) : l2_encode(e));
	if (g->l2_entry_size == 8)
		return;
	assert(packed || e->kind == CLUSTER_NORMAL ||
	       e->kind == CLUSTER_UNALLOCATED);
	assert(l2_subs_are_valid(e));
	store_be64(p + 8, (uint64_t)e->sub_zero << 32 | e->sub_alloc);
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
