/* SPDX-License-Identifier: MIT */
/*
 * sim.c - the wrapping backend
 *
 * Each attempt of the loop becomes an operation of our own to the inner
 * backend, which answers to us instead of the loop:
 *
 *	submit -> waiting -(delay)-> inner -> held -(delay)-> aio_complete()
 */
#include "tests/sim/sim.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "tests/sim/sim_priv.h"

struct sim {
	struct aio_backend b;
	struct aio_backend *inner;
	struct sim_opts opts;
	struct rng rng;
	struct list waiting; /* not yet given to inner */
	struct list held;    /* answered by inner, or failed by us */
	unsigned n_inside;
	struct list unused;
	int fail_kind, fail_error;
	uint64_t fail_in;
	bool fail_forever, has_failed;
};

struct sim_op {
	struct aio_op inner;
	struct list link;
	struct aio_op *outer;
	unsigned delay;
	int64_t raw;
	size_t rec; /* in the log, or NO_REC */
};

#define NO_REC SIZE_MAX

static struct sim *
sim_of(const struct loop *loop)
{
	return container_of(loop->backend, struct sim, b);
}

static bool
happens(struct sim *s, unsigned chance)
{
	return chance > 0 && rng_below(&s->rng, 1000) < chance;
}

static unsigned
some_delay(struct sim *s, const struct aio_op *op)
{
	unsigned max = s->opts.delay_max;

	if (max && op->cls == AIO_DATA &&
	    (op->kind == AIO_READ || op->kind == AIO_WRITE) &&
	    happens(s, s->opts.linger))
		max *= 30;
	return max ? (unsigned)rng_below(&s->rng, max + 1) : 0;
}

/* Marks our operations on loop->completed; never called. */
static void
inner_done(struct aio_op *op)
{
	(void)op;
	abort();
}

/* ---- what goes wrong --------------------------------------------------- */

static bool
fails_by_plan(struct sim *s, const struct aio_op *op)
{
	if (s->fail_in == 0 ||
	    (s->fail_kind != SIM_ANY_KIND && s->fail_kind != (int)op->kind))
		return false;
	if (s->fail_in > 1) {
		s->fail_in--;
		return false;
	}
	s->has_failed = true;
	if (!s->fail_forever)
		s->fail_in = 0;
	return true;
}

static int
chance_failure(struct sim *s, const struct aio_op *op)
{
	if (happens(s, s->opts.eintr))
		return -EINTR;
	if (happens(s, s->opts.eagain))
		return -EAGAIN;
	if (happens(s, s->opts.eio))
		return -EIO;
	if (op->kind == AIO_WRITE && happens(s, s->opts.enospc))
		return -ENOSPC;
	return 0;
}

/* Move only some blocks: of the first entry, to keep it simple. */
static void
shorten(struct sim *s, struct sim_op *sop)
{
	struct aio_op *op = &sop->inner;
	uint64_t blocks = op->iov[0].iov_len / op->file->align;

	if (blocks == 0 || op->len <= op->file->align)
		return;
	op->seg = op->iov[0];
	op->seg.iov_len = (1 + rng_below(&s->rng, blocks)) * op->file->align;
	op->iov = &op->seg;
	op->iovcnt = 1;
	op->len = op->seg.iov_len;
}

/* ---- operations -------------------------------------------------------- */

static struct sim_op *
new_op(struct sim *s, struct aio_op *outer)
{
	struct list *el = list_pop(&s->unused);
	struct sim_op *sop = el ? container_of(el, struct sim_op, link)
				: malloc(sizeof(*sop));
	struct aio_op *op;

	assert(sop);
	memset(sop, 0, sizeof(*sop));
	sop->outer = outer;
	sop->rec = NO_REC;
	op = &sop->inner;
	op->kind = outer->kind;
	op->cls = outer->cls;
	op->file = outer->file;
	op->done = inner_done;
	aio_attempt(outer, &op->iov, &op->iovcnt, &op->off, &op->len);
	return sop;
}

static void
hold(struct sim *s, struct sim_op *sop, int64_t raw)
{
	sop->raw = raw;
	sop->delay = some_delay(s, &sop->inner);
	list_append(&s->held, &sop->link);
}

static void
sim_submit(struct aio_backend *b, struct aio_op *op)
{
	struct sim *s = container_of(b, struct sim, b);
	struct sim_op *sop = new_op(s, op);
	bool planned = fails_by_plan(s, op);
	int r = planned ? s->fail_error : 0;
	unsigned except = 0;

	if (s->opts.on_op)
		except = s->opts.on_op(s->opts.on_op_arg, &sop->inner);
	if (!planned)
		r = chance_failure(s, op);
	if (r == 0 && !planned &&
	    (op->kind == AIO_READ || op->kind == AIO_WRITE) &&
	    happens(s, s->opts.shorten))
		shorten(s, sop);
	/* A transient failure, and one that moves nothing, leaves no trace. */
	if (s->opts.log && r != -EINTR && r != -EAGAIN && (r < 0 || !planned))
		sop->rec = sim_log_submit(s->opts.log, &sop->inner, except);
	if (r < 0 || planned) {
		hold(s, sop, r);
		return;
	}
	sop->delay = some_delay(s, &sop->inner);
	list_append(&s->waiting, &sop->link);
}

/* Take our operations that inner has completed off the loop's list. */
static void
take_answers(struct sim *s)
{
	struct list *el = s->b.loop->completed.next;

	while (el != &s->b.loop->completed) {
		struct aio_op *op = container_of(el, struct aio_op, link);
		struct list *next = el->next;

		if (op->done == inner_done) {
			list_remove(el);
			s->n_inside--;
			hold(s, container_of(op, struct sim_op, inner),
			     op->raw);
		}
		el = next;
	}
}

static void
release(struct sim *s, struct sim_op *sop)
{
	if (sop->rec != NO_REC)
		sim_log_complete(s->opts.log, sop->rec, sop->raw);
	aio_complete(sop->outer, sop->raw);
	list_append(&s->unused, &sop->link);
}

static void
give(struct sim *s, struct sim_op *sop)
{
	s->n_inside++;
	s->b.loop->inflight++;
	s->inner->ops->submit(s->inner, &sop->inner);
}

/* One poll has passed for all on list; act on those that waited long
 * enough. */
static bool
pass(struct sim *s, struct list *list,
     void (*act)(struct sim *s, struct sim_op *sop))
{
	struct list now, *el;
	bool any = false;

	list_init(&now);
	list_splice(&now, list);
	while ((el = list_pop(&now))) {
		struct sim_op *sop = container_of(el, struct sim_op, link);

		if (sop->delay > 0) {
			sop->delay--;
			list_append(list, el);
			continue;
		}
		act(s, sop);
		any = true;
	}
	return any;
}

static int
sim_poll(struct aio_backend *b, int64_t timeout_ns)
{
	struct sim *s = container_of(b, struct sim, b);
	int r = 0;

	(void)pass(s, &s->waiting, give);
	take_answers(s);
	if (!list_empty(&s->waiting) || !list_empty(&s->held))
		timeout_ns = 0;
	if (timeout_ns != 0 || s->n_inside > 0) {
		r = s->inner->ops->poll(s->inner, timeout_ns);
		take_answers(s);
	}
	(void)pass(s, &s->held, release);
	return r;
}

/* ---- the rest is inner's ----------------------------------------------- */

static int
sim_attach(struct aio_backend *b, struct loop *loop, struct q2_err *err)
{
	struct sim *s = container_of(b, struct sim, b);

	s->inner->loop = loop;
	loop->inline_work = strcmp(s->inner->name, "memory") == 0;
	return s->inner->ops->attach(s->inner, loop, err);
}

static void
free_ops(struct list *list)
{
	struct list *el;

	while ((el = list_pop(list)))
		free(container_of(el, struct sim_op, link));
}

static void
sim_free(struct aio_backend *b)
{
	struct sim *s = container_of(b, struct sim, b);

	s->inner->ops->free(s->inner);
	free_ops(&s->unused);
	free(s);
}

static int
sim_open(struct aio_backend *b, const char *path, struct aio_file *file,
	 struct q2_err *err)
{
	struct sim *s = container_of(b, struct sim, b);
	int r = s->inner->ops->open(s->inner, path, file, err);

	if (r == 0 && s->opts.align)
		file->align = file->mem_align = s->opts.align;
	if (r == 0 && s->opts.is_block)
		file->is_block = true;
	/* Making a file empties it, at once. */
	if (r == 0 && s->opts.log && (file->flags & AIO_CREATE)) {
		struct aio_op op = {.kind = AIO_TRUNCATE, .file = file};

		sim_log_complete(s->opts.log,
				 sim_log_submit(s->opts.log, &op, 0), 0);
	}
	return r;
}

static void
sim_close(struct aio_backend *b, struct aio_file *file)
{
	struct sim *s = container_of(b, struct sim, b);

	s->inner->ops->close(s->inner, file);
}

static void
sim_wake(struct aio_backend *b)
{
	struct sim *s = container_of(b, struct sim, b);

	s->inner->ops->wake(s->inner);
}

static int
sim_fd(struct aio_backend *b)
{
	struct sim *s = container_of(b, struct sim, b);

	return s->inner->ops->fd(s->inner);
}

static int64_t
sim_size(struct aio_backend *b, struct aio_file *file)
{
	struct sim *s = container_of(b, struct sim, b);

	return s->inner->ops->size(s->inner, file);
}

static int64_t
sim_allocated(struct aio_backend *b, struct aio_file *file)
{
	struct sim *s = container_of(b, struct sim, b);

	return s->inner->ops->allocated(s->inner, file);
}

static int
sim_sync_dir(struct aio_backend *b, struct aio_file *file)
{
	struct sim *s = container_of(b, struct sim, b);

	return s->inner->ops->sync_dir(s->inner, file);
}

static int
sim_extents(struct aio_backend *b, struct aio_file *file,
	    struct aio_extent **ret_ext, size_t *ret_n)
{
	struct sim *s = container_of(b, struct sim, b);

	return s->inner->ops->extents(s->inner, file, ret_ext, ret_n);
}

static int
sim_lock(struct aio_backend *b, struct aio_file *file, enum aio_lock_mode mode,
	 struct q2_err *err)
{
	struct sim *s = container_of(b, struct sim, b);

	return s->inner->ops->lock(s->inner, file, mode, err);
}

static void *
sim_buf_alloc(struct aio_backend *b, size_t bytes)
{
	struct sim *s = container_of(b, struct sim, b);

	return s->inner->ops->buf_alloc
		       ? s->inner->ops->buf_alloc(s->inner, bytes)
		       : mem_aligned(bytes);
}

static void
sim_buf_free(struct aio_backend *b, void *buf)
{
	struct sim *s = container_of(b, struct sim, b);

	if (s->inner->ops->buf_free)
		s->inner->ops->buf_free(s->inner, buf);
	else
		free(buf);
}

static const struct aio_backend_ops sim_ops = {
	.attach = sim_attach,
	.free = sim_free,
	.open = sim_open,
	.close = sim_close,
	.submit = sim_submit,
	.poll = sim_poll,
	.wake = sim_wake,
	.fd = sim_fd,
	.size = sim_size,
	.allocated = sim_allocated,
	.sync_dir = sim_sync_dir,
	.extents = sim_extents,
	.lock = sim_lock,
	.buf_alloc = sim_buf_alloc,
	.buf_free = sim_buf_free,
};

struct aio_backend *
sim_new(struct aio_backend *inner, const struct sim_opts *opts)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (!s || !inner) {
		if (inner)
			inner->ops->free(inner);
		free(s);
		return NULL;
	}
	s->b.ops = &sim_ops;
	s->b.name = "sim";
	s->inner = inner;
	s->opts = *opts;
	s->rng.state = opts->seed;
	list_init(&s->waiting);
	list_init(&s->held);
	list_init(&s->unused);
	return &s->b;
}

void
sim_fail_nth(struct loop *loop, int kind, uint64_t nth, int error, bool forever)
{
	struct sim *s = sim_of(loop);

	s->fail_kind = kind;
	s->fail_in = nth;
	s->fail_error = error;
	s->fail_forever = forever;
	s->has_failed = false;
}

bool
sim_has_failed(const struct loop *loop)
{
	return sim_of(loop)->has_failed;
}

void
sim_set_chances(struct loop *loop, const struct sim_opts *opts)
{
	struct sim *s = sim_of(loop);
	struct sim_log *log = s->opts.log;

	s->opts = *opts;
	s->opts.log = log;
}

struct loop *
sim_loop(const struct sim_opts *sim)
{
	struct aio_backend *b = backend_memory_new(1, NULL);
	struct loop *loop = NULL;

	if (sim)
		b = sim_new(b, sim);
	/* A test has nothing to say of this. */
	if (loop_new_backend(b, NULL, &loop, NULL) < 0)
		abort();
	return loop;
}
