/* SPDX-License-Identifier: MIT */
/*
 * read.c - the guest read path: where the fast path of request.c does not fit
 */
#include "engine/base/num.h"
#include "engine/image/fan.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"

/* Start on the extent at off. */
static int Q2_CO
read_extent(struct fan *fan, struct iov_iter *it, const struct map_extent *ext)
{
	switch (ext->entry.kind) {
	case CLUSTER_NORMAL:
		fan_move(fan, it, ext->len, ext->host);
		return 0;
	case CLUSTER_COMPRESSED:
		return -ENOTSUP;
	default:
		iov_fill(it, 0, ext->len);
		return 0;
	}
}

int Q2_CO
image_read(struct image *img, struct iov_iter it, uint64_t off)
{
	struct fan fan;
	int r = 0, moved;

	fan_init(&fan, img, AIO_READ);
	while (r == 0 && it.left > 0) {
		struct map_extent ext;

		r = map_lookup(img, off, it.left, &ext);
		if (r == 0)
			r = read_extent(&fan, &it, &ext);
		if (r == 0)
			off += ext.len;
	}
	moved = fan_wait(&fan);
	return r < 0 ? r : moved;
}
