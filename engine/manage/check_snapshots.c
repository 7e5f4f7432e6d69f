/* SPDX-License-Identifier: MIT */
/*
 * check_snapshots.c - the snapshot table, and what it refers to
 *
 * A repair of all reads what a check refuses: it cuts extra data that is too
 * long and drops the snapshots that are too many, and makes in memory the
 * table that is written instead.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/format/snapshot.h"
#include "engine/manage/check_priv.h"

#define OFF_EXTRA_BYTES 36

/* ---- the table --------------------------------------------------------- */

static int
judge_table(struct check *c)
{
	struct header *h = &c->img->header;
	uint32_t over = h->snapshots > Q2_MAX_SNAPSHOTS
				? h->snapshots - Q2_MAX_SNAPSHOTS
				: 0;

	if (over && c->fix == Q2_REPAIR_ALL) {
		check_say(c, "Discarding %u overhanging snapshots", over);
		c->snapshots.corruptions += over;
	} else if (over) {
		check_say(c, "ERROR snapshot table too large");
		check_say(c,
			  "You can force-remove all %u overhanging snapshots "
			  "with qemu-img check -r all",
			  over);
		return check_fail(c, -EFBIG);
	}
	if (geom_in_cluster(c->g, h->snapshots_offset) ||
	    h->snapshots_offset > INT64_MAX - SNAPSHOT_MAX_TABLE) {
		check_say(c, "ERROR snapshot table offset invalid");
		return check_fail(c, -EINVAL);
	}
	return 0;
}

/* The entry as QEMU writes it, behind the table made so far. */
static int
append_entry(struct check *c, const struct snapshot *sn)
{
	struct check_snapshots *s = &c->snapshots;
	size_t bytes = snapshot_encoded_bytes(sn);
	struct snapshot whole = *sn;
	uint8_t *to;

	if (s->table_bytes + bytes > s->table_room) {
		s->table_room = 2 * (s->table_bytes + bytes);
		to = realloc(s->table, s->table_room);
		if (!to)
			return -ENOMEM;
		s->table = to;
	}
	if (!whole.has_disk_bytes)
		whole.disk_bytes = c->img->size;
	whole.has_disk_bytes = true;
	snapshot_encode(&whole, s->table + s->table_bytes);
	s->table_bytes += bytes;
	return 0;
}

static int
keep_snapshot(struct check *c, const struct snapshot *sn)
{
	struct check_snapshots *s = &c->snapshots;
	struct check_snapshot *to = &s->v[s->n];
	size_t len = (size_t)sn->id_len + sn->name_len + sizeof(" ()");

	to->incomplete = c->img->header.version >= 3 &&
			 sn->extra_len < SNAPSHOT_V3_EXTRA;
	to->l1_offset = sn->l1_offset;
	to->l1_entries = sn->l1_entries;
	to->label = malloc(len);
	if (!to->label)
		return -ENOMEM;
	(void)snprintf(to->label, len, "%.*s (%.*s)", (int)sn->id_len, sn->id,
		       (int)sn->name_len, sn->name);
	s->n++;
	s->bytes += sn->bytes;
	return c->fix == Q2_REPAIR_ALL ? append_entry(c, sn) : 0;
}

/* An entry with too much extra data at p, of which the batch holds what is
 * kept: cut it in *ret_copy, which the caller frees. */
static int Q2_CO
cut_extra(struct check *c, const uint8_t *p, uint64_t at, uint8_t **ret_copy,
	  struct snapshot *ret_sn)
{
	uint32_t extra = load_be32(p + OFF_EXTRA_BYTES);
	uint64_t names = (uint64_t)load_be16(p + 12) + load_be16(p + 14);
	size_t head = SNAPSHOT_FIXED_BYTES + SNAPSHOT_MAX_EXTRA;
	uint8_t *copy = mem_aligned_zero(head + names + 8);
	int r;

	if (!copy)
		return -ENOMEM;
	*ret_copy = copy;
	check_say(c,
		  "Discarding too much extra metadata in snapshot table entry "
		  "%u (%u > %u)",
		  c->snapshots.n, extra, SNAPSHOT_MAX_EXTRA);
	c->snapshots.corruptions++;
	memcpy(copy, p, head);
	store_be32(copy + OFF_EXTRA_BYTES, SNAPSHOT_MAX_EXTRA);
	r = file_read(c->img->file, AIO_HEADER, copy + head, names,
		      at + SNAPSHOT_FIXED_BYTES + extra);
	if (r == 0)
		r = snapshot_decode(copy, head + names + 8, ret_sn);
	if (r == 0) /* in the file */
		ret_sn->bytes = align_up(
			SNAPSHOT_FIXED_BYTES + (uint64_t)extra + names, 8);
	return r;
}

static int
refuse_extra(struct check *c)
{
	check_say(c,
		  "ERROR failed to read the snapshot table: Too much "
		  "extra metadata in snapshot table entry %u",
		  c->snapshots.n);
	check_say(c, "You can force-remove this extra metadata with "
		     "qemu-img check -r all");
	return -EFBIG;
}

/* The table would be too large with the next snapshot: 1 if it ends here. */
static int
end_table(struct check *c, uint32_t n)
{
	uint32_t over = n - c->snapshots.n;

	if (c->fix == Q2_REPAIR_ALL) {
		check_say(c,
			  "Discarding %u overhanging snapshots (snapshot table "
			  "is too big)",
			  over);
		c->snapshots.corruptions += over;
		return 1;
	}
	check_say(c, "ERROR failed to read the snapshot table: "
		     "Snapshot table is too big");
	check_say(c,
		  "You can force-remove all %u overhanging snapshots with "
		  "qemu-img check -r all",
		  over);
	return -EFBIG;
}

/* The next entry of n; the batch holds the file from *batch_at on.  1 after
 * the last. */
static int Q2_CO
read_snapshot(struct check *c, uint32_t n, uint64_t *batch_at)
{
	struct check_snapshots *s = &c->snapshots;
	uint64_t at = c->img->header.snapshots_offset + s->bytes;
	uint64_t need = SNAPSHOT_MAX_BYTES + 8;
	Q2_AUTO_FREE uint8_t *copy = NULL;
	const uint8_t *p;
	struct snapshot sn = {0};
	uint64_t end;
	int r = 0;

	if (s->n == n)
		return 1;
	if (s->n == 0 || at + need > *batch_at + c->batch_bytes) {
		*batch_at = at;
		r = file_read(c->img->file, AIO_HEADER, c->batch,
			      c->batch_bytes, at);
	}
	p = c->batch + (at - *batch_at);
	if (r == 0)
		r = snapshot_decode(p, need, &sn);
	if (r == -EFBIG && c->fix != Q2_REPAIR_ALL)
		return refuse_extra(c);
	if (r == -EFBIG)
		r = cut_extra(c, p, at, &copy, &sn);
	if (r < 0)
		return r;
	end = s->new_bytes + snapshot_encoded_bytes(&sn);
	/* As it is written, and as it is. */
	if (end > SNAPSHOT_MAX_TABLE || s->bytes + sn.bytes > INT32_MAX)
		return end_table(c, n);
	s->new_bytes = end;
	return keep_snapshot(c, &sn);
}

static void
say_incomplete(struct check *c)
{
	for (uint32_t i = 0; i < c->snapshots.n; i++) {
		if (!c->snapshots.v[i].incomplete)
			continue;
		c->snapshots.corruptions++;
		check_say(c, "%s snapshot table entry %u is incomplete",
			  c->fix == Q2_REPAIR_ALL ? "Repairing" : "ERROR", i);
	}
}

int Q2_CO
check_read_snapshots(struct check *c)
{
	uint32_t n = c->img->header.snapshots;
	uint64_t batch_at = 0;
	int r;

	if (!n)
		return 0;
	r = judge_table(c);
	if (r < 0)
		return r;
	n = n < Q2_MAX_SNAPSHOTS ? n : Q2_MAX_SNAPSHOTS;
	c->snapshots.v = calloc(n, sizeof(c->snapshots.v[0]));
	if (!c->snapshots.v)
		return check_fail(c, -ENOMEM);
	while (r == 0)
		r = read_snapshot(c, n, &batch_at);
	if (r < 0)
		return check_fail(c, r);
	say_incomplete(c);
	return 0;
}

void
check_snapshots_done(struct check_snapshots *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free(s->v[i].label);
	free(s->v);
	free(s->table);
}

/* ---- references -------------------------------------------------------- */

/* The L1 table that is in the file in part at least. */
static int Q2_CO
count_table(struct check *c, const struct check_snapshot *sn)
{
	uint64_t bytes = (uint64_t)sn->l1_entries * 8;
	Q2_AUTO_FREE uint64_t *l1 = mem_aligned_zero(bytes);
	int r;

	if (!l1)
		return check_fail(c, -ENOMEM);
	r = sn->l1_offset > INT64_MAX - bytes
		    ? -EIO
		    : file_read(c->img->file, AIO_L1, l1, bytes, sn->l1_offset);
	if (r < 0) {
		check_say(c, "ERROR: I/O error in check_refcounts_l1");
		c->ret->check_errors++;
		c->unread = true;
		return 0;
	}
	for (uint32_t i = 0; i < sn->l1_entries; i++)
		l1[i] = load_be64(&l1[i]);
	return check_count_l1(c, sn->l1_offset, l1, sn->l1_entries, false);
}

static int Q2_CO
count_snapshot(struct check *c, const struct check_snapshot *sn)
{
	uint64_t bytes = (uint64_t)sn->l1_entries * 8;

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
	if (!bytes || sn->l1_offset >= c->file_bytes) {
		check_count(c, sn->l1_offset, bytes);
		return 0;
	}
	return count_table(c, sn);
}

int Q2_CO
check_count_snapshots(struct check *c)
{
	const struct check_snapshots *s = &c->snapshots;
	int r = 0;

	if (s->n && c->has_data_file)
		check_corrupt(c, "ERROR %u snapshots in image with data file",
			      s->n);
	for (uint32_t i = 0; i < s->n && r == 0; i++)
		r = count_snapshot(c, &s->v[i]);
	return r;
}
