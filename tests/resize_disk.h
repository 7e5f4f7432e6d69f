/* SPDX-License-Identifier: MIT */
/*
 * resize_disk.h - a small image to be resized, and what it must hold then
 */
#ifndef TESTS_RESIZE_DISK_H
#define TESTS_RESIZE_DISK_H

#include "engine/aio/aio.h"
#include "engine/q2.h"

#define RESIZE_DISK "disk.qcow2"

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
	uint64_t seed;
	uint8_t *content; /* bytes; freed by resize_disk_done() */
};

/* Make it in loop.  0 or a negative errno. */
int resize_disk_make(struct resize_disk *d, struct loop *loop);
void resize_disk_done(struct resize_disk *d);

/*
 * The image in loop, that nobody has open, is whole: no corruption, its size
 * is bytes or new_bytes, its content that of before, and zeros where it has
 * grown.  Returns its size, or 0 with why filled.
 */
uint64_t resize_disk_check(const struct resize_disk *d, uint64_t new_bytes,
			   struct loop *loop, uint64_t *ret_leaks, char *why,
			   size_t why_bytes);

/* Go on with it: write, grow, write, shrink; each time what is read is right,
 * and in the end no reference is uncounted.  0, or -1 with why filled. */
int resize_disk_go_on(const struct resize_disk *d, struct loop *loop,
		      uint64_t *ret_leaks, char *why, size_t why_bytes);

#endif
