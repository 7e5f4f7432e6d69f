/* SPDX-License-Identifier: MIT */
/*
 * steps.h - how far a copy or a comparison is, in the steps of QEMU's tools
 *
 * These take extents from front to back, those with data in chunks, and tell of
 * each when it begins.  Our pieces are others: they are put together again
 * here.  For convert.c and compare.c.
 */
#ifndef Q2_MANAGE_STEPS_H
#define Q2_MANAGE_STEPS_H

#include <stdint.h>

/* Of QEMU's buffer. */
#define STEPS_CHUNK (UINT64_C(2) << 20)

/* What an extent has.  One that is not looked at is not cut into chunks. */
enum steps_kind {
	STEPS_WHOLE,
	STEPS_DATA,
	STEPS_ZEROS
};

struct steps {
	uint64_t chunk;
	uint64_t from, end;   /* of the extent that is under way */
	uint64_t taken, told; /* bytes in all */
	enum steps_kind kind;
	/* Called at the end of each step with the bytes up to there. */
	void (*tell)(void *arg, uint64_t bytes);
	void *arg;
};

void steps_init(struct steps *s, uint64_t chunk,
		void (*tell)(void *arg, uint64_t bytes), void *arg);

/* The next piece; what lies between it and the last one does not count. */
void steps_take(struct steps *s, uint64_t off, uint64_t len,
		enum steps_kind kind);

/* No more will come. */
void steps_end(struct steps *s);

#endif
