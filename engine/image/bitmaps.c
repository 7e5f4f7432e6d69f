/* SPDX-License-Identifier: MIT */
#include "engine/image/bitmaps.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/bits.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/image/image.h"

/* ---- the list ---------------------------------------------------------- */

void
bitmaps_init(struct bitmaps *b)
{
	*b = (struct bitmaps){0};
	co_mutex_init(&b->mutex);
}

void
bitmaps_free(struct dirty_bitmap *d)
{
	free(d->name);
	free(d->bits);
	*d = (struct dirty_bitmap){0};
}

void
bitmaps_done(struct bitmaps *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		bitmaps_free(&b->v[i]);
	free(b->v);
	bitmaps_init(b);
}

int
bitmaps_find(const struct bitmaps *b, const char *name)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (strcmp(b->v[i].name, name) == 0)
			return (int)i;
	return -1;
}

static bool
notes(const struct dirty_bitmap *d)
{
	return d->enabled && !d->inconsistent;
}

void
bitmaps_update(struct bitmaps *b)
{
	b->noting = false;
	b->marked = true;
	for (uint32_t i = 0; i < b->n; i++) {
		if (!notes(&b->v[i]))
			continue;
		b->noting = true;
		b->marked &= b->v[i].marked;
	}
}

/* d's name is a copy already; it belongs to the list then. */
static int
append(struct bitmaps *b, const struct dirty_bitmap *d)
{
	/* Room for a power of two. */
	if ((b->n & (b->n - 1)) == 0) {
		struct dirty_bitmap *v = realloc(
			b->v, (b->n ? 2 * (size_t)b->n : 1) * sizeof(*v));

		if (!v)
			return -ENOMEM;
		b->v = v;
	}
	b->v[b->n++] = *d;
	bitmaps_update(b);
	return 0;
}

uint8_t *
bitmaps_new_bits(const struct image *img, unsigned granularity_bits)
{
	return calloc(1, bitmap_bits_bytes(img->size, granularity_bits) + 1);
}

int
bitmaps_append(struct image *img, const char *name, unsigned granularity_bits)
{
	struct dirty_bitmap d = {
		.name = strdup(name),
		.name_len = (uint16_t)strlen(name),
		.granularity_bits = granularity_bits,
		.enabled = true,
		.changed = true,
		.bits = bitmaps_new_bits(img, granularity_bits),
		.n_bits = div_up(img->size, UINT64_C(1) << granularity_bits),
	};
	int r = d.name && d.bits ? append(&img->bitmaps, &d) : -ENOMEM;

	if (r < 0)
		bitmaps_free(&d);
	return r;
}

struct dirty_bitmap
bitmaps_take(struct bitmaps *b, uint32_t index)
{
	struct dirty_bitmap d = b->v[index];

	b->n--;
	memmove(&b->v[index], &b->v[index + 1],
		(b->n - index) * sizeof(b->v[0]));
	bitmaps_update(b);
	return d;
}

void
bitmaps_put_back(struct bitmaps *b, uint32_t index,
		 const struct dirty_bitmap *d)
{
	memmove(&b->v[index + 1], &b->v[index],
		(b->n - index) * sizeof(b->v[0]));
	b->v[index] = *d;
	b->n++;
	bitmaps_update(b);
}

bool
bitmaps_are_stored(const struct bitmaps *b)
{
	bool stored = true;

	for (uint32_t i = 0; i < b->n; i++)
		stored &= !b->v[i].changed && !b->v[i].marked;
	return stored;
}

/* ---- the directory in the file ----------------------------------------- */

static int Q2_CO
read_directory(struct image *img, uint8_t **ret, struct q2_err *err)
{
	const struct header *h = &img->header;
	int r;

	*ret = mem_aligned(h->bitmaps_bytes + 1);
	if (!*ret)
		return q2_fail(err, -ENOMEM,
			       "no memory for the bitmap directory");
	r = h->bitmaps_offset > INT64_MAX - h->bitmaps_bytes
		    ? -EIO
		    : file_read(img->file, AIO_HEADER, *ret, h->bitmaps_bytes,
				h->bitmaps_offset);
	return r < 0 ? q2_fail(err, r, "Failed to read bitmap directory") : 0;
}

static int
take_entry(struct image *img, const struct bitmap *b, struct q2_err *err)
{
	struct dirty_bitmap d = {
		.name = strndup(b->name, b->name_len),
		.name_len = b->name_len,
		.granularity_bits = b->granularity_bits,
		.enabled = b->flags & BITMAP_AUTO,
		.inconsistent = b->flags & BITMAP_IN_USE,
		.n_bits = div_up(img->size, UINT64_C(1) << b->granularity_bits),
		.table_offset = b->table_offset,
		.table_entries = b->table_entries,
	};
	int r = d.name ? append(&img->bitmaps, &d) : -ENOMEM;

	if (r < 0)
		free(d.name);
	return r < 0 ? q2_fail(err, r, "no memory for the bitmaps") : 0;
}

static int
take_directory(struct image *img, const uint8_t *dir, struct q2_err *err)
{
	const struct header *h = &img->header;
	uint64_t at = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < h->bitmaps; i++) {
		struct bitmap b;

		if (bitmap_decode(dir + at, h->bitmaps_bytes - at, &b) < 0)
			return q2_fail(err, -EINVAL, "Broken bitmap directory");
		if (!bitmap_is_valid(&b, &img->geom))
			return q2_fail(err, -EINVAL,
				       "Bitmap '%.*s' doesn't satisfy the "
				       "constraints",
				       (int)b.name_len, b.name);
		at += b.bytes;
		r = take_entry(img, &b, err);
	}
	if (r == 0 && at != h->bitmaps_bytes)
		return q2_fail(err, -EINVAL, "Broken bitmap directory");
	return r;
}

int Q2_CO
bitmaps_load(struct image *img, struct q2_err *err)
{
	Q2_AUTO_FREE uint8_t *dir = NULL;
	int r;

	if (!img->header.has_bitmaps)
		return 0;
	r = read_directory(img, &dir, err);
	return r < 0 ? r : take_directory(img, dir, err);
}

/* Set the flag of those that are `in_use`, which has a byte for each entry;
 * the directory is written in place. */
static int Q2_CO
write_marks(struct image *img, const uint8_t *in_use)
{
	const struct header *h = &img->header;
	Q2_AUTO_FREE uint8_t *dir = NULL;
	uint64_t at = 0;
	int r = read_directory(img, &dir, NULL);

	for (uint32_t i = 0; r == 0 && i < h->bitmaps; i++) {
		struct bitmap b;

		r = bitmap_decode(dir + at, h->bitmaps_bytes - at, &b);
		if (r == 0 && in_use[i])
			store_be32(dir + at + BITMAP_OFF_FLAGS,
				   b.flags | BITMAP_IN_USE);
		at += b.bytes;
	}
	/* A flag is within one sector, and nothing else changes: no matter which
	 * of them a crash finds written, each is the old one or the new one. */
	if (r == 0)
		r = meta_own(img, META_BITMAPS, h->bitmaps_offset,
			     h->bitmaps_bytes);
	if (r == 0)
		r = file_write(img->file, AIO_HEADER, dir, h->bitmaps_bytes,
			       h->bitmaps_offset);
	cache_meta_written(img);
	return r < 0 ? r : cache_sync(img);
}

int Q2_CO
bitmaps_mark(struct image *img, bool all)
{
	struct bitmaps *b = &img->bitmaps;
	Q2_AUTO_FREE uint8_t *in_use = NULL;
	int r = 0;

	co_mutex_lock(&b->mutex);
	if (all || !bitmaps_ready(b)) {
		in_use = calloc(b->n + 1, 1);
		r = in_use ? img->failed : -ENOMEM;
		for (uint32_t i = 0; r == 0 && i < b->n; i++)
			in_use[i] = (all || notes(&b->v[i])) &&
				    !b->v[i].inconsistent;
		if (r == 0)
			r = write_marks(img, in_use);
		/* After an error nobody knows what the file says: then the
		 * close has to. */
		for (uint32_t i = 0; in_use && i < b->n; i++) {
			b->v[i].marked |= r == 0 && in_use[i];
			b->v[i].changed |= r < 0 && in_use[i];
		}
		bitmaps_update(b);
	}
	co_mutex_unlock(&b->mutex);
	return r;
}

/* ---- bits -------------------------------------------------------------- */

/* One entry of a table: the bits, to buf, of which len bytes are there. */
static int Q2_CO
read_piece(struct image *img, uint64_t entry, uint8_t *buf, uint64_t len)
{
	uint64_t host = entry & BITMAP_ENTRY_OFFSET;

	if (!bitmap_entry_is_valid(entry, &img->geom))
		return -EINVAL;
	if (host)
		return file_read(img->file, AIO_HEADER, buf, len, host);
	if (entry & BITMAP_ENTRY_ONES)
		memset(buf, 0xff, len);
	return 0;
}

static int Q2_CO
read_pieces(struct image *img, const struct dirty_bitmap *d, uint8_t *bits)
{
	uint64_t bytes = bitmap_bits_bytes(img->size, d->granularity_bits);
	uint64_t size = img->geom.cluster_size, table_bytes;
	Q2_AUTO_FREE uint8_t *table = NULL;
	int r;

	table_bytes = div_up(bytes, size) * 8;
	table = mem_aligned(table_bytes + 1);
	if (!table)
		return -ENOMEM;
	if (table_bytes > (uint64_t)d->table_entries * 8 ||
	    d->table_offset > INT64_MAX - table_bytes)
		return -EINVAL;
	r = file_read(img->file, AIO_HEADER, table, table_bytes,
		      d->table_offset);
	for (uint64_t off = 0; r == 0 && off < bytes; off += size)
		r = read_piece(img, load_be64(table + off / size * 8),
			       bits + off, min_u64(size, bytes - off));
	/* Behind the end of the disk there is nothing. */
	if (r == 0)
		bits_clear(bits, d->n_bits, bytes * 8 - d->n_bits);
	return r;
}

int Q2_CO
bitmaps_read(struct image *img, struct dirty_bitmap *d, struct q2_err *err)
{
	uint8_t *bits;
	int r;

	if (d->bits || d->inconsistent)
		return 0;
	bits = bitmaps_new_bits(img, d->granularity_bits);
	r = bits ? read_pieces(img, d, bits) : -ENOMEM;
	if (r < 0) {
		free(bits);
		return q2_fail(err, r,
			       "Could not read bitmap_table table from image "
			       "for bitmap '%s': %s",
			       d->name, strerror(-r));
	}
	d->bits = bits;
	return 0;
}

int Q2_CO
bitmaps_read_noting(struct image *img, struct q2_err *err)
{
	struct bitmaps *b = &img->bitmaps;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < b->n; i++)
		if (notes(&b->v[i]))
			r = bitmaps_read(img, &b->v[i], err);
	return r;
}

void
bitmaps_note(struct image *img, uint64_t off, uint64_t len)
{
	struct bitmaps *b = &img->bitmaps;

	assert(bitmaps_ready(b));
	for (uint32_t i = 0; len && i < b->n; i++) {
		struct dirty_bitmap *d = &b->v[i];
		uint64_t first = off >> d->granularity_bits;
		uint64_t last = (off + len - 1) >> d->granularity_bits;

		if (!notes(d))
			continue;
		bits_set(d->bits, first, last - first + 1);
		d->changed = true;
	}
}

/* Bits for another size, with those of d as far as both have them. */
static uint8_t *
resized_bits(const struct dirty_bitmap *d, uint64_t size)
{
	uint64_t bytes = bitmap_bits_bytes(size, d->granularity_bits);
	uint64_t n = div_up(size, UINT64_C(1) << d->granularity_bits);
	uint8_t *bits = calloc(1, bytes + 1);

	if (!bits)
		return NULL;
	memcpy(bits, d->bits, min_u64(bytes, div_up(d->n_bits, 8)));
	bits_clear(bits, n, bytes * 8 - n);
	return bits;
}

int
bitmaps_resize(struct image *img)
{
	uint64_t size = img->size;
	struct bitmaps *b = &img->bitmaps;
	uint8_t **bits = calloc(b->n + 1, sizeof(*bits));
	int r = bits ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < b->n; i++) {
		bits[i] = resized_bits(&b->v[i], size);
		if (!bits[i])
			r = -ENOMEM;
	}
	for (uint32_t i = 0; bits && i < b->n; i++) {
		struct dirty_bitmap *d = &b->v[i];

		if (r < 0) {
			free(bits[i]);
			continue;
		}
		free(d->bits);
		d->bits = bits[i];
		d->n_bits = div_up(size, UINT64_C(1) << d->granularity_bits);
		d->changed = true;
	}
	free(bits);
	return r;
}
