/* SPDX-License-Identifier: MIT */
/*
 * oracle.h - what a disk may hold after a power cut
 *
 * The disk is looked at in *cells* of 128 bytes.  Every write fills its cells
 * with stamps that name the write and the cell, so that each cell found later
 * says who wrote it.  A cell may hold what write W put there unless some
 * request D
 *
 *	- covers the cell too and began after W was done, and
 *	- was durable before the cut: a flush that was submitted after D was
 *	  done, or D's own FUA, had been acknowledged.
 *
 * Requests under way together may take any order.  Zeroes are writes of
 * zeros; a discard is one that may also not happen, so it is never D.
 *
 * Time is told twice: `tick` is the recorder's (sim.h) and says what a crash
 * has seen; `seq` counts starts and ends of guest requests and orders them
 * among themselves.
 */
#ifndef TESTS_CRASH_ORACLE_H
#define TESTS_CRASH_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/q2.h"

#define CELL           128
#define ORACLE_NEVER   UINT64_MAX
#define ORACLE_REGIONS 5

/* The parts of the disk that the test uses: a few, of one size, each below
 * another L1 entry. */
struct regions {
	unsigned n;
	uint64_t stride, bytes;
};

/* One request of the guest. */
struct guest_op {
	enum q2_op op;
	unsigned flags;
	uint64_t off, len;
	uint64_t seq_start, seq_done;   /* or ORACLE_NEVER */
	uint64_t tick_start, tick_done; /* likewise */
	uint64_t tick_durable;          /* likewise */
	int result;
};

struct cell {
	uint32_t base; /* id of what it held at the start; 0: zeros */
	uint32_t *ops; /* indices of requests that changed it */
	uint32_t n, room;
};

struct oracle {
	struct regions regions;
	struct guest_op *ops; /* ops[i] has the id first_id + i */
	size_t n, room;
	uint32_t first_id;
	uint64_t seq;
	size_t n_cells;
	struct cell *cells;
};

/* base: ids of all cells, or NULL: all zeros. */
void oracle_init(struct oracle *o, const struct regions *r, uint32_t first_id,
		 const uint32_t *base);
void oracle_done(struct oracle *o);
/* The id that the next oracle may begin with. */
uint32_t oracle_next_id(const struct oracle *o);

/* Note the start and the end of a request; tick is the recorder's now.  begin
 * returns its index. */
size_t oracle_begin(struct oracle *o, const struct guest_op *op, uint64_t tick);
void oracle_end(struct oracle *o, size_t index, int result, uint64_t tick);
/* All that was done is durable: the image was closed. */
void oracle_closed(struct oracle *o, uint64_t tick);

/* The bytes that request index writes. */
void oracle_fill(const struct oracle *o, size_t index, void *buf);

/* The bytes of a cell that holds id. */
void oracle_stamp(uint32_t id, size_t cell, void *buf);

/* The id in a cell's bytes, in *ret_id; false if it is no stamp of that
 * cell. */
bool oracle_decode(const void *bytes, size_t cell, uint32_t *ret_id);

/* Who looks, and so what must be there. */
struct view {
	bool live;     /* a read by the guest, that began at seq: sees what was
			  done before; else after a crash at tick */
	uint64_t seq;  /* live: when the read began */
	uint64_t tick; /* crash: when */
};

/* May the cell hold id?  Else why is filled. */
bool oracle_allows(const struct oracle *o, size_t cell, uint32_t id,
		   const struct view *view, char *why, size_t why_bytes);

/* The disk offset of a cell, and back. */
size_t oracle_cell(const struct oracle *o, uint64_t off);
uint64_t oracle_offset(const struct oracle *o, size_t cell);

#endif
