/* SPDX-License-Identifier: MIT */
/*
 * read.c - the guest read path: where the fast path of request.c does not fit
 */
#include "engine/base/num.h"
#include "engine/image/chain.h"
#include "engine/image/fan.h"
#include "engine/image/image.h"
#include "engine/image/io.h"

/* Start on the extent at off, which c describes. */
static void Q2_CO
read_extent(struct fan *fan, struct iov_iter *it, const struct chain_extent *c,
	    uint64_t off)
{
	if (chain_is_zero(c)) {
		iov_fill(it, 0, c->ext.len);
		return;
	}
	if (c->layer != fan->img)
		POINT_TELL(&fan->img->points, backing_read, 1);
	if (c->ext.kind == CLUSTER_COMPRESSED)
		fan_unpack(fan, it, c->ext.len, c->layer, &c->ext.entry,
			   geom_in_cluster(&c->layer->geom, off));
	else
		fan_move(fan, it, c->layer,
			 &(struct data_place){c->ext.len, off, c->ext.host});
}

static int Q2_CO
read_all(struct fan *fan, struct iov_iter *it, uint64_t off)
{
	int r = 0, moved;

	while (r == 0 && it->left > 0) {
		struct chain_extent c;

		r = chain_lookup(fan->img, off, it->left, &c);
		if (r < 0)
			break;
		read_extent(fan, it, &c, off);
		off += c.ext.len;
	}
	moved = fan_wait(fan);
	return r < 0 ? r : moved;
}

int Q2_CO
image_read(struct image *img, struct iov_iter it, uint64_t off)
{
	struct fan fan;

	fan_init(&fan, img, AIO_READ);
	return read_all(&fan, &it, off);
}

int Q2_CO
image_read_old(struct image *img, struct iov_iter it, uint64_t off)
{
	struct fan fan;

	fan_init(&fan, img, AIO_READ);
	fan.cls = AIO_COW;
	return read_all(&fan, &it, off);
}
