/* SPDX-License-Identifier: MIT */
/*
 * q2_priv.h - what the files of the public interface share
 */
#ifndef Q2_PRIV_H
#define Q2_PRIV_H

#include <string.h>

#include "engine/q2.h"

struct image;
struct loop;

/* The public types are names for the internal ones. */
static inline struct loop *
loop_of(const struct q2_loop *loop)
{
	return (struct loop *)(uintptr_t)loop;
}

static inline struct image *
image_of(const struct q2_image *img)
{
	return (struct image *)(uintptr_t)img;
}

/* Copy a caller's options over the defaults, as far as the caller's struct
 * goes: it may be older than we are. */
static inline void
take_opts(void *ours, size_t our_size, const void *theirs)
{
	size_t size;

	if (!theirs)
		return;
	memcpy(&size, theirs, sizeof(size));
	memcpy(ours, theirs, size < our_size ? size : our_size);
}

/* Turn the loop until no request of the image is in flight. */
int image_drain(struct image *img, struct q2_err *err);

/* Refcounts that a crash left behind are set right before anything is written
 * by them. */
int image_repair_if_dirty(struct image *img, const struct q2_open_opts *o,
			  struct q2_err *err);

#endif
