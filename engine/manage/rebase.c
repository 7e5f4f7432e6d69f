/* SPDX-License-Identifier: MIT */
/*
 * rebase.c - another backing file, or none
 *
 *	will the header fit?
 *	what the image does not hold, and the two backing files do not have in
 *	common, is written into the image; it is flushed
 *	the header changes (mark_header())
 *
 * The guest reads the same at each of these moments, so that a crash or an
 * error needs nothing undone.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/chain.h"
#include "engine/image/image.h"
#include "engine/image/layers.h"
#include "engine/image/mark.h"
#include "engine/manage/manage.h"
#include "engine/manage/source.h"

/* What is read of both at once. */
#define STEP_BYTES (2 * MiB)

/* Bytes are told apart by sector, as in QEMU. */
#define GRAIN Q2_SECTOR

struct rebasing {
	struct image *img, *other; /* other: NULL for none */
	const struct q2_rebase_opts *o;
	struct q2_err *err;
	unsigned common; /* depth from which on both are the same; 0: none */
	uint8_t *a, *b;  /* what is read before, and would be read after */
};

static int
fail(struct rebasing *rb, int r, const char *what, uint64_t off)
{
	return q2_fail(rb->err, r,
		       "error while %s offset %llu: %s; the image has its old "
		       "backing file",
		       what, (unsigned long long)off, strerror(-r));
}

/* ---- what differs ------------------------------------------------------ */

/* Bytes [off, off + len) of image, and zeros behind its end. */
static int Q2_CO
read_padded(struct image *image, uint8_t *buf, uint64_t len, uint64_t off)
{
	uint64_t there = 0;

	if (image && off < image->size)
		there = min_u64(len, image->size - off);
	memset(buf + there, 0, len - there);
	return there ? source_read(image, buf, there, off) : 0;
}

/* From at on: how far bytes are the same, or all sectors different. */
static uint64_t
run_from(const struct rebasing *rb, uint64_t at, uint64_t len, bool *ret_same)
{
	uint64_t from = at;

	*ret_same = false;
	for (; at < len; at += GRAIN) {
		uint64_t n = min_u64(GRAIN, len - at);
		bool same = memcmp(rb->a + at, rb->b + at, n) == 0;

		if (at > from && same != *ret_same)
			break;
		*ret_same = same;
	}
	return min_u64(at, len) - from;
}

static int Q2_CO
write_old(struct rebasing *rb, uint64_t at, uint64_t len, uint64_t off,
	  bool zero)
{
	struct iovec iov = {rb->a + at, len};
	struct started st = {.rq = {.op = zero ? Q2_ZERO : Q2_WRITE,
				    .off = off + at,
				    .len = len,
				    .iov = zero ? NULL : &iov,
				    .iovcnt = !zero}};
	int r;

	started_submit(&st, rb->img);
	r = started_wait(&st);
	return r < 0 ? fail(rb, r, "writing at", off + at) : 0;
}

/*
 * Where the old chain has ended: what differs becomes zero, cluster by cluster.
 * Only whole clusters are marked: of a part the rest would be asked for once
 * more.  There, and in version 2, zeros are data.
 */
static int Q2_CO
settle_zeros(struct rebasing *rb, uint64_t off, uint64_t len)
{
	uint64_t cluster = rb->img->geom.cluster_size;
	bool flags = rb->img->header.version >= 3;
	int r = 0;

	for (uint64_t at = 0, n; at < len && r == 0; at += n) {
		n = min_u64(len - at, cluster - (off + at) % cluster);
		if (memcmp(rb->a + at, rb->b + at, n) != 0)
			r = write_old(rb, at, n, off, flags && n == cluster);
	}
	return r;
}

static int Q2_CO
settle_data(struct rebasing *rb, uint64_t off, uint64_t len)
{
	int r = 0;

	for (uint64_t at = 0, n; at < len && r == 0; at += n) {
		bool same;

		n = run_from(rb, at, len, &same);
		if (!same)
			r = write_old(rb, at, n, off, false);
	}
	return r;
}

/* Bytes that the image does not hold. */
static int Q2_CO
settle(struct rebasing *rb, uint64_t off, const struct q2_extent *e)
{
	int r;

	assert(rb->a && rb->b);
	r = read_padded(rb->img, rb->a, e->len, off);
	if (r == 0)
		r = read_padded(rb->other, rb->b, e->len, off);
	if (r < 0)
		return fail(rb, r, "reading at", off);
	return !e->present && !e->depth ? settle_zeros(rb, off, e->len)
					: settle_data(rb, off, e->len);
}

/* Does the image hold it itself, or what both have in common? */
static bool
stays(const struct rebasing *rb, const struct q2_extent *e)
{
	if (e->present && !e->depth)
		return true;
	return rb->common && e->depth >= rb->common;
}

static int Q2_CO
settle_all(struct rebasing *rb)
{
	uint64_t size = rb->img->size, off = 0;
	struct q2_extent e;
	int r = 0;

	while (r == 0 && off < size) {
		r = chain_map(rb->img, off, min_u64(size - off, STEP_BYTES),
			      &e);
		if (r < 0)
			return fail(rb, r, "reading block status at", off);
		if (!stays(rb, &e))
			r = settle(rb, off, &e);
		off += e.len;
		if (r == 0 && rb->o->progress &&
		    !rb->o->progress(rb->o->arg, off, size))
			r = q2_fail(rb->err, -ECANCELED,
				    "interrupted; the image has its old "
				    "backing file");
	}
	return r;
}

static int Q2_CO
flush(struct rebasing *rb)
{
	struct started st = {.rq = {.op = Q2_FLUSH}};
	int r;

	started_submit(&st, rb->img);
	r = started_wait(&st);
	if (r < 0)
		return q2_fail(rb->err, r,
			       "error while flushing the image: %s; it has its "
			       "old backing file",
			       strerror(-r));
	return 0;
}

static int Q2_CO
settle_safely(struct rebasing *rb)
{
	Q2_AUTO_FREE uint8_t *a = mem_aligned(STEP_BYTES);
	Q2_AUTO_FREE uint8_t *b = mem_aligned(STEP_BYTES);
	enum q2_detect_zeroes detect = rb->img->detect_zeroes;
	int r;

	if (!a || !b)
		return q2_fail(rb->err, -ENOMEM, "no memory for a rebase");
	rb->a = a;
	rb->b = b;
	if (rb->other)
		rb->common = layers_common(rb->img, rb->other);
	/* Zeros that are written are to be there. */
	rb->img->detect_zeroes = Q2_DETECT_OFF;
	r = settle_all(rb);
	rb->img->detect_zeroes = detect;
	return r < 0 ? r : flush(rb);
}

/* ---- the header -------------------------------------------------------- */

static int
new_header(const struct rebasing *rb, struct header *ret)
{
	const char *file = rb->o->backing_file ? rb->o->backing_file : "";
	const char *format = rb->o->backing_format ? rb->o->backing_format : "";

	*ret = rb->img->header;
	if (file[0] && image_data_is_raw(rb->img))
		return q2_fail(rb->err, -EINVAL, "%s", strerror(EINVAL));
	if (strlen(file) > Q2_MAX_BACKING_NAME ||
	    strlen(format) > Q2_MAX_BACKING_FORMAT)
		return q2_fail(rb->err, -EINVAL, "%s", strerror(EINVAL));
	(void)strcpy(ret->backing_file, file);
	(void)strcpy(ret->backing_format, file[0] ? format : "");
	return 0;
}

int Q2_CO
rebase_image(struct image *img, const struct q2_rebase_opts *opts,
	     struct q2_err *err)
{
	struct rebasing rb = {
		.img = img,
		.other = (struct image *)opts->backing,
		.o = opts,
		.err = err,
	};
	struct header h;
	int r = new_header(&rb, &h);

	/* What we would not open does not read the same. */
	if (r == 0 && !opts->unsafe && h.backing_file[0])
		r = layers_check_name(h.backing_file, err);
	if (r == 0 && rb.other && layers_has(rb.other, img))
		r = q2_fail(err, -EINVAL,
			    "'%.900s' has the image in its own chain",
			    rb.other->path);
	if (r == 0)
		r = mark_header_fits(img, &h, err);
	if (r == -ENOSPC)
		r = q2_fail(err, -E2BIG, "No space left in the file header");
	if (r == 0 && !opts->unsafe)
		r = settle_safely(&rb);
	/* Writing may have set the dirty bit. */
	if (r == 0)
		r = new_header(&rb, &h);
	return r == 0 ? mark_header(img, &h, err) : r;
}
