/* SPDX-License-Identifier: MIT */
/*
 * repair.c - what a repair writes beside refcounts and flags
 *
 * A new snapshot table is written where nothing is, and is named by the header
 * in one sector (S2, W4); the old one is given up after that.
 */
#include <errno.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/format/snapshot.h"
#include "engine/image/mark.h"
#include "engine/manage/check_priv.h"

static_assert(HEADER_OFF_SNAPSHOTS == HEADER_OFF_REFTABLE + 12,
	      "both tables are named in one write");

int Q2_CO
repair_write(struct check *c, enum aio_class cls, const void *buf, uint64_t len,
	     uint64_t off)
{
	int r = file_write(c->img->file, cls, buf, len, off);

	c->wrote = true;
	cache_meta_written(c->img);
	return r < 0 ? check_fail(c, r) : 0;
}

int Q2_CO
repair_sync(struct check *c)
{
	int r = cache_sync(c->img);

	return r < 0 ? check_fail(c, r) : 0;
}

void
repair_mark_metadata(struct check *c)
{
	const struct header *h = &c->img->header;
	const struct table *t = &c->img->reftable;

	(void)check_mark_metadata(c, 0, c->g->cluster_size);
	(void)check_mark_metadata(c, h->reftable_offset, t->bytes);
	for (uint32_t i = 0; i < t->n; i++)
		if (t->entries[i] & REFTABLE_OFFSET_MASK)
			(void)check_mark_metadata(
				c, t->entries[i] & REFTABLE_OFFSET_MASK,
				c->g->cluster_size);
	(void)check_mark_metadata(c, h->snapshots_offset, c->snapshots.bytes);
	for (uint32_t i = 0; i < c->snapshots.n; i++)
		(void)check_mark_metadata(
			c, c->snapshots.v[i].l1_offset,
			(uint64_t)c->snapshots.v[i].l1_entries * 8);
	if (h->has_crypto)
		(void)check_mark_metadata(c, h->crypto_offset, h->crypto_bytes);
	c->l1_shared = check_mark_metadata(c, h->l1_offset, c->img->l1.bytes);
}

/* ---- the snapshot table ------------------------------------------------ */

int Q2_CO
repair_place_snapshots(struct check *c)
{
	struct check_snapshots *s = &c->snapshots;
	uint64_t n = div_up(s->table_bytes, c->g->cluster_size);
	uint64_t first = 0, from = 0;
	int r = s->table_bytes > SNAPSHOT_MAX_TABLE ? -EFBIG : 0;

	if (r == 0 && n)
		r = check_take(c, n, &from, &first);
	if (r < 0) {
		check_say(c, "ERROR failed to update snapshot table: %s",
			  strerror(-r));
		return check_fail(c, r);
	}
	s->host = first << c->g->cluster_bits;
	s->old_host = c->img->header.snapshots_offset;
	s->old_bytes = s->bytes;
	s->placed = true;
	if (!n)
		return 0;
	r = repair_write(c, AIO_HEADER, s->table, s->table_bytes, s->host);
	if (r == 0 && !c->rebuild)
		r = check_store(c, first, n);
	return r < 0 ? r : repair_sync(c);
}

void
repair_encode_snapshots(const struct check *c, uint8_t *fields)
{
	store_be32(fields, c->snapshots.n);
	store_be64(fields + 4, c->snapshots.host);
}

void
repair_note_snapshots(struct check *c)
{
	struct check_snapshots *s = &c->snapshots;
	struct header *h = &c->img->header;

	h->snapshots = s->n;
	h->snapshots_offset = s->host;
	s->bytes = s->table_bytes;
}

int Q2_CO
repair_switch_snapshots(struct check *c)
{
	uint8_t fields[12];
	int r;

	repair_encode_snapshots(c, fields);
	r = repair_write(c, AIO_HEADER, fields, sizeof(fields),
			 HEADER_OFF_SNAPSHOTS);
	if (r == 0)
		r = repair_sync(c);
	if (r == 0)
		repair_note_snapshots(c);
	return r;
}

void
repair_uncount_old_snapshots(struct check *c, uint64_t *ret_first,
			     uint64_t *ret_n)
{
	const struct check_snapshots *s = &c->snapshots;
	unsigned bits = c->g->cluster_bits;
	uint64_t first = s->old_host >> bits, end;

	*ret_first = *ret_n = 0;
	if (!s->old_bytes || add_overflows(s->old_host, s->old_bytes, &end))
		return;
	/* What lies outside has not been counted. */
	if ((end - 1) >> bits >= c->clusters)
		return;
	*ret_first = first;
	*ret_n = ((end - 1) >> bits) - first + 1;
	for (uint64_t i = first; i < first + *ret_n; i++)
		check_uncount(c, i);
}

int Q2_CO
repair_free_old_snapshots(struct check *c)
{
	uint64_t first, n;

	repair_uncount_old_snapshots(c, &first, &n);
	return check_store(c, first, n);
}

/* ---- the end ----------------------------------------------------------- */

int Q2_CO
repair_clear_bits(struct check *c)
{
	uint64_t bits = 0;
	int r;

	if (c->ret->check_errors)
		return 0;
	if (!c->too_low && !c->rebuild)
		bits |= INCOMPAT_DIRTY;
	if (!c->ret->corruptions)
		bits |= INCOMPAT_CORRUPT;
	r = mark_clear(c->img, bits);
	return r < 0 ? check_fail(c, r) : 0;
}

static void
drop_all(struct slice_cache *cache)
{
	for (unsigned i = 0; i < cache->n_slots; i++)
		if (cache->slots[i].host)
			slice_drop(cache, cache->slots[i].host,
				   cache->slice_bytes);
}

int Q2_CO
repair_reload(struct check *c)
{
	struct image *img = c->img;
	int64_t size = aio_size(img->file);

	if (size < 0)
		return check_fail(c, (int)size);
	drop_all(&img->l2);
	drop_all(&img->refs);
	alloc_done(img);
	meta_done(&img->meta);
	if (!(img->opts.flags & Q2_CHECK)) {
		int r = snapshots_load(img, c->err);

		if (r < 0)
			return r;
	}
	if (alloc_init(img, (uint64_t)size) < 0 || meta_init(img) < 0)
		return check_fail(c, -ENOMEM);
	return 0;
}
