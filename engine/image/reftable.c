/* SPDX-License-Identifier: MIT */
/*
 * reftable.c - a larger refcount table
 *
 * The first cluster that the old table does not describe begins the new area:
 *
 *	[refcount blocks of the area itself][new table]
 *
 * W4: the area is written and synced before the 12 bytes of the header that
 * name the table.  A commit before that makes every refcount block durable, so
 * that the new table names none that the file does not hold (W3).  A crash
 * before the switch leaves the old table, which does not know the area; after
 * it, both describe the same clusters, and the old table's own clusters are a
 * leak until they have left limbo.
 */
#include "engine/image/reftable.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/refcount.h"
#include "engine/image/image.h"
#include "engine/image/mark.h"

struct area {
	uint64_t first;  /* cluster */
	uint64_t blocks; /* refcount blocks, at its beginning */
	uint64_t table;  /* clusters of the table, behind them */
	uint8_t *bytes;  /* all of it */
};

/* Half as large again, and large enough to describe itself. */
static int
plan_area(const struct image *img, struct area *a)
{
	const struct geom *g = &img->geom;
	uint64_t per_cluster = g->cluster_size / 8;
	uint64_t entries = (uint64_t)img->reftable.n * 3 / 2;

	a->first = (uint64_t)img->reftable.n << g->refblock_bits;
	a->blocks = 0;
	do {
		a->blocks++;
		entries = max_u64(entries, img->reftable.n + a->blocks);
		a->table = div_up(entries, per_cluster);
	} while (a->blocks << g->refblock_bits < a->blocks + a->table);
	if (a->table * g->cluster_size > Q2_MAX_REFTABLE_BYTES ||
	    (a->first + a->blocks + a->table) << g->cluster_bits >
		    Q2_MAX_HOST_OFFSET)
		return -EFBIG;
	return 0;
}

static void
fill_area(const struct image *img, const struct area *a)
{
	const struct geom *g = &img->geom;
	uint8_t *table = a->bytes + (a->blocks << g->cluster_bits);

	for (uint64_t i = 0; i < a->blocks + a->table; i++)
		refcount_set(
			a->bytes + (i >> g->refblock_bits << g->cluster_bits),
			g->refcount_order, i & (g->refblock_entries - 1), 1);
	table_encode(&img->reftable, 0, img->reftable.n, table);
	for (uint64_t i = 0; i < a->blocks; i++)
		store_be64(table + 8 * (img->reftable.n + i),
			   (a->first + i) << g->cluster_bits);
}

/* The area reaches the file, and is durable. */
static int Q2_CO
write_area(struct image *img, const struct area *a)
{
	const struct geom *g = &img->geom;
	uint64_t bytes = (a->blocks + a->table) << g->cluster_bits;
	int r;

	r = alloc_grow_file(img, (a->first << g->cluster_bits) + bytes);
	if (r == 0)
		r = file_write(img->file, AIO_REFCOUNT, a->bytes, bytes,
			       a->first << g->cluster_bits);
	cache_meta_written(img);
	return r < 0 ? r : cache_sync(img);
}

/* The header names it, durably. */
static int Q2_CO
switch_header(struct image *img, const struct table *t)
{
	uint8_t field[12];

	store_be64(field, t->host);
	store_be32(field + 8, (uint32_t)(t->bytes >> img->geom.cluster_bits));
	return mark_tables(img, field, sizeof(field), HEADER_OFF_REFTABLE);
}

int Q2_CO
reftable_switch(struct image *img, struct table *t)
{
	struct header *h = &img->header;
	/* Memory first: it can fail. */
	int r = alloc_resize(img, t->n);

	if (r == 0)
		r = switch_header(img, t);
	if (r < 0) {
		table_done(t);
		return r;
	}
	/* Not before: until now the file may name the old one. */
	meta_remove(img, h->reftable_offset, h->reftable_clusters);
	limbo_add(img, h->reftable_offset, h->reftable_clusters, false);
	table_done(&img->reftable);
	img->reftable = *t;
	h->reftable_offset = t->host;
	h->reftable_clusters = (uint32_t)(t->bytes >> img->geom.cluster_bits);
	return 0;
}

static int Q2_CO
grow_into(struct image *img, struct area *a)
{
	const struct geom *g = &img->geom;
	uint32_t n = img->reftable.n;
	struct table t = {0};
	int r;

	fill_area(img, a);
	r = meta_add(img, a->first << g->cluster_bits, a->blocks + a->table);
	if (r == 0)
		r = write_area(img, a);
	if (r == 0)
		r = table_init_longer(
			&t, &img->reftable,
			(uint32_t)(a->table * (g->cluster_size / 8)),
			(a->first + a->blocks) << g->cluster_bits,
			g->cluster_size);
	if (r < 0)
		return r;
	assert(t.entries);
	for (uint64_t i = 0; i < a->blocks; i++)
		t.entries[n + i] = (a->first + i) << g->cluster_bits;
	r = reftable_switch(img, &t);
	if (r == 0)
		alloc_handed_out(img, a->first, a->blocks + a->table);
	return r;
}

int Q2_CO
reftable_grow(struct image *img)
{
	struct area a = {0};
	uint64_t bytes;
	int r;

	r = POINT_HIT(&img->points, reftable_grow);
	if (r == 0)
		r = plan_area(img, &a);
	if (r == 0)
		r = cache_commit_all(img);
	if (r < 0)
		return r;
	assert(!img->reftable.n_new && !img->reftable.n_dirty);
	bytes = (a.blocks + a.table) << img->geom.cluster_bits;
	a.bytes = mem_aligned_zero(bytes);
	if (!a.bytes)
		return -ENOMEM;
	r = grow_into(img, &a);
	free(a.bytes);
	return r;
}
