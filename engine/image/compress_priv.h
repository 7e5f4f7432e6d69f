/* SPDX-License-Identifier: MIT */
/*
 * compress_priv.h - what compress.c does for compress_write.c: work in threads
 */
#ifndef Q2_IMAGE_COMPRESS_PRIV_H
#define Q2_IMAGE_COMPRESS_PRIV_H

#include <stddef.h>

#include "engine/co/co.h"

struct codec;
struct image;

struct compress_job {
	struct codec *codec; /* compress_run() lends one */
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

#endif
