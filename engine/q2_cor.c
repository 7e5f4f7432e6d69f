/* SPDX-License-Identifier: MIT */
/*
 * q2_cor.c - copy on read: what was read from below gets a place in the image
 */
#include <errno.h>

#include "engine/aio/debug.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"

/* What is copied at once, at most. */
#define PIECE UINT64_C(1048576)

/* Copy [off, off + len), of which the image has nothing. */
static int
copy(struct q2_image *img, uint8_t *buf, uint64_t off, uint64_t len, bool zero)
{
	struct points *points = &((struct image *)img)->points;

	while (len > 0) {
		uint64_t n = zero ? len : min_u64(len, PIECE);
		int r = zero ? 0 : q2_pread(img, buf, n, off);

		if (r < 0)
			return r;
		r = POINT_HIT(points, copy_on_read);
		if (r == 0)
			r = debug_copies(points, off, n);
		if (r < 0)
			return r;
		r = zero || mem_is_zero(buf, n) ? q2_pzero(img, n, off, 0)
						: q2_pwrite(img, buf, n, off);
		if (r < 0)
			return r;
		off += n;
		len -= n;
	}
	return 0;
}

/* The clusters that the range touches, as far as the disk goes. */
static void
widen(const struct image *img, uint64_t *off, uint64_t *end)
{
	uint64_t cluster = img->geom.cluster_size;

	*off = align_down(*off, cluster);
	*end = min_u64(align_up(*end, cluster), img->size);
}

int
q2_copy_on_read(struct q2_image *img, uint64_t off, uint64_t len,
		struct q2_err *err)
{
	const struct image *i = (const struct image *)img;
	Q2_AUTO_FREE uint8_t *buf = NULL;
	struct q2_extent e;
	uint64_t end;
	int r = 0;

	if (!image_is_qcow2(i) || !len || off > i->size || len > i->size - off)
		return 0;
	if (i->read_only)
		return q2_fail(err, -EPERM,
			       "Can't use copy-on-read on read-only device");
	buf = mem_aligned(PIECE);
	if (!buf)
		return q2_fail(err, -ENOMEM, "no memory to copy with");
	end = off + len;
	for (widen(i, &off, &end); off < end; off = e.off + e.len) {
		r = q2_map(img, off, end - off, &e, err);
		if (r < 0)
			return r;
		if (e.present && e.depth == 0)
			continue;
		r = copy(img, buf, e.off, e.len, e.zero);
		if (r < 0)
			return q2_fail(err, r, "could not copy what was read");
	}
	return 0;
}
