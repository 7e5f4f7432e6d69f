/* SPDX-License-Identifier: MIT */
/*
 * raw.h - a plain file as an image: guest offset = host offset
 */
#ifndef Q2_IMAGE_RAW_H
#define Q2_IMAGE_RAW_H

#include "engine/co/co.h"
#include "engine/q2.h"

struct image;

/* One request; as q2_submit(), but with the result returned. */
int Q2_CO raw_run(struct image *img, const struct q2_req *rq);

/* See q2_map(): data or holes, as the file system tells.  Blocking. */
int raw_map(struct image *img, uint64_t off, uint64_t len,
	    struct q2_extent *ret_ext);

#endif
