/* SPDX-License-Identifier: MIT */
/*
 * place.h - room for a new table beside the old one
 *
 * The image is for the caller alone, all its metadata is in the file, and
 * refcounts are not put off (E3).
 */
#ifndef Q2_MANAGE_PLACE_H
#define Q2_MANAGE_PLACE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/aio/aio.h"

struct image;
struct table;

/*
 * n adjacent clusters that have a refcount of 1 with the next commit, and are
 * known to hold metadata; n 0: *ret_host is 0.  0 or a negative errno.
 */
int Q2_CO place_take(struct image *img, uint64_t n, uint64_t *ret_host);

/* Nobody names them any more, durably: they are free when limbo is drained. */
void place_free(struct image *img, uint64_t host, uint64_t n);

/*
 * Take a place for len bytes, write them there, and make both durable.  After
 * an error nothing was taken, unless that failed too: a leak then.
 */
int Q2_CO place_write(struct image *img, enum aio_class cls, const void *bytes,
		      uint64_t len, uint64_t *ret_host);

/* The same for the entries of t, which is told where it is. */
int Q2_CO place_table(struct image *img, struct table *t);

#endif
