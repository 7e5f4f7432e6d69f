/* SPDX-License-Identifier: MIT */
/*
 * q2_copy.c - the public interface: what several images take part in, and what
 * changes an image altogether
 */
#include <errno.h>
#include <string.h>

#include "engine/aio/aio.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/layers.h"
#include "engine/image/owners.h"
#include "engine/image/reopen.h"
#include "engine/manage/manage.h"
#include "engine/q2_priv.h"

/* ---- copying and comparing --------------------------------------------- */

struct convert_call {
	struct image *const *sources;
	size_t n;
	struct image *target;
	struct q2_convert_opts opts;
	struct q2_err *err;
};

static int Q2_CO
run_convert(void *arg)
{
	struct convert_call *c = arg;

	return convert_images(c->sources, c->n, c->target, &c->opts, c->err);
}

int
q2_convert(struct q2_image *const *sources, size_t n, struct q2_image *target,
	   const struct q2_convert_opts *opts, struct q2_err *err)
{
	struct convert_call c = {.sources = (struct image *const *)sources,
				 .n = n,
				 .target = image_of(target),
				 .err = err};
	uint64_t total = 0;

	take_opts(&c.opts, sizeof(c.opts), opts);
	if (!c.opts.coroutines)
		c.opts.coroutines = 8;
	if (!c.opts.sparse_bytes)
		c.opts.sparse_bytes = 4096;
	if (c.opts.coroutines > 16 || c.opts.sparse_bytes % 512)
		return q2_fail(err, -EINVAL,
			       "1 to 16 coroutines, and multiples of 512 bytes "
			       "of zeros");
	if (c.opts.compressed && !image_is_qcow2(c.target))
		return q2_fail(err, -ENOTSUP,
			       "Compression not supported for this file "
			       "format");
	for (size_t i = 0; i < n; i++) {
		if (c.sources[i]->loop != c.target->loop)
			return q2_fail(err, -EINVAL,
				       "the images are on different loops");
		if (add_overflows(total, c.sources[i]->size, &total))
			total = UINT64_MAX;
	}
	if (total > c.target->size)
		return q2_fail(err, -EINVAL,
			       "output file is smaller than input file");
	return loop_call(c.target->loop, run_convert, &c);
}

struct compare_call {
	struct image *a, *b;
	struct q2_compare_opts opts;
	struct q2_compare *ret;
	struct q2_err *err;
};

static int Q2_CO
run_compare(void *arg)
{
	struct compare_call *c = arg;

	return compare_images(c->a, c->b, &c->opts, c->ret, c->err);
}

int
q2_compare(struct q2_image *a, struct q2_image *b,
	   const struct q2_compare_opts *opts, struct q2_compare *ret_compare,
	   struct q2_err *err)
{
	struct compare_call c = {.a = image_of(a),
				 .b = image_of(b),
				 .ret = ret_compare,
				 .err = err};

	take_opts(&c.opts, sizeof(c.opts), opts);
	if (c.a->loop != c.b->loop)
		return q2_fail(err, -EINVAL,
			       "the images are on different loops");
	return loop_call(c.a->loop, run_compare, &c);
}

/* ---- chains ------------------------------------------------------------ */

struct commit_call {
	struct image *img;
	struct q2_commit_opts opts;
	struct q2_err *err;
};

static int Q2_CO
run_commit(void *arg)
{
	struct commit_call *c = arg;

	return commit_image(c->img, &c->opts, c->err);
}

static int
check_commit(const struct image *img, struct q2_err *err)
{
	if (!img->backing)
		return q2_fail(err, -ENOTSUP,
			       "Image does not have a backing file");
	if (img->read_only)
		return q2_fail(err, -EACCES, "Image is read-only");
	return 0;
}

int
q2_commit(struct q2_image *img, const struct q2_commit_opts *opts,
	  struct q2_err *err)
{
	struct commit_call c = {.img = image_of(img), .err = err};
	struct q2_open_opts o = {0};
	struct image *above = c.img;
	int r = check_commit(c.img, err);

	take_opts(&c.opts, sizeof(c.opts), opts);
	if (!c.opts.depth)
		c.opts.depth = 1;
	/* What is between has data of its own, which would come to light. */
	if (c.opts.depth > 1)
		c.opts.keep = true;
	if (r == 0)
		r = image_drain(c.img, err);
	owners_done(c.img);
	for (unsigned i = 1; r == 0 && i < c.opts.depth; i++) {
		const struct image *next = above->backing;

		if (next && next->backing)
			above = above->backing;
		else
			r = q2_fail(err, -EINVAL,
				    "the chain has %u layers below the image",
				    i);
	}
	if (r == 0)
		r = reopen_below(above, err);
	if (r == 0) {
		o.finding = c.img->opts.finding;
		o.finding_arg = c.img->opts.finding_arg;
		r = image_repair_if_dirty(above->backing, &o, err);
	}
	return r < 0 ? r : loop_call(c.img->loop, run_commit, &c);
}

struct rebase_call {
	struct image *img;
	struct q2_rebase_opts opts;
	struct q2_err *err;
};

static int Q2_CO
run_rebase(void *arg)
{
	struct rebase_call *c = arg;

	return rebase_image(c->img, &c->opts, c->err);
}

/* Can a header of its own be written for it? */
static int
check_has_header(const struct image *img, struct q2_err *err)
{
	if (!image_is_qcow2(img))
		return q2_fail(err, -ENOTSUP, "%s", strerror(ENOTSUP));
	if (img->read_only)
		return q2_fail(err, -EACCES, "Image is read-only");
	return 0;
}

int
q2_rebase(struct q2_image *img, const struct q2_rebase_opts *opts,
	  struct q2_err *err)
{
	struct rebase_call c = {.img = image_of(img), .err = err};
	int r = check_has_header(c.img, err);

	take_opts(&c.opts, sizeof(c.opts), opts);
	if (r == 0)
		r = image_drain(c.img, err);
	return r < 0 ? r : loop_call(c.img->loop, run_rebase, &c);
}

struct amend_call {
	struct image *img;
	struct q2_amend_opts opts;
	struct q2_err *err;
};

static int Q2_CO
run_amend(void *arg)
{
	struct amend_call *c = arg;

	return amend_image(c->img, &c->opts, c->err);
}

int
q2_amend(struct q2_image *img, const struct q2_amend_opts *opts,
	 struct q2_err *err)
{
	struct amend_call c = {.img = image_of(img), .err = err};
	int r = check_has_header(c.img, err);

	take_opts(&c.opts, sizeof(c.opts), opts);
	if (r == 0)
		r = image_drain(c.img, err);
	return r < 0 ? r : loop_call(c.img->loop, run_amend, &c);
}

unsigned
q2_find_layer(const struct q2_image *img, const char *name)
{
	return layers_find(image_of(img), name);
}
