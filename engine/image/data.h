/* SPDX-License-Identifier: MIT */
/*
 * data.h - guest data between memory and its place in the host file, through
 * the cipher if the image has one
 */
#ifndef Q2_IMAGE_DATA_H
#define Q2_IMAGE_DATA_H

#include "engine/aio/aio.h"

struct image;

/* len bytes of the guest's, and where they are in img->data. */
struct data_place {
	uint64_t len, guest, host;
};

/* The next len bytes of it; moves it.  0 or a negative errno. */
int Q2_CO data_readv(struct image *img, enum aio_class cls, struct iov_iter *it,
		     const struct data_place *at);
int Q2_CO data_writev(struct image *img, enum aio_class cls,
		      struct iov_iter *it, const struct data_place *at);
/* Zeros, encrypted: only for an image that has a cipher. */
int Q2_CO data_write_zeros(struct image *img, enum aio_class cls,
			   const struct data_place *at);

#endif
