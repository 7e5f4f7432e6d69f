/* SPDX-License-Identifier: MIT */
/*
 * amend.c - properties of an image that exists
 *
 *	everything is judged
 *	version 3, name and kind of the data file, lazy refcounts: one header
 *	refcounts of another width (amend_refcounts.c)
 *	size (resize.c)
 *	version 2: no zero clusters (amend_zeros.c, amend_snapshots.c), no
 *	bitmaps, then the header
 *
 * Each step leaves a whole image, so that those done before a crash or an error
 * stay.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/map.h"
#include "engine/image/mark.h"
#include "engine/manage/manage.h"
#include "engine/manage/tree.h"

/* ---- judging ----------------------------------------------------------- */

static unsigned
new_version(const struct image *img, const struct q2_amend_opts *o)
{
	return o->compat ? o->compat : img->header.version;
}

static unsigned
new_bits(const struct image *img, const struct q2_amend_opts *o)
{
	return o->refcount_bits ? o->refcount_bits : img->geom.refcount_bits;
}

static int
judge_data_file(const struct image *img, const struct q2_amend_opts *o,
		struct q2_err *err)
{
	if (o->data_file && !img->geom.external_data)
		return q2_fail(err, -EINVAL,
			       "data-file can only be set for images that use "
			       "an external data file");
	if (o->data_file && strlen(o->data_file) > Q2_MAX_BACKING_NAME)
		return q2_fail(err, -EINVAL,
			       "the name of the data file is longer than %u "
			       "bytes",
			       Q2_MAX_BACKING_NAME);
	if (o->data_file_raw > 0 && !image_data_is_raw(img))
		return q2_fail(err, -EINVAL,
			       "data-file-raw cannot be set on existing "
			       "images");
	return 0;
}

static int
judge_refcounts(const struct image *img, const struct q2_amend_opts *o,
		struct q2_err *err)
{
	unsigned bits = o->refcount_bits;

	if (bits && (bits > 64 || (bits & (bits - 1))))
		return q2_fail(err, -EINVAL,
			       "Refcount width must be a power of two and may "
			       "not exceed 64 bits");
	if (bits && bits != 16 && bits != img->geom.refcount_bits &&
	    new_version(img, o) < 3)
		return q2_fail(err, -EINVAL,
			       "Refcount widths other than 16 bits require "
			       "compatibility level 1.1 or above (use "
			       "compat=1.1 or greater)");
	if (o->lazy_refcounts > 0 && new_version(img, o) < 3)
		return q2_fail(err, -EINVAL,
			       "Lazy refcounts only supported with "
			       "compatibility level 1.1 and above (use "
			       "compat=1.1 or greater)");
	return 0;
}

/* Is any cluster of the image itself compressed? */
static int Q2_CO
has_compressed(struct image *img)
{
	struct map_extent e;

	for (uint64_t off = 0; off < img->size; off += e.len) {
		int r = map_lookup(img, off, img->size - off, &e);

		if (r < 0)
			return r;
		if (e.kind == CLUSTER_COMPRESSED)
			return 1;
	}
	return 0;
}

static int Q2_CO
judge_compression(struct image *img, struct q2_err *err)
{
	int r;

	if (!(img->header.incompatible & INCOMPAT_COMPRESSION))
		return 0;
	r = has_compressed(img);
	if (r > 0)
		return q2_fail(err, -ENOTSUP,
			       "Cannot downgrade an image with zstd "
			       "compression type and existing compressed "
			       "clusters");
	return r < 0 ? q2_fail(err, r, "Could not read the L2 tables: %s",
			       strerror(-r))
		     : 0;
}

/* Compressed clusters of snapshots stay as they are; and one cluster of zeros
 * cannot be many guest clusters' if the cipher knows where the guest has it. */
static int Q2_CO
judge_snapshot(struct image *img, const struct snapshot *sn, struct q2_err *err)
{
	uint64_t flags = 0;
	struct table l1;
	int r = snapshots_check_l1(img, sn, err);

	if (r < 0)
		return r;
	if (img->header.incompatible & INCOMPAT_COMPRESSION)
		flags |= ENTRY_COMPRESSED;
	if (img->crypt.on && img->crypt.by_guest && img->backing)
		flags |= ENTRY_ZERO;
	r = flags ? snapshots_read_l1(img, sn, 0, &l1) : 0;
	if (r == 0 && flags) {
		r = tree_has(img, &l1, flags);
		table_done(&l1);
	}
	if (r < 0)
		return q2_fail(err, r, "Could not read snapshot '%s': %s",
			       sn->name, strerror(-r));
	return r ? q2_fail(err, -ENOTSUP,
			   "snapshot '%s' has %s, which version 2 has not: "
			   "delete it first",
			   sn->name,
			   flags & ENTRY_ZERO ? "encrypted zero clusters"
					      : "clusters compressed by zstd")
		 : 0;
}

/* Version 2 has no place for a snapshot's own disk size, nor for more than 32
 * bits of its machine's.  The disk will have `size` bytes. */
static bool
has_wide_snapshot(const struct image *img, uint64_t size)
{
	for (uint32_t i = 0; i < img->snapshots.n; i++) {
		const struct snapshot *sn = &img->snapshots.v[i];

		if (sn->state_bytes > UINT32_MAX ||
		    (sn->has_disk_bytes && sn->disk_bytes != size))
			return true;
	}
	return false;
}

static int Q2_CO
judge_downgrade(struct image *img, const struct q2_amend_opts *o,
		struct q2_err *err)
{
	const struct header *h = &img->header;
	uint64_t bits = h->incompatible &
			~(INCOMPAT_DIRTY | INCOMPAT_COMPRESSION);
	int r;

	if (new_version(img, o) >= h->version)
		return 0;
	if (new_bits(img, o) != 16)
		return q2_fail(err, -ENOTSUP,
			       "compat=0.10 requires refcount_bits=16");
	if (img->geom.external_data)
		return q2_fail(err, -ENOTSUP,
			       "Cannot downgrade an image with a data file");
	if (bits)
		return q2_fail(err, -ENOTSUP,
			       "Cannot downgrade an image with incompatible "
			       "features 0x%" PRIx64 " set",
			       bits);
	if (has_wide_snapshot(img,
			      o->virtual_size ? o->virtual_size : img->size))
		return q2_fail(err, -ENOTSUP,
			       "Internal snapshots prevent downgrade of image");
	r = judge_compression(img, err);
	for (uint32_t i = 0; r == 0 && i < img->snapshots.n; i++)
		r = judge_snapshot(img, &img->snapshots.v[i], err);
	return r;
}

static int Q2_CO
judge(struct image *img, const struct q2_amend_opts *o, struct q2_err *err)
{
	int r = 0;

	if (o->compat && o->compat != 2 && o->compat != 3)
		r = q2_fail(err, -EINVAL, "Unknown compatibility level %u",
			    o->compat);
	if (r == 0)
		r = judge_refcounts(img, o, err);
	if (r == 0)
		r = judge_data_file(img, o, err);
	if (r == 0 && o->virtual_size > INT64_MAX)
		r = q2_fail(err, -EINVAL, "Image size cannot be negative");
	return r == 0 ? judge_downgrade(img, o, err) : r;
}

/* ---- headers ----------------------------------------------------------- */

static int Q2_CO
write_header(struct image *img, const struct q2_amend_opts *o,
	     struct q2_err *err)
{
	struct header h = img->header;

	if (new_version(img, o) > h.version)
		h.version = new_version(img, o);
	if (o->lazy_refcounts > 0)
		h.compatible |= COMPAT_LAZY_REFCOUNTS;
	if (o->lazy_refcounts < 0)
		h.compatible &= ~COMPAT_LAZY_REFCOUNTS;
	if (o->data_file)
		(void)strcpy(h.data_file, o->data_file);
	if (o->data_file_raw < 0)
		h.autoclear &= ~AUTOCLEAR_DATA_FILE_RAW;
	if (h.version == img->header.version &&
	    h.compatible == img->header.compatible && !o->data_file &&
	    h.autoclear == img->header.autoclear)
		return 0;
	return mark_header(img, &h, err);
}

static int Q2_CO
downgrade(struct image *img, const struct q2_amend_opts *o, struct q2_err *err)
{
	struct header h;
	int r = amend_expand_zeros(img, o, err);

	if (r == 0)
		r = amend_expand_snapshots(img, err);
	if (r == 0)
		r = bitmap_drop_all(img, err);
	if (r < 0)
		return r;
	h = img->header;
	h.version = 2;
	h.incompatible = h.compatible = h.autoclear = 0;
	h.compression_type = 0;
	return mark_header(img, &h, err);
}

/* ---- the whole --------------------------------------------------------- */

/* Refcounts are in the file, and stay there (E3). */
static int Q2_CO
settle(struct image *img, struct q2_err *err)
{
	int r;

	img->lazy = false;
	r = limbo_drain(img);
	if (r == 0)
		r = cache_commit(img);
	if (r == 0)
		r = mark_clear(img, INCOMPAT_DIRTY);
	return r < 0 ? q2_fail(err, r, "Could not write the metadata: %s",
			       strerror(-r))
		     : 0;
}

static int Q2_CO
change_size(struct image *img, uint64_t size, struct q2_err *err)
{
	struct q2_resize_opts o = {.size = sizeof(o), .shrink = true};

	return !size || size == img->size ? 0
					  : resize_image(img, size, &o, err);
}

/* Which of the two versions is it now?  Behind what err says. */
static int
say_version(const struct image *img, unsigned wanted, struct q2_err *err, int r)
{
	struct q2_err said = {0};

	if (err)
		said = *err;
	/* The header may have been the last that was written. */
	if (img->failed)
		return q2_fail(err, r, "%s; the image is of version %u or %u",
			       said.text, img->header.version, wanted);
	return q2_fail(err, r, "%s; the image is of version %u", said.text,
		       img->header.version);
}

int Q2_CO
amend_image(struct image *img, const struct q2_amend_opts *opts,
	    struct q2_err *err)
{
	unsigned bits = new_bits(img, opts), old = img->header.version;
	int r = judge(img, opts, err);

	if (r < 0)
		return r;
	r = settle(img, err);
	if (r == 0 && new_version(img, opts) > img->header.version)
		r = snapshot_complete_table(img, err);
	if (r == 0 && new_version(img, opts) >= img->header.version)
		r = write_header(img, opts, err);
	if (r == 0 && bits != img->geom.refcount_bits)
		r = amend_refcounts(img, bits, err);
	if (r == 0)
		r = change_size(img, opts->virtual_size, err);
	if (r == 0 && new_version(img, opts) < img->header.version)
		r = downgrade(img, opts, err);
	if (r < 0 && new_version(img, opts) != old)
		r = say_version(img, new_version(img, opts), err, r);
	return r;
}
