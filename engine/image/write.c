/* SPDX-License-Identifier: MIT */
/*
 * write.c - the guest write path
 *
 * Each turn of image_write() takes one part of the request:
 *
 *	in place	the clusters are ours alone: only the bytes move
 *	joined		another write is filling the cluster, whose other
 *			bytes are zero already: write into it, and be linked
 *			with it (A3)
 *	new		hold the guest clusters (inflight.h), take host
 *			clusters, make the bytes around ours zero or copies of
 *			what was there, write ours, link
 *
 * W1: link() runs after the data write has completed, and after the refcounts
 * were raised; cache.c keeps that order on the way to the file.  No sync is
 * issued here.  A crash can leak a cluster, but never shows bytes that nobody
 * wrote there.
 */
#include <assert.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/fan.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"

/* New clusters of one write at a time; bounds the work of a failed one. */
#define RUN_MAX 1024

/* Pieces of a write that holds zeros too. */
#define PADDED_IOV 64

/* Old content is copied in steps of this. */
#define COPY_BYTES (256 * KiB)

/* Write len bytes of it at host, and count them as guest data. */
static int Q2_CO
write_data(struct image *img, struct iov_iter *it, uint64_t len, uint64_t host)
{
	int r = file_writev(img->file, AIO_DATA, it, len, host);

	cache_data_written(img);
	return r;
}

/* Z1: make [host, host + len), which holds unknown bytes, zero. */
static int Q2_CO
zero_host(struct image *img, uint64_t host, uint64_t len)
{
	int r = file_zero(img->file, len, host, img->zero != Q2_ZERO_WRITE);

	if (r == -ENOTSUP)
		r = file_zero(img->file, len, host, false);
	cache_data_written(img);
	return r;
}

/* Point the entries of f's clusters at their host clusters. */
static int Q2_CO
link_run(struct image *img, const struct inflight *f)
{
	uint64_t guest = f->first << img->geom.cluster_bits;
	struct slice *s;
	uint32_t index;
	int r;

	r = POINT_HIT(&img->points, l2_link);
	if (r < 0)
		return r;
	r = map_get_for_change(img, guest, &s, &index);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < f->n; i++) {
		struct l2_entry old = map_entry(img, s, index + i);
		struct l2_entry e = {
			.kind = CLUSTER_NORMAL,
			.copied = true,
			.host = f->host +
				((uint64_t)i << img->geom.cluster_bits),
		};

		map_set_entry(img, s, index + i, &e);
		if (old.host && old.host != e.host)
			limbo_add(img, old.host, 1);
	}
	slice_put(&img->l2, s);
	return 0;
}

/*
 * One writer of f has finished.  The last one links what at least one has
 * written; the others wait for that.  Returns the result for this writer.
 */
static int Q2_CO
finish_writer(struct image *img, struct inflight *f, int r)
{
	f->writers--;
	f->written += r == 0;
	if (f->writers == 0 && !f->linked) {
		int linked = 0;

		/* Nobody joins from here on: linking may park. */
		f->open = false;
		if (f->spoiled)
			linked = f->spoiled;
		if (f->written && !f->spoiled) {
			(void)POINT_HIT(&img->points, data_written);
			linked = link_run(img, f);
		}
		if ((!f->written || linked < 0) && !f->owned)
			(void)alloc_undo(img, f->host, f->n);
		inflight_end(f, linked);
	}
	while (!f->linked)
		co_queue_wait(&f->wait);
	return r < 0 ? r : f->result;
}

/* Write our part into clusters that another request is filling. */
static int Q2_CO
write_joined(struct image *img, struct inflight *f, struct iov_iter *it,
	     uint64_t len, uint64_t off)
{
	uint64_t base = f->first << img->geom.cluster_bits;
	int r;

	(void)POINT_HIT(&img->points, alloc_join);
	inflight_ref(f);
	f->writers++;
	r = write_data(img, it, len, f->host + (off - base));
	r = finish_writer(img, f, r);
	inflight_put(&img->inflight, f);
	return r;
}

/* Host clusters for f, at most f->n: fewer shrink it.  Zero clusters that have
 * some keep them. */
static int Q2_CO
take_clusters(struct image *img, struct inflight *f, bool *ret_virgin)
{
	struct host_run run;
	int r;

	*ret_virgin = false;
	if (f->owned)
		return 0;
	r = alloc_run(img, f->n, &run);
	if (r < 0)
		return r;
	f->n = run.clusters;
	f->host = run.host;
	*ret_virgin = run.virgin;
	return 0;
}

/* Copy len bytes from one place of the file to another. */
static int Q2_CO
copy_host(struct image *img, uint64_t from, uint64_t to, uint64_t len)
{
	uint64_t step = min_u64(len, COPY_BYTES);
	Q2_AUTO_FREE void *buf = len ? mem_aligned(step) : NULL;
	int r = 0;

	if (len && !buf)
		return -ENOMEM;
	while (r == 0 && len > 0) {
		step = min_u64(step, len);
		r = POINT_HIT(&img->points, cow_read);
		if (r == 0)
			r = file_read(img->file, AIO_COW, buf, step, from);
		if (r == 0)
			r = POINT_HIT(&img->points, cow_write);
		if (r == 0)
			r = file_write(img->file, AIO_COW, buf, step, to);
		cache_data_written(img);
		from += step;
		to += step;
		len -= step;
	}
	return r;
}

/*
 * The bytes of new clusters around the len at `at` that the guest writes:
 * copies of old ones, or zeros.  Afterwards others may join (A3).
 */
static int Q2_CO
fill_around(struct image *img, const struct inflight *f, uint64_t at,
	    uint64_t len, bool virgin)
{
	uint64_t size = f->n << img->geom.cluster_bits;
	uint64_t end = at + len;
	int r;

	if (len == size)
		return 0;
	if (f->old_host) {
		r = copy_host(img, f->old_host, f->host, at);
		if (r == 0)
			r = copy_host(img, f->old_host + end, f->host + end,
				      size - end);
		return r;
	}
	if (virgin && img->zero == Q2_ZERO_HOLE)
		return 0;
	return zero_host(img, f->host, size);
}

/* Append len zeros to iov, which has n entries of at most PADDED_IOV; the new
 * number, or more than PADDED_IOV where they do not fit. */
static int
append_zeros(struct iovec *iov, int n, uint64_t len)
{
	while (len > 0 && n < PADDED_IOV) {
		iov[n].iov_base = (void *)(uintptr_t)mem_zeros;
		iov[n].iov_len = min_u64(len, MEM_ZEROS_BYTES);
		len -= iov[n++].iov_len;
	}
	return len ? PADDED_IOV + 1 : n;
}

/*
 * The clusters of f whole in one write: zeros, the guest's len bytes at `at`,
 * zeros.  False, with nothing done, where that takes too many pieces.
 */
static bool Q2_CO
write_padded(struct image *img, const struct inflight *f, struct iov_iter *it,
	     uint64_t at, uint64_t len, int *ret_result)
{
	uint64_t size = f->n << img->geom.cluster_bits;
	struct iovec iov[PADDED_IOV];
	struct iov_iter all;
	uint64_t got = 0;
	int n = append_zeros(iov, 0, at);

	if (n < PADDED_IOV)
		n += iov_slice(it, len, iov + n, PADDED_IOV - n, &got);
	if (got == len)
		n = append_zeros(iov, n, size - at - len);
	if (got < len || n > PADDED_IOV)
		return false;
	all = iov_iter_init(iov, n);
	*ret_result = POINT_HIT(&img->points, cow_write);
	if (*ret_result == 0)
		*ret_result = write_data(img, &all, size, f->host);
	iov_advance(it, len);
	if (*ret_result < 0)
		return true;
	/* One write held both: tell them apart. */
	img->points.n.host_write_data_bytes -= size - len;
	img->points.n.host_write_cow_bytes += size - len;
	return true;
}

/* Fill the clusters of f, of which the guest writes len bytes at `at`. */
static int Q2_CO
fill_clusters(struct image *img, struct inflight *f, struct iov_iter *it,
	      uint64_t at, uint64_t len, bool virgin)
{
	uint64_t size = f->n << img->geom.cluster_bits;
	int r;

	if (len < size && !f->old_host && img->zero == Q2_ZERO_WRITE &&
	    write_padded(img, f, it, at, len, &r))
		return r;
	r = fill_around(img, f, at, len, virgin);
	if (r < 0)
		return r;
	f->open = true;
	co_queue_wake_all(&f->wait);
	r = write_data(img, it, len, f->host + at);
	/* Only what lies around was copied: the rest is unknown. */
	if (r < 0 && f->old_host)
		f->spoiled = r;
	/* Nobody can put off the link for ever. */
	f->open = false;
	return r;
}

/*
 * Fill new clusters: f holds the guest clusters from the one with off on.
 * *ret_len is how much was written.
 */
static int Q2_CO
write_new(struct image *img, struct inflight *f, struct iov_iter *it,
	  uint64_t off, uint64_t *ret_len)
{
	uint64_t base = f->first << img->geom.cluster_bits;
	uint64_t size;
	bool virgin;
	int r;

	r = take_clusters(img, f, &virgin);
	if (r < 0) {
		inflight_end(f, r);
		return r;
	}
	size = f->n << img->geom.cluster_bits;
	*ret_len = min_u64(it->left, base + size - off);
	f->writers++;
	r = fill_clusters(img, f, it, off - base, *ret_len, virgin);
	return finish_writer(img, f, r);
}

/* How many clusters from off on may be made new in one go. */
static uint64_t
new_clusters(struct image *img, const struct map_extent *ext, uint64_t off,
	     uint64_t left)
{
	const struct geom *g = &img->geom;
	uint64_t first = off >> g->cluster_bits;
	uint64_t end = min_u64(off + min_u64(left, ext->len),
			       map_slice_end(img, off));
	uint64_t n = div_up(end, g->cluster_size) - first;

	n = min_u64(n, RUN_MAX);
	return inflight_next(&img->inflight, first, n) - first;
}

/* The clusters at off need a new place; see write_new(). */
static int Q2_CO
write_unmapped(struct image *img, const struct map_extent *ext,
	       struct iov_iter *it, uint64_t off, uint64_t *ret_len)
{
	uint64_t first = off >> img->geom.cluster_bits;
	struct inflight *f;
	int r;

	f = inflight_add(&img->inflight, first,
			 new_clusters(img, ext, off, it->left));
	if (!f)
		return -ENOMEM;
	if (ext->entry.kind == CLUSTER_ZERO_ALLOC && ext->entry.copied) {
		f->owned = true;
		f->host = ext->entry.host;
	}
	if (ext->entry.kind == CLUSTER_NORMAL)
		f->old_host = ext->entry.host;
	r = write_new(img, f, it, off, ret_len);
	inflight_put(&img->inflight, f);
	return r;
}

/* One part of the request; see the top of the file. */
static int Q2_CO
write_part(struct fan *fan, struct iov_iter *it, uint64_t off,
	   uint64_t *ret_len)
{
	struct image *img = fan->img;
	uint64_t bits = img->geom.cluster_bits;
	struct inflight *f = inflight_find(&img->inflight, off >> bits);
	struct map_extent ext;
	int r;

	*ret_len = 0;
	if (f && f->open) {
		*ret_len = min_u64(it->left, ((f->first + f->n) << bits) - off);
		return write_joined(img, f, it, *ret_len, off);
	}
	if (f) {
		(void)POINT_HIT(&img->points, alloc_wait);
		inflight_ref(f);
		co_queue_wait(&f->wait);
		inflight_put(&img->inflight, f);
		return 0;
	}
	r = map_lookup(img, off, it->left, &ext);
	if (r < 0)
		return r;
	/* The lookup may have parked: somebody may hold the cluster now. */
	if (inflight_find(&img->inflight, off >> bits))
		return 0;
	if (ext.entry.kind == CLUSTER_NORMAL && ext.entry.copied) {
		*ret_len = ext.len;
		fan_move(fan, it, ext.len, ext.host);
		return 0;
	}
	if (ext.entry.kind == CLUSTER_COMPRESSED)
		return -ENOTSUP;
	return write_unmapped(img, &ext, it, off, ret_len);
}

int Q2_CO
image_write(struct image *img, struct iov_iter it, uint64_t off)
{
	struct fan fan;
	int r = 0, moved;

	fan_init(&fan, img, AIO_WRITE);
	while (r == 0 && it.left > 0) {
		uint64_t len;

		r = write_part(&fan, &it, off, &len);
		off += len;
	}
	moved = fan_wait(&fan);
	return r < 0 ? r : moved;
}
