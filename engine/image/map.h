/* SPDX-License-Identifier: MIT */
/*
 * map.h - L2 entries and extents
 *
 * Mapping and moving bytes are separate: these functions say where bytes are
 * and change where they are; read.c and write.c move them.
 */
#ifndef Q2_IMAGE_MAP_H
#define Q2_IMAGE_MAP_H

#include "engine/co/co.h"
#include "engine/format/entry.h"
#include "engine/image/slice.h"

struct image;

/* Adjacent bytes in one state, adjacent in the file too if they have host
 * clusters. */
struct map_extent {
	enum cluster_kind kind;
	bool copied;           /* of kinds with a host cluster: ours alone */
	uint64_t host;         /* of the guest offset asked for */
	uint64_t len;          /* bytes from there on */
	struct l2_entry entry; /* of the first cluster */
};

/*
 * The slice with guest's entry, pinned, and the entry's index in it.  NULL
 * where there is no L2 table.
 */
int Q2_CO map_get(struct image *img, uint64_t guest, struct slice **ret_slice,
		  uint32_t *ret_index);
/* May the L2 table of guest, if there is one, be changed?  0, or what is wrong
 * has been told (damage.h) and a negative errno. */
int Q2_CO map_may_change(struct image *img, uint64_t guest);
/* There is an L2 table for guest that is not shared, or it is made.  Those who
 * allocate call this first, so that a table comes before its clusters. */
int Q2_CO map_own_table(struct image *img, uint64_t guest);
/* map_get() for a change, making the L2 table if there is none; never NULL. */
int Q2_CO map_get_for_change(struct image *img, uint64_t guest,
			     struct slice **ret_slice, uint32_t *ret_index);

/* Before the L2 table of guest is used, if there is one: 0, or what is wrong
 * with its L1 entry has been told (damage.h) and -EIO. */
int Q2_CO map_check_table(struct image *img, uint64_t guest);

struct l2_entry map_entry(const struct image *img, const struct slice *s,
			  uint32_t index);
void map_set_entry(struct image *img, struct slice *s, uint32_t index,
		   const struct l2_entry *e);

/* The same as map_lookup(), if what it needs is in memory; else false. Does
 * not park. */
bool map_peek(struct image *img, uint64_t guest, uint64_t len,
	      struct map_extent *ret_ext);

/* The extent at guest, at most len bytes and not beyond the slice; -EIO if its
 * entry cannot be right, which has been told (damage.h). */
int Q2_CO map_lookup(struct image *img, uint64_t guest, uint64_t len,
		     struct map_extent *ret_ext);

/* The same for somebody who will write all len bytes: a damaged entry that
 * only points nowhere is replaced by a write of its whole cluster, and seems
 * to be UNALLOCATED. */
int Q2_CO map_lookup_to_write(struct image *img, uint64_t guest, uint64_t len,
			      struct map_extent *ret_ext);

/* May a cluster's entry be used as it is?  Any entry may be replaced. */
bool map_entry_is_valid(const struct image *img, const struct l2_entry *e);
/* Tell what is wrong with guest's entry e, which is not valid; -EIO. */
int Q2_CO map_tell(struct image *img, uint64_t guest, const struct l2_entry *e);

/* First guest offset that guest's slice does not map. */
uint64_t map_slice_end(const struct image *img, uint64_t guest);

#endif
