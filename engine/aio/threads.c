/* SPDX-License-Identifier: MIT */
/*
 * threads.c - the backend that works everywhere: one thread a request
 *
 * Its pool is its own, so that requests and the loop's blocking calls do not
 * wait for each other.  Threads appear as the depth asks for them.
 */
#include <stdlib.h>

#include "engine/aio/host.h"
#include "engine/aio/wake.h"
#include "engine/base/err.h"

/* QEMU's limit, too. */
#define THREADS_MAX 64

struct threads {
	struct aio_backend b;
	struct workers *pool;
	struct wake wake;
};

static int
threads_attach(struct aio_backend *b, struct loop *loop, struct q2_err *err)
{
	(void)b;
	(void)loop;
	(void)err;
	return 0;
}

static void
threads_free(struct aio_backend *b)
{
	struct threads *t = container_of(b, struct threads, b);

	workers_free(t->pool);
	wake_done(&t->wake);
	free(t);
}

static void
threads_submit(struct aio_backend *b, struct aio_op *op)
{
	struct threads *t = container_of(b, struct threads, b);

	b->loop->sqes++;
	host_submit(t->pool, op);
}

static int
threads_poll(struct aio_backend *b, int64_t timeout_ns)
{
	struct threads *t = container_of(b, struct threads, b);

	if (workers_reap(t->pool) > 0)
		return 0;
	wake_wait(&t->wake, timeout_ns);
	(void)workers_reap(t->pool);
	return 0;
}

static void
threads_wake(struct aio_backend *b)
{
	wake_set(&container_of(b, struct threads, b)->wake);
}

static int
threads_fd(struct aio_backend *b)
{
	return wake_fd(&container_of(b, struct threads, b)->wake);
}

static const struct aio_backend_ops threads_ops = {
	.attach = threads_attach,
	.free = threads_free,
	.open = host_open,
	.close = host_close,
	.submit = threads_submit,
	.poll = threads_poll,
	.wake = threads_wake,
	.fd = threads_fd,
	.size = host_size,
	.allocated = host_allocated,
	.sync_dir = host_sync_dir,
	.extents = host_extents,
	.lock = host_lock,
};

static void
wake_threads(void *arg)
{
	threads_wake(arg);
}

struct aio_backend *
backend_threads_new(struct q2_err *err)
{
	struct threads *t = calloc(1, sizeof(*t));

	if (t)
		t->pool = workers_new(THREADS_MAX, wake_threads, &t->b);
	if (!t || !t->pool) {
		free(t);
		(void)q2_fail(err, -ENOMEM, "no memory for threads");
		return NULL;
	}
	t->b.ops = &threads_ops;
	t->b.name = "threads";
	wake_init(&t->wake);
	return &t->b;
}
