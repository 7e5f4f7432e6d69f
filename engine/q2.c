/* SPDX-License-Identifier: MIT */
/*
 * q2.c - the public interface: thin wrappers around loop, image and manage
 *
 * What may wait runs in a coroutine of the image's loop, which is turned until
 * that has ended.
 */
#include "engine/q2.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "engine/aio/aio.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/crypt/luks.h"
#include "engine/image/chain.h"
#include "engine/image/image.h"
#include "engine/image/layers.h"
#include "engine/image/open.h"
#include "engine/image/owners.h"
#include "engine/image/raw.h"
#include "engine/image/reopen.h"
#include "engine/image/request.h"
#include "engine/manage/manage.h"

/* The public types are names for the internal ones. */
static struct loop *
loop_of(const struct q2_loop *loop)
{
	return (struct loop *)(uintptr_t)loop;
}

static struct image *
image_of(const struct q2_image *img)
{
	return (struct image *)(uintptr_t)img;
}

/* Copy a caller's options over the defaults, as far as the caller's struct
 * goes: it may be older than we are. */
static void
take_opts(void *ours, size_t our_size, const void *theirs)
{
	size_t size;

	if (!theirs)
		return;
	memcpy(&size, theirs, sizeof(size));
	memcpy(ours, theirs, size < our_size ? size : our_size);
}

const char *
q2_version(void)
{
	return Q2_VERSION;
}

/* ---- loops ------------------------------------------------------------- */

int
q2_loop_new(const struct q2_loop_opts *opts, struct q2_loop **ret_loop,
	    struct q2_err *err)
{
	struct q2_loop_opts o = {0};
	struct loop_opts inner;
	struct loop *loop;
	int r;

	take_opts(&o, sizeof(o), opts);
	inner = (struct loop_opts){
		.aio = o.aio, .depth = o.depth, .workers = o.workers};
	r = loop_new(&inner, &loop, err);
	if (r == 0)
		*ret_loop = (struct q2_loop *)loop;
	return r;
}

void
q2_loop_free(struct q2_loop *loop)
{
	if (loop)
		loop_free(loop_of(loop));
}

int
q2_loop_run(struct q2_loop *loop, unsigned min, int64_t timeout_ns)
{
	return loop_run(loop_of(loop), min, timeout_ns);
}

int
q2_loop_fd(struct q2_loop *loop)
{
	return loop_fd(loop_of(loop));
}

int
q2_loop_post(struct q2_loop *loop, void (*fn)(void *arg), void *arg)
{
	return loop_post(loop_of(loop), fn, arg);
}

const char *
q2_loop_aio(const struct q2_loop *loop)
{
	return loop_aio(loop_of(loop));
}

const char *
q2_loop_notice(const struct q2_loop *loop)
{
	const struct loop *l = loop_of(loop);

	return l->notice[0] ? l->notice : NULL;
}

void
q2_loop_syscalls(const struct q2_loop *loop, uint64_t *ret_syscalls,
		 uint64_t *ret_sqes)
{
	*ret_syscalls = loop_of(loop)->syscalls;
	*ret_sqes = loop_of(loop)->sqes;
}

void *
q2_buf_alloc(struct q2_loop *loop, size_t bytes)
{
	return loop_buf_alloc(loop_of(loop), bytes);
}

void
q2_buf_free(struct q2_loop *loop, void *buf)
{
	if (buf)
		loop_buf_free(loop_of(loop), buf);
}

/* ---- images ------------------------------------------------------------ */

struct dirty_call {
	struct image *img;
	struct finder finder;
	struct q2_err *err;
};

static int Q2_CO
run_repair_dirty(void *arg)
{
	struct dirty_call *c = arg;

	return repair_dirty(c->img, &c->finder, c->err);
}

/* Refcounts that a crash left behind are set right before anything is written
 * by them. */
static int
repair_if_dirty(struct image *img, const struct q2_open_opts *o,
		struct q2_err *err)
{
	struct dirty_call c = {
		.img = img,
		.finder = {.fn = o->finding, .arg = o->finding_arg},
		.err = err,
	};

	if (!image_is_qcow2(img) || img->read_only || (o->flags & Q2_CHECK) ||
	    !(img->header.incompatible & INCOMPAT_DIRTY))
		return 0;
	return loop_call(img->loop, run_repair_dirty, &c);
}

int
q2_open(struct q2_loop *loop, const char *path, const struct q2_open_opts *opts,
	struct q2_image **ret_img, struct q2_err *err)
{
	struct q2_open_opts o = {0};
	struct image *img;
	int r;

	take_opts(&o, sizeof(o), opts);
	r = image_open(loop_of(loop), path, &o, &img, err);
	if (r < 0)
		return r;
	r = repair_if_dirty(img, &o, err);
	if (r < 0) {
		(void)image_close(img, NULL);
		return r;
	}
	*ret_img = (struct q2_image *)img;
	return 0;
}

/* Turn the loop until no request of the image is in flight. */
static int
drain(struct image *img, struct q2_err *err)
{
	while (img->requests) {
		int r = loop_run(img->loop, 1, -1);

		if (r < 0)
			return q2_fail(err, r, "could not wait for %u requests",
				       img->requests);
	}
	return 0;
}

int
q2_close(struct q2_image *img, struct q2_err *err)
{
	struct image *i = image_of(img);
	int r;

	q2_debug_resume_all(img);
	r = drain(i, err);

	return r < 0 ? r : image_close(i, err);
}

uint64_t
q2_size(const struct q2_image *img)
{
	return image_of(img)->size;
}

int
q2_probe(struct q2_loop *loop, const char *path, const char **ret_driver,
	 struct q2_err *err)
{
	struct points points = {0};
	struct aio_file *file;
	int r;

	r = aio_open(loop_of(loop), path, AIO_RDONLY, &points, &file, err);
	if (r < 0)
		return r;
	r = image_probe(loop_of(loop), file, ret_driver, err);
	aio_close(file);
	return r;
}

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

/* ---- requests ---------------------------------------------------------- */

void
q2_submit(struct q2_image *img, struct q2_req *rq)
{
	request_submit(image_of(img), rq);
}

struct blocking {
	struct q2_req rq;
	bool ended;
};

static void
end_blocking(struct q2_req *rq)
{
	container_of(rq, struct blocking, rq)->ended = true;
}

/* Submit a copy of rq and turn the loop until it is done. */
static int
run_to_end(struct q2_image *img, const struct q2_req *rq)
{
	struct blocking b = {.rq = *rq};
	int r;

	b.rq.done = end_blocking;
	q2_submit(img, &b.rq);
	r = loop_run_until(image_of(img)->loop, &b.ended);
	return r < 0 ? r : b.rq.result;
}

static int
transfer(struct q2_image *img, enum q2_op op, void *buf, size_t len,
	 uint64_t off)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct q2_req rq = {
		.op = op, .off = off, .len = len, .iov = &iov, .iovcnt = 1};

	return run_to_end(img, &rq);
}

int
q2_pread(struct q2_image *img, void *buf, size_t len, uint64_t off)
{
	return transfer(img, Q2_READ, buf, len, off);
}

int
q2_pwrite(struct q2_image *img, const void *buf, size_t len, uint64_t off)
{
	/* iovec has no const; a write does not change it. */
	return transfer(img, Q2_WRITE, (void *)(uintptr_t)buf, len, off);
}

int
q2_pzero(struct q2_image *img, uint64_t len, uint64_t off, unsigned flags)
{
	struct q2_req rq = {
		.op = Q2_ZERO, .flags = flags, .off = off, .len = len};

	return run_to_end(img, &rq);
}

int
q2_flush(struct q2_image *img)
{
	struct q2_req rq = {.op = Q2_FLUSH};

	return run_to_end(img, &rq);
}

/* ---- looking at images ------------------------------------------------- */

struct map_call {
	struct image *img;
	uint64_t off, len;
	struct q2_extent *ret_ext;
};

static int Q2_CO
map_call(void *arg)
{
	struct map_call *c = arg;

	return chain_map(c->img, c->off, c->len, c->ret_ext);
}

int
q2_map(struct q2_image *img, uint64_t off, uint64_t len,
       struct q2_extent *ret_ext, struct q2_err *err)
{
	struct image *i = image_of(img);
	struct map_call c = {i, off, len, ret_ext};
	int r;

	if (!len || off > i->size || len > i->size - off)
		return q2_fail(err, -EINVAL,
			       "the range %" PRIu64 "+%" PRIu64
			       " is not within the image's %" PRIu64 " bytes",
			       off, len, i->size);
	if (!i->file) {
		*ret_ext = (struct q2_extent){
			.off = off, .len = len, .present = true, .zero = true};
		return 0;
	}
	r = image_is_qcow2(i) ? loop_call(i->loop, map_call, &c)
			      : raw_map(i, off, len, ret_ext);
	if (r < 0)
		return q2_fail(err, r, "could not map offset %" PRIu64 ": %s",
			       off, strerror(-r));
	return 0;
}

static void
info_qcow2(const struct image *i, struct q2_info *ret_info)
{
	const struct header *h = &i->header;

	ret_info->cluster_size = (uint32_t)i->geom.cluster_size;
	ret_info->compat = h->version;
	ret_info->refcount_bits = i->geom.refcount_bits;
	ret_info->lazy_refcounts = h->compatible & COMPAT_LAZY_REFCOUNTS;
	ret_info->corrupt = h->incompatible & INCOMPAT_CORRUPT;
	ret_info->dirty = h->incompatible & INCOMPAT_DIRTY;
	ret_info->extended_l2 = h->incompatible & INCOMPAT_EXTENDED_L2;
	ret_info->compression_type = h->compression_type ? "zstd" : "zlib";
	ret_info->backing_file = h->backing_file[0] ? h->backing_file : NULL;
	ret_info->backing_format = h->backing_format[0] ? h->backing_format
							: NULL;
	ret_info->data_file = h->data_file[0] ? h->data_file : NULL;
	ret_info->external_data = h->incompatible & INCOMPAT_DATA_FILE;
	ret_info->encryption = h->crypt_method == 1   ? "aes"
			       : h->crypt_method == 2 ? "luks"
						      : NULL;
	ret_info->data_file_raw = h->autoclear & AUTOCLEAR_DATA_FILE_RAW;
	ret_info->l2_cache_size = (uint64_t)i->l2.n_slots * i->l2.slice_bytes;
	ret_info->l2_cache_entry_size = i->l2.slice_bytes;
	ret_info->refcount_cache_size = (uint64_t)i->refs.n_slots *
					i->refs.slice_bytes;
}

static void
info_luks(const struct luks *l, struct q2_luks_info *ret)
{
	const struct suite *s = &l->suite;

	*ret = (struct q2_luks_info){
		.cipher_alg = s->alg->name,
		.cipher_mode = suite_mode_name(s->mode),
		.ivgen_alg = suite_ivgen_name(s->ivgen),
		.ivgen_hash_alg = s->ivgen_hash ? s->ivgen_hash->name : NULL,
		.hash_alg = l->hash->name,
		.uuid = l->uuid,
		.payload_offset = (uint64_t)l->payload * Q2_SECTOR,
		.master_key_iters = l->iterations,
	};
	static_assert(ARRAY_SIZE(ret->slots) == LUKS_SLOTS, "all of them");
	for (unsigned i = 0; i < LUKS_SLOTS; i++)
		ret->slots[i] = (struct q2_luks_slot){
			.active = l->slots[i].active,
			.iters = l->slots[i].iterations,
			.stripes = LUKS_STRIPES,
			.key_offset = (uint64_t)l->slots[i].sector * Q2_SECTOR,
		};
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

struct layout_call {
	struct image *img;
	struct q2_layout *ret;
	struct q2_err *err;
};

static int Q2_CO
run_layout(void *arg)
{
	struct layout_call *c = arg;

	return layout_image(c->img, c->ret, c->err);
}

int
q2_layout(struct q2_image *img, struct q2_layout *ret_layout,
	  struct q2_err *err)
{
	struct layout_call c = {
		.img = image_of(img), .ret = ret_layout, .err = err};

	return loop_call(c.img->loop, run_layout, &c);
}

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

int
q2_repair(struct q2_image *img, enum q2_repair what, struct q2_check *ret_check,
	  q2_finding_fn finding, void *arg, struct q2_err *err)
{
	struct check_call c = {.img = image_of(img),
			       .fix = what,
			       .ret = ret_check,
			       .finder = {.fn = finding, .arg = arg},
			       .err = err};
	int r = drain(c.img, err);

	return r < 0 ? r : loop_call(c.img->loop, run_check, &c);
}

int
q2_info(struct q2_image *img, struct q2_info *ret_info, struct q2_err *err)
{
	const struct image *i = image_of(img);
	int64_t length = i->file ? aio_size(i->file) : 0;
	int64_t allocated = i->file ? aio_allocated(i->file) : 0;

	if (length < 0 || allocated < 0)
		return q2_fail(err, (int)(length < 0 ? length : allocated),
			       "could not read the length of '%s'", i->path);
	*ret_info = (struct q2_info){
		.driver = i->driver,
		.virtual_bytes = i->size,
		.file_bytes = (uint64_t)length,
		.alloc_bytes = (uint64_t)allocated,
		.cache = i->cache_mode,
		.zero = i->zero,
	};
	if (image_is_qcow2(i))
		info_qcow2(i, ret_info);
	if (i->crypt.luks)
		info_luks(i->crypt.luks, &ret_info->luks);
	return 0;
}

void
q2_stats(const struct q2_image *img, struct q2_stats *ret_stats)
{
	*ret_stats = image_of(img)->points.n;
}

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
		r = drain(c.img, err);
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
		r = repair_if_dirty(above->backing, &o, err);
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
		r = drain(c.img, err);
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
		r = drain(c.img, err);
	return r < 0 ? r : loop_call(c.img->loop, run_amend, &c);
}

unsigned
q2_find_layer(const struct q2_image *img, const char *name)
{
	return layers_find(image_of(img), name);
}
