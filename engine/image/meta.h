/* SPDX-License-Identifier: MIT */
/*
 * meta.h - which host clusters hold metadata
 *
 * A guest write into an L2 table or a refcount block destroys an image, and
 * an entry that points there takes one damaged bit.  So every host range that
 * is about to be written with guest data, and every cluster that is about to
 * be handed out, is looked up here first: the header, the refcount table and
 * its blocks, the L1 table and its L2 tables, the LUKS header, the snapshot
 * table and the L1 tables of snapshots, the bitmap directory and its tables.  One probe of a hash a cluster,
 * however large the image.  (QEMU's overlap-check=cached, always on.)
 */
#ifndef Q2_IMAGE_META_H
#define Q2_IMAGE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/co/co.h"

struct image;

struct meta {
	uint64_t *slots; /* cluster + 1, or 0; open addressing */
	size_t n, mask;
	bool shared; /* some cluster is named twice */
};

enum meta_kind {
	META_L1,
	META_L2,
	META_REFTABLE,
	META_REFBLOCK,
	META_BITMAPS,
};

/* From the tables in memory. 0, -ENOMEM, or -EFBIG for more than is kept. */
int meta_init(struct image *img);
void meta_done(struct meta *m);

/* These clusters hold metadata from now on, or no longer. */
int meta_add(struct image *img, uint64_t host, uint64_t clusters);
void meta_remove(struct image *img, uint64_t host, uint64_t clusters);

/* Is there metadata in the image file's bytes [host, host + len)? */
bool meta_hit(const struct image *img, uint64_t host, uint64_t len);

/* Is there an L2 table of the image in the bytes [host, host + len)?  Looks at
 * the whole L1 table. */
bool meta_has_l2(const struct image *img, uint64_t host, uint64_t len);

/*
 * Before metadata of kind own, in the bytes [host, host + len), is changed:
 * does nothing else claim them, so that the change destroys nothing?  0, or
 * what meta_refuse() returns.  Images that are in order cost a test of a flag.
 */
int Q2_CO meta_own(struct image *img, enum meta_kind own, uint64_t host,
		   uint64_t len);

/*
 * For somebody who was about to write there: the image is marked corrupt, in
 * the file too, and takes no further writes.  Returns -EIO.
 */
int Q2_CO meta_refuse(struct image *img, uint64_t host, uint64_t len);

#endif
