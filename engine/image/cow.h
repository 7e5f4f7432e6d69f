/* SPDX-License-Identifier: MIT */
/*
 * cow.h - filling new space: the guest's bytes, and around them what was there
 */
#ifndef Q2_IMAGE_COW_H
#define Q2_IMAGE_COW_H

#include "engine/base/iov.h"
#include "engine/co/co.h"

struct data_place;
struct image;
struct inflight;

/* Write the next bytes of it to their place, and count them as guest data. */
int Q2_CO cow_write_data(struct image *img, struct iov_iter *it,
			 const struct data_place *at);

/* Z1: make a place for guest data, which may hold anything, read as zeros. */
int Q2_CO cow_zero_host(struct image *img, const struct data_place *at);

/*
 * Fill [f->from, f->to) of the host clusters of f: the next len bytes of it at
 * guest offset off, and around them what the guest sees there now: zeros, or
 * copies of old clusters or of the backing file.  Opens f for others to join
 * as soon as what is around is in place, and closes it at the end.
 */
int Q2_CO cow_fill(struct image *img, struct inflight *f, struct iov_iter *it,
		   uint64_t len, uint64_t off);

#endif
