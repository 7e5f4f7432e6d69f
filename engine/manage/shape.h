/* SPDX-License-Identifier: MIT */
/*
 * shape.h - the sector of the header that decides which disk an image holds:
 * its size and its L1 table
 */
#ifndef Q2_MANAGE_SHAPE_H
#define Q2_MANAGE_SHAPE_H

#include <stdint.h>

#include "engine/co/co.h"

struct header;
struct image;

/* Fields of the header that change together; all in one sector. */
struct shape {
	uint64_t size, l1_offset;
	uint32_t l1_entries;
};

struct shape shape_of(const struct header *h);

/* Write it, durably (H1).  After a failure it is unknown which disk the file
 * holds, and the image takes no more writes. */
int Q2_CO shape_write(struct image *img, const struct shape *s);

/* The image has it, in memory; the L1 table is the caller's. */
void shape_take(struct image *img, const struct shape *s);

#endif
