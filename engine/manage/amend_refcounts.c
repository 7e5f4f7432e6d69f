/* SPDX-License-Identifier: MIT */
/*
 * amend_refcounts.c - refcounts of another width
 *
 * Behind everything that is in use:
 *
 *	[refcount blocks][refcount table]
 *
 * They count what the old ones count, themselves, and the old ones no longer.
 * W4: written and synced before the one sector of the header that has the
 * table's place and the width.  A crash before that leaves the old structures,
 * which do not know the area; after it the new ones, which do not know the old.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/refcount.h"
#include "engine/image/image.h"
#include "engine/image/mark.h"
#include "engine/image/refblock.h"
#include "engine/manage/crop.h"
#include "engine/manage/manage.h"

struct width {
	struct image *img;
	struct q2_err *err;
	struct geom to; /* as it will be */

	uint64_t *old; /* clusters of the old structures, sorted */
	uint64_t n_old;
	uint8_t *block; /* an old refcount block */
	uint64_t have;  /* its region + 1; 0: none */

	uint64_t first; /* cluster of the area */
	uint64_t used;  /* the end of what is counted now */
	uint64_t *regions;
	uint64_t n; /* new blocks */
	uint64_t room;
	uint64_t table; /* clusters of the new table */
};

static int
fail(struct width *w, int r)
{
	return q2_fail(w->err, r,
		       "Could not change the refcounts: %s; the image is "
		       "unchanged",
		       strerror(-r));
}

/* ---- what is counted --------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int
note_old(struct width *w)
{
	const struct image *img = w->img;
	const struct table *t = &img->reftable;
	unsigned bits = img->geom.cluster_bits;

	w->old = malloc((t->n + (t->bytes >> bits) + 1) * sizeof(*w->old));
	if (!w->old)
		return -ENOMEM;
	for (uint64_t i = 0; i < div_up(t->bytes, img->geom.cluster_size); i++)
		w->old[w->n_old++] = (t->host >> bits) + i;
	for (uint32_t i = 0; i < t->n; i++)
		if (t->entries[i] & REFTABLE_OFFSET_MASK)
			w->old[w->n_old++] =
				(t->entries[i] & REFTABLE_OFFSET_MASK) >> bits;
	qsort(w->old, w->n_old, sizeof(*w->old), compare);
	return 0;
}

static int Q2_CO
load_block(struct width *w, uint64_t region)
{
	struct image *img = w->img;
	uint64_t host;
	int r;

	if (w->have == region + 1)
		return 0;
	w->have = 0;
	if (region >= img->reftable.n ||
	    !(img->reftable.entries[region] & REFTABLE_OFFSET_MASK)) {
		memset(w->block, 0, img->geom.cluster_size);
		w->have = region + 1;
		return 0;
	}
	r = refblock_host(img, (uint32_t)region, REFBLOCK_ALLOC, &host);
	if (r == 0)
		r = file_read(img->file, AIO_REFCOUNT, w->block,
			      img->geom.cluster_size, host);
	if (r == 0)
		w->have = region + 1;
	return r;
}

/* The refcount that a cluster will have. */
static int Q2_CO
count_of(struct width *w, uint64_t cluster, uint64_t *ret)
{
	const struct geom *g = &w->img->geom;
	int r;

	*ret = 1;
	if (cluster >= w->first)
		return 0;
	r = load_block(w, cluster >> g->refblock_bits);
	if (r < 0)
		return r;
	*ret = refcount_get(w->block, g->refcount_order,
			    cluster & (g->refblock_entries - 1));
	if (*ret &&
	    bsearch(&cluster, w->old, w->n_old, sizeof(cluster), compare))
		*ret = 0;
	return 0;
}

/* ---- placing ----------------------------------------------------------- */

static int
add_region(struct width *w, uint64_t region)
{
	if (w->n && w->regions[w->n - 1] == region)
		return 0;
	if (w->n == w->room) {
		uint64_t room = w->room ? 2 * w->room : 64;
		uint64_t *p = realloc(w->regions, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		w->regions = p;
		w->room = room;
	}
	w->regions[w->n++] = region;
	return 0;
}

static int
refuse(struct width *w, uint64_t cluster, uint64_t count)
{
	return q2_fail(
		w->err, -EINVAL,
		"Cannot decrease refcount entry width to %u bits: "
		"Cluster at offset %#" PRIx64 " has a refcount of %" PRIu64,
		w->to.refcount_bits, cluster << w->to.cluster_bits, count);
}

/* Which regions have something to be counted, and can it be? */
static int Q2_CO
find_regions(struct width *w)
{
	uint64_t max = w->to.refcount_bits == 64
			       ? UINT64_MAX
			       : (UINT64_C(1) << w->to.refcount_bits) - 1;
	uint64_t count;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < w->used; i++) {
		r = count_of(w, i, &count);
		if (r < 0)
			return fail(w, r);
		if (count > max)
			return refuse(w, i, count);
		if (count)
			r = add_region(w, i >> w->to.refblock_bits);
	}
	return r < 0 ? fail(w, r) : 0;
}

/* With blocks for the area itself, and the table. */
static int
place_area(struct width *w)
{
	unsigned bits = w->to.refblock_bits;
	uint64_t end;

	for (;;) {
		uint64_t n = w->n, table = w->table;

		end = w->first + w->n + w->table;
		for (uint64_t i = w->first >> bits; i <= (end - 1) >> bits; i++)
			if (!w->n || w->regions[w->n - 1] < i) {
				int r = add_region(w, i);

				if (r < 0)
					return fail(w, r);
			}
		assert(w->regions);
		w->table = div_up((w->regions[w->n - 1] + 1) * 8,
				  w->to.cluster_size);
		if (n == w->n && table == w->table)
			break;
	}
	if (w->table << w->to.cluster_bits > Q2_MAX_REFTABLE_BYTES ||
	    end << w->to.cluster_bits > Q2_MAX_HOST_OFFSET)
		return fail(w, -EFBIG);
	return 0;
}

/* ---- writing ----------------------------------------------------------- */

static int Q2_CO
write_block(struct width *w, uint64_t i, uint8_t *buf)
{
	const struct geom *g = &w->to;
	uint64_t start = w->regions[i] << g->refblock_bits;
	uint64_t end = w->first + w->n + w->table, count;

	memset(buf, 0, g->cluster_size);
	for (uint64_t k = 0; k < g->refblock_entries; k++) {
		int r;

		if (start + k >= end ||
		    (start + k >= w->used && start + k < w->first))
			continue;
		r = count_of(w, start + k, &count);
		if (r < 0)
			return r;
		if (count)
			refcount_set(buf, g->refcount_order, k, count);
	}
	return file_write(w->img->file, AIO_REFCOUNT, buf, g->cluster_size,
			  (w->first + i) << g->cluster_bits);
}

static int Q2_CO
write_table(const struct width *w, const struct table *t)
{
	Q2_AUTO_FREE uint8_t *bytes = mem_aligned_zero(w->table
						       << w->to.cluster_bits);

	if (!bytes)
		return -ENOMEM;
	table_encode(t, 0, t->n, bytes);
	return file_write(w->img->file, AIO_REFCOUNT, bytes,
			  w->table << w->to.cluster_bits, t->host);
}

static int Q2_CO
write_area(struct width *w, struct table *t)
{
	struct image *img = w->img;
	unsigned bits = w->to.cluster_bits;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(w->to.cluster_size);
	int r = buf ? 0 : -ENOMEM;

	if (r == 0)
		r = table_init(t,
			       (uint32_t)(w->table * (w->to.cluster_size / 8)),
			       (w->first + w->n) << bits, w->to.cluster_size);
	if (r == 0)
		r = alloc_grow_file(img, (w->first + w->n + w->table) << bits);
	for (uint64_t i = 0; r == 0 && i < w->n; i++) {
		t->entries[w->regions[i]] = (w->first + i) << bits;
		r = write_block(w, i, buf);
	}
	if (r == 0)
		r = write_table(w, t);
	cache_meta_written(img);
	if (r == 0)
		r = cache_sync(img);
	return r < 0 ? fail(w, r) : 0;
}

/* ---- the switch -------------------------------------------------------- */

#define FIELDS_END 100

static_assert(HEADER_OFF_REFTABLE < FIELDS_END && FIELDS_END <= Q2_SECTOR,
	      "the table's place and the width are in one sector");

static int Q2_CO
switch_header(const struct width *w, const struct table *t)
{
	const struct header *h = &w->img->header;
	uint8_t f[FIELDS_END - HEADER_OFF_REFTABLE];

	store_be64(f, t->host);
	store_be32(f + 8, (uint32_t)w->table);
	store_be32(f + 12, h->snapshots);
	store_be64(f + 16, h->snapshots_offset);
	store_be64(f + 24, h->incompatible);
	store_be64(f + 32, h->compatible);
	store_be64(f + 40, h->autoclear);
	store_be32(f + 48, w->to.refcount_order);
	return mark_tables(w->img, f, sizeof(f), HEADER_OFF_REFTABLE);
}

/* What was known of the old structures is forgotten. */
static int
take_over(struct width *w, struct table *t)
{
	struct image *img = w->img;
	struct header *h = &img->header;
	int64_t size = aio_size(img->file);

	for (uint64_t i = 0; i < w->n_old; i++)
		slice_drop(&img->refs, w->old[i] << w->to.cluster_bits,
			   w->to.cluster_size);
	table_done(&img->reftable);
	img->reftable = *t;
	h->reftable_offset = t->host;
	h->reftable_clusters = (uint32_t)w->table;
	h->refcount_order = w->to.refcount_order;
	img->geom = header_geom(h);
	alloc_done(img);
	meta_done(&img->meta);
	if (size < 0 || alloc_init(img, (uint64_t)size) < 0 ||
	    meta_init(img) < 0) {
		img->failed = -ENOMEM;
		return q2_fail(w->err, -ENOMEM,
			       "no memory for the allocator; the refcounts "
			       "have their new width");
	}
	return 0;
}

static int Q2_CO
change(struct width *w)
{
	struct table t = {0};
	int r = write_area(w, &t);

	if (r < 0) {
		table_done(&t);
		return r;
	}
	r = switch_header(w, &t);
	if (r < 0) {
		table_done(&t);
		return q2_fail(w->err, r,
			       "Could not write the header: %s; the refcounts "
			       "have their old or their new width",
			       strerror(-r));
	}
	return take_over(w, &t);
}

int Q2_CO
amend_refcounts(struct image *img, unsigned refcount_bits, struct q2_err *err)
{
	struct header h = img->header;
	struct width w = {.img = img, .err = err};
	int r;

	h.refcount_order = (unsigned)__builtin_ctz(refcount_bits);
	w.to = header_geom(&h);
	w.block = mem_aligned(img->geom.cluster_size);
	r = w.block ? note_old(&w) : -ENOMEM;
	if (r == 0)
		r = crop_used_end(img, &w.used);
	w.first = max_u64(w.used,
			  alloc_virgin_end(img) >> img->geom.cluster_bits);
	if (r < 0)
		r = fail(&w, r);
	if (r == 0)
		r = find_regions(&w);
	if (r == 0)
		r = place_area(&w);
	if (r == 0)
		r = change(&w);
	free(w.block);
	free(w.old);
	free(w.regions);
	return r;
}
