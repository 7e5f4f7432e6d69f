/* SPDX-License-Identifier: MIT */
/*
 * trim.h - cache-clean-interval: memory of slices that nobody uses
 *
 * Every so many seconds the clean slices that were not looked at since the
 * last time are forgotten and their memory goes back to the system.  There is
 * no timer: whoever brings a request looks at the clock, so an image without
 * requests keeps what it has.
 */
#ifndef Q2_IMAGE_TRIM_H
#define Q2_IMAGE_TRIM_H

#include <stdint.h>

struct image;

/* seconds: as in q2_open_opts. */
void trim_init(struct image *img, unsigned seconds);

/* A request has come.  Does not park. */
void trim_if_due(struct image *img);

#endif
