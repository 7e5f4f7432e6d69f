/* SPDX-License-Identifier: MIT */
/*
 * bitmap_store.c - bitmaps from memory into the file
 *
 * The image is for the operation alone (I2).  What has changed is written
 * beside the old:
 *
 *	place the bits that are not all clear, and a table of them
 *	place a directory of all bitmaps
 *	name the directory, in one sector (H1)
 *	give back what the old one named and the new one does not
 *
 * So at any moment the file has all of the old bitmaps or all of the new ones,
 * and a crash leaves leaks at most.  The new directory says of no bitmap that
 * it is in use, but of those that were so at a crash.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/bits.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/mark.h"
#include "engine/manage/manage.h"
#include "engine/manage/place.h"

/* Bits are written in pieces of so much at most. */
#define PIECE (1 * MiB)

/* Where one bitmap is going to be; n 0: stays where it is. */
struct new_place {
	uint64_t data, data_n; /* clusters of bits, adjacent */
	uint64_t table;
	uint32_t entries;
};

struct storing {
	struct image *img;
	struct new_place *places; /* one a bitmap */
	uint8_t *dir;
	uint64_t dir_bytes, dir_host;
};

static uint64_t
clusters(const struct image *img, uint64_t bytes)
{
	return div_up(bytes, img->geom.cluster_size);
}

/* ---- one bitmap -------------------------------------------------------- */

/* How many bytes of d's bits cluster i has; their bits are set in part? */
static bool
has_bits(const struct image *img, const struct dirty_bitmap *d, uint64_t i,
	 uint64_t *ret_len)
{
	uint64_t size = img->geom.cluster_size;
	uint64_t bytes = bitmap_bits_bytes(img->size, d->granularity_bits);

	*ret_len = min_u64(size, bytes - i * size);
	return !mem_is_zero(d->bits + i * size, *ret_len);
}

/* Its bits to where there is room for them, in the order of the table, whose
 * entries are filled in. */
static int Q2_CO
write_bits(const struct storing *s, const struct dirty_bitmap *d,
	   const struct new_place *p, uint8_t *table)
{
	struct image *img = s->img;
	uint64_t size = img->geom.cluster_size;
	uint64_t piece = max_u64(size, PIECE), have = 0, at = p->data, len;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned_zero(piece);
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t i = 0; r == 0 && i < p->entries; i++) {
		if (!has_bits(img, d, i, &len))
			continue;
		store_be64(table + i * 8, at + have);
		memcpy(buf + have, d->bits + i * size, len);
		memset(buf + have + len, 0, size - len);
		have += size;
		if (have < piece)
			continue;
		r = file_write(img->file, AIO_HEADER, buf, have, at);
		at += have;
		have = 0;
	}
	if (r == 0 && have)
		r = file_write(img->file, AIO_HEADER, buf, have, at);
	cache_meta_written(img);
	return r;
}

static int Q2_CO
place_one(const struct storing *s, const struct dirty_bitmap *d,
	  struct new_place *p)
{
	struct image *img = s->img;
	uint64_t bytes = bitmap_bits_bytes(img->size, d->granularity_bits);
	Q2_AUTO_FREE uint8_t *table = NULL;
	uint64_t len;
	int r;

	/* A disk of no size has one, too. */
	p->entries = (uint32_t)max_u64(1, clusters(img, bytes));
	table = calloc(p->entries, 8);
	if (!table)
		return -ENOMEM;
	for (uint64_t i = 0; bytes && i < p->entries; i++)
		p->data_n += has_bits(img, d, i, &len);
	r = place_take(img, p->data_n, &p->data);
	/* Of these there may be many: they are known by their table. */
	meta_remove(img, p->data, p->data_n);
	if (r == 0 && p->data_n)
		r = write_bits(s, d, p, table);
	if (r == 0)
		r = place_write(img, AIO_HEADER, table,
				(uint64_t)p->entries * 8, &p->table);
	return r;
}

/* ---- the directory ----------------------------------------------------- */

static struct bitmap
entry_of(const struct dirty_bitmap *d, const struct new_place *p)
{
	return (struct bitmap){
		.table_offset = p->table ? p->table : d->table_offset,
		.table_entries = p->table ? p->entries : d->table_entries,
		.flags = (d->inconsistent ? BITMAP_IN_USE : 0) |
			 (d->enabled ? BITMAP_AUTO : 0),
		.granularity_bits = (uint8_t)d->granularity_bits,
		.name = d->name,
		.name_len = d->name_len,
	};
}

static int Q2_CO
place_directory(struct storing *s)
{
	const struct bitmaps *b = &s->img->bitmaps;
	uint64_t at = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct bitmap e = entry_of(&b->v[i], &s->places[i]);

		s->dir_bytes += bitmap_encoded_bytes(&e);
	}
	s->dir = malloc(s->dir_bytes + 1);
	if (!s->dir)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->n; i++) {
		struct bitmap e = entry_of(&b->v[i], &s->places[i]);

		bitmap_encode(&e, s->dir + at);
		at += bitmap_encoded_bytes(&e);
	}
	return place_write(s->img, AIO_HEADER, s->dir, s->dir_bytes,
			   &s->dir_host);
}

static int Q2_CO
place_all(struct storing *s)
{
	struct bitmaps *b = &s->img->bitmaps;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < b->n; i++)
		if (b->v[i].changed)
			r = place_one(s, &b->v[i], &s->places[i]);
	return r < 0 ? r : place_directory(s);
}

/* What was placed is not wanted. */
static void Q2_CO
give_back_new(const struct storing *s)
{
	struct image *img = s->img;

	for (uint32_t i = 0; i < img->bitmaps.n; i++) {
		const struct new_place *p = &s->places[i];

		if (p->data)
			limbo_add(img, p->data, p->data_n, false);
		if (p->table)
			place_free(img, p->table,
				   clusters(img, (uint64_t)p->entries * 8));
	}
	if (s->dir_host)
		place_free(img, s->dir_host, clusters(img, s->dir_bytes));
	(void)limbo_drain(img);
}

/* ---- the old ----------------------------------------------------------- */

/* Bits of an old table.  What cannot be right is left to a check. */
static void
free_bits(struct image *img, const uint8_t *table, uint32_t entries)
{
	uint64_t size = img->geom.cluster_size;

	for (uint32_t i = 0; i < entries; i++) {
		uint64_t entry = load_be64(table + (size_t)i * 8);
		uint64_t host = entry & BITMAP_ENTRY_OFFSET;

		if (host && bitmap_entry_is_valid(entry, &img->geom) &&
		    !meta_hit(img, host, size))
			limbo_add(img, host, 1, false);
	}
}

static void Q2_CO
free_table(struct image *img, const struct bitmap *old)
{
	uint64_t bytes = (uint64_t)old->table_entries * 8;
	Q2_AUTO_FREE uint8_t *table = mem_aligned(bytes + 1);

	place_free(img, old->table_offset, clusters(img, bytes));
	if (table && old->table_offset <= INT64_MAX - bytes &&
	    file_read(img->file, AIO_HEADER, table, bytes, old->table_offset) ==
		    0)
		free_bits(img, table, old->table_entries);
}

static bool
is_named(const struct dirty_bitmap *d, const struct bitmap *old)
{
	return d->name_len == old->name_len &&
	       memcmp(d->name, old->name, old->name_len) == 0;
}

/* dir: the old directory, which h named.  Those of it that are there still come
 * in the same order. */
static void Q2_CO
free_old(struct image *img, const uint8_t *dir, const struct header *h)
{
	const struct bitmaps *b = &img->bitmaps;
	uint64_t at = 0;
	uint32_t next = 0;

	if (!h->has_bitmaps)
		return;
	place_free(img, h->bitmaps_offset, clusters(img, h->bitmaps_bytes));
	for (uint32_t i = 0; i < h->bitmaps; i++) {
		struct bitmap old;
		bool kept = false;

		if (bitmap_decode(dir + at, h->bitmaps_bytes - at, &old) < 0)
			return;
		at += old.bytes;
		if (next < b->n && is_named(&b->v[next], &old))
			kept = b->v[next++].table_offset == old.table_offset;
		if (!kept)
			free_table(img, &old);
	}
}

/* ---- the whole --------------------------------------------------------- */

static int Q2_CO
switch_directory(const struct storing *s, struct q2_err *err)
{
	struct image *img = s->img;
	struct header h = img->header;
	int r = POINT_HIT(&img->points, bitmap_switch);

	if (r < 0)
		return q2_fail(err, r, "Could not write the header: %s",
			       strerror(-r));
	h.has_bitmaps = img->bitmaps.n > 0;
	h.has_stale_bitmaps = false;
	h.bitmaps = img->bitmaps.n;
	h.bitmaps_offset = s->dir_host;
	h.bitmaps_bytes = s->dir_bytes;
	h.autoclear &= ~AUTOCLEAR_BITMAPS;
	if (h.has_bitmaps)
		h.autoclear |= AUTOCLEAR_BITMAPS;
	return mark_header(img, &h, err);
}

/* The file has them; so it is said in memory. */
static void
take_places(const struct storing *s)
{
	struct bitmaps *b = &s->img->bitmaps;

	for (uint32_t i = 0; i < b->n; i++) {
		struct dirty_bitmap *d = &b->v[i];

		d->changed = d->marked = false;
		if (!s->places[i].table)
			continue;
		d->table_offset = s->places[i].table;
		d->table_entries = s->places[i].entries;
	}
	bitmaps_update(b);
}

static int Q2_CO
read_old(struct image *img, uint8_t **ret)
{
	const struct header *h = &img->header;

	if (!h->has_bitmaps)
		return 0;
	*ret = mem_aligned(h->bitmaps_bytes + 1);
	return *ret ? file_read(img->file, AIO_HEADER, *ret, h->bitmaps_bytes,
				h->bitmaps_offset)
		    : -ENOMEM;
}

static int Q2_CO
store_placed(const struct storing *s, const uint8_t *old_dir,
	     struct q2_err *err)
{
	struct image *img = s->img;
	struct header old = img->header;
	int r = switch_directory(s, err);

	if (r < 0)
		return r;
	take_places(s);
	free_old(img, old_dir, &old);
	/* They are stored; what could not be given back is a leak. */
	(void)limbo_drain(img);
	return 0;
}

static int Q2_CO
store_strictly(struct image *img, struct q2_err *err)
{
	struct storing s = {
		.img = img,
		.places = calloc(img->bitmaps.n + 1, sizeof(*s.places)),
	};
	Q2_AUTO_FREE uint8_t *old_dir = NULL;
	int r;

	if (!s.places)
		return q2_fail(err, -ENOMEM, "no memory for the bitmaps");
	r = limbo_drain(img);
	if (r == 0)
		r = read_old(img, &old_dir);
	if (r == 0)
		r = place_all(&s);
	if (r < 0)
		(void)q2_fail(err, r, "%s", strerror(-r));
	else
		r = store_placed(&s, old_dir, err);
	if (r < 0 && !img->failed)
		give_back_new(&s);
	free(s.places);
	free(s.dir);
	return r;
}

int Q2_CO
bitmaps_store(struct image *img, struct q2_err *err)
{
	bool lazy = img->lazy;
	int r;

	if (img->failed)
		return q2_fail(err, img->failed,
			       "the image takes no writes: %s",
			       strerror(-img->failed));
	img->lazy = false; /* all refcounts are in the file (E3) */
	r = store_strictly(img, err);
	img->lazy = lazy;
	return r;
}

int Q2_CO
bitmaps_close(struct image *img, struct q2_err *err)
{
	int r;

	if (!image_is_qcow2(img) || img->read_only ||
	    bitmaps_are_stored(&img->bitmaps))
		return 0;
	gate_raise(&img->gate);
	r = bitmaps_store(img, err);
	gate_lower(&img->gate, img->loop);
	if (r < 0)
		return err_prefix(err, r,
				  "The guest's data is there, but its bitmaps "
				  "could not be stored; those that were in "
				  "use can only be removed");
	return 0;
}
