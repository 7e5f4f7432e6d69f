/* SPDX-License-Identifier: MIT */
/*
 * libaio.c - the backend on the kernel's older queue, io_submit()
 *
 *	submit() -> batch --(poll: io_submit)--> kernel   O_DIRECT: read,
 *	    |         ^                                   write, fdatasync
 *	    |    waiting                          beyond the depth
 *	    +-> pool       buffered files, where io_submit() blocks, and
 *	    |              what the queue does not know
 *	    +-> at once    files in memory: see host_never_waits()
 *
 * Two eventfds: the kernel polls `event` like a request, so that other threads
 * can end a wait in io_getevents(); every completion signals `signal`, which
 * is for those who sleep on fd().
 */
#include <assert.h>
#include <libaio.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/aio/host.h"
#include "engine/aio/wake.h"
#include "engine/base/err.h"
#include "engine/base/num.h"

/* As many as in threads.c: they stand for a queue. */
#define POOL_MAX 64

/* Completions taken at once. */
#define REAP_MAX 64

struct libaio {
	struct aio_backend b;
	io_context_t ctx;
	struct workers *pool;
	struct wake_event event;
	int signal;
	struct iocb watch; /* polls event.fd */
	bool watching;
	bool fd_used;
	bool no_fdsync; /* the kernel said no */
	struct list waiting;
	unsigned depth;
	unsigned in_kernel; /* or in the batch */
	unsigned n_batch;
	struct iocb *batch[]; /* depth, and watch */
};

static_assert(sizeof(struct iocb) <= sizeof(((struct aio_op *)0)->priv),
	      "an iocb is kept in its op");

static struct libaio *
libaio_of(struct aio_backend *b)
{
	return container_of(b, struct libaio, b);
}

/* ---- requests ---------------------------------------------------------- */

static bool
goes_to_pool(const struct libaio *l, const struct aio_op *op)
{
	if (!(op->file->flags & AIO_DIRECT))
		return true;
	if (op->kind == AIO_SYNC)
		return l->no_fdsync;
	return op->kind != AIO_READ && op->kind != AIO_WRITE;
}

static void
prepare(struct libaio *l, struct aio_op *op, struct iocb *cb)
{
	int fd = op->file->fd, cnt;
	const struct iovec *iov;
	uint64_t off, len;

	aio_attempt(op, &iov, &cnt, &off, &len);
	if (op->kind == AIO_SYNC)
		io_prep_fdsync(cb, fd);
	else if (op->kind == AIO_READ)
		io_prep_preadv(cb, fd, iov, cnt, (long long)off);
	else
		io_prep_pwritev(cb, fd, iov, cnt, (long long)off);
	io_set_eventfd(cb, l->signal);
	cb->data = op;
}

/* False when op must wait for another one to end. */
static bool
start(struct libaio *l, struct aio_op *op)
{
	struct iocb *cb = (struct iocb *)(void *)op->priv;

	if (l->in_kernel >= l->depth)
		return false;
	prepare(l, op, cb);
	l->batch[l->n_batch++] = cb;
	l->in_kernel++;
	l->b.loop->sqes++;
	return true;
}

static void
libaio_submit(struct aio_backend *b, struct aio_op *op)
{
	struct libaio *l = libaio_of(b);

	if (op->file->inline_io && host_place(op, l->pool) != HOST_POOL) {
		b->loop->syscalls++;
		aio_complete(op, host_attempt(op));
	} else if (op->file->inline_io || goes_to_pool(l, op)) {
		host_submit(l->pool, op);
	} else if (!list_empty(&l->waiting) || !start(l, op)) {
		list_append(&l->waiting, &op->link);
	}
}

static void
watch(struct libaio *l)
{
	io_prep_poll(&l->watch, l->event.fd, POLLIN);
	io_set_eventfd(&l->watch, l->signal);
	l->batch[l->n_batch++] = &l->watch;
	l->watching = true;
	l->b.loop->sqes++;
}

static void
prepare_waiting(struct libaio *l)
{
	if (!l->watching)
		watch(l);
	while (!list_empty(&l->waiting)) {
		struct list *el = l->waiting.next;

		if (!start(l, container_of(el, struct aio_op, link)))
			break;
		list_remove(el);
	}
}

/* ---- turns ------------------------------------------------------------- */

/* The kernel did not take cb, and says why. */
static int
refused(struct libaio *l, struct iocb *cb, int r)
{
	struct aio_op *op = cb->data;

	if (cb == &l->watch)
		return r;
	l->in_kernel--;
	if (op->kind == AIO_SYNC && r == -EINVAL) {
		l->no_fdsync = true;
		host_submit(l->pool, op);
	} else {
		aio_complete(op, r);
	}
	return 0;
}

static int
hand_over(struct libaio *l)
{
	unsigned at = 0;
	int r = 0;

	while (r == 0 && at < l->n_batch) {
		int n = io_submit(l->ctx, l->n_batch - at, l->batch + at);

		l->b.loop->syscalls++;
		if (n > 0)
			at += (unsigned)n;
		else if (n == -EAGAIN || n == -EINTR || n == 0)
			break; /* no room just now */
		else
			r = refused(l, l->batch[at++], n);
	}
	l->n_batch -= at;
	memmove(l->batch, l->batch + at, l->n_batch * sizeof(l->batch[0]));
	return r;
}

/* The beginning of what io_setup() has mapped at ctx; part of the kernel's
 * interface, and read in the same way by libaio itself. */
struct ring_head {
	unsigned id, nr, head, tail, magic;
};
#define RING_MAGIC 0xa10a10a1U

/* Can it be seen without a system call that there is nothing to reap? */
static bool
is_ring_empty(const struct libaio *l)
{
	const struct ring_head *ring = (const void *)l->ctx;

	return ring->magic == RING_MAGIC &&
	       __atomic_load_n(&ring->head, __ATOMIC_RELAXED) ==
		       __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
}

static void
take_event(struct libaio *l, const struct io_event *ev)
{
	if (ev->obj == &l->watch) {
		l->watching = false;
		l->b.loop->syscalls++;
		wake_event_clear(&l->event);
		return;
	}
	l->in_kernel--;
	aio_complete(ev->data, (int64_t)(long)ev->res);
}

static int
reap(struct libaio *l, int64_t timeout_ns)
{
	struct timespec ts = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	struct io_event ev[REAP_MAX];
	int n;

	do {
		if (timeout_ns == 0 && is_ring_empty(l))
			return 0;
		l->b.loop->syscalls++;
		n = io_getevents(l->ctx, timeout_ns != 0, REAP_MAX, ev,
				 timeout_ns < 0 ? NULL : &ts);
		for (int i = 0; i < n; i++)
			take_event(l, &ev[i]);
		timeout_ns = 0;
		ts = (struct timespec){0};
	} while (n == REAP_MAX);
	return n >= 0 || n == -EINTR ? 0 : n;
}

static int
libaio_poll(struct aio_backend *b, int64_t timeout_ns)
{
	struct libaio *l = libaio_of(b);
	int r;

	if (l->fd_used) {
		b->loop->syscalls++;
		wake_drain(l->signal);
	}
	prepare_waiting(l);
	r = hand_over(l);
	if (r < 0)
		return r;
	/* What the kernel refused may have been completed, or is to be offered
	 * again. */
	if (workers_reap(l->pool) > 0 || l->n_batch > 0 ||
	    !list_empty(&b->loop->completed))
		timeout_ns = 0;
	r = reap(l, timeout_ns);
	(void)workers_reap(l->pool);
	if (r == 0 && l->fd_used) {
		prepare_waiting(l);
		r = hand_over(l);
	}
	return r;
}

static void
libaio_wake(struct aio_backend *b)
{
	wake_event_set(&libaio_of(b)->event);
}

static void
wake_libaio(void *arg)
{
	libaio_wake(arg);
}

static int
libaio_fd(struct aio_backend *b)
{
	struct libaio *l = libaio_of(b);
	int r;

	l->fd_used = true;
	prepare_waiting(l);
	r = hand_over(l);
	return r < 0 ? r : l->signal;
}

static int
libaio_open(struct aio_backend *b, const char *path, struct aio_file *file,
	    struct q2_err *err)
{
	int r = host_open(b, path, file, err);

	if (r == 0)
		file->inline_io = host_never_waits(file);
	return r;
}

/* ---- making and freeing ------------------------------------------------ */

static int
explain(int r, struct q2_err *err)
{
	switch (r) {
	case -ENOSYS:
		return q2_fail(err, -ENOTSUP, "this kernel has no io_submit");
	case -EPERM:
		return q2_fail(err, -ENOTSUP,
			       "io_submit is forbidden here, by a container's "
			       "seccomp filter");
	case -EAGAIN:
		return q2_fail(err, r,
			       "all requests of libaio are taken; raise "
			       "sysctl fs.aio-max-nr");
	default:
		return q2_fail(err, r, "cannot use libaio: %s", strerror(-r));
	}
}

static int
libaio_attach(struct aio_backend *b, struct loop *loop, struct q2_err *err)
{
	(void)b;
	(void)loop;
	(void)err;
	return 0;
}

static void
libaio_free(struct aio_backend *b)
{
	struct libaio *l = libaio_of(b);

	workers_free(l->pool);
	if (l->ctx)
		(void)io_destroy(l->ctx);
	wake_event_done(&l->event);
	if (l->signal >= 0)
		(void)close(l->signal);
	free(l);
}

static const struct aio_backend_ops libaio_ops = {
	.attach = libaio_attach,
	.free = libaio_free,
	.open = libaio_open,
	.close = host_close,
	.submit = libaio_submit,
	.poll = libaio_poll,
	.wake = libaio_wake,
	.fd = libaio_fd,
	.size = host_size,
	.allocated = host_allocated,
	.sync_dir = host_sync_dir,
	.extents = host_extents,
	.lock = host_lock,
};

static int
libaio_init(struct libaio *l)
{
	struct iocb *watch = &l->watch;
	int r;

	l->signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = l->signal < 0 ? -errno : wake_event_init(&l->event);
	/* One more, for the eventfd. */
	if (r == 0)
		r = io_setup((int)l->depth + 1, &l->ctx);
	if (r < 0)
		return r;
	/* Since Linux 4.18: without it nobody could end a wait. */
	io_prep_poll(watch, l->event.fd, POLLIN);
	io_set_eventfd(watch, l->signal);
	r = io_submit(l->ctx, 1, &watch);
	l->watching = r == 1;
	return r < 0 ? r : 0;
}

struct aio_backend *
backend_libaio_new(unsigned depth, struct q2_err *err)
{
	struct libaio *l;
	int r = -ENOMEM;

	l = calloc(1, sizeof(*l) + (depth + 1) * sizeof(l->batch[0]));
	if (!l) {
		(void)explain(r, err);
		return NULL;
	}
	l->b.ops = &libaio_ops;
	l->b.name = "libaio";
	l->depth = depth;
	l->signal = l->event.fd = -1;
	list_init(&l->waiting);
	l->pool = workers_new(POOL_MAX, wake_libaio, &l->b);
	if (l->pool)
		r = libaio_init(l);
	if (r < 0) {
		(void)explain(r, err);
		libaio_free(&l->b);
		return NULL;
	}
	return &l->b;
}
