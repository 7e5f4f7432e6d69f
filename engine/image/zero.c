/* SPDX-License-Identifier: MIT */
/*
 * zero.c - write zeroes: mappings change, few bytes move
 *
 * Whole clusters get the zero flag.  One that has a host cluster keeps it, so
 * that a later write finds its place again (and a preallocated image stays
 * one).  Of the clusters at the ends of a request that are covered in part,
 * those that read as zero already stay as they are; in the others zeros are
 * written.
 */
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"

/* Zeros to write from; partial clusters are rare, so a small buffer does. */
#define ZERO_BUF 65536
static const uint8_t zero_buf[ZERO_BUF] __attribute__((aligned(4096)));

/* Part of a cluster: [off, off + len). */
static int Q2_CO
zero_part(struct image *img, uint64_t off, uint64_t len)
{
	struct map_extent ext;
	int r;

	while (len > 0) {
		/* iovec has no const; a write does not change it. */
		struct iovec iov = {(void *)(uintptr_t)zero_buf,
				    min_u64(len, ZERO_BUF)};

		r = map_lookup(img, off, iov.iov_len, &ext);
		if (r == 0 && (ext.entry.kind == CLUSTER_NORMAL ||
			       ext.entry.kind == CLUSTER_COMPRESSED))
			r = image_write(img, iov_iter_init(&iov, 1), off);
		if (r < 0)
			return r;
		off += iov.iov_len;
		len -= iov.iov_len;
	}
	return 0;
}

static void
zero_entry(struct image *img, struct slice *s, uint32_t index)
{
	struct l2_entry e = map_entry(img, s, index);

	switch (e.kind) {
	case CLUSTER_NORMAL:
		e.kind = CLUSTER_ZERO_ALLOC;
		break;
	case CLUSTER_UNALLOCATED:
		e.kind = CLUSTER_ZERO_PLAIN;
		break;
	default:
		return;
	}
	map_set_entry(img, s, index, &e);
}

/* Whole clusters within one slice, which nobody else is changing. */
static int Q2_CO
zero_clusters(struct image *img, uint64_t first, uint64_t n)
{
	struct slice *s;
	uint32_t index;
	int r;

	r = map_get_for_change(img, first << img->geom.cluster_bits, &s,
			       &index);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < n; i++)
		zero_entry(img, s, index + (uint32_t)i);
	slice_put(&img->l2, s);
	return 0;
}

/* Hold as many of the clusters as are free and in one slice, and zero them;
 * none if somebody holds the first: then wait for that. */
static int Q2_CO
zero_some(struct image *img, uint64_t first, uint64_t n, uint64_t *ret_n)
{
	unsigned bits = img->geom.cluster_bits;
	struct inflight *f = inflight_find(&img->inflight, first);
	int r;

	*ret_n = 0;
	if (f) {
		(void)POINT_HIT(&img->points, alloc_wait);
		inflight_ref(f);
		co_queue_wait(&f->wait);
		inflight_put(&img->inflight, f);
		return 0;
	}
	n = min_u64(n, (map_slice_end(img, first << bits) >> bits) - first);
	n = inflight_next(&img->inflight, first, n) - first;
	f = inflight_add(&img->inflight, first, n);
	if (!f)
		return -ENOMEM;
	r = zero_clusters(img, first, n);
	inflight_end(f, r);
	inflight_put(&img->inflight, f);
	*ret_n = n;
	return r;
}

int Q2_CO
image_zero(struct image *img, uint64_t off, uint64_t len, bool unmap)
{
	unsigned bits = img->geom.cluster_bits;
	uint64_t end = off + len;
	uint64_t first = div_up(off, img->geom.cluster_size);
	/* The last cluster of an image counts as whole if all of it is meant,
	 * though the image ends within it. */
	uint64_t last = end == img->size ? div_up(end, img->geom.cluster_size)
					 : end >> bits;
	int r;

	(void)unmap;
	if (first >= last)
		return zero_part(img, off, len);
	r = zero_part(img, off, (first << bits) - off);
	if (r == 0 && last << bits < end)
		r = zero_part(img, last << bits, end - (last << bits));
	while (r == 0 && first < last) {
		uint64_t n;

		r = zero_some(img, first, last - first, &n);
		first += n;
	}
	return r;
}
