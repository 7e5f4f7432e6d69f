/* SPDX-License-Identifier: MIT */
/*
 * read.c - the guest read path
 */
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"

int Q2_CO
image_read(struct image *img, struct iov_iter it, uint64_t off)
{
	while (it.left > 0) {
		struct map_extent ext;
		int r;

		r = map_lookup(img, off, it.left, &ext);
		if (r < 0)
			return r;
		switch (ext.entry.kind) {
		case CLUSTER_NORMAL:
			r = file_readv(img->file, AIO_DATA, &it, ext.len,
				       ext.host);
			break;
		case CLUSTER_COMPRESSED:
			return -ENOTSUP;
		default:
			iov_fill(&it, 0, ext.len);
		}
		if (r < 0)
			return r;
		off += ext.len;
	}
	return 0;
}
