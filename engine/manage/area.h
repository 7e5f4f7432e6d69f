/* SPDX-License-Identifier: MIT */
/*
 * area.h - a run of new metadata and data behind everything that is in use
 *
 *	| refcount blocks | refcount table | L1 | L2 tables | data |
 *
 * A resize may need a larger L1 table, and with preallocation L2 tables and
 * data for all that is added.  They, and the refcount structures that they
 * need, are laid out as one run, so that all of it is written in large pieces
 * and takes the same few syncs however large it is.
 *
 * Nothing that is in use names the area before it is durable.  Refcount blocks
 * that describe a part of it and exist already are written with it: until it
 * is named that is a leak, which harms nothing.
 */
#ifndef Q2_MANAGE_AREA_H
#define Q2_MANAGE_AREA_H

#include <stdint.h>

#include "engine/aio/aio.h"
#include "engine/format/entry.h"
#include "engine/q2.h"

struct image;

struct area {
	struct image *img;

	/* Asked for. */
	enum q2_prealloc mode;
	uint64_t guest, guest_n; /* clusters that get entries */
	bool zero;               /* which say zero, and have no data */
	uint32_t l1_entries;     /* of a larger L1 table; 0: as it is */

	/* Planned: the first cluster of each part; the end is after data. */
	uint64_t first;
	uint64_t table, l1, l2, data, end;
	uint32_t *regions; /* whose refcount blocks are new; the caller frees */
	uint32_t n_regions;
	uint32_t l1_index; /* of the first new L2 table */
	uint64_t data_n;   /* clusters of data in this file */
	bool named;        /* the refcount table has, or may have, the blocks */
	uint64_t
		head_n; /* of the guest's clusters; mapped by a table that exists */
};

static inline uint64_t
area_clusters(const struct area *a)
{
	return a->end - a->first;
}

/*
 * Lay the area out, with first set to a cluster from which on all are free.
 * -EFBIG where a table or the file would be too large, with qemu-img's text.
 */
int area_plan(struct area *a, struct q2_err *err);

/* The L2 entry of the guest's cluster number i of the area. */
struct l2_entry area_entry(const struct area *a, uint64_t i);

/* What can be known about the space is known before anything is written:
 * -ENOSPC where the file's file system has not got so many bytes free. */
int Q2_CO area_check_space(struct aio_file *file, uint64_t bytes,
			   struct q2_err *err);

/*
 * Write it, and make it durable.  On failure the file is as it was, as far as
 * the device lets us; nothing names the area.
 */
int Q2_CO area_write(struct area *a, struct q2_err *err);

/*
 * Its refcount blocks are named, by their table's entries or by a larger table:
 * from here on its clusters are counted.  After an error either the area was
 * given back, or `named` is set, and the file may name its blocks.
 */
int Q2_CO area_name(struct area *a);

/* Nothing names the area yet, and nothing will: give it back. */
void Q2_CO area_undo(const struct area *a);

#endif
