/* SPDX-License-Identifier: MIT */
/* check_extra.c - references of snapshots and bitmaps */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/format/bitmap.h"
#include "engine/format/snapshot.h"
#include "engine/manage/check_priv.h"

static int
fail_check(const struct check *c, int code)
{
	return q2_fail(c->err, code, "Check failed: %s", strerror(-code));
}

/* ---- the snapshot table ------------------------------------------------ */

static int
judge_table(struct check *c)
{
	const struct header *h = &c->img->header;

	if (h->snapshots > Q2_MAX_SNAPSHOTS) {
		check_say(c, "ERROR snapshot table too large");
		check_say(c,
			  "You can force-remove all %u overhanging snapshots "
			  "with qemu-img check -r all",
			  h->snapshots - Q2_MAX_SNAPSHOTS);
		return fail_check(c, -EFBIG);
	}
	if (geom_in_cluster(c->g, h->snapshots_offset) ||
	    h->snapshots_offset > INT64_MAX - SNAPSHOT_MAX_TABLE) {
		check_say(c, "ERROR snapshot table offset invalid");
		return fail_check(c, -EINVAL);
	}
	return 0;
}

static int
keep_snapshot(struct check *c, struct check_snapshots *s,
	      const struct snapshot *sn)
{
	struct check_snapshot *to = &s->v[s->n];
	size_t len = (size_t)sn->id_len + sn->name_len + sizeof(" ()");

	if (c->img->header.version >= 3 && sn->extra_len < SNAPSHOT_V3_EXTRA)
		check_corrupt(c, "ERROR snapshot table entry %u is incomplete",
			      s->n);
	to->l1_offset = sn->l1_offset;
	to->l1_entries = sn->l1_entries;
	to->label = malloc(len);
	if (!to->label)
		return -ENOMEM;
	(void)snprintf(to->label, len, "%.*s (%.*s)", (int)sn->id_len, sn->id,
		       (int)sn->name_len, sn->name);
	s->n++;
	s->bytes += sn->bytes;
	return 0;
}

/* Entry s->n; the batch holds the file from *batch_at on. */
static int Q2_CO
read_snapshot(struct check *c, struct check_snapshots *s, uint64_t *batch_at)
{
	uint64_t at = c->img->header.snapshots_offset + s->bytes;
	uint64_t need = SNAPSHOT_MAX_BYTES + 8;
	struct snapshot sn;
	int r = 0;

	if (s->n == 0 || at + need > *batch_at + CHECK_BATCH) {
		*batch_at = at;
		r = file_read(c->img->file, AIO_HEADER, c->batch, CHECK_BATCH,
			      at);
	}
	if (r == 0)
		r = snapshot_decode(c->batch + (at - *batch_at), need, &sn);
	if (r == -EFBIG) {
		check_say(c,
			  "ERROR failed to read the snapshot table: Too much "
			  "extra metadata in snapshot table entry %u",
			  s->n);
		check_say(c, "You can force-remove this extra metadata with "
			     "qemu-img check -r all");
	} else if (r == 0 && s->bytes + sn.bytes > SNAPSHOT_MAX_TABLE) {
		check_say(c, "ERROR failed to read the snapshot table: "
			     "Snapshot table is too large");
		r = -EFBIG;
	}
	if (r == 0)
		r = keep_snapshot(c, s, &sn);
	return r;
}

int Q2_CO
check_read_snapshots(struct check *c, struct check_snapshots *s)
{
	uint32_t n = c->img->header.snapshots;
	uint64_t batch_at = 0;
	int r;

	if (!n)
		return 0;
	r = judge_table(c);
	if (r < 0)
		return r;
	s->v = calloc(n, sizeof(s->v[0]));
	if (!s->v)
		return fail_check(c, -ENOMEM);
	while (r == 0 && s->n < n)
		r = read_snapshot(c, s, &batch_at);
	return r < 0 ? fail_check(c, r) : 0;
}

void
check_snapshots_done(struct check_snapshots *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free(s->v[i].label);
	free(s->v);
}

static int Q2_CO
count_snapshot(struct check *c, const struct check_snapshot *sn)
{
	uint64_t bytes = (uint64_t)sn->l1_entries * 8, here;
	Q2_AUTO_FREE uint64_t *l1 = NULL;
	int r;

	if (geom_in_cluster(c->g, sn->l1_offset)) {
		check_corrupt(c,
			      "ERROR snapshot %s l1_offset=%#" PRIx64
			      ": L1 table is not cluster aligned; snapshot "
			      "table entry corrupted",
			      sn->label, sn->l1_offset);
		return 0;
	}
	if (bytes > Q2_MAX_L1_BYTES) {
		check_corrupt(c,
			      "ERROR snapshot %s l1_size=%#" PRIx32
			      ": L1 table is too large; snapshot table entry "
			      "corrupted",
			      sn->label, sn->l1_entries);
		return 0;
	}
	/* Behind the end of the file there are only zeros. */
	here = sn->l1_offset < c->file_bytes
		       ? min_u64(bytes,
				 align_up(c->file_bytes - sn->l1_offset, 8))
		       : 0;
	if (!here) {
		check_count(c, sn->l1_offset, bytes);
		return 0;
	}
	l1 = mem_aligned_zero(bytes);
	if (!l1)
		return fail_check(c, -ENOMEM);
	r = sn->l1_offset > INT64_MAX - bytes
		    ? -EIO
		    : file_read(c->img->file, AIO_L1, l1, bytes, sn->l1_offset);
	if (r < 0) {
		check_say(c, "ERROR: I/O error in check_refcounts_l1");
		c->ret->check_errors++;
		return 0;
	}
	for (uint32_t i = 0; i < sn->l1_entries; i++)
		l1[i] = load_be64(&l1[i]);
	return check_count_l1(c, sn->l1_offset, l1, sn->l1_entries, false);
}

int Q2_CO
check_count_snapshots(struct check *c, const struct check_snapshots *s)
{
	int r = 0;

	if (s->n && c->has_data_file)
		check_corrupt(c, "ERROR %u snapshots in image with data file",
			      s->n);
	for (uint32_t i = 0; i < s->n && r == 0; i++)
		r = count_snapshot(c, &s->v[i]);
	return r;
}

/* ---- bitmaps ----------------------------------------------------------- */

static int Q2_CO
count_bitmap(struct check *c, const struct bitmap *b)
{
	uint64_t bytes = (uint64_t)b->table_entries * 8;
	Q2_AUTO_FREE uint8_t *table = NULL;
	int r;

	check_count(c, b->table_offset, bytes);
	table = mem_aligned(bytes);
	if (!table)
		return fail_check(c, -ENOMEM);
	r = b->table_offset > INT64_MAX - bytes
		    ? -EIO
		    : file_read(c->img->file, AIO_HEADER, table, bytes,
				b->table_offset);
	if (r < 0) {
		check_say(c, "ERROR: could not read the table of bitmap '%.*s'",
			  (int)b->name_len, b->name);
		c->ret->check_errors++;
		return 0;
	}
	for (uint32_t i = 0; i < b->table_entries; i++) {
		uint64_t entry = load_be64(table + (size_t)i * 8);

		if (!bitmap_entry_is_valid(entry, c->g))
			return q2_fail(c->err, -EINVAL,
				       "Could not read bitmap_table table from "
				       "image for bitmap '%.*s': %s",
				       (int)b->name_len, b->name,
				       strerror(EINVAL));
		if (entry & BITMAP_ENTRY_OFFSET)
			check_count(c, entry & BITMAP_ENTRY_OFFSET,
				    c->g->cluster_size);
	}
	return 0;
}

int Q2_CO
check_count_bitmaps(struct check *c)
{
	const struct header *h = &c->img->header;
	Q2_AUTO_FREE uint8_t *dir = NULL;
	uint64_t at = 0;
	int r;

	if (!h->has_bitmaps)
		return 0;
	check_count(c, h->bitmaps_offset, h->bitmaps_bytes);
	dir = mem_aligned(h->bitmaps_bytes);
	if (!dir)
		return fail_check(c, -ENOMEM);
	r = h->bitmaps_offset > INT64_MAX - h->bitmaps_bytes
		    ? -EIO
		    : file_read(c->img->file, AIO_HEADER, dir, h->bitmaps_bytes,
				h->bitmaps_offset);
	if (r < 0)
		return q2_fail(c->err, r, "Failed to read bitmap directory");
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
		r = count_bitmap(c, &b);
	}
	return r;
}
