/* SPDX-License-Identifier: MIT */
/*
 * resize_disk.h - a small image to be resized, and what it must hold then
 */
#ifndef TESTS_RESIZE_DISK_H
#define TESTS_RESIZE_DISK_H

#include "engine/aio/aio.h"
#include "engine/q2.h"

#define RESIZE_DISK "disk.qcow2"
#define RESIZE_DATA "data.raw"
#define RESIZE_BASE "base.raw"

struct resize_disk {
	unsigned cluster_bits, refcount_order;
	uint64_t bytes;
	/* The image once was so long, and somebody has left his bytes above the
	 * end: in whole clusters, and in the last one.  0: no. */
	uint64_t hidden_bytes;
	uint64_t leak_bytes; /* as in image_make.h */
	unsigned leak_holes; /* 1: no leaks, but blocks that count nothing */
	unsigned version;    /* 0: 3 */
	bool extended_l2, lazy;
	uint64_t base_bytes; /* of a raw backing file without zeros; 0: none */
	bool data_file, data_raw;
	uint64_t seed;
	uint8_t *content; /* bytes; freed by resize_disk_done() */
};

/* What is worth resizing: small and large clusters, the end within a cluster,
 * bytes of others above it, refcounts of every kind of width, and all that an
 * image can have. */
extern const struct resize_disk resize_disks[];
extern const unsigned n_resize_disks;

/* Make it in loop.  0 or a negative errno. */
int resize_disk_make(struct resize_disk *d, struct loop *loop);
void resize_disk_done(struct resize_disk *d);

/* Open it for writing.  0 or a negative errno with why filled. */
int resize_disk_open(struct loop *loop, struct q2_image **ret_img, char *why,
		     size_t why_bytes);

/* Allocate what reads as zeros, so that a disk with lazy refcounts has some
 * that are behind.  0 or a negative errno. */
int resize_disk_fill_gaps(const struct resize_disk *d, struct q2_image *img);

/*
 * The image in loop, that nobody has open, is whole: no corruption, but for
 * refcounts that the dirty bit says are behind, and none after these were
 * repaired; its size is bytes or new_bytes, its content that of before, and
 * zeros where it has grown; a raw data file says the same.  Returns its size,
 * or 0 with why filled.
 */
uint64_t resize_disk_check(const struct resize_disk *d, uint64_t new_bytes,
			   struct loop *loop, uint64_t *ret_leaks, char *why,
			   size_t why_bytes);

/* Go on with it: write, grow, write, shrink; each time what is read is right,
 * and in the end no reference is uncounted.  0, or -1 with why filled. */
int resize_disk_go_on(const struct resize_disk *d, struct loop *loop,
		      uint64_t *ret_leaks, char *why, size_t why_bytes);

#endif
