/* SPDX-License-Identifier: MIT */
#include "engine/manage/counts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/refcount.h"
#include "engine/image/damage.h"
#include "engine/image/image.h"
#include "engine/image/refblock.h"

int
counts_init(struct counts *c, struct image *img)
{
	*c = (struct counts){
		.img = img, .n = img->reftable.n, .first_freed = UINT64_MAX};
	c->blocks = calloc(c->n + 1, sizeof(*c->blocks));
	c->changed = calloc(c->n + 1, 1);
	return c->blocks && c->changed ? 0 : -ENOMEM;
}

void
counts_done(struct counts *c)
{
	for (uint32_t i = 0; c->blocks && i < c->n; i++)
		free(c->blocks[i]);
	free(c->blocks);
	free(c->changed);
	*c = (struct counts){0};
}

/* ---- blocks ------------------------------------------------------------ */

static bool
has_block(const struct counts *c, uint64_t region)
{
	return region < c->n &&
	       (c->img->reftable.entries[region] & REFTABLE_OFFSET_MASK);
}

static int Q2_CO
read_block(struct counts *c, uint64_t region)
{
	struct image *img = c->img;
	uint64_t size = img->geom.cluster_size, host;
	uint8_t *buf;
	int r = refblock_host(img, region, REFBLOCK_FREE, &host);

	if (r < 0)
		return r;
	buf = mem_aligned(size);
	if (!buf)
		return -ENOMEM;
	r = file_read(img->file, AIO_REFCOUNT, buf, size, host);
	if (r < 0)
		free(buf);
	else
		c->blocks[region] = buf;
	return r;
}

/* The block with cluster's count; *ret_block is NULL where there is none. */
static int Q2_CO
block_of(struct counts *c, uint64_t cluster, uint8_t **ret_block)
{
	uint64_t region = cluster >> c->img->geom.refblock_bits;
	int r = 0;

	*ret_block = NULL;
	if (!has_block(c, region))
		return 0;
	if (!c->blocks[region])
		r = read_block(c, region);
	*ret_block = c->blocks[region];
	return r;
}

int Q2_CO
counts_get(struct counts *c, uint64_t cluster, uint64_t *ret_count)
{
	const struct geom *g = &c->img->geom;
	uint8_t *block;
	int r = block_of(c, cluster, &block);

	*ret_count = 0;
	if (r == 0 && block)
		*ret_count = refcount_get(block, g->refcount_order,
					  cluster & (g->refblock_entries - 1));
	return r;
}

/* ---- changes ----------------------------------------------------------- */

static int
is_not_counted(struct image *img, uint64_t cluster)
{
	damage_note(img, "Cluster %#" PRIx64 " has refcount 0, but is in use",
		    cluster << img->geom.cluster_bits);
	return -EIO;
}

/* Entries [index, index + n) of a block.  Of the usual width, a terabyte has
 * sixteen million. */
static uint64_t
change_16(uint8_t *block, uint64_t index, uint64_t n, bool up)
{
	uint16_t bad = up ? UINT16_MAX : 0;
	uint64_t i;

	for (i = index; i < index + n; i++) {
		uint16_t now = load_be16(block + 2 * i);

		if (now == 0 || now == bad)
			break;
		store_be16(block + 2 * i, (uint16_t)(up ? now + 1 : now - 1));
	}
	return i - index;
}

/* How many could be changed. */
static uint64_t
change_entries(const struct geom *g, uint8_t *block, uint64_t index, uint64_t n,
	       bool up)
{
	unsigned order = g->refcount_order;
	uint64_t i;

	if (order == 4)
		return change_16(block, index, n, up);
	for (i = index; i < index + n; i++) {
		uint64_t now = refcount_get(block, order, i);

		if (now == 0 || (up && now == g->refcount_max))
			break;
		refcount_set(block, order, i, up ? now + 1 : now - 1);
	}
	return i - index;
}

/* Within one region. */
static int Q2_CO
change_some(struct counts *c, uint64_t first, uint64_t n, bool up)
{
	const struct geom *g = &c->img->geom;
	uint64_t index = first & (g->refblock_entries - 1), done;
	uint8_t *block;
	int r = block_of(c, first, &block);

	if (r < 0)
		return r;
	if (!block)
		return is_not_counted(c->img, first);
	c->changed[first >> g->refblock_bits] = 1;
	done = change_entries(g, block, index, n, up);
	if (done == n)
		return 0;
	if (refcount_get(block, g->refcount_order, index + done) == 0)
		return is_not_counted(c->img, first + done);
	return -ERANGE;
}

int Q2_CO
counts_change(struct counts *c, uint64_t first, uint64_t n, bool up)
{
	uint64_t per_block = c->img->geom.refblock_entries;
	int r = 0;

	while (r == 0 && n > 0) {
		uint64_t step = min_u64(n,
					per_block - (first & (per_block - 1)));

		r = change_some(c, first, step, up);
		first += step;
		n -= step;
	}
	return r;
}

/* ---- what is free now -------------------------------------------------- */

/* Nothing names metadata but its own table, or the image was damaged. */
static bool
stays(struct counts *c, uint32_t region, uint64_t i)
{
	const struct geom *g = &c->img->geom;
	uint64_t cluster = ((uint64_t)region << g->refblock_bits) + i;

	if (!meta_hit(c->img, cluster << g->cluster_bits, 1))
		return false;
	damage_note(c->img, "Cannot free metadata cluster %#" PRIx64,
		    cluster << g->cluster_bits);
	refcount_set(c->blocks[region], g->refcount_order, i, 1);
	return true;
}

/* What is free in a block, and was not in the file's. */
static void Q2_CO
free_in_block(struct counts *c, uint32_t region, const uint8_t *old)
{
	struct image *img = c->img;
	const struct geom *g = &img->geom;
	uint64_t base = (uint64_t)region << g->refblock_bits, n = 0;
	unsigned order = g->refcount_order, bits = g->cluster_bits;

	for (uint64_t i = 0; i <= g->refblock_entries; i++) {
		if (i < g->refblock_entries &&
		    !refcount_get(c->blocks[region], order, i) &&
		    refcount_get(old, order, i) && !stays(c, region, i)) {
			c->first_freed = min_u64(c->first_freed, base + i);
			n++;
			continue;
		}
		/* Where the file system cannot, nothing is lost. */
		if (n && img->punch_snapshot)
			(void)file_discard(img->file, n << bits,
					   (base + i - n) << bits);
		POINT_TELL(&img->points, clusters_freed, n);
		n = 0;
	}
}

int Q2_CO
counts_free(struct counts *c)
{
	struct image *img = c->img;
	uint64_t size = img->geom.cluster_size;
	Q2_AUTO_FREE uint8_t *old = mem_aligned(size);
	int r = old ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < c->n; i++) {
		uint64_t host = img->reftable.entries[i] & REFTABLE_OFFSET_MASK;

		if (!c->changed[i])
			continue;
		r = file_read(img->file, AIO_REFCOUNT, old, size, host);
		if (r == 0)
			free_in_block(c, i, old);
	}
	return r;
}

/* ---- the file ---------------------------------------------------------- */

int Q2_CO
counts_write(struct counts *c)
{
	struct image *img = c->img;
	uint64_t size = img->geom.cluster_size;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < c->n; i++) {
		uint64_t host = img->reftable.entries[i] & REFTABLE_OFFSET_MASK;

		if (!c->changed[i])
			continue;
		r = POINT_HIT(&img->points, counts_write);
		if (r == 0)
			r = file_write(img->file, AIO_REFCOUNT, c->blocks[i],
				       size, host);
		cache_meta_written(img);
		slice_drop(&img->refs, host, size);
	}
	alloc_changed(img, c->first_freed);
	return r < 0 ? r : cache_sync(img);
}
