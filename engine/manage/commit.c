/* SPDX-License-Identifier: MIT */
/*
 * commit.c - what an image holds goes into a layer below it
 *
 *	the layer below becomes as long as the image
 *	what layers above it hold is written into it; it is flushed
 *	the image gives up all its clusters: unlink; sync; free them; cut the
 *	file (as a shrink does, R1)
 *
 * The image reads the same at each of these moments, since what is written
 * below is hidden by it, and since what it gives up is there already.  So no
 * crash needs anything undone; one in the middle of the last step leaves
 * leaks at most.
 */
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/manage/crop.h"
#include "engine/manage/manage.h"

static int Q2_CO
grow_base(struct image *base, uint64_t size, struct q2_err *err)
{
	struct q2_resize_opts o = {.size = sizeof(o)};
	int r;

	if (base->size >= size)
		return 0;
	r = resize_image(base, size, &o, err);
	if (r < 0)
		return err_prefix(err, r,
				  "The backing file could not be made longer, "
				  "and the image is unchanged");
	return 0;
}

static int Q2_CO
copy_down(struct image *img, struct image *base, uint64_t grown,
	  const struct q2_commit_opts *o, struct q2_err *err)
{
	struct convert_down down = {
		.top = img,
		.base = base,
		.depth = o->depth,
		.grown = grown,
	};
	struct q2_convert_opts copy = {
		.size = sizeof(copy),
		.coroutines = 8,
		.sparse_bytes = 4096,
		.rate = o->rate,
		.progress = o->progress,
		.arg = o->arg,
	};
	int r = convert_down(&down, &copy, err);

	if (r < 0)
		return err_prefix(err, r,
				  "The image is unchanged, and the backing "
				  "file has a part of its data");
	return 0;
}

/* With all refcounts in the file (E3); what is freed goes back to the file
 * system, whatever the guest may do. */
static int Q2_CO
give_up_clusters(struct image *img)
{
	bool lazy = img->lazy, punch = img->punch_other;
	int r;

	img->lazy = false;
	img->punch_other = true;
	r = limbo_drain(img);
	if (r == 0)
		r = crop_above(img, 0);
	if (r == 0)
		r = crop_finish(img);
	img->lazy = lazy;
	img->punch_other = punch;
	return r;
}

static int Q2_CO
empty(struct image *img, struct q2_err *err)
{
	int r;

	gate_raise(&img->gate);
	r = give_up_clusters(img);
	gate_lower(&img->gate, img->loop);
	if (r < 0)
		/* The backing file has all data. */
		return q2_fail(err, r, "Failed to empty %s: %s", img->path,
			       strerror(-r));
	return 0;
}

int Q2_CO
commit_image(struct image *img, const struct q2_commit_opts *opts,
	     struct q2_err *err)
{
	struct image *base = img;
	uint64_t grown;
	int r;

	for (unsigned i = 0; i < opts->depth; i++)
		base = base->backing;
	grown = base->size;
	r = grow_base(base, img->size, err);
	if (r == 0)
		r = copy_down(img, base, grown, opts, err);
	return r == 0 && !opts->keep ? empty(img, err) : r;
}
