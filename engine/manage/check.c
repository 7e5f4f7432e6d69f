/* SPDX-License-Identifier: MIT */
/*
 * check.c - does the image contradict itself, and setting that right
 *
 * All references to clusters are counted first, from the header down; then the
 * refcounts in the file are compared with them; then the COPIED flags of the
 * active tables with the refcounts.  Findings, their texts and their order are
 * qemu-img's.  Nothing is believed: any entry of any table may be wrong.
 *
 * A repair does the same and writes.  Each step is durable before the next, so
 * that an interrupted one leaves an image that is no worse, and another repair
 * goes on:
 *
 *	1. preallocated clusters at impossible addresses lose the address
 *	   (check_l2.c);
 *	2. a new snapshot table is written and named, before what only the old
 *	   one names loses its refcount (S2);
 *	3. refcounts are set, or all refcount structures are made anew and
 *	   named (W4), together with a new snapshot table;
 *	4. COPIED flags are set right (check_copied.c);
 *	5. what the old snapshot table took is free;
 *	6. the dirty and the corrupt bit are cleared, where they are not true
 *	   any more.
 *
 * Where a table cannot be read, references are missing: then nothing is
 * repaired.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/image/mark.h"
#include "engine/manage/check_priv.h"

void
check_say(struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!c->finding)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->finding(c->arg, text);
}

int
check_fail(const struct check *c, int code)
{
	return q2_fail(c->err, code, "Check failed: %s", strerror(-code));
}

uint32_t
check_adjacent(const struct check *c, const uint64_t *entries, uint32_t n,
	       uint64_t mask)
{
	return entry_run(
		c->g, entries,
		(uint32_t)min_u64(n, c->batch_bytes / c->g->cluster_size),
		mask);
}

/* ---- counting ---------------------------------------------------------- */

int Q2_CO
check_count_all(struct check *c)
{
	const struct header *h = &c->img->header;
	uint64_t fixed = c->ret->corruptions_fixed;
	int r;

	check_count(c, 0, c->g->cluster_size);
	r = check_count_l1(c, h->l1_offset, c->img->l1.entries, c->img->l1.n,
			   true);
	if (r == 0)
		r = check_count_snapshots(c);
	if (r < 0)
		return r;
	check_count(c, h->snapshots_offset, c->snapshots.bytes);
	check_count(c, h->reftable_offset, c->img->reftable.bytes);
	if (h->has_crypto)
		check_count(c, h->crypto_offset, h->crypto_bytes);
	r = check_count_bitmaps(c);
	if (r == 0)
		r = check_count_refblocks(c);
	/* Entries without an address before its refcount is lowered. */
	if (r == 0 && c->ret->corruptions_fixed != fixed)
		r = repair_sync(c);
	return r;
}

/* ---- repairing --------------------------------------------------------- */

/* With structures that were made anew.  What is left to find is found by
 * counting again: the old structures are leaks. */
static int Q2_CO
mend_by_rebuilding(struct check *c)
{
	struct q2_check before = *c->ret, after;
	enum q2_repair fix = c->fix;
	int r;

	check_say(c, "Rebuilding refcount structure");
	r = repair_rebuild(c);
	if (r == 0)
		r = check_refs_clear(c);
	if (r == 0)
		r = check_judge_bitmaps(c);
	if (r < 0)
		return r;
	repair_mark_metadata(c);
	c->ret->corruptions = c->ret->leaks = c->ret->check_errors = 0;
	c->ret->allocated_clusters = c->ret->fragmented_clusters = 0;
	c->ret->compressed_clusters = 0;
	c->rebuild = c->unread = false;
	c->fix = Q2_REPAIR_NONE;
	r = check_count_all(c);
	c->fix = fix;
	if (r == 0 && c->unread)
		r = check_fail(c, -EIO);
	if (r < 0)
		return r;
	after = *c->ret;
	r = check_compare(c, fix);
	if (r == 0)
		r = repair_sync(c);
	if (c->rebuild || c->too_low)
		check_say(c,
			  "ERROR rebuilt refcount structure is still broken");
	/* These are leaks that were made here. */
	after.image_end_offset = c->ret->image_end_offset;
	after.check_errors = c->ret->check_errors;
	if (after.corruptions < before.corruptions)
		after.corruptions_fixed += before.corruptions -
					   after.corruptions;
	if (after.leaks < before.leaks)
		after.leaks_fixed += before.leaks - after.leaks;
	*c->ret = after;
	return r;
}

static int
refuse_to_rebuild(struct check *c)
{
	check_say(c, "ERROR need to rebuild refcount structures");
	return check_fail(c, -EIO);
}

/* Where they are; counted: what counting found. */
static int Q2_CO
mend_in_place(struct check *c, const struct q2_check *counted)
{
	int r = 0;

	if (c->snapshots.placed)
		r = repair_switch_snapshots(c);
	if (r < 0)
		return r;
	if (!c->ret->leaks && !c->ret->corruptions)
		return 0;
	*c->ret = *counted;
	r = check_compare(c, c->fix);
	/* What could not be read at first. */
	if (r == 0 && c->rebuild)
		r = refuse_to_rebuild(c);
	return r < 0 ? r : repair_sync(c);
}

/* A new snapshot table is needed: find a place.  Without refcount blocks for
 * it new ones are made of everything. */
static int Q2_CO
place_snapshots(struct check *c)
{
	int r;

	if (!c->snapshots.corruptions || c->fix != Q2_REPAIR_ALL)
		return 0;
	r = repair_place_snapshots(c);
	if (r == -ENOENT) {
		c->rebuild = true;
		r = 0;
	}
	return r;
}

static int Q2_CO
mend(struct check *c, const struct q2_check *counted)
{
	int r;

	if (c->unread)
		return check_fail(c, -EIO);
	if (c->rebuild && c->fix == Q2_REPAIR_LEAKS)
		return refuse_to_rebuild(c);
	r = place_snapshots(c);
	if (r < 0)
		return r;
	return c->rebuild ? mend_by_rebuilding(c) : mend_in_place(c, counted);
}

/* What the old snapshot table took, which is still counted. */
static int Q2_CO
finish(struct check *c)
{
	struct check_snapshots *s = &c->snapshots;
	int r = 0;

	if (s->corruptions && c->fix == Q2_REPAIR_ALL) {
		r = repair_free_old_snapshots(c);
		c->ret->corruptions_fixed += s->corruptions;
	} else {
		c->ret->corruptions += s->corruptions;
	}
	if (r == 0)
		r = repair_sync(c);
	if (r == 0)
		r = repair_clear_bits(c);
	return r < 0 ? r : repair_reload(c);
}

/* ---- the whole --------------------------------------------------------- */

static int Q2_CO
check(struct check *c)
{
	struct q2_check counted;
	int r;

	r = check_refs_init(c);
	if (r == 0)
		r = check_judge_bitmaps(c);
	if (r == 0)
		r = check_read_snapshots(c);
	if (r < 0)
		return r;
	repair_mark_metadata(c);
	r = check_count_all(c);
	if (r < 0)
		return r;
	counted = *c->ret;
	r = check_compare(c, Q2_REPAIR_NONE);
	if (r == 0 && c->fix != Q2_REPAIR_NONE)
		r = mend(c, &counted);
	if (r == 0)
		r = check_copied(c);
	if (r < 0)
		return r;
	if (c->fix != Q2_REPAIR_NONE)
		return finish(c);
	c->ret->corruptions += c->snapshots.corruptions;
	return 0;
}

/* What is changed in memory reaches the file: that is what is looked at. */
static int Q2_CO
prepare(struct image *img, enum q2_repair fix, struct q2_err *err)
{
	int r = 0;

	if (!image_is_qcow2(img))
		return q2_fail(err, -ENOTSUP,
			       "This image format does not support checks");
	if (fix != Q2_REPAIR_NONE && img->read_only)
		return q2_fail(err, -EACCES,
			       "the image is open for reading only");
	if (fix != Q2_REPAIR_NONE)
		r = limbo_drain(img);
	if (r == 0 && !img->read_only)
		r = cache_commit_all(img);
	if (r < 0)
		return q2_fail(err, r, "could not write the metadata: %s",
			       strerror(-r));
	return 0;
}

/* Before anything is repaired by it: is the L1 table one?  Flags would be set
 * right in what is an L2 table. */
static int
judge_l1(const struct image *img, struct q2_err *err)
{
	const struct table *l1 = &img->l1;

	if (!l1->n || !meta_has_l2(img, l1->host, l1->bytes))
		return 0;
	return err_field(err,
			 q2_fail(err, -Q2_ECORRUPT,
				 "Check failed: the L1 table of %u entries "
				 "overlaps with L2 tables",
				 l1->n),
			 "l1_table_offset", l1->host);
}

int Q2_CO
check_image(struct image *img, enum q2_repair fix, struct q2_check *ret_check,
	    const struct finder *finder, struct q2_err *err)
{
	struct q2_check counters = {0};
	struct check c = {
		.img = img,
		.g = &img->geom,
		.ret = &counters,
		.fix = fix,
		.finding = finder->fn,
		.arg = finder->arg,
		.err = err,
		.has_data_file = img->header.incompatible & INCOMPAT_DATA_FILE,
	};
	int64_t size;
	int r;

	r = prepare(img, fix, err);
	if (r < 0)
		return r;
	size = aio_size(img->file);
	if (size < 0)
		return q2_fail(err, (int)size, "could not get the length: %s",
			       strerror((int)-size));
	if (fix != Q2_REPAIR_NONE) {
		r = judge_l1(img, err);
		if (r < 0)
			return r;
		r = mark_clear_unknown(img);
		if (r < 0)
			return q2_fail(err, r,
				       "Could not clear unknown autoclear "
				       "bits: %s",
				       strerror(-r));
	}
	c.file_bytes = (uint64_t)size;
	counters.total_clusters = div_up(img->size, c.g->cluster_size);
	r = check(&c);
	/* What is in memory may not be what is in the file. */
	if (r < 0 && c.wrote)
		img->failed = r;
	/* Closing may not say that refcounts are right. */
	if (fix != Q2_REPAIR_NONE &&
	    (img->header.incompatible & INCOMPAT_DIRTY))
		img->lazy = false;
	check_refs_done(&c);
	check_snapshots_done(&c.snapshots);
	if (r == 0)
		*ret_check = counters;
	return r;
}

int Q2_CO
repair_dirty(struct image *img, const struct finder *finder, struct q2_err *err)
{
	struct q2_check found = {0};
	struct q2_err why = {0};
	int r = check_image(img, Q2_REPAIR_ALL, &found, finder, &why);

	if (r == 0 &&
	    (found.check_errors || (img->header.incompatible & INCOMPAT_DIRTY)))
		r = -EIO;
	return r < 0 ? q2_fail(err, r, "Could not repair dirty image: %s",
			       strerror(-r))
		     : 0;
}
