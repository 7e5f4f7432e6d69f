/* SPDX-License-Identifier: MIT */
/*
 * tree.h - all that an L1 table refers to: references and flags
 *
 * The image is for the caller alone, and nothing is dirty in its caches.
 * What is wrong with an entry is told (damage.h) and ends the walk with -EIO.
 */
#ifndef Q2_MANAGE_TREE_H
#define Q2_MANAGE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/co/co.h"

struct counts;
struct image;
struct table;

/*
 * A reference more (up) or less for each L2 table that l1 names, and for each
 * cluster that one of its entries does.  As counts_change().  *ret_copied: an
 * entry of an L2 table has a COPIED flag; may be NULL.
 */
int Q2_CO tree_count(struct image *img, const struct table *l1,
		     struct counts *c, bool up, bool *ret_copied);

/*
 * Flags of l1, in memory, and of the L2 tables that it names, in the file:
 * cleared, or with counts set where a cluster has one reference and cleared
 * elsewhere.  Not synced, and l1 itself is not written.
 */
int Q2_CO tree_flag(struct image *img, struct table *l1, struct counts *c);
/* The same for the disk's tables, L1 too, durably. */
int Q2_CO tree_flag_active(struct image *img, struct counts *c);

/* Is there an entry with one of these flags?  ENTRY_ZERO is one of entries that
 * are not compressed.  1, 0 or -errno.  Not with extended L2. */
int Q2_CO tree_has(struct image *img, struct table *l1, uint64_t flags);

/*
 * fn for each L2 table that l1 names, which is at host in the file: 1 if it has
 * changed the table, which is written then, else 0 or -errno.  Not synced.
 */
typedef int Q2_CO (*tree_fn)(void *arg, uint64_t host, uint8_t *table);
int Q2_CO tree_for_tables(struct image *img, struct table *l1, tree_fn fn,
			  void *arg);

#endif
