/* SPDX-License-Identifier: MIT */
#include "engine/manage/crop.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/refcount.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"
#include "engine/image/refblock.h"

/* ---- clusters on their way to limbo, in runs --------------------------- */

struct freeing {
	struct image *img;
	uint64_t host, n; /* clusters that follow each other */
};

static void
freeing_end(struct freeing *f)
{
	if (f->n)
		limbo_add(f->img, f->host, f->n, false);
	f->n = 0;
}

static void
freeing_add(struct freeing *f, uint64_t host, uint64_t n)
{
	unsigned bits = f->img->geom.cluster_bits;

	if (f->n && host == f->host + (f->n << bits)) {
		f->n += n;
		return;
	}
	freeing_end(f);
	f->host = host;
	f->n = n;
}

/* What an entry held, which points there no more. */
static void
freeing_add_entry(struct freeing *f, const struct l2_entry *e)
{
	const struct geom *g = &f->img->geom;
	uint64_t start = geom_cluster_start(g, e->host);

	/* In a data file a cluster's place stays its own. */
	if (g->external_data)
		return;
	if (e->kind == CLUSTER_COMPRESSED)
		freeing_add(f, start,
			    div_up(e->host + e->len - start, g->cluster_size));
	else if (e->kind == CLUSTER_NORMAL || e->kind == CLUSTER_ZERO_ALLOC)
		freeing_add(f, e->host, 1);
}

/* ---- unlinking --------------------------------------------------------- */

uint64_t
crop_reach(const struct image *img)
{
	const struct geom *g = &img->geom;

	return (uint64_t)img->l1.n << (g->l2_bits + g->cluster_bits);
}

/* The entries of one L2 table from guest offset on. */
static int Q2_CO
crop_table_from(struct freeing *f, uint64_t guest)
{
	struct image *img = f->img;
	uint64_t covers = UINT64_C(1)
			  << (img->geom.l2_bits + img->geom.cluster_bits);
	uint64_t end = align_down(guest, covers) + covers, next;

	for (; guest < end; guest = next) {
		struct slice *s;
		uint32_t index;
		int r = map_get_for_change(img, guest, &s, &index);

		if (r < 0)
			return r;
		next = map_slice_end(img, guest);
		for (uint32_t i = 0;
		     i < (next - guest) >> img->geom.cluster_bits; i++) {
			struct l2_entry e = map_entry(img, s, index + i);
			struct l2_entry none = {.kind = CLUSTER_UNALLOCATED};

			if (e.kind == CLUSTER_UNALLOCATED && !e.sub_zero)
				continue;
			map_set_entry(img, s, index + i, &none);
			freeing_add_entry(f, &e);
		}
		slice_put(&img->l2, s);
	}
	return 0;
}

/* A whole L2 table, which is in the file as it is in the cache; buf has room
 * for it. */
static int Q2_CO
crop_table(struct freeing *f, uint32_t index, uint8_t *buf)
{
	struct image *img = f->img;
	const struct geom *g = &img->geom;
	uint64_t host = img->l1.entries[index] & ENTRY_OFFSET_MASK;
	int r;

	r = map_check_table(img,
			    (uint64_t)index << (g->l2_bits + g->cluster_bits));
	if (r == 0)
		r = meta_own(img, META_L2, host, g->cluster_size);
	if (r == 0)
		r = file_read(img->file, AIO_L2, buf, g->cluster_size, host);
	if (r < 0)
		return r;
	slice_drop(&img->l2, host, g->cluster_size);
	table_set(&img->l1, index, 0);
	for (uint64_t i = 0; i < g->l2_entries; i++) {
		struct l2_entry e = l2_load(g, buf + g->l2_entry_size * i);

		freeing_add_entry(f, &e);
	}
	meta_remove(img, host, 1);
	freeing_add(f, host, 1);
	return 0;
}

int Q2_CO
crop_above(struct image *img, uint64_t size)
{
	const struct geom *g = &img->geom;
	uint64_t first = div_up(size, g->cluster_size);
	uint64_t index = first >> g->l2_bits, real_size = img->size;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(g->cluster_size);
	struct freeing f = {.img = img};
	int r = buf ? 0 : -ENOMEM;

	img->size = max_u64(img->size, crop_reach(img));
	if (r == 0 && (first & (g->l2_entries - 1)) && index < img->l1.n) {
		if (img->l1.entries[index] & ENTRY_OFFSET_MASK)
			r = crop_table_from(&f, first << g->cluster_bits);
		index++;
	}
	for (; r == 0 && index < img->l1.n; index++)
		if (img->l1.entries[index] & ENTRY_OFFSET_MASK)
			r = crop_table(&f, (uint32_t)index, buf);
	freeing_end(&f);
	img->size = real_size;
	return r;
}

static bool
is_zero(const uint8_t *p, size_t n)
{
	return !n || (!*p && memcmp(p, p + 1, n - 1) == 0);
}

int Q2_CO
crop_zero_tail(struct image *img)
{
	uint64_t size = img->size;
	uint64_t end = align_up(size, img->geom.cluster_size);
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(end - size + 1);
	struct iovec iov = {buf, end - size};
	int r;

	if (size == end)
		return 0;
	if (!buf)
		return -ENOMEM;
	img->size = end;
	r = image_read(img, iov_iter_init(&iov, 1), size);
	if (r == 0 && !is_zero(buf, iov.iov_len))
		r = image_zero(img, size, end - size, false);
	img->size = size;
	return r;
}

/* ---- the end of the file ----------------------------------------------- */

static int Q2_CO
read_block(struct image *img, uint32_t region, uint8_t *buf)
{
	uint64_t host;
	int r = refblock_host(img, region, REFBLOCK_ALLOC, &host);

	if (r < 0)
		return r;
	return file_read(img->file, AIO_REFCOUNT, buf, img->geom.cluster_size,
			 host);
}

static bool
has_block(const struct image *img, uint32_t region)
{
	return img->reftable.entries[region] & REFTABLE_OFFSET_MASK;
}

int Q2_CO
crop_used_end(struct image *img, uint64_t *ret_cluster)
{
	const struct geom *g = &img->geom;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(g->cluster_size);

	if (!buf)
		return -ENOMEM;
	*ret_cluster = 0;
	for (uint32_t i = img->reftable.n; i-- > 0;) {
		int r;

		if (!has_block(img, i))
			continue;
		r = read_block(img, i, buf);
		if (r < 0)
			return r;
		if (is_zero(buf, g->cluster_size))
			continue;
		for (uint64_t n = g->refblock_entries; n-- > 0;) {
			if (!refcount_get(buf, g->refcount_order, n))
				continue;
			*ret_cluster = ((uint64_t)i << g->refblock_bits) + n +
				       1;
			return 0;
		}
	}
	return 0;
}

static uint64_t
counted(const struct image *img, const uint8_t *block)
{
	const struct geom *g = &img->geom;
	uint64_t n = 0;

	for (uint64_t i = 0; i < g->refblock_entries; i++)
		n += refcount_get(block, g->refcount_order, i) != 0;
	return n;
}

/*
 * Take refcount blocks that count nothing but blocks that go too out of the
 * table.  One that lies in its own region is not counted by anything else;
 * others go to limbo.
 */
static int Q2_CO
drop_blocks(struct image *img)
{
	const struct geom *g = &img->geom;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(g->cluster_size);
	/* Of the clusters of a region, how many are dropped blocks. */
	Q2_AUTO_FREE uint32_t *dropped = calloc(img->reftable.n + 1,
						sizeof(*dropped));
	unsigned bits = g->cluster_bits + g->refblock_bits;
	int r = 0;

	if (!buf || !dropped)
		return -ENOMEM;
	alloc_forget(img);
	for (uint32_t i = img->reftable.n; i-- > 1;) {
		uint64_t host = img->reftable.entries[i] & REFTABLE_OFFSET_MASK;
		bool own = host >> bits == i;

		if (!has_block(img, i))
			continue;
		r = read_block(img, i, buf);
		if (r < 0)
			return r;
		if (counted(img, buf) != dropped[i] + own)
			continue;
		slice_drop(&img->refs, host, g->cluster_size);
		table_set(&img->reftable, i, 0);
		if (host >> bits < img->reftable.n)
			dropped[host >> bits]++;
		/* Those in regions that are gone as well are just skipped. */
		if (!own)
			limbo_add(img, host, 1, false);
		meta_remove(img, host, 1);
	}
	return 0;
}

/* Cut the file behind what is in use. */
static int Q2_CO
cut_file(struct image *img)
{
	uint64_t end = 0, bytes;
	int r;

	if (img->file->is_block)
		return 0;
	r = crop_used_end(img, &end);
	bytes = end << img->geom.cluster_bits;
	if (r < 0 || bytes >= img->alloc.file_bytes)
		return r;
	r = file_truncate(img->file, bytes);
	if (r == 0)
		alloc_was_cut(img, bytes);
	cache_meta_written(img);
	return r;
}

int Q2_CO
crop_finish(struct image *img)
{
	int r = limbo_drain(img);

	if (r == 0)
		r = drop_blocks(img);
	if (r == 0)
		r = limbo_drain(img);
	return r < 0 ? r : cut_file(img);
}
