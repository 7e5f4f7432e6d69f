/* SPDX-License-Identifier: MIT */
/*
 * mark.h - feature bits of the header, changed in place (H1)
 */
#ifndef Q2_IMAGE_MARK_H
#define Q2_IMAGE_MARK_H

#include <stdint.h>

#include "engine/co/co.h"

struct image;

/* Set, or clear, incompatible feature bits in the file, durably.  Version 3;
 * version 2 has no such bits, and nothing is done.  0 or -errno. */
int Q2_CO mark_set(struct image *img, uint64_t bits);
int Q2_CO mark_clear(struct image *img, uint64_t bits);

/* B1: clear autoclear bits that we do not know, durably. */
int Q2_CO mark_clear_unknown(struct image *img);

#endif
