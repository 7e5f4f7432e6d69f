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
 *	new		hold the guest subclusters (inflight.h), take host
 *			clusters unless they have some, make the bytes around
 *			ours what they were (cow.c), write ours, link
 *
 * W1: link() runs after the data write has completed, and after the refcounts
 * were raised; cache.c keeps that order on the way to the file.  No sync is
 * issued here.  A crash can leak a cluster, but never shows bytes that nobody
 * wrote there.
 */
#include <assert.h>

#include "engine/base/num.h"
#include "engine/image/cow.h"
#include "engine/image/fan.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"

/* New clusters of one write at a time; bounds the work of a failed one. */
#define RUN_MAX 1024

/* ---- linking ----------------------------------------------------------- */

/* The subclusters of guest cluster `cluster` that f fills, as bits. */
static uint32_t
filled_subs(const struct geom *g, const struct inflight *f, uint64_t cluster)
{
	uint64_t start = cluster << g->cluster_bits;
	uint64_t from = max_u64(f->from, start) - start;
	uint64_t to = min_u64(f->to, start + g->cluster_size) - start;
	unsigned first = (unsigned)(from >> g->sub_bits);
	unsigned n = (unsigned)(to >> g->sub_bits) - first;

	return n == 32 ? SUBS_ALL : ((UINT32_C(1) << n) - 1) << first;
}

/* The entry of a cluster at host that f has filled; old is what it was. */
static struct l2_entry
linked_entry(const struct geom *g, const struct inflight *f,
	     const struct l2_entry *old, uint64_t cluster, uint64_t host)
{
	struct l2_entry e = {
		.kind = CLUSTER_NORMAL, .copied = true, .host = host};
	uint32_t subs;

	if (g->subs == 1)
		return e;
	/* What the others have stays: zeros, or what shines through. */
	subs = filled_subs(g, f, cluster);
	e.sub_alloc = old->kind == CLUSTER_COMPRESSED ? 0 : old->sub_alloc;
	e.sub_zero = old->kind == CLUSTER_COMPRESSED ? 0 : old->sub_zero;
	e.sub_alloc |= subs;
	e.sub_zero &= ~subs;
	return e;
}

/* Point the entries of f's clusters at their host clusters. */
static int Q2_CO
link_run(struct image *img, const struct inflight *f)
{
	const struct geom *g = &img->geom;
	uint64_t first = f->from >> g->cluster_bits;
	uint64_t n = div_up(f->to, g->cluster_size) - first;
	/* Host offset of cluster `first`; f may begin within it. */
	uint64_t host = f->host - ((f->first << g->sub_bits) -
				   (first << g->cluster_bits));
	struct slice *s = NULL;
	uint32_t index = 0;
	int r;

	r = POINT_HIT(&img->points, l2_link);
	if (r == 0)
		r = map_get_for_change(img, first << g->cluster_bits, &s,
				       &index);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++) {
		struct l2_entry old = map_entry(img, s, index + i);
		struct l2_entry e = linked_entry(
			g, f, &old, first + i,
			host + ((uint64_t)i << g->cluster_bits));

		map_set_entry(img, s, index + i, &e);
		if (old.host != e.host)
			limbo_add_entry(img, &old, false);
	}
	slice_put(&img->l2, s);
	return 0;
}

/* Give back what f took and nobody will use. */
static void Q2_CO
undo_run(struct image *img, const struct inflight *f)
{
	unsigned bits = img->geom.cluster_bits - img->geom.sub_bits;

	if (!f->owned)
		(void)alloc_undo(img, f->host, f->n >> bits);
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
		if (!f->written || linked < 0)
			undo_run(img, f);
		inflight_end(f, linked);
	}
	while (!f->linked)
		co_queue_wait(&f->wait);
	return r < 0 ? r : f->result;
}

/* ---- new clusters ------------------------------------------------------ */

/* Write our part into clusters that another request is filling. */
static int Q2_CO
write_joined(struct image *img, struct inflight *f, struct iov_iter *it,
	     uint64_t len, uint64_t off)
{
	uint64_t base = f->first << img->geom.sub_bits;
	int r;

	(void)POINT_HIT(&img->points, alloc_join);
	inflight_ref(f);
	f->writers++;
	r = cow_write_data(
		img, it,
		&(struct data_place){len, off, f->host + (off - base)});
	r = finish_writer(img, f, r);
	inflight_put(&img->inflight, f);
	return r;
}

/* The entries have host clusters already: may they be written? */
static int Q2_CO
use_owned(struct image *img, const struct inflight *f)
{
	uint64_t len = f->n << img->geom.sub_bits;

	if (img->data != img->file)
		return 0;
	if (meta_hit(img, f->host, len))
		return meta_refuse(img, f->host, len);
	return alloc_cover(img, f->host + len);
}

/* Host clusters for f, at most f->n: fewer shrink it. */
static int Q2_CO
take_clusters(struct image *img, struct inflight *f)
{
	unsigned bits = img->geom.cluster_bits - img->geom.sub_bits;
	struct host_run run;
	int r;

	if (f->owned)
		return use_owned(img, f);
	r = map_own_table(img, f->first << img->geom.sub_bits);
	if (r < 0)
		return r;
	r = alloc_run(img, f->n >> bits, &run);
	if (r < 0)
		return r;
	f->n = run.clusters << bits;
	f->host = run.host;
	f->virgin = run.virgin;
	return 0;
}

/* Subclusters of the guest cluster at guest that have bytes at its old place:
 * they move with it. */
static int Q2_CO
moving_subs(struct image *img, uint64_t guest, uint32_t *ret_subs)
{
	struct l2_entry e;
	struct slice *s;
	uint32_t index;
	int r = map_get(img, guest, &s, &index);

	*ret_subs = 0;
	if (r < 0 || !s)
		return r;
	e = map_entry(img, s, index);
	slice_put(&img->l2, s);
	*ret_subs = e.kind == CLUSTER_COMPRESSED ? SUBS_ALL : e.sub_alloc;
	return 0;
}

/* Widen what f fills, to what its old clusters hold around the guest's bytes:
 * those at the ends, as all between them is written. */
static int Q2_CO
add_moving(struct image *img, struct inflight *f)
{
	const struct geom *g = &img->geom;
	uint64_t first = geom_cluster_start(g, f->from);
	uint64_t last = geom_cluster_start(g, f->to - 1);
	uint32_t subs;
	int r = moving_subs(img, first, &subs);

	if (r == 0 && subs)
		f->from = min_u64(
			f->from,
			first + ((uint64_t)__builtin_ctz(subs) << g->sub_bits));
	if (r == 0 && last != first)
		r = moving_subs(img, last, &subs);
	if (r == 0 && subs)
		f->to = max_u64(
			f->to,
			last + ((UINT64_C(32) - (unsigned)__builtin_clz(subs))
				<< g->sub_bits));
	return r;
}

/* What of f is filled when the guest writes len bytes at off: the subclusters
 * that it touches, and those that move. */
static int Q2_CO
set_filled(struct image *img, struct inflight *f, bool moves, uint64_t off,
	   uint64_t len)
{
	const struct geom *g = &img->geom;

	f->from = f->first << g->sub_bits;
	f->to = (f->first + f->n) << g->sub_bits;
	/* All there is without subclusters. */
	if (moves && g->subs == 1)
		return 0;
	f->from = max_u64(f->from, align_down(off, g->sub_size));
	f->to = min_u64(f->to, align_up(off + len, g->sub_size));
	return moves ? add_moving(img, f) : 0;
}

/*
 * Fill new space: f holds the guest subclusters around off.  *ret_len is how
 * much was written.  moves: the clusters have another place now.
 */
static int Q2_CO
write_new(struct image *img, struct inflight *f, struct iov_iter *it,
	  uint64_t off, bool moves, uint64_t *ret_len)
{
	const struct geom *g = &img->geom;
	uint64_t len;
	int r;

	r = take_clusters(img, f);
	if (r < 0) {
		inflight_end(f, r);
		return r;
	}
	len = min_u64(it->left, ((f->first + f->n) << g->sub_bits) - off);
	r = set_filled(img, f, moves, off, len);
	*ret_len = len;
	f->writers++;
	if (r == 0)
		r = cow_fill(img, f, it, len, off);
	return finish_writer(img, f, r);
}

/*
 * Hold what a write at off, into the extent ext, must change: the subclusters
 * of ext that it touches where they have a host cluster of their own, else the
 * clusters, as far as they are free and in one slice.  NULL without memory.
 */
static struct inflight *
hold_range(struct image *img, const struct map_extent *ext, uint64_t off,
	   uint64_t left, bool owned)
{
	const struct geom *g = &img->geom;
	uint64_t unit = owned ? g->sub_size : g->cluster_size;
	uint64_t end = min_u64(off + min_u64(left, ext->len),
			       map_slice_end(img, off));
	uint64_t first = align_down(off, unit);
	uint64_t n = min_u64(align_up(end, unit) - first,
			     (uint64_t)RUN_MAX << g->cluster_bits) >>
		     g->sub_bits;

	first >>= g->sub_bits;
	n = inflight_next(&img->inflight, first, n) - first;
	if (!owned)
		n = align_down(n, g->subs);
	return n ? inflight_add(&img->inflight, first, n) : NULL;
}

/* Wait for the end of whoever holds f. */
static void Q2_CO
wait_for(struct image *img, struct inflight *f)
{
	(void)POINT_HIT(&img->points, alloc_wait);
	inflight_ref(f);
	co_queue_wait(&f->wait);
	inflight_put(&img->inflight, f);
}

/* Who holds part of the first cluster that a write at off must change? */
static struct inflight *
holder(struct image *img, uint64_t off, bool owned)
{
	const struct geom *g = &img->geom;
	uint64_t first = off >> g->sub_bits, n = 1, at;

	if (!owned) {
		first = geom_cluster_start(g, off) >> g->sub_bits;
		n = g->subs;
	}
	at = inflight_next(&img->inflight, first, n);
	return at < first + n ? inflight_find(&img->inflight, at) : NULL;
}

/* Without looking further: does all of the clusters of ext read as zeros? */
static bool
surely_zero(const struct image *img, const struct map_extent *ext)
{
	/* The subclusters of one cluster may differ. */
	return img->geom.subs == 1 &&
	       (ext->kind == CLUSTER_ZERO_PLAIN ||
		ext->kind == CLUSTER_ZERO_ALLOC ||
		(ext->kind == CLUSTER_UNALLOCATED && !img->backing));
}

/* The clusters at off need a new place, or are not linked as allocated; see
 * write_new(). */
static int Q2_CO
write_unmapped(struct image *img, const struct map_extent *ext,
	       struct iov_iter *it, uint64_t off, uint64_t *ret_len)
{
	const struct geom *g = &img->geom;
	bool has_host = kind_has_host(ext->kind);
	bool is_old = has_host || ext->kind == CLUSTER_COMPRESSED;
	/* In a data file every cluster has its place from the beginning. */
	bool owned = g->external_data || (has_host && ext->copied);
	struct inflight *f = holder(img, off, owned);
	int r;

	if (f) {
		wait_for(img, f);
		return 0;
	}
	/* Before clusters are taken that could not be linked. */
	r = map_may_change(img, off);
	if (r < 0)
		return r;
	f = hold_range(img, ext, off, it->left, owned);
	if (!f)
		return -ENOMEM;
	f->owned = owned;
	f->zeros = surely_zero(img, ext);
	if (owned)
		f->host = g->external_data ? f->first << g->sub_bits
					   : align_down(ext->host, g->sub_size);
	r = write_new(img, f, it, off, is_old && !owned, ret_len);
	inflight_put(&img->inflight, f);
	return r;
}

/* ---- the whole --------------------------------------------------------- */

/* One part of the request; see the top of the file. */
static int Q2_CO
write_part(struct fan *fan, struct iov_iter *it, uint64_t off,
	   uint64_t *ret_len)
{
	struct image *img = fan->img;
	uint64_t sub = off >> img->geom.sub_bits;
	struct inflight *f = inflight_find(&img->inflight, sub);
	struct map_extent ext;
	int r;

	*ret_len = 0;
	if (f && f->open && off >= f->from && off < f->to) {
		*ret_len = min_u64(it->left, f->to - off);
		return write_joined(img, f, it, *ret_len, off);
	}
	if (f) {
		wait_for(img, f);
		return 0;
	}
	r = map_lookup_to_write(img, off, it->left, &ext);
	if (r < 0)
		return r;
	/* The lookup may have parked: somebody may hold the cluster now. */
	if (inflight_find(&img->inflight, sub))
		return 0;
	if (ext.kind == CLUSTER_NORMAL && ext.copied) {
		*ret_len = ext.len;
		if (img->data == img->file && meta_hit(img, ext.host, ext.len))
			return meta_refuse(img, ext.host, ext.len);
		if (img->data == img->file)
			r = alloc_cover(img, ext.host + ext.len);
		if (r < 0)
			return r;
		fan_move(fan, it, img,
			 &(struct data_place){ext.len, off, ext.host});
		return 0;
	}
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
