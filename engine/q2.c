/* SPDX-License-Identifier: MIT */
/*
 * q2.c - the public interface: thin wrappers around loop, image and manage;
 * here are loops, images, requests, and what is looked at
 *
 * What may wait runs in a coroutine of the image's loop, which is turned until
 * that has ended.
 */
#include "engine/q2.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/aio/aio.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/crypt/luks.h"
#include "engine/image/chain.h"
#include "engine/image/image.h"
#include "engine/image/open.h"
#include "engine/image/raw.h"
#include "engine/image/request.h"
#include "engine/manage/manage.h"
#include "engine/q2_priv.h"

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

int
image_repair_if_dirty(struct image *img, const struct q2_open_opts *o,
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
	r = image_repair_if_dirty(img, &o, err);
	if (r < 0) {
		(void)image_close(img, NULL);
		return r;
	}
	*ret_img = (struct q2_image *)img;
	return 0;
}

int
image_drain(struct image *img, struct q2_err *err)
{
	while (img->requests) {
		int r = loop_run(img->loop, 1, -1);

		if (r < 0)
			return q2_fail(err, r, "could not wait for %u requests",
				       img->requests);
	}
	return 0;
}

struct close_call {
	struct image *img;
	struct q2_err *err;
};

/* The bitmaps of all layers that may have been written. */
static int Q2_CO
run_close(void *arg)
{
	struct close_call *c = arg;
	int r = 0;

	for (struct image *i = c->img; i; i = i->backing) {
		int other = bitmaps_close(i, r < 0 ? NULL : c->err);

		if (r == 0)
			r = other;
	}
	return r;
}

int
q2_close(struct q2_image *img, struct q2_err *err)
{
	struct close_call c = {.img = image_of(img), .err = err};
	int r, other;

	q2_debug_resume_all(img);
	r = image_drain(c.img, err);
	if (r < 0)
		return r;
	r = loop_call(c.img->loop, run_close, &c);
	other = image_close(c.img, r < 0 ? NULL : err);
	return r < 0 ? r : other;
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

void
q2_stats_chain(const struct q2_image *img, struct q2_stats *ret_stats)
{
	const struct image *i = image_of(img);

	*ret_stats = i->points.n;
	while ((i = i->backing)) {
#define POINT(name, text) ret_stats->name += i->points.n.name;
#define BYTES(name, text) ret_stats->name += i->points.n.name;
#include "engine/base/points.def"
#undef POINT
#undef BYTES
	}
}
