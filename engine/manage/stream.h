/* SPDX-License-Identifier: MIT */
/*
 * stream.h - many bytes that are computed as they are written, in large pieces
 */
#ifndef Q2_MANAGE_STREAM_H
#define Q2_MANAGE_STREAM_H

#include "engine/aio/aio.h"

struct stream {
	struct aio_file *file;
	uint64_t off, len; /* of the file */
	/* The bytes [off, off + len) of the file into buf; NULL: zeros. Pieces
	 * begin at the stream's start and at multiples of STREAM_PIECE. */
	void (*fill)(void *arg, uint64_t off, uint64_t len, uint8_t *buf);
	/* A power of two, to a multiple of which fill() writes more than len;
	 * 0: it does not. */
	uint64_t grain;
	/* What the bytes from off on are; NULL: data. */
	enum aio_class (*class_at)(void *arg, uint64_t off);
	void *arg;
};

/* No cluster is larger. */
#define STREAM_PIECE (2 * MiB)

/* Write it all, several pieces at once.  0 or the first error. */
int Q2_CO stream_write(const struct stream *s);

#endif
