/* SPDX-License-Identifier: MIT */
/*
 * content.h - what the write passes write: random, and stamped
 *
 * Every sector of 512 bytes is a function of its guest offset and a seed and
 * of nothing else: it begins with a stamp of both and goes on with numbers that
 * no file system can compress or share.  So a reader can tell from any sector
 * which write it comes from, and a misplaced, stale or torn one is named as
 * such.  No state, no memory of its own.  Used by the targets of the harness.
 */
#ifndef WORKLOADS_CONTENT_H
#define WORKLOADS_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#define CONTENT_SECTOR 512

/* Fill buf with what belongs to [off, off + len); off and len are multiples
 * of 512, buf is aligned to 8. */
void content_fill(void *buf, size_t len, uint64_t off, uint64_t seed);

/* The same, and percent of each sector are zeros at its end: as much compresses
 * away.  No sector is without its stamp. */
void content_fill_partly(void *buf, size_t len, uint64_t off, uint64_t seed,
			 unsigned percent);

enum content_state {
	CONTENT_OK,
	CONTENT_ZERO,      /* only zeros: never written, or a hole */
	CONTENT_ELSEWHERE, /* the whole sector of another offset */
	CONTENT_OTHER,     /* of this offset, but with another seed: stale */
	CONTENT_DAMAGED,   /* nothing that content_fill() has made */
};

struct content_fault {
	enum content_state state;
	uint64_t off;       /* guest offset of the sector */
	uint64_t stamp_off; /* what its stamp says, if ELSEWHERE or OTHER */
	uint64_t stamp_seed;
};

/* Compare; returns the number of wrong sectors and describes the first in
 * *ret_fault (which may be NULL). */
uint64_t content_check(const void *buf, size_t len, uint64_t off, uint64_t seed,
		       struct content_fault *ret_fault);

/* One line, such as "guest offset 4096 holds what belongs to 8192". */
void content_describe(const struct content_fault *fault, char *text,
		      size_t size);

#endif
