/* SPDX-License-Identifier: MIT */
/*
 * loop.c - turns of the loop; the life of an operation
 *
 *	aio_submit --> queued --> backend --> completed --> finish --> done()
 *	      |          ^                    ^   |
 *	      |          +----- short, EINTR -|---+
 *	      +------- what needs no I/O -----+
 *
 * A finished operation is whole or failed: transfers that came out short are
 * continued from where they stopped, reads that met the end of the file are
 * filled with zeros.
 */
#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/aio/backend.h"
#include "engine/aio/debug.h"
#include "engine/aio/loop_priv.h"
#include "engine/aio/workers.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"

/* Attempts that moved nothing, in a row.  A device that says EAGAIN or EINTR
 * this often is broken. */
#define RETRIES_MAX 1000

/* Threads for blocking calls, when the owner does not say. */
#define WORKERS_DEFAULT 4

/* A function posted by another thread. */
struct posted {
	struct list link;
	void (*fn)(void *arg);
	void *arg;
};

/* ---- operations -------------------------------------------------------- */

static bool
moves_bytes(const struct aio_op *op)
{
	return op->kind == AIO_READ || op->kind == AIO_WRITE;
}

static bool
changes_bytes(const struct aio_op *op)
{
	return op->kind == AIO_WRITE || op->kind == AIO_DISCARD ||
	       op->kind == AIO_ZERO;
}

/* Count op once, however many attempts it takes.  A negative errno when a
 * test wants it to fail. */
static int
count(const struct aio_op *op)
{
	struct points *p = op->file->points;

	static_assert(POINT_host_read_cow_bytes ==
				      POINT_host_read_data_bytes + AIO_COW &&
			      POINT_host_write_cow_bytes ==
				      POINT_host_write_data_bytes + AIO_COW,
		      "one counter a class, in the order of the classes");
	switch (op->kind) {
	case AIO_READ:
		(&p->n.host_read_data_bytes)[op->cls] += op->len;
		return POINT_HIT(p, host_reads);
	case AIO_WRITE:
		(&p->n.host_write_data_bytes)[op->cls] += op->len;
		return POINT_HIT(p, host_writes);
	case AIO_SYNC:
		return POINT_HIT(p, fdatasyncs);
	case AIO_DISCARD:
		POINT_ADD(p, host_discard_bytes, op->len);
		return POINT_HIT(p, host_discards);
	case AIO_ZERO:
		POINT_ADD(p, host_zero_bytes, op->len);
		return POINT_HIT(p, host_zeroes);
	case AIO_TRUNCATE:
		return POINT_HIT(p, host_truncates);
	case AIO_ALLOCATE:
		return POINT_HIT(p, host_allocates);
	}
	return -EINVAL;
}

/* Is op's result known without asking the backend? */
static bool
known_result(const struct aio_op *op, int *ret)
{
	const struct aio_file *file = op->file;

	*ret = 0;
	if (op->kind == AIO_SYNC) {
		*ret = file->sync_error;
		return file->sync_error || (file->flags & AIO_NOSYNC);
	}
	if (op->kind != AIO_READ && (file->flags & AIO_RDONLY)) {
		*ret = -EBADF;
		return true;
	}
	if (op->kind == AIO_TRUNCATE)
		return false;
	if (op->len == 0)
		return true;
	if ((op->kind == AIO_ZERO && file->no_zero_range) ||
	    (op->kind == AIO_DISCARD && file->no_discard)) {
		*ret = -ENOTSUP;
		return true;
	}
	return false;
}

/* Where the byte op->moved of its memory is; *ret_i the entry. */
static size_t
find_moved(const struct aio_op *op, int *ret_i)
{
	uint64_t at = op->moved;
	int i = 0;

	while (at >= op->iov[i].iov_len)
		at -= op->iov[i++].iov_len;
	*ret_i = i;
	return at;
}

/* A continued attempt moves the rest of one entry: rare, so simple. */
static void
set_segment(struct aio_op *op)
{
	int i;
	size_t skip = find_moved(op, &i);

	op->seg.iov_base = (char *)op->iov[i].iov_base + skip;
	op->seg.iov_len = min_u64(op->iov[i].iov_len - skip,
				  op->len - op->moved);
	if (op->is_cut)
		op->seg.iov_len = min_u64(op->seg.iov_len,
					  op->file->end - op->off - op->moved);
}

static void
zero_rest(struct aio_op *op)
{
	struct iov_iter it = {.iov = op->iov, .left = op->len};

	iov_advance(&it, op->moved);
	iov_fill(&it, 0, op->len - op->moved);
}

/*
 * As known_result(), of an op that reaches behind the end of a part of a file:
 * there is nothing, and what other parts hold is nobody's business here.
 */
static bool
cut_at_end(struct aio_op *op, int *ret)
{
	uint64_t end = op->file->end;

	if (!end || op->kind == AIO_SYNC)
		return false;
	*ret = -EINVAL;
	if (op->kind == AIO_TRUNCATE)
		return true;
	if (op->off + op->len <= end)
		return false;
	*ret = 0;
	if (op->kind == AIO_READ && op->off < end) {
		op->is_cut = true;
		set_segment(op);
		return false;
	}
	if (op->kind == AIO_READ)
		zero_rest(op);
	else if (op->kind != AIO_DISCARD)
		*ret = -ENOSPC;
	return true;
}

void
aio_submit(struct aio_op *op)
{
	struct aio_file *file = op->file;
	struct loop *loop = file->loop;
	int r;

	assert(!moves_bytes(op) || (is_aligned(op->off, file->align) &&
				    is_aligned(op->len, file->align)));
	op->moved = 0;
	op->retries = 0;
	op->raw = 0;
	op->is_cut = false;
	if (changes_bytes(op))
		list_append(&file->writing, &op->wlink);
	else
		list_init(&op->wlink);

	if (!known_result(op, &r) && !cut_at_end(op, &r)) {
		r = count(op);
		if (r > 0) {
			r = debug_submit(op);
			if (r > 0)
				return;
		}
		if (r == 0) {
			list_append(&loop->queued, &op->link);
			return;
		}
	}
	aio_end(op, r);
}

/* The longest way round: done() never runs inside a submission. */
void
aio_end(struct aio_op *op, int r)
{
	op->moved = op->len;
	op->raw = r;
	list_append(&op->file->loop->completed, &op->link);
}

void
aio_complete(struct aio_op *op, int64_t raw)
{
	struct loop *loop = op->file->loop;

	assert(loop->inflight > 0);
	loop->inflight--;
	op->raw = raw;
	list_append(&loop->completed, &op->link);
}

void
aio_attempt(const struct aio_op *op, const struct iovec **ret_iov, int *ret_cnt,
	    uint64_t *ret_off, uint64_t *ret_len)
{
	*ret_off = op->file->base + op->off + op->moved;
	*ret_len = op->len - op->moved;
	*ret_iov = op->iov;
	*ret_cnt = op->iovcnt;
	if (!moves_bytes(op))
		return;
	if (op->moved > 0 || op->is_cut) {
		*ret_iov = &op->seg;
		*ret_cnt = 1;
		*ret_len = op->seg.iov_len;
	} else if (op->iovcnt > IOV_MAX) {
		*ret_cnt = IOV_MAX;
		*ret_len = iov_length(op->iov, IOV_MAX);
	}
}

/*
 * The bytes of the last attempt.  Progress is counted in whole blocks, so that
 * the next attempt is aligned again.  Less than a block is the end of the file
 * for a read (nothing else can stop there).
 */
static bool
advance(struct aio_op *op)
{
	uint64_t got = (uint64_t)op->raw;
	uint64_t whole = align_down(got, op->file->align);

	if (op->moved + got >= op->len) {
		op->moved = op->len;
		return true;
	}
	op->moved += whole;
	if (op->is_cut && op->off + op->moved == op->file->end) {
		zero_rest(op);
		op->moved = op->len;
		return true;
	}
	if (whole > 0) {
		op->retries = 0;
		set_segment(op);
		return false;
	}
	if (op->kind == AIO_READ) {
		op->moved += got;
		zero_rest(op);
		return true;
	}
	/* A write that moved nothing: the medium is full (POSIX). */
	op->raw = -ENOSPC;
	return true;
}

/* Returns whether op has ended; then raw tells how. */
static bool
is_whole(struct aio_op *op)
{
	if (op->raw == -EINTR || op->raw == -EAGAIN) {
		if (op->retries++ < RETRIES_MAX)
			return false;
		op->raw = -EIO;
	}
	if (op->raw < 0 || !moves_bytes(op))
		return true;
	return advance(op);
}

/* What file systems answer when they lack an operation. */
static bool
means_unsupported(int r)
{
	return r == -EOPNOTSUPP || r == -ENOSYS || r == -ENODEV;
}

static void
note_failure(const struct aio_op *op, int *r)
{
	struct aio_file *file = op->file;

	if (op->kind == AIO_SYNC) {
		/* Also one that succeeded beside one that failed. */
		if (*r < 0 && !file->sync_error)
			file->sync_error = *r;
		*r = file->sync_error;
		return;
	}
	if (moves_bytes(op) || !means_unsupported(*r))
		return;
	*r = -ENOTSUP;
	if (op->kind == AIO_ZERO)
		file->no_zero_range = true;
	if (op->kind == AIO_DISCARD)
		file->no_discard = true;
}

static void
finish(struct loop *loop, struct aio_op *op)
{
	int r;

	if (!is_whole(op)) {
		list_append(&loop->queued, &op->link);
		return;
	}
	r = op->raw < 0 ? (int)op->raw : 0;
	note_failure(op, &r);
	if (!list_empty(&op->wlink)) {
		list_remove(&op->wlink);
		co_queue_wake_all(&op->file->lock_wait);
	}
	op->result = r;
	op->done(op);
}

/* ---- turns ------------------------------------------------------------- */

static int64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void
run_posted(struct loop *loop)
{
	struct loop_priv *priv = loop->priv;
	struct list got, *el;

	if (!atomic_load(&priv->any_posted))
		return;
	list_init(&got);
	(void)pthread_mutex_lock(&priv->lock);
	atomic_store(&priv->any_posted, false);
	list_splice(&got, &priv->posted);
	(void)pthread_mutex_unlock(&priv->lock);
	while ((el = list_pop(&got))) {
		struct posted *p = container_of(el, struct posted, link);

		p->fn(p->arg);
		free(p);
	}
}

/* Is there something to do that needs no waiting? */
static bool
is_runnable(struct loop *loop)
{
	struct loop_priv *priv = loop->priv;

	return !list_empty(&loop->completed) ||
	       !list_empty(&loop->sched.ready) || !list_empty(&loop->tasks) ||
	       atomic_load(&priv->any_posted);
}

/* Steps 3 to 5.  Tasks that tasks add wait for the next turn, so that I/O goes
 * on beside requests that need none. */
static void
run_ready(struct loop *loop)
{
	struct list now, *el;

	(void)workers_reap(loop->workers);
	while ((el = list_pop(&loop->completed)))
		finish(loop, container_of(el, struct aio_op, link));
	(void)co_run_ready(&loop->sched);
	run_posted(loop);
	list_init(&now);
	list_splice(&now, &loop->tasks);
	while ((el = list_pop(&now))) {
		struct loop_task *task = container_of(el, struct loop_task,
						      link);

		task->fn(task);
	}
}

/* Steps 1 and 2. */
static int
exchange(struct loop *loop, int64_t timeout_ns)
{
	const struct loop_priv *priv = loop->priv;
	struct aio_backend *b = loop->backend;
	struct list *el;

	while ((el = list_pop(&loop->queued))) {
		loop->inflight++;
		b->ops->submit(b, container_of(el, struct aio_op, link));
	}
	if (is_runnable(loop))
		timeout_ns = 0;
	/* Who sleeps on the descriptor needs poll() to clear it. */
	if (timeout_ns == 0 && loop->inflight == 0 && !priv->eager)
		return 0;
	return b->ops->poll(b, timeout_ns);
}

static int64_t
time_left(int64_t timeout_ns, int64_t deadline)
{
	int64_t left;

	if (timeout_ns <= 0)
		return timeout_ns;
	left = deadline - now_ns();
	return left > 0 ? left : 0;
}

/* Before somebody sleeps on loop_fd(): the kernel has all there is, and the
 * descriptor is readable if there is more to do. */
static int
leave_nothing(struct loop *loop)
{
	if (!list_empty(&loop->queued)) {
		int r = exchange(loop, 0);

		if (r < 0)
			return r;
	}
	if (is_runnable(loop))
		loop->backend->ops->wake(loop->backend);
	return 0;
}

int
loop_run(struct loop *loop, unsigned min, int64_t timeout_ns)
{
	struct loop_priv *priv = loop->priv;
	unsigned start = loop->requests_done;
	int64_t deadline = timeout_ns > 0 ? now_ns() + timeout_ns : 0;
	bool last = false;
	int r;

	assert(!co_self());
	for (bool first = true;; first = false) {
		bool enough;
		int64_t wait;

		run_ready(loop);
		enough = loop->requests_done - start >= min;
		if (last || (enough && !first))
			break;
		wait = enough ? 0 : time_left(timeout_ns, deadline);
		last = wait == 0 && !is_runnable(loop);
		r = exchange(loop, wait);
		if (r < 0)
			return r;
	}
	r = priv->eager ? leave_nothing(loop) : 0;
	return r < 0 ? r : (int)(loop->requests_done - start);
}

int
loop_run_until(struct loop *loop, const bool *flag)
{
	assert(!co_self());
	for (;;) {
		int r;

		run_ready(loop);
		if (*flag)
			return 0;
		r = exchange(loop, -1);
		if (r < 0)
			return r;
	}
}

struct call {
	int (*fn)(void *arg);
	void *arg;
	int result;
	bool ended;
};

static void
call_main(void *arg)
{
	struct call *call = arg;

	call->result = call->fn(call->arg);
	call->ended = true;
}

int
loop_call(struct loop *loop, int (*fn)(void *arg), void *arg)
{
	struct call call = {.fn = fn, .arg = arg};
	int r;

	assert(!co_self());
	r = co_start(&loop->sched, call_main, &call);
	if (r < 0)
		return r;
	r = loop_run_until(loop, &call.ended);
	return r < 0 ? r : call.result;
}

void
loop_defer(struct loop *loop, struct loop_task *task)
{
	list_append(&loop->tasks, &task->link);
}

int
loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_priv *priv = loop->priv;
	struct posted *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fn = fn;
	p->arg = arg;
	(void)pthread_mutex_lock(&priv->lock);
	list_append(&priv->posted, &p->link);
	atomic_store(&priv->any_posted, true);
	(void)pthread_mutex_unlock(&priv->lock);
	loop->backend->ops->wake(loop->backend);
	return 0;
}

/* ---- offloading -------------------------------------------------------- */

struct offload {
	struct work work;
	int (*fn)(void *arg);
	void *arg;
	int result;
	struct co *co;
};

static void
offload_run(struct work *work)
{
	struct offload *job = container_of(work, struct offload, work);

	job->result = job->fn(job->arg);
}

static void
offload_done(struct work *work)
{
	co_wake(container_of(work, struct offload, work)->co);
}

int Q2_CO
loop_offload(struct loop *loop, int (*fn)(void *arg), void *arg)
{
	struct offload job = {
		.work = {.run = offload_run, .done = offload_done},
		.fn = fn,
		.arg = arg,
		.co = co_self(),
	};

	if (loop->inline_work)
		return fn(arg);
	workers_submit(loop->workers, &job.work);
	co_park();
	return job.result;
}

/* ---- making and freeing ------------------------------------------------ */

static void
wake_loop(void *arg)
{
	struct loop *loop = arg;

	loop->backend->ops->wake(loop->backend);
}

static struct loop *
loop_alloc(const struct loop_opts *opts)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct loop_priv *priv = calloc(1, sizeof(*priv));
	unsigned n = opts && opts->workers ? opts->workers : WORKERS_DEFAULT;

	if (loop && priv)
		loop->workers = workers_new(n, wake_loop, loop);
	if (!loop || !priv || !loop->workers) {
		free(loop);
		free(priv);
		return NULL;
	}
	co_sched_init(&loop->sched);
	list_init(&loop->queued);
	list_init(&loop->completed);
	list_init(&loop->tasks);
	(void)pthread_mutex_init(&priv->lock, NULL);
	list_init(&priv->posted);
	atomic_init(&priv->any_posted, false);
	bounce_init(&priv->bounce);
	loop->priv = priv;
	return loop;
}

int
loop_new_backend(struct aio_backend *backend, const struct loop_opts *opts,
		 struct loop **ret_loop, struct q2_err *err)
{
	struct loop *loop = loop_alloc(opts);
	int r;

	if (!loop) {
		backend->ops->free(backend);
		return q2_fail(err, -ENOMEM, "no memory for a loop");
	}
	loop->backend = backend;
	backend->loop = loop;
	r = backend->ops->attach(backend, loop, err);
	if (r < 0) {
		loop_free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

void
loop_free(struct loop *loop)
{
	struct loop_priv *priv;

	if (!loop)
		return;
	priv = loop->priv;
	run_posted(loop);
	assert(loop->inflight == 0 && list_empty(&loop->queued));
	assert(list_empty(&loop->completed) && list_empty(&loop->tasks));
	workers_free(loop->workers);
	co_sched_done(&loop->sched);
	loop->backend->ops->free(loop->backend);
	bounce_done(&priv->bounce);
	(void)pthread_mutex_destroy(&priv->lock);
	free(priv);
	free(loop);
}

int
loop_fd(struct loop *loop)
{
	struct loop_priv *priv = loop->priv;

	priv->eager = true;
	return loop->backend->ops->fd(loop->backend);
}

const char *
loop_aio(const struct loop *loop)
{
	struct loop_priv *priv = loop->priv;

	if (!priv->any_inline)
		return loop->backend->name;
	(void)snprintf(priv->name, sizeof(priv->name), "%s-inline",
		       loop->backend->name);
	return priv->name;
}

void *
loop_buf_alloc(struct loop *loop, size_t bytes)
{
	struct aio_backend *b = loop->backend;

	return b->ops->buf_alloc ? b->ops->buf_alloc(b, bytes)
				 : mem_transfer(bytes);
}

void
loop_buf_free(struct loop *loop, void *buf)
{
	struct aio_backend *b = loop->backend;

	if (b->ops->buf_free)
		b->ops->buf_free(b, buf);
	else
		free(buf);
}
