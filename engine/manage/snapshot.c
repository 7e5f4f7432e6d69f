/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - taking, applying and deleting internal snapshots
 *
 * The image is for the operation alone (I2), and all its metadata is in the
 * file.  A snapshot is an entry of the snapshot table and an L1 table; what
 * that refers to has a reference from it.  Each step is durable before the
 * next:
 *
 *	create (S1)	place the copy of the L1 table and a new snapshot table
 *			are the refcounts wide enough?
 *			clear COPIED flags of the disk's tables
 *			raise refcounts
 *			name the new snapshot table, in one sector
 *	delete (S2)	place a new snapshot table
 *			does all that is to be given back have refcounts?
 *			name the table, in one sector
 *			lower refcounts
 *			set COPIED flags where one reference is left
 *	apply (S3)	place a new L1 table
 *			are the refcounts wide enough?
 *			raise those of what the snapshot refers to
 *			name the L1 table, with the size, in one sector
 *			lower refcounts of what the disk referred to
 *
 * So whatever the file says is COPIED has one reference, and no refcount is
 * below the references.  A crash leaves leaks, or flags that are clear where
 * they could be set: the price is a copy of the cluster.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/mark.h"
#include "engine/image/open.h"
#include "engine/manage/counts.h"
#include "engine/manage/crop.h"
#include "engine/manage/manage.h"
#include "engine/manage/place.h"
#include "engine/manage/shape.h"
#include "engine/manage/tree.h"

/* ---- what all have in common ------------------------------------------- */

static int
fail_unchanged(struct q2_err *err, int r, const char *what)
{
	return q2_fail(err, r, "%s: %s; the image is unchanged", what,
		       strerror(-r));
}

/* Nothing has been written: a refcount that is too narrow, or a damaged entry,
 * has cost nothing but the search for a place. */
static int
fail_to_count(const struct image *img, struct q2_err *err, int r)
{
	/* QEMU's number. */
	if (r == -ERANGE)
		return q2_fail(err, -EINVAL,
			       "A refcount of %u bits has no room for one "
			       "more snapshot; the image is unchanged",
			       img->geom.refcount_bits);
	return fail_unchanged(err, r, "Could not count references");
}

/* The header was being written. */
static int
fail_header(struct q2_err *err, int r, const char *before, const char *after)
{
	return q2_fail(err, r,
		       "Could not write the header: %s; the image %s or %s",
		       strerror(-r), before, after);
}

/* A new snapshot table. */
struct new_table {
	uint8_t *bytes;
	uint64_t len, host;
	uint32_t n;
};

/* The entries of s but the one with number skip, and then more, if not
 * NULL. */
static int
encode(struct new_table *t, const struct snapshots *s, uint32_t skip,
       const struct snapshot *more)
{
	uint64_t at = 0;

	t->len = more ? snapshot_encoded_bytes(more) : 0;
	for (uint32_t i = 0; i < s->n; i++)
		if (i != skip)
			t->len += snapshot_encoded_bytes(&s->v[i]);
	if (t->len > SNAPSHOT_MAX_TABLE)
		return -EFBIG;
	t->bytes = mem_aligned(t->len + 1);
	if (!t->bytes)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n; i++) {
		if (i == skip)
			continue;
		snapshot_encode(&s->v[i], t->bytes + at);
		at += snapshot_encoded_bytes(&s->v[i]);
		t->n++;
	}
	if (!more)
		return 0;
	snapshot_encode(more, t->bytes + at);
	t->n++;
	return 0;
}

static uint64_t
table_clusters(const struct image *img, uint64_t bytes)
{
	return div_up(bytes, img->geom.cluster_size);
}

/* Name it, durably, and in memory but for the entries. */
static int Q2_CO
name_table(struct image *img, const struct new_table *t)
{
	uint8_t field[12];
	int r = POINT_HIT(&img->points, snapshot_switch);

	if (r < 0)
		return r;
	store_be32(field, t->n);
	store_be64(field + 4, t->host);
	r = mark_tables(img, field, sizeof(field), HEADER_OFF_SNAPSHOTS);
	if (r < 0)
		return r;
	img->header.snapshots = t->n;
	img->header.snapshots_offset = t->host;
	img->snapshots.bytes = t->len;
	return 0;
}

/* ---- create ------------------------------------------------------------ */

struct creation {
	struct image *img;
	struct snapshot sn;
	char id[24];
	struct table l1; /* the copy */
	struct new_table table;
	struct counts counts;
};

/* One more than any id that is a number. */
static void
choose_id(const struct image *img, char *id, size_t bytes)
{
	const struct snapshots *s = &img->snapshots;
	unsigned long max = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		unsigned long n = strtoul(s->v[i].id, NULL, 10);

		max = n > max ? n : max;
	}
	(void)snprintf(id, bytes, "%lu", max + 1);
}

static void
describe(struct creation *c, const struct q2_snapshot_opts *o)
{
	struct image *img = c->img;

	choose_id(img, c->id, sizeof(c->id));
	c->sn = (struct snapshot){
		.l1_entries = img->l1.n,
		.date_sec = (uint32_t)(o->date_ns / 1000000000),
		.date_nsec = (uint32_t)(o->date_ns % 1000000000),
		.clock_ns = o->clock_ns,
		.state_bytes = o->state_bytes,
		.disk_bytes = img->size,
		.has_disk_bytes = true,
		.icount = o->has_icount ? o->icount : SNAPSHOT_NO_ICOUNT,
		.id = c->id,
		.id_len = (uint16_t)strlen(c->id),
		.name = o->name,
		.name_len = (uint16_t)strnlen(o->name, UINT16_MAX),
	};
}

/* The copy of the L1 table and the new snapshot table, which nobody names. */
static int Q2_CO
place_new(struct creation *c)
{
	struct image *img = c->img;
	int r = table_init_longer(&c->l1, &img->l1, img->l1.n, 0,
				  img->geom.cluster_size);

	for (uint32_t i = 0; r == 0 && i < c->l1.n; i++)
		c->l1.entries[i] &= ~ENTRY_COPIED;
	if (r == 0)
		r = place_table(img, &c->l1);
	if (r < 0)
		return r;
	c->sn.l1_offset = c->l1.host;
	r = encode(&c->table, &img->snapshots, UINT32_MAX, &c->sn);
	if (r == 0)
		r = place_write(img, AIO_HEADER, c->table.bytes, c->table.len,
				&c->table.host);
	if (r < 0)
		c->table.host = 0;
	return r;
}

static void Q2_CO
give_places_back(struct creation *c)
{
	struct image *img = c->img;

	if (c->table.host)
		place_free(img, c->table.host,
			   table_clusters(img, c->table.len));
	if (c->l1.host)
		place_free(img, c->l1.host, table_clusters(img, c->l1.bytes));
	(void)limbo_drain(img);
}

/* Refcounts have been raised, in memory and perhaps in part in the file, and
 * flags been cleared: as it was. */
static int Q2_CO
take_back(struct creation *c)
{
	struct image *img = c->img;
	int r = img->failed;

	if (r == 0)
		r = tree_count(img, &img->l1, &c->counts, false, NULL);
	if (r == 0)
		r = counts_write(&c->counts);
	return r < 0 ? r : tree_flag_active(img, &c->counts);
}

/* What the snapshot refers to gets a reference from it. */
static int Q2_CO
share(struct creation *c, struct q2_err *err)
{
	struct image *img = c->img;
	int r = counts_init(&c->counts, img);

	if (r == 0)
		r = tree_count(img, &img->l1, &c->counts, true, NULL);
	if (r < 0)
		return fail_to_count(img, err, r);
	r = tree_flag_active(img, NULL);
	if (r == 0)
		r = counts_write(&c->counts);
	if (r == 0)
		return 0;
	if (take_back(c) < 0)
		return q2_fail(err, r,
			       "Could not count references: %s; the image "
			       "holds what it held, and check -r all finds its "
			       "refcounts and flags to be mended",
			       strerror(-r));
	return fail_unchanged(err, r, "Could not count references");
}

/* It is in the file; in memory, too, and the old table is free. */
static int Q2_CO
finish_create(struct creation *c, uint64_t old_host, uint64_t old_bytes,
	      struct q2_err *err)
{
	struct image *img = c->img;
	int r = snapshots_append(&img->snapshots, &c->sn);

	/* Without the entry the next table would lack it. */
	if (r < 0)
		img->failed = r;
	place_free(img, old_host, table_clusters(img, old_bytes));
	/* The snapshot has the state now. */
	if (r == 0 && c->sn.state_bytes)
		r = crop_above(img, img->size);
	if (r == 0)
		r = limbo_drain(img);
	if (r < 0)
		return q2_fail(err, r,
			       "The snapshot has been taken, but not all space "
			       "that is free now could be given back: %s",
			       strerror(-r));
	return 0;
}

static int Q2_CO
create_placed(struct creation *c, struct q2_err *err)
{
	struct image *img = c->img;
	uint64_t old_host = img->header.snapshots_offset;
	uint64_t old_bytes = img->snapshots.bytes;
	int r = share(c, err);

	if (r < 0)
		return r;
	r = name_table(img, &c->table);
	if (r < 0 && !img->failed) {
		(void)take_back(c);
		return fail_unchanged(err, r, "Could not write the header");
	}
	if (r < 0)
		return fail_header(err, r, "has the snapshot", "has it not");
	return finish_create(c, old_host, old_bytes, err);
}

static int Q2_CO
create(struct image *img, const struct q2_snapshot_opts *o, struct q2_err *err)
{
	struct creation c = {.img = img};
	int r;

	if (img->snapshots.n >= Q2_MAX_SNAPSHOTS)
		return q2_fail(err, -EFBIG, "The image has %u snapshots",
			       img->snapshots.n);
	describe(&c, o);
	r = place_new(&c);
	if (r < 0)
		r = fail_unchanged(err, r, "Could not write new tables");
	else
		r = create_placed(&c, err);
	if (r < 0 && !img->failed &&
	    img->header.snapshots_offset != c.table.host)
		give_places_back(&c);
	counts_done(&c.counts);
	table_done(&c.l1);
	free(c.table.bytes);
	return r;
}

/* ---- delete ------------------------------------------------------------ */

struct deletion {
	struct image *img;
	uint32_t index;
	struct table l1;
	struct new_table table;
	struct counts counts;
};

/* Everything that has a reference less without the snapshot. */
static int Q2_CO
count_deletion(struct deletion *d)
{
	struct image *img = d->img;
	unsigned bits = img->geom.cluster_bits;
	const struct snapshot *sn = &img->snapshots.v[d->index];
	int r = counts_init(&d->counts, img);

	if (r == 0)
		r = tree_count(img, &d->l1, &d->counts, false, NULL);
	if (r == 0)
		r = counts_change(&d->counts, sn->l1_offset >> bits,
				  snapshots_l1_clusters(img, sn), false);
	if (r == 0)
		r = counts_change(
			&d->counts, img->header.snapshots_offset >> bits,
			table_clusters(img, img->snapshots.bytes), false);
	return r;
}

/* The snapshot is gone; what it had is given back. */
static int Q2_CO
finish_delete(struct deletion *d)
{
	struct image *img = d->img;
	int r = counts_free(&d->counts);

	if (r == 0)
		r = counts_write(&d->counts);
	return r < 0 ? r : tree_flag_active(img, &d->counts);
}

static int Q2_CO
delete_placed(struct deletion *d, struct q2_err *err)
{
	struct image *img = d->img;
	struct snapshot sn = img->snapshots.v[d->index];
	uint64_t old_host = img->header.snapshots_offset;
	uint64_t old_bytes = img->snapshots.bytes;
	int r = count_deletion(d);

	if (r < 0)
		return fail_unchanged(err, r, "Could not count references");
	r = name_table(img, &d->table);
	if (r < 0 && !img->failed)
		return fail_unchanged(err, r, "Could not write the header");
	if (r < 0)
		return fail_header(err, r, "has the snapshot", "has it not");
	meta_remove(img, old_host, table_clusters(img, old_bytes));
	meta_remove(img, sn.l1_offset, snapshots_l1_clusters(img, &sn));
	snapshots_remove(&img->snapshots, d->index);
	r = finish_delete(d);
	if (r < 0)
		return q2_fail(err, r,
			       "The snapshot is deleted, but not all of its "
			       "space could be given back: %s",
			       strerror(-r));
	return 0;
}

static int Q2_CO delete (struct image *img, uint32_t index, struct q2_err *err)
{
	struct deletion d = {.img = img, .index = index};
	uint32_t n = img->snapshots.n;
	int r = snapshots_check_l1(img, &img->snapshots.v[index], err);

	if (r < 0)
		return r;
	r = snapshots_read_l1(img, &img->snapshots.v[index], 0, &d.l1);
	if (r == 0)
		r = encode(&d.table, &img->snapshots, index, NULL);
	if (r == 0)
		r = place_write(img, AIO_HEADER, d.table.bytes, d.table.len,
				&d.table.host);
	if (r < 0) {
		r = fail_unchanged(err, r, "Could not write a new table");
	} else {
		r = delete_placed(&d, err);
		if (r < 0 && !img->failed && img->snapshots.n == n) {
			place_free(img, d.table.host,
				   table_clusters(img, d.table.len));
			(void)limbo_drain(img);
		}
	}
	counts_done(&d.counts);
	table_done(&d.l1);
	free(d.table.bytes);
	return r;
}

/* ---- apply ------------------------------------------------------------- */

struct application {
	struct image *img;
	const struct snapshot *sn;
	struct table l1; /* the new one */
	struct counts up, down;
};

static int
check_apply(const struct image *img, const struct snapshot *sn,
	    struct q2_err *err)
{
	const struct header *h = &img->header;
	int r;

	if (h->has_bitmaps && (h->autoclear & AUTOCLEAR_BITMAPS))
		return q2_fail(err, -EBUSY, "Device has active dirty bitmaps");
	r = snapshots_check_l1(img, sn, err);
	if (r < 0)
		return q2_fail(err, r, "Failed to load snapshot: %s",
			       strerror(-r));
	if (sn->disk_bytes == img->size)
		return 0;
	if (h->version < 3)
		return q2_fail(err, -ENOTSUP,
			       "Can't resize a v2 image which has snapshots");
	if (!is_aligned(sn->disk_bytes, Q2_SECTOR) ||
	    sn->disk_bytes > INT64_MAX ||
	    geom_l1_entries(&img->geom, sn->disk_bytes) * 8 > Q2_MAX_L1_BYTES)
		return err_field(err,
				 q2_fail(err, -EINVAL,
					 "Failed to load snapshot: its disk "
					 "has an impossible size"),
				 "disk size", sn->disk_bytes);
	return 0;
}

/* The image has the new L1 table, in memory; the old one is returned. */
static struct table
take_l1(struct application *a, const struct shape *s)
{
	struct image *img = a->img;
	struct table old = img->l1;

	shape_take(img, s);
	img->l1 = a->l1;
	a->l1 = (struct table){0};
	/* Where metadata is has changed altogether. */
	meta_done(&img->meta);
	if (meta_init(img) < 0)
		img->failed = -ENOMEM;
	return old;
}

/* What the disk has will have a reference less; in memory. */
static int Q2_CO
count_old(struct application *a)
{
	struct image *img = a->img;
	const struct table *l1 = &img->l1;
	int r = counts_init(&a->down, img);

	if (r == 0)
		r = tree_count(img, l1, &a->down, false, NULL);
	if (r == 0)
		r = counts_change(&a->down, l1->host >> img->geom.cluster_bits,
				  table_clusters(img, l1->bytes), false);
	return r;
}

/* What the disk had is given back. */
static int Q2_CO
release_old(struct application *a, const struct table *old)
{
	struct image *img = a->img;
	int r = img->failed;

	for (uint32_t i = 0; i < old->n; i++)
		if (old->entries[i] & ENTRY_OFFSET_MASK)
			slice_drop(&img->l2,
				   old->entries[i] & ENTRY_OFFSET_MASK,
				   img->geom.cluster_size);
	if (r == 0)
		r = counts_free(&a->down);
	return r < 0 ? r : counts_write(&a->down);
}

/* Refcounts have been raised, in memory and perhaps in part in the file: as
 * they were, or else they are too high. */
static void Q2_CO
lower_target(struct application *a)
{
	struct image *img = a->img;

	if (!img->failed && tree_count(img, &a->l1, &a->up, false, NULL) == 0)
		(void)counts_write(&a->up);
}

/* A reference more for what the snapshot refers to, durably. */
static int Q2_CO
raise_target(struct application *a, struct q2_err *err)
{
	struct image *img = a->img;
	bool flagged = false;
	int r = counts_init(&a->up, img);

	if (r == 0)
		r = tree_count(img, &a->l1, &a->up, true, &flagged);
	if (r < 0)
		return fail_to_count(img, err, r);
	/* Another program's: they are right no longer. */
	if (flagged)
		r = tree_flag(img, &a->l1, NULL);
	if (r == 0 && flagged)
		r = cache_sync(img);
	if (r == 0)
		r = counts_write(&a->up);
	if (r == 0)
		r = count_old(a);
	if (r == 0)
		return 0;
	lower_target(a);
	return fail_unchanged(err, r, "Could not count references");
}

static int Q2_CO
switch_l1(struct application *a, struct q2_err *err)
{
	struct image *img = a->img;
	struct shape s = shape_of(&img->header);
	struct table old;
	int r = POINT_HIT(&img->points, snapshot_switch);

	if (a->sn->disk_bytes != img->size)
		s.size = a->sn->disk_bytes;
	s.l1_offset = a->l1.host;
	s.l1_entries = a->l1.n;
	if (r < 0) {
		lower_target(a);
		return fail_unchanged(err, r, "Could not write the header");
	}
	r = shape_write(img, &s);
	if (r < 0)
		return fail_header(err, r, "holds the snapshot",
				   "what it held before");
	old = take_l1(a, &s);
	r = release_old(a, &old);
	table_done(&old);
	if (r < 0)
		return q2_fail(err, r,
			       "The image holds the snapshot, but not all "
			       "space of what it held before could be given "
			       "back: %s",
			       strerror(-r));
	image_fit_caches(img);
	return 0;
}

static int Q2_CO
apply_placed(struct application *a, struct q2_err *err)
{
	struct image *img = a->img;
	uint64_t host = a->l1.host;
	uint64_t n = table_clusters(img, a->l1.bytes);
	int r = raise_target(a, err);

	if (r == 0)
		r = switch_l1(a, err);
	if (r < 0 && !img->failed && img->l1.host != host) {
		place_free(img, host, n);
		(void)limbo_drain(img);
	}
	return r;
}

static int Q2_CO
apply(struct image *img, uint32_t index, struct q2_err *err)
{
	const struct snapshot *sn = &img->snapshots.v[index];
	struct application a = {.img = img, .sn = sn};
	int r = check_apply(img, sn, err);

	if (r < 0)
		return r;
	r = snapshots_read_l1(
		img, sn, (uint32_t)geom_l1_entries(&img->geom, sn->disk_bytes),
		&a.l1);
	for (uint32_t i = 0; r == 0 && i < a.l1.n; i++)
		a.l1.entries[i] &= ~ENTRY_COPIED;
	if (r == 0)
		r = place_table(img, &a.l1);
	if (r < 0)
		r = q2_fail(err, r,
			    "Failed to load snapshot: %s; the image is "
			    "unchanged",
			    strerror(-r));
	else
		r = apply_placed(&a, err);
	counts_done(&a.up);
	counts_done(&a.down);
	table_done(&a.l1);
	return r;
}

/* ---- the whole --------------------------------------------------------- */

static int
check(const struct image *img, struct q2_err *err)
{
	if (!image_is_qcow2(img) || img->geom.external_data)
		return q2_fail(err, -ENOTSUP,
			       image_is_qcow2(img)
				       ? "images with an external data file "
					 "have no snapshots"
				       : "only qcow2 images have snapshots");
	if (img->read_only)
		return q2_fail(err, -EACCES, "Image is read-only");
	if (img->failed)
		return q2_fail(err, img->failed,
			       "the image takes no writes: %s",
			       strerror(-img->failed));
	return 0;
}

/* All refcounts are in the file, and stay there (E3). */
static int Q2_CO
run_strictly(struct image *img, const struct snapshot_op *op,
	     struct q2_err *err)
{
	int r = limbo_drain(img);

	if (r < 0)
		return fail_unchanged(err, r, "Could not write the metadata");
	switch (op->kind) {
	case SNAPSHOT_CREATE:
		return create(img, op->opts, err);
	case SNAPSHOT_DELETE:
		return delete (img, op->index, err);
	case SNAPSHOT_APPLY:
		return apply(img, op->index, err);
	}
	return -EINVAL;
}

int Q2_CO
snapshot_run(struct image *img, const struct snapshot_op *op,
	     struct q2_err *err)
{
	bool lazy;
	int r;

	gate_raise(&img->gate);
	lazy = img->lazy;
	img->lazy = false;
	r = check(img, err);
	if (r == 0 && op->kind != SNAPSHOT_CREATE &&
	    op->index >= img->snapshots.n)
		r = q2_fail(err, -ENOENT, "snapshot not found");
	if (r == 0)
		r = run_strictly(img, op, err);
	img->lazy = lazy;
	gate_lower(&img->gate, img->loop);
	return r;
}

int Q2_CO
snapshot_complete_table(struct image *img, struct q2_err *err)
{
	struct new_table t = {0};
	uint64_t old_host = img->header.snapshots_offset;
	uint64_t old_bytes = img->snapshots.bytes;
	uint32_t i = 0;
	int r;

	while (i < img->snapshots.n &&
	       img->snapshots.v[i].extra_len >= SNAPSHOT_V3_EXTRA)
		i++;
	if (i == img->snapshots.n)
		return 0;
	r = encode(&t, &img->snapshots, UINT32_MAX, NULL);
	if (r == 0)
		r = place_write(img, AIO_HEADER, t.bytes, t.len, &t.host);
	free(t.bytes);
	if (r < 0)
		return fail_unchanged(err, r, "Could not write a new table");
	/* The table and its refcounts before the header that names it (W4). */
	r = cache_commit(img);
	if (r == 0)
		r = name_table(img, &t);
	if (r < 0 && img->failed)
		return fail_header(err, r, "has the old snapshot table",
				   "has the new one");
	if (r < 0) {
		place_free(img, t.host, table_clusters(img, t.len));
		(void)limbo_drain(img);
		return fail_unchanged(err, r, "Could not name a new table");
	}
	place_free(img, old_host, table_clusters(img, old_bytes));
	r = limbo_drain(img);
	return r < 0 ? q2_fail(err, r, "Could not free the old table: %s",
			       strerror(-r))
		     : 0;
}

int Q2_CO
snapshot_load(struct image *img, uint32_t index, struct q2_err *err)
{
	const struct snapshot *sn = &img->snapshots.v[index];
	struct table t;
	int r;

	gate_raise(&img->gate);
	r = snapshots_check_l1(img, sn, err);
	if (r == 0) {
		r = snapshots_read_l1(
			img, sn,
			(uint32_t)geom_l1_entries(&img->geom, img->size), &t);
		if (r < 0)
			(void)q2_fail(err, r,
				      "Could not read the L1 table of the "
				      "snapshot: %s",
				      strerror(-r));
	}
	if (r == 0) {
		table_done(&img->l1);
		img->l1 = t;
	}
	gate_lower(&img->gate, img->loop);
	return r;
}
