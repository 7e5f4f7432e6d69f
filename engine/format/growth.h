/* SPDX-License-Identifier: MIT */
/*
 * growth.h - how long QEMU's file of the same image is
 *
 * An image that we make is exactly as long as the one that qemu-img makes with
 * the same options.  Ours is laid out without gaps, so it is never longer by
 * itself; but QEMU's refcount structures grow while it allocates: each larger
 * refcount table is made at a distance behind the end of the image, with
 * headroom, and the one before it becomes free.  With many small clusters that
 * adds up to some tenths of a percent, which no formula yields: so it is
 * replayed, in runs of clusters.
 */
#ifndef Q2_FORMAT_GROWTH_H
#define Q2_FORMAT_GROWTH_H

#include "engine/format/geom.h"
#include "engine/q2.h"

/*
 * Length in bytes of QEMU's file for an image of g->virtual_size, just created,
 * with so many adjacent clusters taken last.  0 or -ENOMEM.  Takes time in
 * proportion to the number of L2 tables, and memory to that of refcount blocks.
 */
int growth_file_bytes(const struct geom *g, enum q2_prealloc preallocation,
		      uint64_t last, uint64_t *ret_bytes);

#endif
