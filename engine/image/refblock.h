/* SPDX-License-Identifier: MIT */
/*
 * refblock.h - where a refcount block is, by the refcount table
 */
#ifndef Q2_IMAGE_REFBLOCK_H
#define Q2_IMAGE_REFBLOCK_H

#include <stdint.h>

#include "engine/co/co.h"

struct image;

/* What a refcount block is wanted for. */
enum refblock_use {
	REFBLOCK_READ,  /* a look at some refcount */
	REFBLOCK_ALLOC, /* what it says is free will be handed out */
	REFBLOCK_FREE,  /* refcounts in it go down, or up from 1 */
};

/*
 * Host offset of the block of table entry index, which is not empty.  -EIO if
 * the entry cannot be right, or cannot be used that way: that is told, and
 * where going on would destroy something the image is marked corrupt
 * (damage.h).
 */
int Q2_CO refblock_host(struct image *img, uint64_t index,
			enum refblock_use use, uint64_t *ret_host);

#endif
