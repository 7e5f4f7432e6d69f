/* SPDX-License-Identifier: MIT */
/* bitmap.c - entries of the bitmap directory */
#include "engine/format/bitmap.h"

#include <errno.h>
#include <string.h>

#include "engine/base/num.h"

#define TYPE_DIRTY_TRACKING 1
#define KNOWN_FLAGS         (BITMAP_IN_USE | BITMAP_AUTO)
#define MAX_TABLE_ENTRIES   UINT32_C(0x8000000)

int
bitmap_decode(const void *buf, size_t len, struct bitmap *ret)
{
	const uint8_t *p = buf;

	if (len < BITMAP_FIXED_BYTES)
		return -EUCLEAN;
	ret->table_offset = load_be64(p);
	ret->table_entries = load_be32(p + 8);
	ret->flags = load_be32(p + BITMAP_OFF_FLAGS);
	ret->type = p[16];
	ret->granularity_bits = p[17];
	ret->name_len = load_be16(p + 18);
	ret->extra_len = load_be32(p + 20);
	ret->bytes = align_up((uint64_t)BITMAP_FIXED_BYTES + ret->extra_len +
				      ret->name_len,
			      8);
	if (ret->bytes > len)
		return -EUCLEAN;
	ret->name = (const char *)p + BITMAP_FIXED_BYTES + ret->extra_len;
	return 0;
}

size_t
bitmap_encoded_bytes(const struct bitmap *b)
{
	return align_up((size_t)BITMAP_FIXED_BYTES + b->name_len, 8);
}

void
bitmap_encode(const struct bitmap *b, void *buf)
{
	uint8_t *p = buf;

	memset(p, 0, bitmap_encoded_bytes(b));
	store_be64(p, b->table_offset);
	store_be32(p + 8, b->table_entries);
	store_be32(p + BITMAP_OFF_FLAGS, b->flags);
	p[16] = TYPE_DIRTY_TRACKING;
	p[17] = (uint8_t)b->granularity_bits;
	store_be16(p + 18, b->name_len);
	memcpy(p + BITMAP_FIXED_BYTES, b->name, b->name_len);
}

bool
bitmap_is_valid(const struct bitmap *b, const struct geom *g)
{
	uint64_t payload = (uint64_t)b->table_entries << g->cluster_bits;

	if (!b->table_offset || geom_in_cluster(g, b->table_offset) ||
	    !b->table_entries || b->table_entries > MAX_TABLE_ENTRIES ||
	    payload > BITMAP_MAX_PAYLOAD || (b->flags & ~KNOWN_FLAGS) ||
	    b->extra_len || b->type != TYPE_DIRTY_TRACKING ||
	    b->granularity_bits < BITMAP_MIN_GRANULARITY_BITS ||
	    b->granularity_bits > BITMAP_MAX_GRANULARITY_BITS || !b->name_len ||
	    b->name_len > BITMAP_MAX_NAME)
		return false;
	/* One that nobody was writing must cover the disk. */
	return (b->flags & BITMAP_IN_USE) ||
	       div_up(g->virtual_size, UINT64_C(8) << b->granularity_bits) <=
		       payload;
}

bool
bitmap_entry_is_valid(uint64_t entry, const struct geom *g)
{
	uint64_t offset = entry & BITMAP_ENTRY_OFFSET;

	if (entry & BITMAP_ENTRY_RESERVED)
		return false;
	if (!offset)
		return true;
	return !(entry & BITMAP_ENTRY_ONES) && !geom_in_cluster(g, offset);
}
