/* SPDX-License-Identifier: MIT */
/*
 * amend_zeros.c - an image without zero clusters, as version 2 wants it
 *
 * Where nothing is below, a cluster without a place is simply given up; others
 * get zeros as their data.  The guest reads the same after each.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"
#include "engine/manage/crop.h"
#include "engine/manage/manage.h"

#define STEP_BYTES (2 * MiB)

/* Entries of clusters [off, off + len), which are in one slice. */
static int Q2_CO
give_up(struct image *img, uint64_t off, uint64_t len)
{
	struct l2_entry none = {.kind = CLUSTER_UNALLOCATED};
	struct slice *s;
	uint32_t index;
	int r = map_get_for_change(img, off, &s, &index);

	if (r < 0)
		return r;
	for (uint64_t i = 0; i < div_up(len, img->geom.cluster_size); i++)
		map_set_entry(img, s, index + (uint32_t)i, &none);
	slice_put(&img->l2, s);
	return 0;
}

static int Q2_CO
expand(struct image *img, uint64_t off, struct map_extent *e,
       const uint8_t *zeros)
{
	struct iovec iov = {(void *)(uintptr_t)zeros, 0};
	int r;

	if (e->kind != CLUSTER_ZERO_PLAIN && e->kind != CLUSTER_ZERO_ALLOC)
		return 0;
	if (e->kind == CLUSTER_ZERO_PLAIN && !img->backing)
		return give_up(img, off, e->len);
	/* Beyond this limbo may have to be emptied first. */
	e->len = min_u64(e->len, STEP_BYTES);
	iov.iov_len = e->len;
	r = image_write(img, iov_iter_init(&iov, 1), off);
	cache_data_written(img);
	return r;
}

/* As QEMU counts: entries of the L1 table. */
static bool
report(const struct image *img, const struct q2_amend_opts *o, uint64_t off)
{
	uint64_t each = img->geom.l2_entries << img->geom.cluster_bits;

	return !o->progress ||
	       o->progress(o->arg, off < img->size ? off / each : img->l1.n,
			   img->l1.n);
}

static int Q2_CO
expand_all(struct image *img, const struct q2_amend_opts *o,
	   const uint8_t *zeros, struct q2_err *err)
{
	struct map_extent e;
	uint64_t off = 0;
	int r = 0;

	while (r == 0 && off < img->size) {
		r = map_lookup(img, off, img->size - off, &e);
		if (r == 0)
			r = expand(img, off, &e, zeros);
		if (r < 0)
			return q2_fail(err, r,
				       "Could not expand the zero cluster at "
				       "offset %" PRIu64 ": %s",
				       off, strerror(-r));
		off += e.len;
		if (!report(img, o, off))
			r = q2_fail(err, -ECANCELED, "interrupted");
	}
	return r;
}

int Q2_CO
amend_expand_zeros(struct image *img, const struct q2_amend_opts *o,
		   struct q2_err *err)
{
	Q2_AUTO_FREE uint8_t *zeros = mem_aligned_zero(STEP_BYTES);
	enum q2_detect_zeroes detect = img->detect_zeroes;
	int r;

	if (!zeros)
		return q2_fail(err, -ENOMEM, "no memory for zeros");
	img->detect_zeroes = Q2_DETECT_OFF;
	/* Above the end of the disk there may be some, too. */
	r = crop_above(img, img->size);
	if (r < 0)
		r = q2_fail(err, r, "Could not read the L2 tables: %s",
			    strerror(-r));
	else
		r = expand_all(img, o, zeros, err);
	img->detect_zeroes = detect;
	if (r < 0)
		return r;
	r = limbo_drain(img);
	if (r == 0)
		r = cache_commit(img);
	return r < 0 ? q2_fail(err, r, "Could not write the metadata: %s",
			       strerror(-r))
		     : 0;
}
