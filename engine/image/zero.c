/* SPDX-License-Identifier: MIT */
/*
 * zero.c - write zeroes and discard: mappings change, few bytes move
 *
 * Whole clusters get the zero flag.  One that has a host cluster keeps it, so
 * that a later write finds its place again (and a preallocated image stays
 * one).  Of the clusters at the ends of a request that are covered in part,
 * those that read as zero already stay as they are; in the others zeros are
 * written.
 */
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"

/* Part of a cluster: [off, off + len). */
static int Q2_CO
zero_part(struct image *img, uint64_t off, uint64_t len)
{
	struct map_extent ext;
	int r;

	while (len > 0) {
		/* iovec has no const; a write does not change it. */
		struct iovec iov = {(void *)(uintptr_t)mem_zeros,
				    min_u64(len, MEM_ZEROS_BYTES)};

		r = map_lookup(img, off, iov.iov_len, &ext);
		/* The next cluster may be in another state. */
		if (r == 0)
			iov.iov_len = ext.len;
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

/* What happens to whole clusters. */
enum change {
	KEEP,    /* read as zeros, keep the host cluster */
	UNMAP,   /* read as zeros, give the host cluster up */
	DISCARD, /* give it up; what was never written stays so */
};

/* A new entry for the cluster, or false if it stays as it is. */
static bool
changed_entry(enum change change, struct l2_entry *e)
{
	bool has_host = e->kind == CLUSTER_NORMAL ||
			e->kind == CLUSTER_ZERO_ALLOC;

	if (change == KEEP && has_host) {
		if (e->kind == CLUSTER_ZERO_ALLOC)
			return false;
		e->kind = CLUSTER_ZERO_ALLOC;
		return true;
	}
	if (e->kind == CLUSTER_ZERO_PLAIN || (change == DISCARD && !has_host))
		return false;
	*e = (struct l2_entry){.kind = CLUSTER_ZERO_PLAIN};
	return true;
}

/* Give up the host clusters of the entries, a run at a time. */
static void
change_entries(struct image *img, struct slice *s, uint32_t index, uint64_t n,
	       enum change change)
{
	unsigned bits = img->geom.cluster_bits;
	uint64_t host = 0, run = 0;

	for (uint64_t i = 0; i < n; i++) {
		struct l2_entry e = map_entry(img, s, index + (uint32_t)i);
		uint64_t old = e.host;

		if (!changed_entry(change, &e))
			continue;
		map_set_entry(img, s, index + (uint32_t)i, &e);
		if (!old || e.host)
			continue;
		if (run && old == host + (run << bits)) {
			run++;
			continue;
		}
		if (run)
			limbo_add(img, host, run);
		host = old;
		run = 1;
	}
	if (run)
		limbo_add(img, host, run);
}

static bool
has_compressed(const struct image *img, const struct slice *s, uint32_t index,
	       uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (map_entry(img, s, index + (uint32_t)i).kind ==
		    CLUSTER_COMPRESSED)
			return true;
	return false;
}

/* Whole clusters within one slice, which nobody else is changing. */
static int Q2_CO
change_clusters(struct image *img, uint64_t first, uint64_t n,
		enum change change)
{
	uint64_t guest = first << img->geom.cluster_bits;
	struct slice *s;
	uint32_t index;
	int r;

	r = change == DISCARD ? map_get(img, guest, &s, &index)
			      : map_get_for_change(img, guest, &s, &index);
	if (r < 0 || !s)
		return r;
	/* The host clusters of compressed ones are shared. */
	if (has_compressed(img, s, index, n))
		r = -ENOTSUP;
	else
		change_entries(img, s, index, n, change);
	slice_put(&img->l2, s);
	return r;
}

/* Hold as many of the clusters as are free and in one slice, and change them;
 * none if somebody holds the first: then wait for that. */
static int Q2_CO
change_some(struct image *img, uint64_t first, uint64_t n, enum change change,
	    uint64_t *ret_n)
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
	r = change_clusters(img, first, n, change);
	inflight_end(f, r);
	inflight_put(&img->inflight, f);
	*ret_n = n;
	return r;
}

/*
 * The whole clusters of [off, off + len): [*ret_first, *ret_last), maybe none.
 * The last cluster of an image is whole if all of it is meant, though the
 * image ends within it.
 */
static void
whole_clusters(const struct image *img, uint64_t off, uint64_t len,
	       uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t size = img->geom.cluster_size;
	uint64_t end = off + len;

	*ret_first = div_up(off, size);
	*ret_last = end == img->size ? div_up(end, size) : end / size;
}

static int Q2_CO
change_all(struct image *img, uint64_t first, uint64_t last, enum change change)
{
	int r = 0;

	while (r == 0 && first < last) {
		uint64_t n;

		r = change_some(img, first, last - first, change, &n);
		first += n;
	}
	return r;
}

int Q2_CO
image_zero(struct image *img, uint64_t off, uint64_t len, bool unmap)
{
	unsigned bits = img->geom.cluster_bits;
	uint64_t end = off + len;
	uint64_t first, last;
	int r;

	whole_clusters(img, off, len, &first, &last);
	if (first >= last)
		return zero_part(img, off, len);
	r = zero_part(img, off, (first << bits) - off);
	if (r == 0 && last << bits < end)
		r = zero_part(img, last << bits, end - (last << bits));
	if (r == 0)
		r = change_all(img, first, last,
			       unmap && img->unmap ? UNMAP : KEEP);
	return r;
}

int Q2_CO
image_discard(struct image *img, uint64_t off, uint64_t len)
{
	uint64_t first, last;

	if (!img->unmap)
		return 0;
	whole_clusters(img, off, len, &first, &last);
	return change_all(img, first, last, DISCARD);
}
