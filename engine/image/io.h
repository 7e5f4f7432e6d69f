/* SPDX-License-Identifier: MIT */
/*
 * io.h - the guest's reads and writes; each may park, 0 or a negative errno
 */
#ifndef Q2_IMAGE_IO_H
#define Q2_IMAGE_IO_H

#include "engine/base/iov.h"
#include "engine/co/co.h"

struct image;

/* read.c: the whole of it, from guest offset off. */
int Q2_CO image_read(struct image *img, struct iov_iter it, uint64_t off);
/* The same for a copy, and counted as one. */
int Q2_CO image_read_old(struct image *img, struct iov_iter it, uint64_t off);

/* write.c: likewise. */
int Q2_CO image_write(struct image *img, struct iov_iter it, uint64_t off);

/* compress_write.c: whole clusters, compressed, into which nothing has been
 * written yet: -EIO else, -EINVAL if they are not whole (the last one of the
 * disk may be short). */
int Q2_CO image_write_compressed(struct image *img, struct iov_iter it,
				 uint64_t off);
/* As image_write(), but whole clusters are compressed (compress=on). */
int Q2_CO image_write_compressing(struct image *img, struct iov_iter it,
				  uint64_t off);

/* zero.c: make a range read as zeros; unmap lets it give up clusters if the
 * image passes discards on. */
int Q2_CO image_zero(struct image *img, uint64_t off, uint64_t len, bool unmap);
/* Give up whole clusters, which read as zeros then; nothing unless the image
 * passes discards on. */
int Q2_CO image_discard(struct image *img, uint64_t off, uint64_t len);

#endif
