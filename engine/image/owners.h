/* SPDX-License-Identifier: MIT */
/*
 * owners.h - which layer of a long chain has a range, remembered
 *
 * What the top does not map is looked for layer by layer.  Layers below the
 * top do not change, so the answer stays right: it is kept, by *granule*, the
 * least unit that has a state of its own in any of them.  A lookup then asks
 * two layers, however many there are.  It is a table of fixed size in which new
 * answers take the place of old ones.
 */
#ifndef Q2_IMAGE_OWNERS_H
#define Q2_IMAGE_OWNERS_H

#include <stdbool.h>
#include <stdint.h>

struct image;
struct owners;

/* For a chain that has been opened: nothing where it is short.  Without memory
 * nothing is remembered. */
void owners_init(struct image *top);
/* Also before a layer below changes; then nothing is remembered any more. */
void owners_done(struct image *top);

/* A layer below img that has, or none of those above which has, the bytes at
 * off; false if that is not known. */
struct owner {
	struct image *layer;
	unsigned depth;
	uint64_t len; /* holds for so many bytes, at most len */
};
bool owners_find(const struct image *img, uint64_t off, uint64_t len,
		 struct owner *ret);

/* No layer between img and the one at depth maps [off, off + len). */
void owners_learn(struct image *img, uint64_t off, uint64_t len,
		  unsigned depth);

#endif
