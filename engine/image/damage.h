/* SPDX-License-Identifier: MIT */
/*
 * damage.h - an entry that cannot be right was found in use
 */
#ifndef Q2_IMAGE_DAMAGE_H
#define Q2_IMAGE_DAMAGE_H

#include "engine/co/co.h"

struct image;

/*
 * Tell once what is wrong, in QEMU's words, to the opener's `finding`.  An
 * image that is open for writing is marked corrupt, in the file too, and takes
 * no further writes.  Returns -EIO.
 */
int Q2_CO damage_found(struct image *img, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
