/* SPDX-License-Identifier: MIT */
/*
 * request.h - a guest request from q2_submit() to done()
 */
#ifndef Q2_IMAGE_REQUEST_H
#define Q2_IMAGE_REQUEST_H

#include "engine/q2.h"

struct image;

/* See q2_submit(): never fails, never blocks. */
void request_submit(struct image *img, struct q2_req *rq);

#endif
