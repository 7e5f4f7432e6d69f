/* SPDX-License-Identifier: MIT */
/*
 * compress_priv.h - what compress.c and compress_write.c do for each other
 */
#ifndef Q2_IMAGE_COMPRESS_PRIV_H
#define Q2_IMAGE_COMPRESS_PRIV_H

#include <stddef.h>

#include "engine/co/co.h"
#include "engine/format/codec.h"

struct compress;
struct image;

struct compress_job {
	struct codec *codec; /* compress_run() lends one */
	enum codec_effort effort;
	const void *src;
	size_t src_len;
	void *dst;
	size_t dst_len;
};

/* Run fn(job), in a worker thread where that pays; its result. */
int Q2_CO compress_run(struct image *img, int (*fn)(void *job),
		       struct compress_job *job);

/* The work of a struct compress_job: codec_pack(). */
int compress_pack(void *work);

/* Free what compress_write.c keeps between batches. */
void compress_write_done(struct compress *c);

#endif
