/* SPDX-License-Identifier: MIT */
/*
 * request.c - a guest request from q2_submit() to done()
 *
 *	gate	an operation on the whole image makes it wait (I2)
 *	check	range and rights; a wrong request is done at once
 *	fast	the bytes of the request are adjacent in the file and not
 *		encrypted, or known to be zero, and everything that says so is
 *		in memory: the operation is filled in and submitted, without a
 *		coroutine
 *	slow	anything else: a coroutine runs read.c, write.c, zero.c
 *	done	by a task of the loop, never from within request_submit()
 *
 * What a request needs while in flight lives in the caller's struct q2_req, so
 * that nothing is allocated.
 */
#include "engine/image/request.h"

#include <assert.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/image/chain.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/raw.h"
#include "engine/image/trim.h"

struct request {
	struct image *img;
	uint64_t generation;   /* limbo.h */
	struct loop_task task; /* starts it after the gate; calls done() */
	struct aio_op op;      /* of the fast path */
};

static_assert(sizeof(struct request) <= sizeof(((struct q2_req *)0)->priv),
	      "struct q2_req has room for the engine's part");

static struct request *
request_of(struct q2_req *rq)
{
	return (struct request *)rq->priv;
}

static struct q2_req *
req_of(struct request *req)
{
	return container_of((uint64_t(*)[32])req, struct q2_req, priv);
}

/* ---- done -------------------------------------------------------------- */

static void
call_done(struct loop_task *task)
{
	struct request *req = container_of(task, struct request, task);
	struct q2_req *rq = req_of(req);
	struct image *img = req->img;

	img->loop->requests_done++;
	img->requests--;
	limbo_leave(img, req->generation);
	gate_leave(&img->gate);
	rq->done(rq);
}

static void
finish(struct q2_req *rq, int result)
{
	struct request *req = request_of(rq);

	rq->result = result;
	req->task.fn = call_done;
	loop_defer(req->img->loop, &req->task);
}

/* ---- the fast path ----------------------------------------------------- */

static void
fast_done(struct aio_op *op)
{
	struct request *req = container_of(op, struct request, op);

	if (op->kind == AIO_WRITE)
		cache_data_written(req->img);
	finish(req_of(req), op->result);
}

/* A write needs clusters that are ours alone and that nobody is changing. */
static bool
may_write(struct image *img, const struct q2_req *rq,
	  const struct map_extent *ext)
{
	unsigned bits = img->geom.sub_bits;
	uint64_t first = rq->off >> bits;
	uint64_t n = ((rq->off + rq->len - 1) >> bits) - first + 1;

	if (ext->kind != CLUSTER_NORMAL || !ext->copied || img->crypt.on)
		return false;
	if (img->data == img->file &&
	    (meta_hit(img, ext->host, rq->len) ||
	     !alloc_is_covered(img, ext->host + rq->len)))
		return false;
	return list_empty(&img->inflight.ranges) ||
	       inflight_next(&img->inflight, first, n) == first + n;
}

/* Where the request's bytes are, if one operation, or none, moves them. */
static bool
fast_map(struct image *img, const struct q2_req *rq, struct chain_extent *ret)
{
	if (rq->op == Q2_READ)
		return chain_peek(img, rq->off, rq->len, ret) &&
		       ret->ext.len == rq->len &&
		       ret->ext.kind != CLUSTER_COMPRESSED &&
		       (!ret->layer->crypt.on || chain_is_zero(ret));
	*ret = (struct chain_extent){.layer = img, .found = true};
	if (!image_is_qcow2(img)) {
		ret->ext.kind = CLUSTER_NORMAL;
		ret->ext.host = rq->off;
		return true;
	}
	return map_peek(img, rq->off, rq->len, &ret->ext) &&
	       ret->ext.len == rq->len && may_write(img, rq, &ret->ext);
}

/* detect-zeroes: does the write hold zeros only? */
static bool
is_zeros(const struct image *img, const struct q2_req *rq)
{
	return img->detect_zeroes && rq->op == Q2_WRITE &&
	       iov_is_zero(rq->iov, rq->iovcnt);
}

/* One operation and no sync is all that the request can need. */
static bool
may_be_fast(const struct image *img, const struct q2_req *rq)
{
	if (rq->op == Q2_READ)
		return true;
	return rq->op == Q2_WRITE && !img->sync_writes &&
	       bitmaps_ready(&img->bitmaps) &&
	       !(img->compress_writes && rq->len >= img->geom.cluster_size) &&
	       !(rq->flags & (Q2_FUA | Q2_COMPRESSED)) && !is_zeros(img, rq);
}

/* What the request changes, for the bitmaps. */
static void
note_change(struct image *img, const struct q2_req *rq)
{
	bool changes = rq->op == Q2_WRITE || rq->op == Q2_ZERO ||
		       (rq->op == Q2_DISCARD && img->unmap);

	if (img->bitmaps.noting && changes)
		bitmaps_note(img, rq->off, rq->len);
}

static bool
try_fast(struct image *img, struct q2_req *rq)
{
	struct request *req = request_of(rq);
	struct chain_extent c;
	struct iov_iter it;

	if (!may_be_fast(img, rq) || !fast_map(img, rq, &c))
		return false;
	it = iov_iter_init(rq->iov, rq->iovcnt);
	if (chain_is_zero(&c)) {
		iov_fill(&it, 0, rq->len);
		finish(rq, 0);
		return true;
	}
	if (rq->iovcnt > AIO_IOV_MAX ||
	    !file_is_aligned(c.layer->data, &it, rq->len, c.ext.host))
		return false;
	note_change(img, rq);
	req->op = (struct aio_op){
		.kind = rq->op == Q2_READ ? AIO_READ : AIO_WRITE,
		.cls = AIO_DATA,
		.file = c.layer->data,
		.off = c.ext.host,
		.len = rq->len,
		.iov = rq->iov,
		.iovcnt = rq->iovcnt,
		.done = fast_done,
	};
	aio_submit(&req->op);
	return true;
}

/* ---- the slow path ----------------------------------------------------- */

/* Zeroes and discards of any length, as much at a time as limbo takes. */
static int Q2_CO
run_unlinking(struct image *img, struct q2_req *rq)
{
	uint64_t end = rq->off + rq->len, next;
	int r = 0;

	for (uint64_t off = rq->off; r == 0 && off < end; off = next) {
		next = min_u64(end, align_down(off, LIMBO_STEP) + LIMBO_STEP);
		r = limbo_wait(img, &request_of(rq)->generation);
		if (r < 0)
			return r;
		r = rq->op == Q2_DISCARD ? image_discard(img, off, next - off)
					 : image_zero(img, off, next - off,
						      rq->flags & Q2_MAY_UNMAP);
	}
	return r;
}

static int Q2_CO
run_write(struct image *img, struct q2_req *rq)
{
	int r = limbo_wait(img, &request_of(rq)->generation);

	if (r < 0)
		return r;
	if (rq->flags & Q2_COMPRESSED)
		return image_write_compressed(
			img, iov_iter_init(rq->iov, rq->iovcnt), rq->off);
	if (is_zeros(img, rq))
		return image_zero(img, rq->off, rq->len,
				  img->detect_zeroes == Q2_DETECT_UNMAP);
	if (img->compress_writes)
		return image_write_compressing(
			img, iov_iter_init(rq->iov, rq->iovcnt), rq->off);
	return image_write(img, iov_iter_init(rq->iov, rq->iovcnt), rq->off);
}

static int Q2_CO
run_qcow2(struct image *img, struct q2_req *rq)
{
	switch (rq->op) {
	case Q2_READ:
		return image_read(img, iov_iter_init(rq->iov, rq->iovcnt),
				  rq->off);
	case Q2_WRITE:
		return run_write(img, rq);
	case Q2_ZERO:
	case Q2_DISCARD:
		return run_unlinking(img, rq);
	case Q2_FLUSH:
		return cache_commit(img);
	}
	return -EINVAL;
}

/* Before the guest's data is changed: may it be? */
static int Q2_CO
begin_change(struct image *img, const struct q2_req *rq)
{
	int r = 0;

	if (!img->bitmaps.noting || rq->op == Q2_READ || rq->op == Q2_FLUSH)
		return 0;
	if (!bitmaps_ready(&img->bitmaps))
		r = bitmaps_mark(img, false);
	if (r == 0)
		note_change(img, rq);
	return r;
}

static void
run_slow(void *arg)
{
	struct q2_req *rq = arg;
	struct image *img = request_of(rq)->img;
	uint64_t freed = img->limbo.freed;
	int r;

	r = begin_change(img, rq);
	if (r == 0)
		r = image_is_qcow2(img) ? run_qcow2(img, rq) : raw_run(img, rq);
	/* F1: what waits in limbo may be what is missing. */
	if (r == -ENOSPC && image_is_qcow2(img) &&
	    limbo_make_room(img, &request_of(rq)->generation, freed))
		r = run_qcow2(img, rq);
	if (r == 0 && rq->op != Q2_READ && rq->op != Q2_FLUSH &&
	    (img->sync_writes || (rq->flags & Q2_FUA)))
		r = image_is_qcow2(img) ? cache_commit(img) : cache_sync(img);
	finish(rq, r);
}

/* ---- start ------------------------------------------------------------- */

static void
count_request(struct image *img, const struct q2_req *rq)
{
	struct q2_stats *n = &img->points.n;

	switch (rq->op) {
	case Q2_READ:
		n->guest_reads++;
		break;
	case Q2_WRITE:
		n->guest_writes++;
		break;
	case Q2_ZERO:
		n->guest_zeroes++;
		break;
	case Q2_DISCARD:
		n->guest_discards++;
		break;
	case Q2_FLUSH:
		n->guest_flushes++;
		break;
	}
}

/* 0, or why the request cannot be right. */
static int
check(const struct image *img, const struct q2_req *rq)
{
	if (rq->op == Q2_FLUSH)
		return 0;
	if (rq->off > img->size || rq->len > img->size - rq->off)
		return -EIO;
	if (rq->op == Q2_READ)
		return 0;
	if ((rq->flags & Q2_COMPRESSED) && !image_is_qcow2(img))
		return -ENOTSUP;
	return img->read_only || img->no_guest_writes ? -EPERM : img->failed;
}

static void
start(struct image *img, struct q2_req *rq)
{
	struct request *req = request_of(rq);
	int r = check(img, rq);

	req->generation = limbo_enter(&img->limbo);
	if (r < 0 || (!rq->len && rq->op != Q2_FLUSH) || !img->file) {
		finish(rq, r);
		return;
	}
	trim_if_due(img);
	if (try_fast(img, rq)) {
		img->points.n.fast_requests++;
		return;
	}
	img->points.n.slow_requests++;
	r = co_start(&img->loop->sched, run_slow, rq);
	if (r < 0)
		finish(rq, r);
}

/* The gate was lowered; another operation may have raised it again. */
static void
start_late(struct loop_task *task)
{
	struct request *req = container_of(task, struct request, task);

	if (gate_enter(&req->img->gate, &req->task))
		start(req->img, req_of(req));
}

void
request_submit(struct image *img, struct q2_req *rq)
{
	struct request *req = request_of(rq);

	assert(rq->done);
	req->img = img;
	req->task.fn = start_late;
	img->requests++;
	count_request(img, rq);
	if (gate_enter(&img->gate, &req->task))
		start(img, rq);
}
