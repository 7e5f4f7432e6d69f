/* SPDX-License-Identifier: MIT */
/*
 * reftable.h - a larger refcount table
 */
#ifndef Q2_IMAGE_REFTABLE_H
#define Q2_IMAGE_REFTABLE_H

#include "engine/co/co.h"

struct image;

/*
 * Every cluster that the refcount table can describe is in use: build a larger
 * one beyond them and switch the header to it.  The allocator's mutex is held,
 * so nobody makes refcount blocks meanwhile.  0 or a negative errno; -EFBIG
 * where no larger table is allowed.
 */
int Q2_CO reftable_grow(struct image *img);

#endif
