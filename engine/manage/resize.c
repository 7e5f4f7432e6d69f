/* SPDX-License-Identifier: MIT */
/*
 * resize.c - a larger or a smaller disk
 *
 * The image is for the resize alone (I2), and all its metadata is in the file.
 * On disk, the sector with size, L1 table and refcount table decides which
 * disk it is:
 *
 *	shrink (R1)	write the new size; sync; unlink what is above; give it
 *			back; cut the file
 *	grow (R2)	unlink what somebody has left above the old end, zero
 *			the rest of the last cluster; commit
 *			write the area: tables and data that are new (area.h);
 *			sync
 *			name its refcount blocks, by their table's entries or
 *			by a larger table; sync
 *			link its clusters above the old end, in tables that
 *			exist already; sync
 *			write the new size, with the larger L1 table if there
 *			is one; sync
 *
 * Bitmaps are marked as in use before, and stored when the image is closed.  A
 * crash in between leaves the old disk, with leaks, or with clusters linked
 * above its end, which are zero and which the next grow unlinks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/map.h"
#include "engine/image/open.h"
#include "engine/manage/area.h"
#include "engine/manage/crop.h"
#include "engine/manage/manage.h"
#include "engine/manage/shape.h"

/* QEMU's limit of any size: INT64_MAX in units of a GiB. */
#define SIZE_MAX_QEMU (INT64_MAX - INT64_MAX % (int64_t)GiB)

/* Whatever has failed, the guest's disk is the old one. */
static int
fail_unchanged(struct q2_err *err, int r, const char *what)
{
	return q2_fail(err, r, "%s: %s; the image is unchanged", what,
		       strerror(-r));
}

static int
fail_header(struct q2_err *err, int r)
{
	return q2_fail(err, r,
		       "Could not write the header: %s; the image has its old "
		       "or its new size",
		       strerror(-r));
}

/* ---- shrink ------------------------------------------------------------ */

static int Q2_CO
shrink(struct image *img, uint64_t size, struct q2_err *err)
{
	struct shape s = shape_of(&img->header);
	int r;

	s.size = size;
	r = shape_write(img, &s);
	if (r < 0)
		return fail_header(err, r);
	shape_take(img, &s);
	r = crop_above(img, size);
	if (r == 0)
		r = crop_finish(img);
	if (r == 0 && img->data != img->file)
		r = resize_file(img->data, size, Q2_PREALLOC_OFF);
	cache_data_written(img);
	if (r < 0)
		return q2_fail(err, r,
			       "The image has its new size, but not all space "
			       "behind it could be given back: %s",
			       strerror(-r));
	return 0;
}

/* ---- grow: names and links --------------------------------------------- */

/* The area's clusters that no table names are free again; so are those that
 * one does. */
static void Q2_CO
unlink_area(const struct area *a, uint64_t linked_head, bool linked_tables)
{
	struct image *img = a->img;
	unsigned bits = img->geom.cluster_bits;
	uint64_t used = linked_tables ? a->guest_n : linked_head;

	(void)crop_above(img, img->size);
	meta_remove(img, a->l1 << bits, a->data - a->l1);
	if (!linked_tables && a->data > a->l1)
		limbo_add(img, a->l1 << bits, a->data - a->l1, false);
	else if (a->l2 > a->l1)
		limbo_add(img, a->l1 << bits, a->l2 - a->l1, false);
	if (used < a->data_n)
		limbo_add(img, (a->data + used) << bits, a->data_n - used,
			  false);
	(void)crop_finish(img);
}

static int Q2_CO
name_blocks(struct area *a)
{
	int r = area_name(a);

	/* The blocks stay, and so does what the file may name. */
	if (r < 0 && a->named)
		unlink_area(a, 0, false);
	return r;
}

/* The entries of the table that maps clusters before the area's, too.
 * *ret_done of them were linked. */
static int Q2_CO
link_head(const struct area *a, uint64_t *ret_done)
{
	struct image *img = a->img;
	unsigned bits = img->geom.cluster_bits;
	uint64_t size = img->size;
	int r = 0;

	/* Nobody else asks for what lies above the end. */
	img->size = max_u64(size, crop_reach(img));
	*ret_done = 0;
	while (r == 0 && *ret_done < a->head_n) {
		uint64_t guest = (a->guest + *ret_done) << bits, n;
		struct slice *s;
		uint32_t index;

		r = map_get_for_change(img, guest, &s, &index);
		if (r < 0)
			break;
		n = min_u64(a->head_n - *ret_done,
			    (map_slice_end(img, guest) - guest) >> bits);
		for (uint32_t i = 0; i < n; i++, ++*ret_done) {
			struct l2_entry e = area_entry(a, *ret_done);

			map_set_entry(img, s, index + i, &e);
		}
		slice_put(&img->l2, s);
	}
	img->size = size;
	return r;
}

static int Q2_CO
link_area(const struct area *a)
{
	struct image *img = a->img;
	unsigned bits = img->geom.cluster_bits;
	bool tables = !a->l1_entries;
	uint64_t head;
	int r;

	r = link_head(a, &head);
	if (r < 0)
		tables = false;
	for (uint32_t i = 0; tables && i < a->data - a->l2; i++)
		table_set(&img->l1, a->l1_index + i,
			  (a->l2 + i) << bits | ENTRY_COPIED);
	if (r == 0)
		r = cache_commit(img);
	if (r < 0)
		unlink_area(a, head, tables);
	return r;
}

/* The new size, and the L1 table that the area may hold. */
static int Q2_CO
switch_size(struct area *a, uint64_t size, struct q2_err *err)
{
	struct image *img = a->img;
	const struct geom *g = &img->geom;
	struct shape s = shape_of(&img->header), old = s;
	struct table t = {0};
	uint64_t clusters;
	int r = 0;

	s.size = size;
	if (a->l1_entries) {
		s.l1_entries = a->l1_entries;
		s.l1_offset = a->l1 << g->cluster_bits;
		r = table_init_longer(&t, &img->l1, s.l1_entries, s.l1_offset,
				      g->cluster_size);
		for (uint64_t i = 0; r == 0 && i < a->data - a->l2; i++)
			t.entries[a->l1_index + i] =
				(a->l2 + i) << g->cluster_bits | ENTRY_COPIED;
	}
	if (r < 0) {
		unlink_area(a, a->head_n, !a->l1_entries);
		return fail_unchanged(err, r, "Could not resize the image");
	}
	r = shape_write(img, &s);
	if (r < 0) {
		table_done(&t);
		return fail_header(err, r);
	}
	shape_take(img, &s);
	if (!a->l1_entries)
		return 0;
	table_done(&img->l1);
	img->l1 = t;
	clusters = div_up((uint64_t)old.l1_entries * 8, g->cluster_size);
	meta_remove(img, old.l1_offset, clusters);
	if (clusters)
		limbo_add(img, old.l1_offset, clusters, false);
	return 0;
}

/* ---- grow -------------------------------------------------------------- */

/* R2: nothing that is above the end now may be seen later. */
static int Q2_CO
clear_above(struct image *img, struct q2_err *err)
{
	int r = crop_above(img, img->size);

	if (r == 0)
		r = crop_zero_tail(img);
	if (r == 0)
		r = limbo_drain(img);
	if (r < 0)
		return fail_unchanged(
			err, r, "Could not clear what lies behind the end");
	return 0;
}

/* Up to where the disk gets L2 entries; the mode may have to be another. */
static uint64_t
entries_end(const struct image *img, uint64_t size, struct area *a)
{
	/* A guest may look at the data file alone. */
	if (a->mode == Q2_PREALLOC_OFF && image_data_is_raw(img))
		a->mode = Q2_PREALLOC_METADATA;
	if (a->mode != Q2_PREALLOC_OFF)
		return size;
	/* What a longer backing file has there would shine through.  Version 2
	 * has no zero flag: holes of the file do as well. */
	a->zero = img->header.version >= 3;
	if (!a->zero)
		a->mode = Q2_PREALLOC_METADATA;
	return img->backing ? min_u64(size, img->backing->size) : 0;
}

static int
ask_for_area(struct image *img, uint64_t size, enum q2_prealloc mode,
	     struct area *ret_area, struct q2_err *err)
{
	const struct geom *g = &img->geom;
	uint64_t entries = geom_l1_entries(g, size), end;

	*ret_area = (struct area){.img = img, .mode = mode};
	if (entries * 8 > Q2_MAX_L1_BYTES)
		return q2_fail(err, -EFBIG, "Failed to grow the L1 table: %s",
			       strerror(EFBIG));
	if (entries > img->l1.n)
		ret_area->l1_entries = (uint32_t)entries;
	ret_area->guest = div_up(img->size, g->cluster_size);
	end = div_up(entries_end(img, size, ret_area), g->cluster_size);
	if (end > ret_area->guest)
		ret_area->guest_n = end - ret_area->guest;
	return 0;
}

static int Q2_CO
place_area(struct area *a, struct q2_err *err)
{
	struct image *img = a->img;
	uint64_t used;
	int r = crop_used_end(img, &used);

	if (r < 0)
		return fail_unchanged(err, r, "Could not read the refcounts");
	a->first = max_u64(used,
			   alloc_virgin_end(img) >> img->geom.cluster_bits);
	return area_plan(a, err);
}

static int Q2_CO
switch_to(struct area *a, uint64_t size, struct q2_err *err)
{
	int r;

	r = name_blocks(a);
	if (r == 0)
		r = link_area(a);
	if (r < 0)
		return fail_unchanged(err, r, "Could not resize the image");
	return switch_size(a, size, err);
}

/*
 * Guest data in a file of its own.  What is added reads as zeros: behind the
 * end of a file there is nothing then, but on a device there may be anything,
 * and the area's entries say that it is read.
 */
static int Q2_CO
grow_data(const struct area *a, uint64_t size, enum q2_prealloc mode,
	  struct q2_err *err)
{
	struct image *img = a->img;
	struct aio_file *file = img->data;
	int r;

	if (file == img->file)
		return 0;
	if (mode == Q2_PREALLOC_METADATA)
		mode = Q2_PREALLOC_OFF;
	if (mode != Q2_PREALLOC_OFF) {
		r = area_check_space(img->data, size - img->size, err);
		if (r < 0)
			return r;
	}
	/* Nothing of others behind the end. */
	r = resize_file(file, img->size, Q2_PREALLOC_OFF);
	if (r == 0)
		r = resize_file(file, size, mode);
	if (r == 0 && file->is_block && a->mode != Q2_PREALLOC_OFF)
		r = resize_zero_device(file, img->size, size, mode);
	cache_data_written(img);
	if (r < 0)
		return fail_unchanged(err, r, "Failed to resize the data file");
	return 0;
}

static int Q2_CO
grow(struct image *img, uint64_t size, enum q2_prealloc mode,
     struct q2_err *err)
{
	struct area a;
	int r = ask_for_area(img, size, mode, &a, err);

	if (r == 0)
		r = clear_above(img, err);
	if (r == 0)
		r = place_area(&a, err);
	if (r == 0)
		r = grow_data(&a, size, mode, err);
	if (r == 0)
		r = area_write(&a, err);
	if (r == 0)
		r = switch_to(&a, size, err);
	free(a.regions);
	if (r < 0 && img->data != img->file && !img->failed)
		(void)resize_file(img->data, img->size, Q2_PREALLOC_OFF);
	return r;
}

/* ---- qcow2 ------------------------------------------------------------- */

static int
check_qcow2(const struct image *img, uint64_t size, struct q2_err *err)
{
	const struct header *h = &img->header;

	if (!is_aligned(size, Q2_SECTOR))
		return q2_fail(err, -EINVAL,
			       "The new size must be a multiple of %u",
			       Q2_SECTOR);
	if (h->snapshots && h->version < 3)
		return q2_fail(err, -ENOTSUP,
			       "Can't resize a v2 image which has snapshots");
	return 0;
}

static int Q2_CO
resize_strictly(struct image *img, uint64_t size,
		const struct q2_resize_opts *opts, struct q2_err *err)
{
	uint64_t old = img->size;
	int r = check_qcow2(img, size, err);

	if (r == 0 && size != img->size)
		r = bitmap_begin_resize(img, err);
	if (r < 0)
		return r;
	/* All refcounts are in the file, and stay there (E3); what is freed goes
	 * back to the file system, whatever the guest may do. */
	img->lazy = false;
	img->punch_other = true;
	r = limbo_drain(img);
	if (r < 0)
		return fail_unchanged(err, r, "Could not write the metadata");
	if (size < img->size)
		r = shrink(img, size, err);
	else if (size > img->size)
		r = grow(img, size, opts->preallocation, err);
	if (img->size != old)
		bitmap_end_resize(img);
	if (r == 0)
		image_fit_caches(img);
	return r;
}

static int Q2_CO
resize_qcow2(struct image *img, uint64_t size,
	     const struct q2_resize_opts *opts, struct q2_err *err)
{
	bool lazy = img->lazy, punch = img->punch_other;
	int r = resize_strictly(img, size, opts, err);

	img->lazy = lazy;
	img->punch_other = punch;
	return r;
}

/* ---- both -------------------------------------------------------------- */

static int
check(const struct image *img, uint64_t size, const struct q2_resize_opts *o,
      struct q2_err *err)
{
	if (!img->file)
		return q2_fail(err, -ENOTSUP,
			       "Image format driver does not support resize");
	if (img->read_only)
		return q2_fail(err, -EACCES, "Image is read-only");
	if (img->failed)
		return q2_fail(err, img->failed,
			       "the image is read-only since a sync failed");
	if (size > (uint64_t)SIZE_MAX_QEMU)
		return q2_fail(err, -EFBIG,
			       "offset(%" PRIu64 ") exceeds maximum(%" PRId64
			       ")",
			       size, SIZE_MAX_QEMU);
	if (o->preallocation && size < img->size)
		return q2_fail(err, -EINVAL,
			       "Preallocation can't be used for shrinking an "
			       "image");
	if (size < img->size && !o->shrink)
		return q2_fail(err, -EINVAL,
			       "Use the --shrink option to perform a shrink "
			       "operation.");
	return 0;
}

int Q2_CO
resize_image(struct image *img, uint64_t size,
	     const struct q2_resize_opts *opts, struct q2_err *err)
{
	int r;

	gate_raise(&img->gate);
	r = check(img, size, opts, err);
	if (r == 0)
		r = image_is_qcow2(img)
			    ? resize_qcow2(img, size, opts, err)
			    : resize_raw(img, size, opts->preallocation, err);
	gate_lower(&img->gate, img->loop);
	return r;
}
