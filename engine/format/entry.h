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
 * The order of tests matters: bit 62 first, then ZERO, then the offset.  Where
 * guest data is in a file of its own the first cluster is at offset 0, and
 * COPIED says that it is there.
 *
 * With extended L2 a second word follows, two bits for each of 32 subclusters:
 *
 *	63..32          31..0
 *	reads as zeros  allocated
 *
 * and ZERO of the first word is reserved.
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

/* Of a cluster, or with extended L2 of a subcluster. */
enum cluster_kind {
	CLUSTER_UNALLOCATED,    /* falls through to the backing file */
	CLUSTER_UNALLOCATED_AT, /* the same, but a host cluster belongs to it;
				   extended L2 only */
	CLUSTER_ZERO_PLAIN,     /* zeros, no host cluster */
	CLUSTER_ZERO_ALLOC,     /* zeros, but a host cluster belongs to it */
	CLUSTER_NORMAL,
	CLUSTER_COMPRESSED,
};

#define SUBS_ALL UINT32_C(0xffffffff)

/* An L2 entry, taken apart. */
struct l2_entry {
	/* Of an extended entry: NORMAL if it has a host cluster, UNALLOCATED
	 * if not; l2_sub_kind() tells of subclusters. */
	enum cluster_kind kind;
	bool copied;
	uint64_t host;      /* offset of the host cluster, or of the
				   compressed bytes */
	uint64_t len;       /* compressed only: bytes to read, up to the
				   end of a sector; when it is encoded, those
				   in use will do */
	uint32_t sub_alloc; /* extended L2: allocated subclusters */
	uint32_t sub_zero;  /* and those that read as zeros */
};

/* Any word is accepted: reserved bits are ignored and host may be unaligned;
 * callers check what they are about to use. */
struct l2_entry l2_decode(const struct geom *g, uint64_t word);
/* The entry at p, of g->l2_entry_size bytes as in the file. */
struct l2_entry l2_load(const struct geom *g, const uint8_t *p);

/* Subcluster sub, which is 0 without extended L2. */
enum cluster_kind l2_sub_kind(const struct geom *g, const struct l2_entry *e,
			      unsigned sub);
/* Does an extended entry contradict itself: a subcluster that is both
 * allocated and zero, or allocated without a host cluster? */
bool l2_subs_are_valid(const struct l2_entry *e);
/* Has the kind a host offset? */
bool kind_has_host(enum cluster_kind kind);

/*
 * How many of the n clusters that entries name, from the first one on, follow
 * each other in the file; at least 1.  mask takes the offset out of an entry.
 */
uint32_t entry_run(const struct geom *g, const uint64_t *entries, uint32_t n,
		   uint64_t mask);

/* Compressed bytes begin below this. */
uint64_t l2_compressed_end(const struct geom *g);

/* The first word; kind normal, zero-alloc, zero-plain or unallocated. */
uint64_t l2_encode(const struct l2_entry *e);
/* The entry to p, g->l2_entry_size bytes. */
void l2_store(const struct geom *g, const struct l2_entry *e, uint8_t *p);

#endif
