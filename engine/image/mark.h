/* SPDX-License-Identifier: MIT */
/*
 * mark.h - fields of the header, changed in place (H1)
 */
#ifndef Q2_IMAGE_MARK_H
#define Q2_IMAGE_MARK_H

#include <stddef.h>
#include <stdint.h>

#include "engine/co/co.h"

struct header;
struct image;
struct q2_err;

/* Set, or clear, incompatible feature bits in the file, durably.  Version 3;
 * version 2 has no such bits, and nothing is done.  0 or -errno. */
int Q2_CO mark_set(struct image *img, uint64_t bits);
int Q2_CO mark_clear(struct image *img, uint64_t bits);

/* B1: clear autoclear bits that we do not know, durably. */
int Q2_CO mark_clear_unknown(struct image *img);

/*
 * Fields within one sector that say where tables are, durably.  After a failure
 * it is unknown which the file names, and the image takes no more writes.  0 or
 * -errno.
 */
int Q2_CO mark_tables(struct image *img, const void *field, size_t bytes,
		      uint64_t off);

/*
 * Make h the image's header, durably.  0, or a negative errno and the header is
 * as it was; but after a failed write that decides, or a failed sync, it is
 * unknown which the file has, and img->failed is set.
 */
int Q2_CO mark_header(struct image *img, const struct header *h,
		      struct q2_err *err);
/* Would it fit?  Nothing is written. */
int Q2_CO mark_header_fits(struct image *img, const struct header *h,
			   struct q2_err *err);

#endif
