/* SPDX-License-Identifier: MIT */
/*
 * q2_manage.c - the public interface: operations on one image
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "engine/aio/aio.h"
#include "engine/base/bits.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/manage/manage.h"
#include "engine/q2_priv.h"

/* ---- create, resize ---------------------------------------------------- */

struct create_call {
	struct loop *loop;
	const char *path;
	struct q2_create_opts opts;
	struct q2_create_result result;
	struct q2_err *err;
};

static int Q2_CO
run_create(void *arg)
{
	struct create_call *c = arg;

	return create_image(c->loop, c->path, &c->opts, &c->result, c->err);
}

int
q2_create(struct q2_loop *loop, const char *path,
	  const struct q2_create_opts *opts,
	  struct q2_create_result *ret_result, struct q2_err *err)
{
	struct create_call c = {
		.loop = loop_of(loop), .path = path, .err = err};
	int r;

	take_opts(&c.opts, sizeof(c.opts), opts);
	r = loop_call(c.loop, run_create, &c);
	if (r == 0 && ret_result)
		*ret_result = c.result;
	return r;
}

struct resize_call {
	struct image *img;
	uint64_t virtual_size;
	struct q2_resize_opts opts;
	struct q2_err *err;
};

static int Q2_CO
run_resize(void *arg)
{
	struct resize_call *c = arg;

	return resize_image(c->img, c->virtual_size, &c->opts, c->err);
}

int
q2_resize(struct q2_image *img, uint64_t virtual_size,
	  const struct q2_resize_opts *opts, struct q2_err *err)
{
	struct resize_call c = {
		.img = image_of(img), .virtual_size = virtual_size, .err = err};

	take_opts(&c.opts, sizeof(c.opts), opts);
	return loop_call(c.img->loop, run_resize, &c);
}

struct keyslot_call {
	struct image *img;
	struct q2_keyslot_opts opts;
	struct q2_err *err;
};

static int Q2_CO
run_keyslots(void *arg)
{
	struct keyslot_call *c = arg;

	return change_keyslots(c->img, &c->opts, c->err);
}

int
q2_change_keyslots(struct q2_image *img, const struct q2_keyslot_opts *opts,
		   struct q2_err *err)
{
	struct keyslot_call c = {.img = image_of(img), .err = err};

	take_opts(&c.opts, sizeof(c.opts), opts);
	return loop_call(c.img->loop, run_keyslots, &c);
}

/* ---- internal snapshots ------------------------------------------------ */

unsigned
q2_snapshot_count(const struct q2_image *img)
{
	return image_of(img)->snapshots.n;
}

struct q2_snapshot
q2_snapshot_get(const struct q2_image *img, unsigned index)
{
	const struct snapshot *sn = &image_of(img)->snapshots.v[index];

	return (struct q2_snapshot){
		.id = sn->id,
		.name = sn->name,
		.date_ns = (uint64_t)sn->date_sec * 1000000000 + sn->date_nsec,
		.clock_ns = sn->clock_ns,
		.state_bytes = sn->state_bytes,
		.disk_bytes = sn->disk_bytes,
		.has_icount = sn->icount != SNAPSHOT_NO_ICOUNT,
		.icount = sn->icount,
	};
}

int
q2_snapshot_find(const struct q2_image *img, const char *id, const char *name)
{
	int index = snapshots_find(&image_of(img)->snapshots, id, name);

	return index < 0 ? -ENOENT : index;
}

struct snapshot_call {
	struct image *img;
	struct snapshot_op op;
	struct q2_snapshot_opts opts;
	struct q2_err *err;
};

static int Q2_CO
run_snapshot(void *arg)
{
	struct snapshot_call *c = arg;

	return snapshot_run(c->img, &c->op, c->err);
}

int
q2_snapshot_create(struct q2_image *img, const struct q2_snapshot_opts *opts,
		   struct q2_err *err)
{
	struct snapshot_call c = {
		.img = image_of(img), .op.kind = SNAPSHOT_CREATE, .err = err};
	struct timespec now;

	take_opts(&c.opts, sizeof(c.opts), opts);
	c.op.opts = &c.opts;
	if (!c.opts.name)
		return q2_fail(err, -EINVAL, "a snapshot needs a name");
	if (!c.opts.date_ns) {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		c.opts.date_ns = (uint64_t)now.tv_sec * 1000000000 +
				 (uint64_t)now.tv_nsec;
	}
	return loop_call(c.img->loop, run_snapshot, &c);
}

int
q2_snapshot_apply(struct q2_image *img, unsigned index, struct q2_err *err)
{
	struct snapshot_call c = {
		.img = image_of(img),
		.op = {.kind = SNAPSHOT_APPLY, .index = index},
		.err = err};

	return loop_call(c.img->loop, run_snapshot, &c);
}

int
q2_snapshot_delete(struct q2_image *img, unsigned index, struct q2_err *err)
{
	struct snapshot_call c = {
		.img = image_of(img),
		.op = {.kind = SNAPSHOT_DELETE, .index = index},
		.err = err};

	return loop_call(c.img->loop, run_snapshot, &c);
}

static int Q2_CO
run_snapshot_load(void *arg)
{
	struct snapshot_call *c = arg;

	return snapshot_load(c->img, c->op.index, c->err);
}

int
q2_snapshot_load(struct q2_image *img, const char *id, const char *name,
		 struct q2_err *err)
{
	struct snapshot_call c = {.img = image_of(img), .err = err};
	int index = q2_snapshot_find(img, id, name);

	if (!image_is_qcow2(c.img))
		return q2_fail(err, -ENOTSUP,
			       "Block format '%s' used by device '' does not "
			       "support temporarily loading internal snapshots",
			       c.img->driver);
	if (!c.img->read_only)
		return q2_fail(err, -EINVAL, "Device is not readonly");
	if (index < 0)
		return q2_fail(err, index, "Can't find snapshot");
	c.op.index = (uint32_t)index;
	return loop_call(c.img->loop, run_snapshot_load, &c);
}

struct vmstate_call {
	struct image *img;
	void *read;
	const void *write;
	uint64_t len, off;
};

static int Q2_CO
run_vmstate(void *arg)
{
	struct vmstate_call *c = arg;
	int r = c->read ? POINT_HIT(&c->img->points, vmstate_read)
			: POINT_HIT(&c->img->points, vmstate_write);

	if (r < 0)
		return r;
	return c->read ? vmstate_read(c->img, c->read, c->len, c->off)
		       : vmstate_write(c->img, c->write, c->len, c->off);
}

int
q2_vmstate_read(struct q2_image *img, void *buf, size_t len, uint64_t off)
{
	struct vmstate_call c = {
		.img = image_of(img), .read = buf, .len = len, .off = off};

	return len ? loop_call(c.img->loop, run_vmstate, &c) : 0;
}

int
q2_vmstate_write(struct q2_image *img, const void *buf, size_t len,
		 uint64_t off)
{
	struct vmstate_call c = {
		.img = image_of(img), .write = buf, .len = len, .off = off};

	return len ? loop_call(c.img->loop, run_vmstate, &c) : 0;
}

/* ---- bitmaps ----------------------------------------------------------- */

unsigned
q2_bitmap_count(const struct q2_image *img)
{
	return image_of(img)->bitmaps.n;
}

struct q2_bitmap
q2_bitmap_get(const struct q2_image *img, unsigned index)
{
	const struct dirty_bitmap *d = &image_of(img)->bitmaps.v[index];

	return (struct q2_bitmap){
		.name = d->name,
		.granularity = UINT64_C(1) << d->granularity_bits,
		.enabled = d->enabled,
		.inconsistent = d->inconsistent,
	};
}

int
q2_bitmap_find(const struct q2_image *img, const char *name)
{
	int index = bitmaps_find(&image_of(img)->bitmaps, name);

	return index < 0 ? -ENOENT : index;
}

struct bitmap_call {
	struct image *img;
	struct bitmap_op op;
	struct q2_err *err;
};

static int Q2_CO
run_bitmap(void *arg)
{
	struct bitmap_call *c = arg;

	return bitmap_run(c->img, &c->op, c->err);
}

static int
call_bitmap(struct q2_image *img, const struct bitmap_op *op,
	    struct q2_err *err)
{
	struct bitmap_call c = {.img = image_of(img), .op = *op, .err = err};

	return loop_call(c.img->loop, run_bitmap, &c);
}

int
q2_bitmap_add(struct q2_image *img, const char *name, uint64_t granularity,
	      struct q2_err *err)
{
	struct bitmap_op op = {.kind = BITMAP_OP_ADD,
			       .name = name,
			       .granularity = granularity};

	return call_bitmap(img, &op, err);
}

int
q2_bitmap_remove(struct q2_image *img, const char *name, struct q2_err *err)
{
	struct bitmap_op op = {.kind = BITMAP_OP_REMOVE, .name = name};

	return call_bitmap(img, &op, err);
}

int
q2_bitmap_clear(struct q2_image *img, const char *name, struct q2_err *err)
{
	struct bitmap_op op = {.kind = BITMAP_OP_CLEAR, .name = name};

	return call_bitmap(img, &op, err);
}

int
q2_bitmap_enable(struct q2_image *img, const char *name, struct q2_err *err)
{
	struct bitmap_op op = {.kind = BITMAP_OP_ENABLE, .name = name};

	return call_bitmap(img, &op, err);
}

int
q2_bitmap_disable(struct q2_image *img, const char *name, struct q2_err *err)
{
	struct bitmap_op op = {.kind = BITMAP_OP_DISABLE, .name = name};

	return call_bitmap(img, &op, err);
}

int
q2_bitmap_merge(struct q2_image *img, const char *name, struct q2_image *source,
		const char *source_name, struct q2_err *err)
{
	struct bitmap_op op = {
		.kind = BITMAP_OP_MERGE,
		.name = name,
		.source = image_of(source),
		.source_name = source_name,
	};

	if (op.source->loop != image_of(img)->loop)
		return q2_fail(err, -EINVAL,
			       "the images are on different loops");
	return call_bitmap(img, &op, err);
}

struct bits_call {
	struct image *img;
	struct dirty_bitmap *d;
	struct q2_err *err;
};

static int Q2_CO
run_read_bits(void *arg)
{
	struct bits_call *c = arg;

	return bitmaps_read(c->img, c->d, c->err);
}

int
q2_bitmap_next(struct q2_image *img, unsigned index, uint64_t *off,
	       uint64_t *ret_len, struct q2_err *err)
{
	struct bits_call c = {.img = image_of(img), .err = err};
	struct dirty_bitmap *d = c.d = &c.img->bitmaps.v[index];
	uint64_t first, end;
	int r;

	if (d->inconsistent)
		return q2_fail(err, -EINVAL,
			       "Bitmap '%s' is inconsistent and cannot be used",
			       d->name);
	r = loop_call(c.img->loop, run_read_bits, &c);
	if (r < 0 || *off >= c.img->size)
		return r;
	first = bits_next(d->bits, *off >> d->granularity_bits, d->n_bits,
			  true);
	end = bits_next(d->bits, first, d->n_bits, false);
	if (first == d->n_bits)
		return 0;
	*off = max_u64(*off, first << d->granularity_bits);
	*ret_len = min_u64(end << d->granularity_bits, c.img->size) - *off;
	return 1;
}

/* ---- check, measure ---------------------------------------------------- */

struct check_call {
	struct image *img;
	enum q2_repair fix;
	struct q2_check *ret;
	struct finder finder;
	struct q2_err *err;
};

static int Q2_CO
run_check(void *arg)
{
	struct check_call *c = arg;

	return check_image(c->img, c->fix, c->ret, &c->finder, c->err);
}

int
q2_check(struct q2_image *img, struct q2_check *ret_check,
	 q2_finding_fn finding, void *arg, struct q2_err *err)
{
	struct check_call c = {.img = image_of(img),
			       .ret = ret_check,
			       .finder = {.fn = finding, .arg = arg},
			       .err = err};

	return loop_call(c.img->loop, run_check, &c);
}

int
q2_repair(struct q2_image *img, enum q2_repair what, struct q2_check *ret_check,
	  q2_finding_fn finding, void *arg, struct q2_err *err)
{
	struct check_call c = {.img = image_of(img),
			       .fix = what,
			       .ret = ret_check,
			       .finder = {.fn = finding, .arg = arg},
			       .err = err};
	int r = image_drain(c.img, err);

	return r < 0 ? r : loop_call(c.img->loop, run_check, &c);
}

struct measure_call {
	struct image *img;
	struct q2_create_opts opts;
	struct q2_measure *ret;
	struct q2_err *err;
};

static int Q2_CO
run_measure(void *arg)
{
	struct measure_call *c = arg;

	return measure_image(&c->opts, c->img, c->ret, c->err);
}

int
q2_measure(const struct q2_create_opts *opts, struct q2_image *img,
	   struct q2_measure *ret_measure, struct q2_err *err)
{
	struct measure_call c = {
		.img = image_of(img), .ret = ret_measure, .err = err};

	take_opts(&c.opts, sizeof(c.opts), opts);
	/* Without an image nothing waits, and there is no loop. */
	return img ? loop_call(c.img->loop, run_measure, &c) : run_measure(&c);
}
