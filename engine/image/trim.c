/* SPDX-License-Identifier: MIT */
#include "engine/image/trim.h"

#include <limits.h>
#include <time.h>

#include "engine/image/image.h"

/* QEMU's on Linux. */
#define INTERVAL_DEFAULT 600

static uint64_t
now_s(void)
{
	struct timespec ts;

	/* A few nanoseconds a request; the tick of the kernel is enough. */
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec;
}

void
trim_init(struct image *img, unsigned seconds)
{
	img->trim_interval = seconds == UINT_MAX ? 0
			     : seconds           ? seconds
						 : INTERVAL_DEFAULT;
	img->trim_next = now_s() + img->trim_interval;
}

void
trim_if_due(struct image *img)
{
	uint64_t now;

	if (!img->trim_interval)
		return;
	now = now_s();
	if (now < img->trim_next)
		return;
	img->trim_next = now + img->trim_interval;
	slice_cache_trim(&img->l2);
	slice_cache_trim(&img->refs);
}
