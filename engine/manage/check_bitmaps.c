/* SPDX-License-Identifier: MIT */
/*
 * check_bitmaps.c - persistent bitmaps: directory, tables, clusters of bits
 *
 * QEMU reads the directory and the tables when it opens an image, and refuses
 * one where they are wrong: so they are judged before anything is counted.
 */
#include <inttypes.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/format/bitmap.h"
#include "engine/manage/check_priv.h"

/* Clusters of metadata of bitmaps: judged and marked, or counted. */
struct walk {
	struct check *c;
	bool judge;
};

static void
meet(const struct walk *w, uint64_t off, uint64_t len)
{
	if (w->judge)
		(void)check_mark_metadata(w->c, off, len);
	else
		check_count(w->c, off, len);
}

static int Q2_CO
read_table(const struct check *c, void *buf, uint64_t bytes, uint64_t off)
{
	return off > INT64_MAX - bytes
		       ? -EIO
		       : file_read(c->img->file, AIO_HEADER, buf, bytes, off);
}

static int
walk_entry(const struct walk *w, const struct bitmap *b, uint64_t entry)
{
	if (!bitmap_entry_is_valid(entry, w->c->g))
		return q2_fail(w->c->err, -EINVAL,
			       "Could not read bitmap_table table from "
			       "image for bitmap '%.*s': %s",
			       (int)b->name_len, b->name, strerror(EINVAL));
	if (entry & BITMAP_ENTRY_OFFSET)
		meet(w, entry & BITMAP_ENTRY_OFFSET, w->c->g->cluster_size);
	return 0;
}

static int Q2_CO
walk_bitmap(const struct walk *w, const struct bitmap *b)
{
	struct check *c = w->c;
	uint64_t bytes = (uint64_t)b->table_entries * 8;
	Q2_AUTO_FREE uint8_t *table = mem_aligned(bytes);
	int r;

	meet(w, b->table_offset, bytes);
	if (!table)
		return check_fail(c, -ENOMEM);
	r = read_table(c, table, bytes, b->table_offset);
	if (r < 0 && w->judge)
		return 0;
	if (r < 0) {
		check_say(c, "ERROR: could not read the table of bitmap '%.*s'",
			  (int)b->name_len, b->name);
		c->ret->check_errors++;
		c->unread = true;
		return 0;
	}
	for (uint32_t i = 0; i < b->table_entries && r == 0; i++)
		r = walk_entry(w, b, load_be64(table + (size_t)i * 8));
	return r;
}

static int Q2_CO
walk_directory(const struct walk *w, const uint8_t *dir)
{
	struct check *c = w->c;
	const struct header *h = &c->img->header;
	uint64_t at = 0;
	int r = 0;

	for (uint32_t i = 0; i < h->bitmaps && r == 0; i++) {
		struct bitmap b;

		r = bitmap_decode(dir + at, h->bitmaps_bytes - at, &b);
		if (r < 0)
			return q2_fail(c->err, -EINVAL,
				       "Broken bitmap directory");
		if (!bitmap_is_valid(&b, c->g))
			return q2_fail(c->err, -EINVAL,
				       "Bitmap '%.*s' doesn't satisfy the "
				       "constraints",
				       (int)b.name_len, b.name);
		at += b.bytes;
		r = walk_bitmap(w, &b);
	}
	return r;
}

static int Q2_CO
walk_bitmaps(const struct walk *w)
{
	struct check *c = w->c;
	const struct header *h = &c->img->header;
	Q2_AUTO_FREE uint8_t *dir = NULL;
	int r;

	if (!h->has_bitmaps)
		return 0;
	meet(w, h->bitmaps_offset, h->bitmaps_bytes);
	dir = mem_aligned(h->bitmaps_bytes);
	if (!dir)
		return check_fail(c, -ENOMEM);
	r = read_table(c, dir, h->bitmaps_bytes, h->bitmaps_offset);
	if (r < 0)
		return q2_fail(c->err, r, "Failed to read bitmap directory");
	return walk_directory(w, dir);
}

int Q2_CO
check_judge_bitmaps(struct check *c)
{
	struct walk w = {.c = c, .judge = true};

	return walk_bitmaps(&w);
}

int Q2_CO
check_count_bitmaps(struct check *c)
{
	struct walk w = {.c = c};

	return walk_bitmaps(&w);
}
