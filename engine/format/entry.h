/* SPDX-License-Identifier: MIT */
/*
 * entry.h - L1, L2 and refcount-table entries
 *
 * All entries are 64-bit big-endian words in the file; these functions see
 * them in host order.
 *
 *	L1      63      62..56     55..9        8..0
 *	        COPIED  reserved   L2 offset    reserved
 *
 *	L2      63      62   61..56     55..9         8..1      0
 *	        COPIED  0    reserved   host offset   reserved  ZERO
 *
 *	L2      63      62   61..x               x-1..0
 *	        0       1    sectors beyond the  byte offset    x = 70 - bits
 *	                     one with offset
 *
 * The order of tests matters: bit 62 first, then ZERO, then the offset.
 */
#ifndef Q2_FORMAT_ENTRY_H
#define Q2_FORMAT_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/format/geom.h"
#include "engine/format/limits.h"

#define ENTRY_COPIED         (UINT64_C(1) << 63)
#define ENTRY_COMPRESSED     (UINT64_C(1) << 62)
#define ENTRY_ZERO           (UINT64_C(1) << 0)
#define ENTRY_OFFSET_MASK    UINT64_C(0x00fffffffffffe00)
#define L1_RESERVED_MASK     UINT64_C(0x7f000000000001ff)
#define L2_RESERVED_MASK     UINT64_C(0x3f000000000001fe)
#define REFTABLE_OFFSET_MASK UINT64_C(0xfffffffffffffe00)

enum cluster_kind {
	CLUSTER_UNALLOCATED, /* falls through to the backing file */
	CLUSTER_ZERO_PLAIN,  /* zeros, no host cluster */
	CLUSTER_ZERO_ALLOC,  /* zeros, but a host cluster belongs to it */
	CLUSTER_NORMAL,
	CLUSTER_COMPRESSED,
};

/* A standard (8-byte) L2 entry, taken apart. */
struct l2_entry {
	enum cluster_kind kind;
	bool copied;
	uint64_t host; /* offset of the host cluster, or of the
				   compressed bytes */
	uint64_t len;  /* compressed only: bytes to read */
};

/* Any word is accepted: reserved bits are ignored and host may be unaligned;
 * callers check what they are about to use. */
struct l2_entry l2_decode(const struct geom *g, uint64_t word);

/*
 * How many of the n clusters that entries name, from the first one on, follow
 * each other in the file; at least 1.  mask takes the offset out of an entry.
 */
uint32_t entry_run(const struct geom *g, const uint64_t *entries, uint32_t n,
		   uint64_t mask);

/* kind normal, zero-alloc, zero-plain or unallocated. */
uint64_t l2_encode(const struct l2_entry *e);

#endif
