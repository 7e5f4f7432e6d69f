/* SPDX-License-Identifier: MIT */
/*
 * repair_rebuild.c - new refcount structures, made of counted references
 *
 * For each region that has a cluster in use: a refcount block, in the first
 * free cluster of the region or behind it, as QEMU places them; then a table
 * for all of them where there is room for it.  Free is what nothing refers to,
 * so neither data nor the old structures are written over.
 *
 * W4: blocks and table are written and synced before the one sector of the
 * header that names the table, and with it a new snapshot table if there is
 * one.  A crash before that leaves the old structures, one after it the new
 * ones with the old as leaks.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/manage/check_priv.h"

struct rebuild {
	struct check *c;
	uint64_t *blocks; /* host cluster of each region's block; 0: none */
	uint64_t n;       /* entries, whole clusters of a table */
	uint64_t table;   /* cluster */
	uint64_t table_clusters;
};

/* ---- placing ----------------------------------------------------------- */

static int
grow_table(struct rebuild *b, uint64_t region)
{
	uint64_t per_cluster = b->c->g->cluster_size / 8;
	uint64_t n = align_up(region + 1, per_cluster);
	uint64_t *p;

	if (n * 8 > Q2_MAX_REFTABLE_BYTES)
		return -EFBIG;
	p = realloc(b->blocks, n * sizeof(*p));
	if (!p)
		return -ENOMEM;
	memset(p + b->n, 0, (n - b->n) * sizeof(*p));
	b->blocks = p;
	b->n = n;
	return 0;
}

static bool
is_in_use(const struct check *c, uint64_t region)
{
	uint64_t first = region << c->g->refblock_bits;
	uint64_t end = min_u64(c->clusters, first + c->g->refblock_entries);

	for (uint64_t i = first; i < end; i++)
		if (check_refs(c, i))
			return true;
	return false;
}

/* Blocks for all regions from first on that need one and have none.  Taking
 * clusters may make more regions. */
static int
place_blocks(struct rebuild *b, uint64_t first)
{
	struct check *c = b->c;
	uint64_t from = 0;

	for (uint64_t i = first;
	     i < div_up(c->clusters, c->g->refblock_entries); i++) {
		int r = 0;

		if ((i < b->n && b->blocks[i]) || !is_in_use(c, i))
			continue;
		if (i >= b->n)
			r = grow_table(b, i);
		/* Below are blocks that are complete. */
		from = max_u64(from, i << c->g->refblock_bits);
		if (r == 0)
			r = check_take(c, 1, &from, &b->blocks[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
place_table(struct rebuild *b)
{
	struct check *c = b->c;
	uint64_t clusters, from = 0;
	int r;

	do {
		clusters = div_up(b->n * 8, c->g->cluster_size);
		/* Too small: what it took becomes free. */
		for (uint64_t i = 0; i < b->table_clusters; i++)
			check_uncount(c, b->table + i);
		from = 0;
		r = check_take(c, clusters, &from, &b->table);
		if (r < 0)
			return r;
		b->table_clusters = clusters;
		r = place_blocks(b, b->table >> c->g->refblock_bits);
	} while (r == 0 && div_up(b->n * 8, c->g->cluster_size) > clusters);
	return r;
}

/* ---- writing ----------------------------------------------------------- */

/* Blocks that are adjacent in the file, and in the array of references, go in
 * one write. */
static int Q2_CO
write_blocks(struct rebuild *b)
{
	struct check *c = b->c;
	unsigned bits = c->g->cluster_bits;
	uint64_t max = c->batch_bytes >> bits;
	int r = 0;

	for (uint64_t i = 0; i < b->n && r == 0;) {
		uint64_t n = 1;

		if (!b->blocks[i]) {
			i++;
			continue;
		}
		while (n < max && i + n < b->n &&
		       b->blocks[i + n] == b->blocks[i] + n)
			n++;
		memcpy(c->batch, c->refs + (i << bits), n << bits);
		r = repair_write(c, AIO_REFCOUNT, c->batch, n << bits,
				 b->blocks[i] << bits);
		i += n;
	}
	return r;
}

static int Q2_CO
write_table(struct rebuild *b, const struct table *t)
{
	struct check *c = b->c;
	Q2_AUTO_FREE uint8_t *bytes = mem_aligned_zero(t->bytes);

	if (!bytes)
		return check_fail(c, -ENOMEM);
	table_encode(t, 0, t->n, bytes);
	return repair_write(c, AIO_REFCOUNT, bytes, t->bytes, t->host);
}

/* The header names the new table; a new snapshot table in the same sector. */
static int Q2_CO
switch_header(struct rebuild *b)
{
	struct check *c = b->c;
	uint8_t fields[24];
	int r;

	store_be64(fields, b->table << c->g->cluster_bits);
	store_be32(fields + 8, (uint32_t)b->table_clusters);
	repair_encode_snapshots(c, fields + 12);
	r = repair_write(c, AIO_HEADER, fields, c->snapshots.placed ? 24 : 12,
			 HEADER_OFF_REFTABLE);
	return r < 0 ? r : repair_sync(c);
}

static int Q2_CO
write_all(struct rebuild *b, struct table *t)
{
	struct check *c = b->c;
	struct image *img = c->img;
	int r;

	for (uint64_t i = 0; i < b->n; i++)
		t->entries[i] = b->blocks[i] << c->g->cluster_bits;
	r = write_blocks(b);
	if (r == 0)
		r = write_table(b, t);
	if (r == 0)
		r = repair_sync(c);
	if (r == 0)
		r = switch_header(b);
	if (r < 0)
		return r;
	table_done(&img->reftable);
	img->reftable = *t;
	*t = (struct table){0};
	img->header.reftable_offset = img->reftable.host;
	img->header.reftable_clusters = (uint32_t)b->table_clusters;
	if (c->snapshots.placed)
		repair_note_snapshots(c);
	c->snapshots.old_bytes = 0; /* done with */
	return 0;
}

static int Q2_CO
rebuild(struct rebuild *b)
{
	struct check *c = b->c;
	struct table t = {0};
	uint64_t first, n;
	int64_t size;
	int r;

	r = place_blocks(b, 0);
	if (r == 0)
		r = place_table(b);
	/* Nothing is put there, but once it is not named it is free. */
	repair_uncount_old_snapshots(c, &first, &n);
	if (r == 0)
		r = table_init(&t, (uint32_t)b->n,
			       b->table << c->g->cluster_bits,
			       c->g->cluster_size);
	if (r < 0)
		return check_fail(c, r);
	r = write_all(b, &t);
	table_done(&t);
	if (r < 0)
		return r;
	size = aio_size(c->img->file);
	if (size < 0)
		return check_fail(c, (int)size);
	c->file_bytes = (uint64_t)size;
	return 0;
}

int Q2_CO
repair_rebuild(struct check *c)
{
	struct rebuild b = {.c = c};
	int r = rebuild(&b);

	free(b.blocks);
	return r;
}
