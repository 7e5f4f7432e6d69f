/* SPDX-License-Identifier: MIT */
/*
 * crop.h - nothing above the end of the disk
 *
 * Both ends of a resize need this: a shrink, to give up what it has cut off;
 * and a grow, since what somebody has left above the old end must not become
 * visible (R1, R2).  The image is for the caller alone, and its caches are
 * clean.
 */
#ifndef Q2_MANAGE_CROP_H
#define Q2_MANAGE_CROP_H

#include <stdint.h>

#include "engine/co/co.h"

struct image;

/*
 * Unlink every cluster that lies whole above size, in memory; what they and
 * their L2 tables held goes to limbo.  0 or a negative errno, with some of it
 * done.
 */
int Q2_CO crop_above(struct image *img, uint64_t size);

/* The bytes from the end of the disk to the end of its last cluster become
 * zero.  0 or a negative errno. */
int Q2_CO crop_zero_tail(struct image *img);

/* All entries of the L1 table can be reached with guest offsets below this. */
uint64_t crop_reach(const struct image *img);

/*
 * Commit what crop_above() has done, free the host clusters, drop refcount blocks that count nothing, cut the file behind the
 * last cluster in use.
 */
int Q2_CO crop_finish(struct image *img);

/* *ret_cluster: from there on no cluster has a reference. */
int Q2_CO crop_used_end(struct image *img, uint64_t *ret_cluster);

#endif
