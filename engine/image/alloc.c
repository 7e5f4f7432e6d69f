/* SPDX-License-Identifier: MIT */
#include "engine/image/alloc.h"

#include <assert.h>
#include <inttypes.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/refcount.h"
#include "engine/image/damage.h"
#include "engine/image/image.h"
#include "engine/image/refblock.h"
#include "engine/image/reftable.h"

/* The file grows in steps of an eighth of itself, within these: seldom enough
 * to cost nothing, not so far that a crash leaves an absurd length. */
#define GROW_MIN (4 * MiB)
#define GROW_MAX (256 * MiB)

/* ---- refcounts --------------------------------------------------------- */

/* The slice that holds the refcount of cluster, pinned; *ret_index counts its
 * entries.  The block must exist. */
static int Q2_CO
refs_get(struct image *img, uint64_t cluster, enum refblock_use use,
	 struct slice **ret_slice, uint64_t *ret_index)
{
	const struct geom *g = &img->geom;
	uint64_t block = cluster >> g->refblock_bits;
	uint64_t in_block = cluster & (g->refblock_entries - 1);
	uint64_t per_slice = img->refs.slice_bytes * 8 / g->refcount_bits;
	uint64_t host;
	int r = refblock_host(img, block, use, &host);

	if (r < 0)
		return r;
	*ret_index = in_block & (per_slice - 1);
	return slice_get(img, &img->refs,
			 host + in_block / per_slice * img->refs.slice_bytes,
			 (uint32_t)block, ret_slice);
}

static bool
has_refblock(const struct image *img, uint64_t cluster)
{
	uint64_t block = cluster >> img->geom.refblock_bits;

	return block < img->reftable.n &&
	       (img->reftable.entries[block] & REFTABLE_OFFSET_MASK);
}

int Q2_CO
alloc_refcount(struct image *img, uint64_t cluster, uint64_t *ret_count)
{
	struct slice *s;
	uint64_t index;
	int r;

	if (!has_refblock(img, cluster)) {
		*ret_count = 0;
		return 0;
	}
	r = refs_get(img, cluster, REFBLOCK_READ, &s, &index);
	if (r < 0)
		return r;
	*ret_count = refcount_get(s->data, img->geom.refcount_order, index);
	slice_put(&img->refs, s);
	return 0;
}

/* The summary is told of a change, before anything parks. */
static void
note_changed(struct image *img, uint64_t first, uint64_t n, uint64_t from,
	     uint64_t to)
{
	if (n && !from)
		summary_took(&img->alloc.summary, first, n);
	else if (n && !to)
		summary_freed(&img->alloc.summary, first, n);
}

/* The refcount of cluster is not what it must have been; a clue for whoever
 * asks why nothing happens. */
static int
refcount_is_wrong(struct image *img, uint64_t cluster, uint64_t count)
{
	damage_note(img,
		    "Cluster %#" PRIx64 " has refcount %" PRIu64 ", but is %s",
		    cluster << img->geom.cluster_bits, count,
		    count ? "being allocated" : "in use");
	return -EIO;
}

/*
 * Change refcounts of clusters [first, first + n) from `from` to `to`; one
 * that is not `from` means that the image contradicts itself.  *ret_done is
 * set on failure too.
 */
static int Q2_CO
refs_change(struct image *img, uint64_t first, uint64_t n, uint64_t from,
	    uint64_t to, uint64_t *ret_done)
{
	unsigned order = img->geom.refcount_order;
	unsigned bits = img->geom.refcount_bits;
	uint64_t per_slice = img->refs.slice_bytes * 8 / bits;

	*ret_done = 0;
	img->alloc.changes++;
	while (*ret_done < n) {
		struct slice *s;
		uint64_t index, count, n_changed = 0;
		int r;

		r = refs_get(img, first + *ret_done,
			     from ? REFBLOCK_FREE : REFBLOCK_ALLOC, &s, &index);
		if (r < 0)
			return r;
		count = min_u64(n - *ret_done, per_slice - index);
		for (uint64_t i = 0; i < count && r == 0; i++) {
			uint64_t now = refcount_get(s->data, order, index + i);

			if (now != from) {
				r = refcount_is_wrong(img, first + *ret_done,
						      now);
				break;
			}
			refcount_set(s->data, order, index + i, to);
			slice_dirty(&img->refs, s,
				    (uint32_t)((index + i) * bits / 8),
				    (bits + 7) / 8);
			++n_changed;
		}
		note_changed(img, first + *ret_done, n_changed, from, to);
		*ret_done += n_changed;
		slice_put(&img->refs, s);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the window -------------------------------------------------------- */

int Q2_CO
alloc_reserve(struct image *img, uint64_t host)
{
	int r = 0;

	if (!img->file->is_block)
		r = file_allocate(img->file, img->geom.cluster_size, host);
	return r == -ENOTSUP ? 0 : r;
}

/* The header's region has no refcount block: none of what is in use there is
 * counted. */
static int Q2_CO
first_block_is_missing(struct image *img)
{
	return damage_found(img, "Preventing invalid allocation of refcount "
				 "block at offset 0");
}

/*
 * The refcount block for cluster's region is missing: make it, in the first
 * cluster of the region, which it describes itself.  Nothing else can be
 * there: without a block every refcount of the region is 0.
 */
static int Q2_CO
make_refblock(struct image *img, uint64_t cluster)
{
	const struct geom *g = &img->geom;
	uint32_t block = (uint32_t)(cluster >> g->refblock_bits);
	uint64_t first = (uint64_t)block << g->refblock_bits;
	struct slice *s;
	int r;

	r = POINT_HIT(&img->points, refblock_alloc);
	if (r < 0)
		return r;
	if (!first)
		return first_block_is_missing(img);
	if (meta_hit(img, first << g->cluster_bits, g->cluster_size))
		return meta_refuse(img, first << g->cluster_bits,
				   g->cluster_size);
	r = meta_own(img, META_REFTABLE, img->reftable.host,
		     img->reftable.bytes);
	if (r == 0)
		r = alloc_grow_file(img, (first + 1) << g->cluster_bits);
	if (r == 0)
		r = alloc_reserve(img, first << g->cluster_bits);
	if (r == 0)
		r = meta_add(img, first << g->cluster_bits, 1);
	if (r < 0)
		return r;
	/* The slice first: waiting for it may run a commit, and none may carry
	 * the block without its own count. */
	img->reftable.child[block] = CHILD_MAKING;
	r = slice_get(img, &img->refs, first << g->cluster_bits, block, &s);
	if (r < 0) {
		img->reftable.child[block] = CHILD_WRITTEN;
		meta_remove(img, first << g->cluster_bits, 1);
		return r;
	}
	img->alloc.handed_out = max_u64(img->alloc.handed_out,
					(first + 1) << g->cluster_bits);
	table_set_new(&img->reftable, block, first << g->cluster_bits);
	refcount_set(s->data, g->refcount_order, 0, 1);
	slice_dirty(&img->refs, s, 0, (g->refcount_bits + 7) / 8);
	slice_put(&img->refs, s);
	summary_set(&img->alloc.summary, block,
		    (uint32_t)(g->refblock_entries - 1));
	return 0;
}

/* The first cluster that is not wholly in the file, where a file cannot grow. */
static uint64_t
end_of_space(const struct image *img)
{
	return img->file->is_block
		       ? img->alloc.file_bytes >> img->geom.cluster_bits
		       : UINT64_MAX;
}

/* Look at the slice that holds the cursor: take its first free run as the
 * window, and move the cursor behind it, or behind the slice. */
static int Q2_CO
scan_slice(struct image *img)
{
	struct alloc *a = &img->alloc;
	unsigned order = img->geom.refcount_order;
	uint64_t per_slice = img->refs.slice_bytes * 8 /
			     img->geom.refcount_bits;
	uint64_t end = end_of_space(img);
	uint64_t index, from = a->cursor, n = 0;
	struct slice *s;
	int r;

	r = refs_get(img, a->cursor, REFBLOCK_ALLOC, &s, &index);
	if (r < 0)
		return r;
	while (index < per_slice && refcount_get(s->data, order, index)) {
		index++;
		a->cursor++;
	}
	while (index + n < per_slice && a->cursor + n < end &&
	       !refcount_get(s->data, order, index + n))
		n++;
	slice_put(&img->refs, s);
	a->window = a->cursor;
	a->window_n = n;
	a->cursor += n;
	summary_walked(&a->summary, from, a->cursor - from, n);
	return 0;
}

/*
 * Fill the window; the mutex is held.  At the end of a device what was freed
 * meanwhile is looked at again.  Who is counted then needs no mutex: its
 * clusters are within the device, which does not grow.
 */
static int Q2_CO
refill_locked(struct image *img)
{
	struct alloc *a = &img->alloc;
	const struct geom *g = &img->geom;
	int r = 0;

	while (r == 0 && !a->window_n) {
		uint64_t block;

		/* Clusters that are reserved and not yet counted look free. */
		if (!a->reserving) {
			a->cursor = min_u64(a->cursor, a->freed);
			a->freed = UINT64_MAX;
		}
		if (a->cursor >= end_of_space(img)) {
			if (a->freed >= a->cursor)
				return -ENOSPC;
			co_queue_wait(&a->counted);
			continue;
		}
		block = a->cursor >> g->refblock_bits;
		if (block >= img->reftable.n) {
			r = reftable_grow(img);
			continue;
		}
		if (!has_refblock(img, a->cursor))
			r = make_refblock(img, a->cursor);
		else if (summary_is_full(&a->summary, block))
			a->cursor = (block + 1) << g->refblock_bits;
		else
			r = scan_slice(img);
	}
	return r;
}

static int Q2_CO
refill(struct image *img)
{
	int r = 0;

	co_mutex_lock(&img->alloc.mutex);
	if (!img->alloc.window_n)
		r = refill_locked(img);
	co_mutex_unlock(&img->alloc.mutex);
	return r;
}

int Q2_CO
alloc_grow_file(struct image *img, uint64_t end)
{
	struct alloc *a = &img->alloc;
	uint64_t step, want;
	int r;

	if (end <= a->file_bytes)
		return 0;
	if (img->file->is_block)
		return -ENOSPC;
	step = max_u64(GROW_MIN, min_u64(GROW_MAX, a->file_bytes / 8));
	/* Whole pages: the kernel zeroes the rest of one in the page cache,
	 * where direct writes to its neighbours collide with it. */
	want = align_up(max_u64(end, a->handed_out) + step,
			max_u64(img->geom.cluster_size, MEM_ALIGN));
	r = file_truncate(img->file, want);
	if (r == 0)
		a->file_bytes = want;
	return r;
}

static int Q2_CO
grow_file(struct image *img, uint64_t end)
{
	int r;

	co_mutex_lock(&img->alloc.mutex);
	r = alloc_grow_file(img, end);
	co_mutex_unlock(&img->alloc.mutex);
	return r;
}

bool
alloc_is_covered(const struct image *img, uint64_t end)
{
	return end <= img->alloc.file_bytes && end <= alloc_close_bytes(img);
}

int Q2_CO
alloc_cover(struct image *img, uint64_t end)
{
	struct alloc *a = &img->alloc;

	if (alloc_is_covered(img, end))
		return 0;
	a->handed_out = max_u64(a->handed_out, end);
	return grow_file(img, end);
}

/* The clusters are free, so that the next refill finds them. */
static void
note_free(struct alloc *a, uint64_t first)
{
	a->freed = min_u64(a->freed, first);
}

/* Reserved clusters get their refcount, and the file reaches over them. */
static int Q2_CO
count_reserved(struct image *img, uint64_t first, uint64_t n)
{
	struct alloc *a = &img->alloc;
	uint64_t end = (first + n) << img->geom.cluster_bits;
	uint64_t done, ignored;
	int r = 0;

	if (meta_hit(img, first << img->geom.cluster_bits,
		     n << img->geom.cluster_bits))
		return meta_refuse(img, first << img->geom.cluster_bits,
				   n << img->geom.cluster_bits);
	if (end > a->file_bytes)
		r = grow_file(img, end);
	if (r < 0)
		return r;
	r = refs_change(img, first, n, 0, 1, &done);
	if (r < 0)
		(void)refs_change(img, first, done, 1, 0, &ignored);
	return r;
}

int Q2_CO
alloc_run(struct image *img, uint64_t want, struct host_run *ret_run)
{
	struct alloc *a = &img->alloc;
	unsigned bits = img->geom.cluster_bits;
	struct host_run run;
	uint64_t first, end;
	int r = POINT_HIT(&img->points, alloc_begin);

	if (r < 0)
		return r;
	assert(want > 0);
	while (!a->window_n) {
		r = refill(img);
		if (r < 0)
			return r;
	}
	/* Reserve before parking: nobody else gets these. */
	first = a->window;
	run.clusters = min_u64(want, a->window_n);
	a->window += run.clusters;
	a->window_n -= run.clusters;
	run.host = first << bits;
	end = run.host + (run.clusters << bits);
	run.virgin = a->can_be_virgin &&
		     run.host >= max_u64(a->handed_out,
					 align_up(a->opened_bytes,
						  img->geom.cluster_size));
	a->handed_out = max_u64(a->handed_out, end);
	a->reserving++;
	r = count_reserved(img, first, run.clusters);
	if (--a->reserving == 0)
		co_queue_wake_all(&a->counted);
	if (r < 0) {
		note_free(a, first);
		return r;
	}
	POINT_TELL(&img->points, clusters_alloc, run.clusters);
	*ret_run = run;
	return 0;
}

int Q2_CO
alloc_undo(struct image *img, uint64_t host, uint64_t clusters)
{
	struct alloc *a = &img->alloc;
	uint64_t first = host >> img->geom.cluster_bits;
	uint64_t done;
	int r;

	/* Perhaps the disk is full: what was written of them must not keep
	 * its blocks, and they are to be handed out again before others are.
	 * While they are still counted nobody else can have them. */
	(void)file_discard(img->file, clusters << img->geom.cluster_bits, host);
	if (a->window_n)
		note_free(a, a->window);
	a->window_n = 0;

	r = refs_change(img, first, clusters, 1, 0, &done);
	POINT_TELL(&img->points, clusters_freed, done);
	note_free(a, first);
	return r;
}

/* The refcount of cluster, which is not 0, plus add. */
static int Q2_CO
refs_add(struct image *img, uint64_t cluster, int add, uint64_t *ret_count)
{
	const struct geom *g = &img->geom;
	uint64_t index, count;
	struct slice *s;
	int r;

	img->alloc.changes++;
	if (!has_refblock(img, cluster))
		return cluster >> g->refblock_bits
			       ? refcount_is_wrong(img, cluster, 0)
			       : first_block_is_missing(img);
	r = refs_get(img, cluster, REFBLOCK_FREE, &s, &index);
	if (r < 0)
		return r;
	count = refcount_get(s->data, g->refcount_order, index);
	if (count == 0)
		r = refcount_is_wrong(img, cluster, 0);
	else if (add > 0 && count == g->refcount_max)
		r = -ERANGE;
	if (r == 0) {
		*ret_count = add > 0 ? count + 1 : count - 1;
		refcount_set(s->data, g->refcount_order, index, *ret_count);
		slice_dirty(&img->refs, s,
			    (uint32_t)(index * g->refcount_bits / 8),
			    (g->refcount_bits + 7) / 8);
	}
	slice_put(&img->refs, s);
	return r;
}

int Q2_CO
alloc_reference(struct image *img, uint64_t host, uint64_t clusters)
{
	uint64_t first = host >> img->geom.cluster_bits, n, ignored;
	int r = 0;

	for (n = 0; n < clusters && r == 0; n++)
		r = refs_add(img, first + n, 1, &ignored);
	if (r == 0)
		return 0;
	/* The last one has not got it. */
	while (--n > 0)
		(void)refs_add(img, first + n - 1, -1, &ignored);
	return r;
}

/* How many of the clusters from first on, at most n, have one reference and
 * are no metadata. */
static uint64_t Q2_CO
last_references(struct image *img, uint64_t first, uint64_t n)
{
	uint64_t i, count;

	for (i = 0; i < n; i++)
		if (meta_hit(img, (first + i) << img->geom.cluster_bits, 1) ||
		    alloc_refcount(img, first + i, &count) < 0 || count != 1)
			break;
	return i;
}

int Q2_CO
alloc_release(struct image *img, uint64_t host, uint64_t clusters, bool punch)
{
	struct alloc *a = &img->alloc;
	unsigned bits = img->geom.cluster_bits;
	uint64_t first = host >> bits, end = first + clusters;

	while (first < end) {
		uint64_t n, left = 0;
		int r = 0;

		/* An entry was wrong that named a table, which stays. */
		if (meta_hit(img, first << bits, 1)) {
			damage_note(img,
				    "Cannot free metadata cluster %#" PRIx64,
				    first << bits);
			first++;
			continue;
		}
		n = last_references(img, first, end - first);

		/* While it still has its reference nobody else can have it. */
		if (n && punch)
			(void)file_discard(img->file, n << bits, first << bits);
		for (n = max_u64(n, 1); n && r == 0; n--, first++) {
			r = refs_add(img, first, -1, &left);
			if (r < 0 || left)
				continue;
			POINT_TELL(&img->points, clusters_freed, 1);
			note_free(a, first);
			summary_freed(&a->summary, first, 1);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

void
alloc_handed_out(struct image *img, uint64_t first, uint64_t clusters)
{
	struct alloc *a = &img->alloc;

	a->changes++;
	a->handed_out = max_u64(a->handed_out,
				(first + clusters) << img->geom.cluster_bits);
	a->cursor = first + clusters;
}

uint64_t
alloc_virgin_end(const struct image *img)
{
	const struct alloc *a = &img->alloc;

	/* A device is as long as it is, and never known to be empty. */
	if (!a->can_be_virgin)
		return a->handed_out;
	return max_u64(a->handed_out,
		       align_up(a->opened_bytes, img->geom.cluster_size));
}

/* The window may lie in what was taken or cut, whose refcounts were changed in
 * the file. */
static void
forget_window(struct alloc *a)
{
	a->changes++;
	assert(!a->reserving);
	summary_forget(&a->summary);
	if (a->window_n)
		note_free(a, a->window);
	a->window_n = 0;
}

void
alloc_forget(struct image *img)
{
	forget_window(&img->alloc);
}

void
alloc_changed(struct image *img, uint64_t first_freed)
{
	forget_window(&img->alloc);
	note_free(&img->alloc, first_freed);
}

void
alloc_took(struct image *img, uint64_t first, uint64_t clusters,
	   uint64_t file_bytes)
{
	struct alloc *a = &img->alloc;

	forget_window(a);
	a->handed_out = max_u64(a->handed_out,
				(first + clusters) << img->geom.cluster_bits);
	a->file_bytes = file_bytes;
}

void
alloc_was_cut(struct image *img, uint64_t file_bytes)
{
	struct alloc *a = &img->alloc;

	forget_window(a);
	note_free(a, 0);
	a->file_bytes = file_bytes;
	a->opened_bytes = min_u64(a->opened_bytes, file_bytes);
	a->handed_out = min_u64(a->handed_out, file_bytes);
}

int
alloc_resize(struct image *img, uint32_t reftable_entries)
{
	return summary_resize(&img->alloc.summary, reftable_entries);
}

int
alloc_init(struct image *img, uint64_t file_bytes)
{
	struct alloc *a = &img->alloc;

	*a = (struct alloc){
		.file_bytes = file_bytes,
		.opened_bytes = file_bytes,
		.can_be_virgin = !img->file->is_block,
		.freed = UINT64_MAX,
	};
	co_mutex_init(&a->mutex);
	co_queue_init(&a->counted);
	return summary_init(&a->summary, img->reftable.n,
			    img->geom.refblock_bits);
}

void
alloc_done(struct image *img)
{
	summary_done(&img->alloc.summary);
}

uint64_t
alloc_close_bytes(const struct image *img)
{
	return max_u64(img->alloc.opened_bytes, img->alloc.handed_out);
}
