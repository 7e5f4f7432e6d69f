/* SPDX-License-Identifier: MIT */
/*
 * bitmap.c - operations on persistent dirty bitmaps
 *
 * Each changes the list in memory, has it stored, and takes the change back if
 * that fails: so the image has it as before or as after.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/bits.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/manage/manage.h"

/* What QEMU takes where nothing is said. */
#define DEFAULT_MIN (4 * KiB)
#define DEFAULT_MAX (64 * KiB)

/* ---- which one --------------------------------------------------------- */

static int
check_can_have(const struct image *img, struct q2_err *err)
{
	if (!image_is_qcow2(img))
		return q2_fail(err, -ENOTSUP,
			       "Can't store persistent bitmaps to %.800s: %s",
			       img->path ? img->path : "", strerror(ENOTSUP));
	if (img->read_only)
		return q2_fail(err, -EACCES, "Image is read-only");
	return 0;
}

static int
find(struct image *img, const char *name, struct dirty_bitmap **ret,
     struct q2_err *err)
{
	int index = bitmaps_find(&img->bitmaps, name);

	if (index < 0)
		return q2_fail(err, -ENOENT, "Dirty bitmap '%s' not found",
			       name);
	*ret = &img->bitmaps.v[index];
	return index;
}

static int
check_usable(const struct dirty_bitmap *d, struct q2_err *err)
{
	if (d->inconsistent)
		return q2_fail(err, -EINVAL,
			       "Bitmap '%s' is inconsistent and cannot be "
			       "used",
			       d->name);
	return 0;
}

/* Find one whose bits can be used, and read them. */
static int Q2_CO
find_usable(struct image *img, const char *name, struct dirty_bitmap **ret,
	    struct q2_err *err)
{
	int r = find(img, name, ret, err);

	if (r < 0)
		return r;
	assert(*ret);
	r = check_usable(*ret, err);
	return r < 0 ? r : bitmaps_read(img, *ret, err);
}

static int Q2_CO
find_to_change(struct image *img, const char *name, struct dirty_bitmap **ret,
	       struct q2_err *err)
{
	int r = check_can_have(img, err);

	return r < 0 ? r : find_usable(img, name, ret, err);
}

/* ---- add and remove ---------------------------------------------------- */

static uint64_t
default_granularity(const struct image *img)
{
	return max_u64(DEFAULT_MIN,
		       min_u64(DEFAULT_MAX, img->geom.cluster_size));
}

/* What QEMU has against it, in the order in which it says so. */
static int
check_new(const struct image *img, const char *name, uint64_t granularity,
	  struct q2_err *err)
{
	if (!is_pow2(granularity) ||
	    granularity < 1 << BITMAP_MIN_GRANULARITY_BITS ||
	    granularity > UINT64_C(1) << BITMAP_MAX_GRANULARITY_BITS)
		return q2_fail(err, -EINVAL,
			       "Granularity must be power of 2 and at least "
			       "512");
	if (!name[0])
		return q2_fail(err, -EINVAL, "Bitmap name cannot be empty");
	if (image_is_qcow2(img) && bitmaps_find(&img->bitmaps, name) >= 0)
		return q2_fail(err, -EEXIST, "Bitmap already exists: %s", name);
	return check_can_have(img, err);
}

static uint64_t
directory_bytes(const struct bitmaps *b)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < b->n; i++)
		bytes += align_up(
			(uint64_t)BITMAP_FIXED_BYTES + b->v[i].name_len, 8);
	return bytes;
}

/* What the format has no room for. */
static int
check_room(const struct image *img, const char *name, unsigned granularity_bits,
	   struct q2_err *err)
{
	const struct bitmaps *b = &img->bitmaps;
	size_t len = strlen(name);

	if (img->header.version < 3)
		return q2_fail(err, -ENOTSUP,
			       "Cannot store dirty bitmaps in qcow2 v2 files");
	if (len > BITMAP_MAX_NAME)
		return q2_fail(err, -EINVAL,
			       "Name length exceeds maximum (%d characters)",
			       BITMAP_MAX_NAME);
	if (bitmap_bits_bytes(img->size, granularity_bits) > BITMAP_MAX_PAYLOAD)
		return q2_fail(err, -EINVAL,
			       "Too much space will be occupied by the bitmap. "
			       "Use larger granularity");
	if (b->n >= Q2_MAX_BITMAPS)
		return q2_fail(err, -EINVAL,
			       "Maximum number of persistent bitmaps is "
			       "already reached");
	if (directory_bytes(b) + align_up(BITMAP_FIXED_BYTES + len, 8) >
	    BITMAP_MAX_DIRECTORY)
		return q2_fail(err, -EINVAL,
			       "Not enough space in the bitmap directory");
	return 0;
}

static int Q2_CO
add(struct image *img, const struct bitmap_op *op, struct q2_err *err)
{
	struct bitmaps *b = &img->bitmaps;
	const char *name = op->name;
	uint64_t granularity = op->granularity ? op->granularity
					       : default_granularity(img);
	struct dirty_bitmap d;
	unsigned bits;
	int r = check_new(img, name, granularity, err);

	if (r < 0)
		return r;
	bits = log2_u64(granularity);
	r = check_room(img, name, bits, err);
	if (r < 0)
		return err_prefix(err, r,
				  "Can't make bitmap '%.200s' persistent in "
				  "'%.400s'",
				  name, img->path);
	if (bitmaps_append(img, name, bits) < 0)
		return q2_fail(err, -ENOMEM, "no memory for a bitmap");
	r = bitmaps_store(img, err);
	if (r < 0) {
		d = bitmaps_take(b, b->n - 1);
		bitmaps_free(&d);
	}
	return r;
}

static int Q2_CO
take_out(struct image *img, const struct bitmap_op *op, struct q2_err *err)
{
	struct dirty_bitmap *found, d;
	int r = check_can_have(img, err), index;

	if (r < 0)
		return r;
	index = find(img, op->name, &found, err);
	if (index < 0)
		return index;
	d = bitmaps_take(&img->bitmaps, (uint32_t)index);
	r = bitmaps_store(img, err);
	if (r < 0)
		bitmaps_put_back(&img->bitmaps, (uint32_t)index, &d);
	else
		bitmaps_free(&d);
	return r;
}

/* ---- bits and flags ---------------------------------------------------- */

static int Q2_CO
set_enabled(struct image *img, const struct bitmap_op *op, struct q2_err *err)
{
	bool enable = op->kind == BITMAP_OP_ENABLE;
	struct dirty_bitmap *d = NULL;
	int r = find_to_change(img, op->name, &d, err);

	if (r < 0 || d->enabled == enable)
		return r;
	d->enabled = enable;
	bitmaps_update(&img->bitmaps);
	r = bitmaps_store(img, err);
	if (r < 0) {
		d->enabled = !enable;
		bitmaps_update(&img->bitmaps);
	}
	return r;
}

/* d gets new bits, which belong to it or are freed. */
static int Q2_CO
replace_bits(struct image *img, struct dirty_bitmap *d, uint8_t *bits,
	     struct q2_err *err)
{
	uint8_t *old = d->bits;
	bool changed = d->changed;
	int r;

	d->bits = bits;
	d->changed = true;
	r = bitmaps_store(img, err);
	free(r < 0 ? bits : old);
	if (r < 0) {
		d->bits = old;
		d->changed = changed;
	}
	return r;
}

static int Q2_CO
clear(struct image *img, const struct bitmap_op *op, struct q2_err *err)
{
	struct dirty_bitmap *d = NULL;
	uint8_t *bits;
	int r = find_to_change(img, op->name, &d, err);

	if (r < 0)
		return r;
	bits = bitmaps_new_bits(img, d->granularity_bits);
	if (!bits)
		return q2_fail(err, -ENOMEM, "no memory for the bits");
	return replace_bits(img, d, bits, err);
}

/* Set in bits, which are d's, whatever is set in s. */
static void
merge_bits(const struct dirty_bitmap *d, uint8_t *bits,
	   const struct dirty_bitmap *s)
{
	uint64_t from = 0, end;

	while ((from = bits_next(s->bits, from, s->n_bits, true)) < s->n_bits) {
		uint64_t first, last;

		end = bits_next(s->bits, from, s->n_bits, false);
		first = from << s->granularity_bits >> d->granularity_bits;
		last = ((end << s->granularity_bits) - 1) >>
		       d->granularity_bits;
		/* The last bit may stand for more than the disk has. */
		last = min_u64(last, d->n_bits - 1);
		bits_set(bits, first, last - first + 1);
		from = end;
	}
}

static int Q2_CO
merge(struct image *img, const struct bitmap_op *op, struct q2_err *err)
{
	struct image *source = op->source;
	struct dirty_bitmap *d = NULL, *s = NULL;
	uint8_t *bits;
	int r = find_to_change(img, op->name, &d, err);

	if (r == 0)
		r = find_usable(source, op->source_name, &s, err);
	if (r < 0)
		return r;
	assert(d && s);
	if (source->size != img->size)
		return q2_fail(err, -EINVAL,
			       "Bitmaps are of different sizes (destination "
			       "size is %" PRIu64 ", source size is %" PRIu64
			       ") and can't be merged",
			       img->size, source->size);
	bits = bitmaps_new_bits(img, d->granularity_bits);
	if (!bits)
		return q2_fail(err, -ENOMEM, "no memory for the bits");
	memcpy(bits, d->bits,
	       bitmap_bits_bytes(img->size, d->granularity_bits));
	merge_bits(d, bits, s);
	return replace_bits(img, d, bits, err);
}

/* ---- the whole --------------------------------------------------------- */

int Q2_CO
bitmap_run(struct image *img, const struct bitmap_op *op, struct q2_err *err)
{
	static int (*const runs[])(struct image *, const struct bitmap_op *,
				   struct q2_err *) = {
		[BITMAP_OP_ADD] = add,
		[BITMAP_OP_REMOVE] = take_out,
		[BITMAP_OP_CLEAR] = clear,
		[BITMAP_OP_ENABLE] = set_enabled,
		[BITMAP_OP_DISABLE] = set_enabled,
		[BITMAP_OP_MERGE] = merge,
	};
	int r;

	gate_raise(&img->gate);
	r = runs[op->kind](img, op, err);
	gate_lower(&img->gate, img->loop);
	return r;
}

int Q2_CO
bitmap_drop_all(struct image *img, struct q2_err *err)
{
	struct bitmaps *b = &img->bitmaps, all = *b;
	int r;

	if (!b->n)
		return 0;
	b->v = NULL;
	b->n = 0;
	bitmaps_update(b);
	r = bitmaps_store(img, err);
	if (r < 0) {
		b->v = all.v;
		b->n = all.n;
		bitmaps_update(b);
		return r;
	}
	bitmaps_done(&all);
	return 0;
}

/* ---- another size ------------------------------------------------------ */

int Q2_CO
bitmap_begin_resize(struct image *img, struct q2_err *err)
{
	struct bitmaps *b = &img->bitmaps;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < b->n; i++) {
		r = check_usable(&b->v[i], err);
		if (r == 0)
			r = bitmaps_read(img, &b->v[i], err);
	}
	if (r < 0 || !b->n)
		return r;
	/* A crash would leave some that do not fit the disk. */
	r = bitmaps_mark(img, true);
	return r < 0 ? q2_fail(err, r,
			       "Could not mark the bitmaps as in use: %s; the "
			       "image is unchanged",
			       strerror(-r))
		     : 0;
}

void
bitmap_end_resize(struct image *img)
{
	struct bitmaps *b = &img->bitmaps;

	if (bitmaps_resize(img) == 0)
		return;
	/* Without memory they are what the file says: in use. */
	for (uint32_t i = 0; i < b->n; i++) {
		b->v[i].inconsistent = true;
		b->v[i].marked = b->v[i].changed = false;
	}
	bitmaps_update(b);
}
