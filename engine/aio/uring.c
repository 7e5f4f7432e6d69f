/* SPDX-License-Identifier: MIT */
/*
 * uring.c - the backend on io_uring
 *
 *	submit() -> ring entry --(poll: one io_uring_enter)--> kernel
 *	    |           ^
 *	    +-> waiting-+      beyond the depth, or no entry left
 *	    +-> pool           ftruncate, which the ring has only since 6.9
 *	    +-> at once        files in memory: see host_place()
 *
 * What the kernel cannot do without blocking (fdatasync, fallocate, and
 * buffered writes on some file systems) it gives to threads of its own.  A
 * wake from another thread is an eventfd that the ring polls.
 */
#include <assert.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/aio/host.h"
#include "engine/aio/uring_reg.h"
#include "engine/aio/wake.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"

/* Threads for ftruncate; it is rare. */
#define POOL_MAX 4

/* A transfer that the kernel takes: it moves less than 2 GiB at once. */
#define TRANSFER_MAX (INT32_MAX & ~UINT32_C(4095))

/* Timeouts of a wait, slots that a registration needs not spell out, and
 * multishot polls all came by then. */
#define FEATURES_NEEDED (IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS)
#define LINUX_NEEDED    "5.13"

struct uring {
	struct aio_backend b;
	struct io_uring ring;
	struct reg reg;
	struct workers *pool;
	struct wake_event event;
	struct list waiting;
	unsigned depth;
	unsigned in_kernel; /* or in an entry not handed over yet */
	bool watching;      /* the ring polls event */
	/* For those who sleep on fd(), else -1: readable after completions.
	 * The ring's own descriptor would not do: with DEFER_TASKRUN nobody
	 * who sleeps on it is woken.  Read by wakers. */
	atomic_int signal;
};

static struct uring *
uring_of(struct aio_backend *b)
{
	return container_of(b, struct uring, b);
}

/* ---- entries ----------------------------------------------------------- */

static void
prepare_transfer(struct uring *u, struct io_uring_sqe *sqe,
		 const struct aio_op *op)
{
	bool read = op->kind == AIO_READ;
	const struct iovec *iov;
	uint64_t off, len;
	int cnt, fd = op->file->fd, slot;
	unsigned n;

	aio_attempt(op, &iov, &cnt, &off, &len);
	if (cnt > 1) {
		io_uring_prep_rw(read ? IORING_OP_READV : IORING_OP_WRITEV, sqe,
				 fd, iov, (unsigned)cnt, off);
		return;
	}
	n = (unsigned)min_u64(len, TRANSFER_MAX);
	slot = reg_buf_find(&u->reg, iov->iov_base, n);
	if (slot < 0) {
		io_uring_prep_rw(read ? IORING_OP_READ : IORING_OP_WRITE, sqe,
				 fd, iov->iov_base, n, off);
		return;
	}
	io_uring_prep_rw(read ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED,
			 sqe, fd, iov->iov_base, n, off);
	sqe->buf_index = (uint16_t)slot;
}

static void
prepare_range(struct io_uring_sqe *sqe, const struct aio_op *op, int mode)
{
	const struct iovec *iov;
	uint64_t off, len;
	int cnt;

	aio_attempt(op, &iov, &cnt, &off, &len);
	io_uring_prep_fallocate(sqe, op->file->fd, mode, (off_t)off,
				(off_t)len);
}

/* file->priv: its slot + 1. */
static int
slot_of(const struct aio_file *file)
{
	return (int)(intptr_t)file->priv - 1;
}

static void
prepare(struct uring *u, struct io_uring_sqe *sqe, struct aio_op *op)
{
	int slot = slot_of(op->file);

	switch (op->kind) {
	case AIO_READ:
	case AIO_WRITE:
		prepare_transfer(u, sqe, op);
		break;
	case AIO_SYNC:
		io_uring_prep_fsync(sqe, op->file->fd, IORING_FSYNC_DATASYNC);
		break;
	case AIO_DISCARD:
		prepare_range(sqe, op,
			      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
		break;
	case AIO_ZERO:
		prepare_range(sqe, op, FALLOC_FL_ZERO_RANGE);
		break;
	case AIO_ALLOCATE:
		prepare_range(sqe, op, 0);
		break;
	case AIO_TRUNCATE:
		assert(!"goes to the pool");
	}
	if (slot >= 0) {
		sqe->fd = slot;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	io_uring_sqe_set_data(sqe, op);
}

/* False when op must wait for another one to end. */
static bool
start(struct uring *u, struct aio_op *op)
{
	struct io_uring_sqe *sqe;

	if (u->in_kernel >= u->depth)
		return false;
	sqe = io_uring_get_sqe(&u->ring);
	if (!sqe)
		return false;
	prepare(u, sqe, op);
	u->in_kernel++;
	u->b.loop->sqes++;
	return true;
}

static void
start_waiting(struct uring *u)
{
	while (!list_empty(&u->waiting)) {
		struct list *el = u->waiting.next;

		if (!start(u, container_of(el, struct aio_op, link)))
			break;
		list_remove(el);
	}
}

static void
uring_submit(struct aio_backend *b, struct aio_op *op)
{
	struct uring *u = uring_of(b);
	enum host_place place = op->file->inline_io ? host_place(op, u->pool)
						    : HOST_KERNEL;

	if (place == HOST_HERE) {
		b->loop->syscalls++;
		aio_complete(op, host_attempt(op));
	} else if (op->kind == AIO_TRUNCATE || place == HOST_POOL) {
		host_submit(u->pool, op);
	} else if (!list_empty(&u->waiting) || !start(u, op)) {
		list_append(&u->waiting, &op->link);
	}
}

/* ---- turns ------------------------------------------------------------- */

/* The one system call of a turn. */
static int
enter(struct uring *u, int64_t timeout_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	struct io_uring_cqe *cqe;
	int r;

	u->b.loop->syscalls++;
	if (timeout_ns == 0)
		r = io_uring_submit_and_get_events(&u->ring);
	else
		r = io_uring_submit_and_wait_timeout(
			&u->ring, &cqe, 1, timeout_ns < 0 ? NULL : &ts, NULL);
	/* Time is up; a signal; no memory just now; completions to be reaped
	 * first. */
	if (r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY)
		return 0;
	return r < 0 ? r : 0;
}

/* Does the kernel hold completions back until it is entered? */
static bool
is_held_back(const struct uring *u)
{
	return __atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED) &
	       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/*
 * We cancel nothing.  The kernel does where it cannot start a thread of its
 * own for op (RLIMIT_NPROC); it has not begun then, and is done in ours, which
 * need none if there can be none.
 */
static void
complete(struct uring *u, struct aio_op *op, int result)
{
	if (result == -ECANCELED)
		host_submit(u->pool, op);
	else
		aio_complete(op, result);
}

static void
reap(struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		struct aio_op *op = io_uring_cqe_get_data(cqe);

		n++;
		if (op) {
			u->in_kernel--;
			complete(u, op, cqe->res);
			continue;
		}
		u->watching = cqe->flags & IORING_CQE_F_MORE;
		wake_event_clear(&u->event);
		u->b.loop->syscalls++;
	}
	io_uring_cq_advance(&u->ring, n);
}

/* Let a wake complete an entry without an op. */
static void
watch(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe) {
		(void)enter(u, 0);
		sqe = io_uring_get_sqe(&u->ring);
	}
	/* Still none: the kernel lacks memory; then the next turn. */
	if (!sqe)
		return;
	io_uring_prep_poll_multishot(sqe, u->event.fd, POLLIN);
	io_uring_sqe_set_data(sqe, NULL);
	u->watching = true;
	u->b.loop->sqes++;
}

static void
prepare_waiting(struct uring *u)
{
	if (!u->watching)
		watch(u);
	start_waiting(u);
}

static int
uring_poll(struct aio_backend *b, int64_t timeout_ns)
{
	struct uring *u = uring_of(b);
	int r = 0;

	if (u->signal >= 0) {
		b->loop->syscalls++;
		wake_drain(u->signal);
	}
	prepare_waiting(u);
	if (workers_reap(u->pool) > 0 || io_uring_cq_ready(&u->ring) > 0)
		timeout_ns = 0;
	if (timeout_ns != 0 || io_uring_sq_ready(&u->ring) > 0 ||
	    is_held_back(u))
		r = enter(u, timeout_ns);
	reap(u);
	(void)workers_reap(u->pool);

	/* Who sleeps on the descriptor is woken only by what is in the
	 * kernel. */
	if (r == 0 && u->signal >= 0) {
		prepare_waiting(u);
		if (io_uring_sq_ready(&u->ring) > 0)
			r = enter(u, 0);
	}
	return r;
}

static void
uring_wake(struct aio_backend *b)
{
	struct uring *u = uring_of(b);
	int fd = atomic_load(&u->signal);

	wake_event_set(&u->event);
	/* The ring's poll of an eventfd may not signal another one: the kernel
	 * puts that off, and was seen to forget it. */
	if (fd >= 0)
		wake_write(fd);
}

static void
wake_uring(void *arg)
{
	uring_wake(arg);
}

static int
uring_fd(struct aio_backend *b)
{
	struct uring *u = uring_of(b);
	int r, fd = atomic_load(&u->signal);

	if (fd >= 0)
		return fd;
	/* Readable at first, for what has been completed already. */
	fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = io_uring_register_eventfd(&u->ring, fd);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	atomic_store(&u->signal, fd);
	prepare_waiting(u);
	r = enter(u, 0);
	return r < 0 ? r : fd;
}

/* ---- files and memory -------------------------------------------------- */

static int
uring_open(struct aio_backend *b, const char *path, struct aio_file *file,
	   struct q2_err *err)
{
	int r = host_open(b, path, file, err);

	if (r < 0)
		return r;
	file->inline_io = host_never_waits(file);
	file->priv = NULL;
	if (!file->inline_io)
		file->priv = (void *)(intptr_t)(reg_file_add(&uring_of(b)->reg,
							     file->fd) +
						1);
	return 0;
}

static void
uring_close(struct aio_backend *b, struct aio_file *file)
{
	/* The kernel may hold a registered file, and with it our locks, for a
	 * while. */
	(void)host_lock(b, file, AIO_LOCK_NONE, NULL);
	reg_file_remove(&uring_of(b)->reg, slot_of(file));
	host_close(b, file);
}

static void *
uring_buf_alloc(struct aio_backend *b, size_t bytes)
{
	void *buf = mem_transfer(bytes);

	if (buf && bytes > 0)
		reg_buf_add(&uring_of(b)->reg, buf, bytes);
	return buf;
}

static void
uring_buf_free(struct aio_backend *b, void *buf)
{
	reg_buf_remove(&uring_of(b)->reg, buf);
	free(buf);
}

/* ---- making and freeing ------------------------------------------------ */

/* What the kernel knows of these spares interrupts of this thread.  Each step
 * is for an older kernel: 6.1, 5.19, 5.18, 5.13. */
static int
make_ring(struct io_uring *ring, unsigned depth,
	  struct io_uring_params *ret_params)
{
	static const unsigned steps[] = {
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG |
			IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG |
			IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int r = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(steps) && r == -EINVAL; i++) {
		*ret_params = (struct io_uring_params){
			.flags = steps[i] | IORING_SETUP_CLAMP};
		/* Not one more, for the eventfd: the ring counts as locked
		 * memory, and would be twice as large. */
		r = io_uring_queue_init_params(depth, ring, ret_params);
	}
	return r;
}

static int
explain(int r, struct q2_err *err)
{
	switch (r) {
	case -ENOSYS:
		return q2_fail(err, -ENOTSUP, "this kernel has no io_uring");
	case -EPERM:
	case -EACCES:
		return q2_fail(err, -ENOTSUP,
			       "io_uring is forbidden here, by sysctl "
			       "kernel.io_uring_disabled or a container's "
			       "seccomp filter");
	case -ENOMEM:
		return q2_fail(err, r,
			       "no memory for an io_uring; is the limit of "
			       "locked memory (ulimit -l) too low?");
	default:
		return q2_fail(err, r, "cannot make an io_uring: %s",
			       strerror(-r));
	}
}

static int
uring_init(struct uring *u, unsigned depth, struct q2_err *err)
{
	struct io_uring_params params;
	int r = make_ring(&u->ring, depth, &params);

	if (r < 0)
		return explain(r, err);
	if ((params.features & FEATURES_NEEDED) != FEATURES_NEEDED) {
		io_uring_queue_exit(&u->ring);
		return q2_fail(err, -ENOTSUP,
			       "the io_uring of this kernel is too old, "
			       "Linux " LINUX_NEEDED " has what is needed");
	}
	r = wake_event_init(&u->event);
	if (r < 0) {
		io_uring_queue_exit(&u->ring);
		return explain(r, err);
	}
	/* Spares each enter the look-up; older kernels cannot. */
	(void)io_uring_register_ring_fd(&u->ring);
	u->depth = (unsigned)min_u64(depth, params.sq_entries);
	reg_init(&u->reg, &u->ring);
	list_init(&u->waiting);
	atomic_init(&u->signal, -1);
	return 0;
}

static int
uring_attach(struct aio_backend *b, struct loop *loop, struct q2_err *err)
{
	(void)b;
	(void)loop;
	(void)err;
	return 0;
}

static void
uring_free(struct aio_backend *b)
{
	struct uring *u = uring_of(b);

	workers_free(u->pool);
	io_uring_queue_exit(&u->ring);
	wake_event_done(&u->event);
	if (u->signal >= 0)
		(void)close(u->signal);
	free(u);
}

static const struct aio_backend_ops uring_ops = {
	.attach = uring_attach,
	.free = uring_free,
	.open = uring_open,
	.close = uring_close,
	.submit = uring_submit,
	.poll = uring_poll,
	.wake = uring_wake,
	.fd = uring_fd,
	.size = host_size,
	.allocated = host_allocated,
	.sync_dir = host_sync_dir,
	.extents = host_extents,
	.lock = host_lock,
	.buf_alloc = uring_buf_alloc,
	.buf_free = uring_buf_free,
};

struct aio_backend *
backend_uring_new(unsigned depth, struct q2_err *err)
{
	struct uring *u = calloc(1, sizeof(*u));

	if (u)
		u->pool = workers_new(POOL_MAX, wake_uring, &u->b);
	if (!u || !u->pool) {
		free(u);
		(void)q2_fail(err, -ENOMEM, "no memory for an io_uring");
		return NULL;
	}
	if (uring_init(u, depth, err) < 0) {
		workers_free(u->pool);
		free(u);
		return NULL;
	}
	u->b.ops = &uring_ops;
	u->b.name = "io_uring";
	return &u->b;
}
