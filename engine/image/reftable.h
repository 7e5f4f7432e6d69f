/* SPDX-License-Identifier: MIT */
/*
 * reftable.h - a larger refcount table
 */
#ifndef Q2_IMAGE_REFTABLE_H
#define Q2_IMAGE_REFTABLE_H

#include "engine/co/co.h"

struct image;
struct table;

/*
 * Every cluster that the refcount table can describe is in use: build a larger
 * one beyond them and switch the header to it.  The allocator's mutex is held,
 * so nobody makes refcount blocks meanwhile.  0 or a negative errno; -EFBIG
 * where no larger table is allowed.
 */
int Q2_CO reftable_grow(struct image *img);

/*
 * The file holds table t, longer than the image's and durable: it becomes the
 * image's, and the old one's clusters go to limbo.  Takes the contents of t
 * over, also on failure: then either nothing has changed, or it is unknown
 * which the file names and img->failed is set.  0 or a negative errno.
 */
int Q2_CO reftable_switch(struct image *img, struct table *t);

#endif
