/* SPDX-License-Identifier: MIT */
/*
 * bitmap.h - the directory of persistent bitmaps, and their tables
 *
 *	offset size
 *	     0    8  offset of the bitmap's table, a cluster
 *	     8    4  entries of that
 *	    12    4  flags: 0 in use, 1 auto, 2 extra data is harmless
 *	    16    1  type, 1
 *	    17    1  log2 of the bytes that a bit stands for, 9..31
 *	    18    2  length of the name
 *	    20    4  length of the extra data
 *	    24       extra data, name; padding to a multiple of 8
 *
 * A table entry has the offset of a cluster of bits in bits 9..55; where that
 * is 0, bit 0 says whether all its bits are ones.
 */
#ifndef Q2_FORMAT_BITMAP_H
#define Q2_FORMAT_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/num.h"
#include "engine/format/geom.h"
#include "engine/format/limits.h"

#define BITMAP_FIXED_BYTES 24
#define BITMAP_IN_USE      1
#define BITMAP_AUTO        2
#define BITMAP_OFF_FLAGS   12
#define BITMAP_MAX_NAME    1023
/* Of the directory, as of its entries' number. */
#define BITMAP_MAX_DIRECTORY        (UINT64_C(1024) * Q2_MAX_BITMAPS)
#define BITMAP_MIN_GRANULARITY_BITS 9
#define BITMAP_MAX_GRANULARITY_BITS 31
#define BITMAP_MAX_PAYLOAD          (512 * MiB)
#define BITMAP_ENTRY_OFFSET         UINT64_C(0x00fffffffffffe00)
#define BITMAP_ENTRY_RESERVED       UINT64_C(0xff000000000001fe)
#define BITMAP_ENTRY_ONES           1

struct bitmap {
	uint64_t table_offset;
	uint32_t table_entries;
	uint32_t flags, extra_len;
	uint8_t type, granularity_bits;
	const char *name; /* in the buffer, not terminated */
	uint16_t name_len;
	uint64_t bytes; /* of the entry, padding included */
};

/* Take the directory entry at buf apart; -EUCLEAN if it does not end within
 * len bytes. */
int bitmap_decode(const void *buf, size_t len, struct bitmap *ret);

/* Bytes of an entry, padding included, and the entry itself to buf, which has
 * room for them; type, extra_len and bytes are not looked at. */
size_t bitmap_encoded_bytes(const struct bitmap *b);
void bitmap_encode(const struct bitmap *b, void *buf);

/* Bytes of the bits for a disk of size bytes, in whole words of 64 bits. */
static inline uint64_t
bitmap_bits_bytes(uint64_t size, unsigned granularity_bits)
{
	uint64_t bits = div_up(size, UINT64_C(1) << granularity_bits);

	return div_up(bits, 64) * 8;
}

/* Is everything within the limits that QEMU has for a disk of g? */
bool bitmap_is_valid(const struct bitmap *b, const struct geom *g);

/* Is an entry of a bitmap's table? */
bool bitmap_entry_is_valid(uint64_t entry, const struct geom *g);

#endif
