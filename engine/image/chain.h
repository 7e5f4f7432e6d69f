/* SPDX-License-Identifier: MIT */
/*
 * chain.h - which layer of a backing chain has the bytes
 *
 * What an image does not map itself is what its backing file has there, and
 * zeros beyond the end of that.  Walks down by a loop: a chain may be long.
 */
#ifndef Q2_IMAGE_CHAIN_H
#define Q2_IMAGE_CHAIN_H

#include "engine/image/map.h"

struct chain_extent {
	struct image *layer; /* the last that was asked */
	bool found;          /* it has the bytes, as ext says; else no layer
				has, which reads as zeros */
	unsigned depth;      /* of layer; 0: img itself */
	struct map_extent ext;
};

/* Does it read as zeros, without looking at a file? */
bool chain_is_zero(const struct chain_extent *c);

/* The extent at off, at most len bytes. 0 or a negative errno. */
int Q2_CO chain_lookup(struct image *img, uint64_t off, uint64_t len,
		       struct chain_extent *ret);
/* The same, if what it needs is in memory; else false.  Does not park. */
bool chain_peek(struct image *img, uint64_t off, uint64_t len,
		struct chain_extent *ret);

/* Does [off, off + len) read as zeros?  1, 0 or a negative errno. */
int Q2_CO chain_reads_zero(struct image *img, uint64_t off, uint64_t len);

/* Is it known to, also by holes of backing files?  Not where a layer cannot be
 * asked: whoever reads there will be told why. */
bool Q2_CO chain_seems_zero(struct image *img, uint64_t off, uint64_t len);

/* See q2_map(). */
int Q2_CO chain_map(struct image *img, uint64_t off, uint64_t len,
		    struct q2_extent *ret_ext);

#endif
