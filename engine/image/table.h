/* SPDX-License-Identifier: MIT */
/*
 * table.h - the L1 table and the refcount table: whole in memory
 *
 * Both are arrays of 64-bit entries that name clusters (L2 tables, refcount
 * blocks).  The entries in memory are the truth; those changed since the last
 * commit are marked by piece.
 */
#ifndef Q2_IMAGE_TABLE_H
#define Q2_IMAGE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/* Is the cluster that an entry names in the file yet?  A slice of one that is
 * not is all zeros and must not be read. */
enum child_state {
	CHILD_WRITTEN, /* or there is none */
	CHILD_MAKING,  /* it has no entry yet, and slices */
	CHILD_NEW,     /* made since the last commit was sealed */
	CHILD_SEALED,  /* the running commit is writing it */
};

/* Bits of table.dirty[]: changed since the last seal; in the running commit. */
#define PIECE_DIRTY  1
#define PIECE_SEALED 2

struct table {
	uint64_t *entries; /* host byte order, reserved bits as read */
	uint32_t n;
	uint64_t host;        /* offset in the file, a cluster */
	uint64_t bytes;       /* n * 8 */
	uint32_t piece_bytes; /* of the file's bytes, for dirty[] */
	uint32_t n_pieces;
	uint8_t *child; /* enum child_state, one an entry */
	uint8_t *dirty; /* PIECE_ bits, one byte a piece */
	uint32_t n_dirty, n_new;
};

/* Room for n entries, all zero. 0 or -ENOMEM. */
int table_init(struct table *t, uint32_t n, uint64_t host,
	       uint64_t cluster_size);
void table_done(struct table *t);
/* A longer one, of n entries, elsewhere: the entries of old, then zeros. */
int table_init_longer(struct table *t, const struct table *old, uint32_t n,
		      uint64_t host, uint64_t cluster_size);
/* Take the entries from the file's bytes. */
void table_decode(struct table *t, const void *bytes);
/* The file's bytes of [first, first + count). */
void table_encode(const struct table *t, uint32_t first, uint32_t count,
		  void *bytes);
/* Change an entry, and mark its piece. */
void table_set(struct table *t, uint32_t index, uint64_t entry);
/* Entry index names a cluster that was made just now. */
void table_set_new(struct table *t, uint32_t index, uint64_t entry);

#endif
