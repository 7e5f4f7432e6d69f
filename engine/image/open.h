/* SPDX-License-Identifier: MIT */
/*
 * open.h - opening and closing an image
 */
#ifndef Q2_IMAGE_OPEN_H
#define Q2_IMAGE_OPEN_H

#include "engine/q2.h"

struct aio_file;
struct image;
struct loop;

/* Blocking, not from a coroutine; see q2_open(). */
int image_open(struct loop *loop, const char *path,
	       const struct q2_open_opts *opts, struct image **ret_img,
	       struct q2_err *err);
/* Beside q2_open_opts.flags: an encrypted layer gets no ciphers, which it needs
 * no key for; crypt_take_over() has some. */
#define OPEN_WITHOUT_KEY (1U << 31)

/* One layer, without what is below it. */
int image_open_layer(struct loop *loop, const char *path,
		     const struct q2_open_opts *opts, struct image **ret_img,
		     struct q2_err *err);
/* "qcow2" or "raw", by the file's first bytes; static. */
int image_probe(struct loop *loop, struct aio_file *file,
		const char **ret_driver, struct q2_err *err);
/* Nothing may be in flight.  See q2_close(). */
int image_close(struct image *img, struct q2_err *err);

/* cachesize.c: the caches of an image whose header and tables are there. */
int open_caches(struct image *img, const struct q2_open_opts *opts,
		struct q2_err *err);
/* The size has changed: give the caches the size that they would have had at
 * open.  Nobody uses the image, and they are clean; without memory they stay as
 * they are. */
void image_fit_caches(struct image *img);

#endif
