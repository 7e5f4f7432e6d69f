/* SPDX-License-Identifier: MIT */
/*
 * counts.h - changing the refcounts of a large part of an image at once
 *
 * The refcount blocks that are concerned are read whole, changed in memory, and
 * written when all changes are known to be possible: a snapshot that a
 * refcount is too narrow for has cost nothing then.  Memory: two bytes a
 * cluster with the usual width, for the whole time.
 *
 * The image is for the caller alone, and nothing is dirty in its caches.
 */
#ifndef Q2_MANAGE_COUNTS_H
#define Q2_MANAGE_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/co/co.h"

struct image;

struct counts {
	struct image *img;
	uint8_t **blocks; /* by index in the refcount table; NULL: not read */
	uint8_t *changed;
	uint32_t n;
	uint64_t first_freed; /* cluster, or UINT64_MAX */
};

/* 0 or -ENOMEM.  counts_done() in any case. */
int counts_init(struct counts *c, struct image *img);
/* Forget everything that was not written. */
void counts_done(struct counts *c);

/* The refcount of a cluster as it is now, in memory. */
int Q2_CO counts_get(struct counts *c, uint64_t cluster, uint64_t *ret_count);

/*
 * Clusters [first, first + n), which are in use, get a reference more (up) or
 * less.  -ERANGE where that is more than the width allows, -EIO where one
 * is not in use or its block cannot be read; then some have changed.
 */
int Q2_CO counts_change(struct counts *c, uint64_t first, uint64_t n, bool up);

/*
 * Give the file system the space of clusters that have lost their last
 * reference.  The references must be gone durably, the refcounts not yet
 * written: nobody can have the clusters meanwhile.
 */
int Q2_CO counts_free(struct counts *c);

/* Write what has changed, durably; the image knows of it.  After an error some
 * are written. */
int Q2_CO counts_write(struct counts *c);

#endif
