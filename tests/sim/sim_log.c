/* SPDX-License-Identifier: MIT */
/*
 * sim_log.c - what was done to files, and what a crash leaves of it
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "tests/sim/sim_priv.h"

#define SECTOR 512

void
sim_log_init(struct sim_log *log)
{
	*log = (struct sim_log){0};
}

void
sim_log_done(struct sim_log *log)
{
	for (size_t i = 0; i < log->n; i++)
		free(log->v[i].data);
	for (size_t i = 0; i < log->n_names; i++)
		free(log->names[i]);
	free(log->v);
	free(log->names);
	sim_log_init(log);
}

static size_t
find_name(const struct sim_log *log, const char *name)
{
	size_t i = 0;

	while (i < log->n_names && strcmp(log->names[i], name) != 0)
		i++;
	return i;
}

static unsigned
name_index(struct sim_log *log, const char *name)
{
	size_t i = find_name(log, name);

	if (i == log->n_names) {
		log->names = reallocarray(log->names, i + 1,
					  sizeof(log->names[0]));
		assert(log->names);
		log->names[i] = strdup(name);
		log->n_names++;
	}
	return (unsigned)i;
}

static char *
copy_data(const struct aio_op *op)
{
	struct iov_iter it = {.iov = op->iov, .left = op->len};
	char *data;

	if (op->kind != AIO_WRITE)
		return NULL;
	data = malloc(op->len);
	assert(data);
	iov_copy_out(&it, data, op->len);
	return data;
}

size_t
sim_log_submit(struct sim_log *log, const struct aio_op *op, unsigned except)
{
	if (op->kind == AIO_READ)
		return SIZE_MAX;
	if (log->n == log->max) {
		log->max = log->max ? 2 * log->max : 256;
		log->v = reallocarray(log->v, log->max, sizeof(log->v[0]));
		assert(log->v);
	}
	log->v[log->n] = (struct sim_rec){
		.kind = op->kind,
		.cls = op->cls,
		.file = name_index(log, op->file->name),
		.off = op->off,
		.len = op->len,
		.submitted = log->now++,
		.completed = SIM_NEVER,
		.except = except,
		.data = copy_data(op),
	};
	return log->n++;
}

void
sim_log_complete(struct sim_log *log, size_t rec, int64_t raw)
{
	struct sim_rec *r = &log->v[rec];

	assert(r->completed == SIM_NEVER);
	r->completed = log->now++;
	r->result = raw < 0 ? (int)raw : 0;
	if (r->kind == AIO_WRITE && raw >= 0)
		r->len = min_u64(r->len, (uint64_t)raw);
}

void
sim_rec_text(const struct sim_log *log, const struct sim_rec *rec, char *buf,
	     size_t bytes)
{
	static const char *const kinds[] = {"read",    "write", "sync",
					    "discard", "zero",  "truncate",
					    "allocate"};
	static const char *const classes[] = {"data",     "l1",     "l2",
					      "refcount", "header", "cow"};
	char end[24] = "never";

	if (rec->completed != SIM_NEVER)
		(void)snprintf(end, sizeof(end), "%" PRIu64, rec->completed);
	(void)snprintf(buf, bytes,
		       "%" PRIu64 "..%s %s %s 0x%" PRIx64 " +0x%" PRIx64
		       " %s result %d",
		       rec->submitted, end, kinds[rec->kind],
		       log->names[rec->file], rec->off, rec->len,
		       classes[rec->cls], rec->result);
}

/* ---- crashes ----------------------------------------------------------- */

/*
 * Had a sync that covers record i returned before tick at?  A failed sync
 * that began after the record was submitted may have dropped it for good.
 */
static bool
is_durable(const struct sim_log *log, size_t i, uint64_t at)
{
	const struct sim_rec *w = &log->v[i];

	if (w->completed >= at || w->result < 0)
		return false;
	for (size_t k = i + 1; k < log->n; k++) {
		const struct sim_rec *s = &log->v[k];

		if (s->submitted >= at)
			break;
		if (s->kind != AIO_SYNC || s->file != w->file ||
		    s->completed >= at)
			continue;
		if (s->result < 0)
			return false;
		if (s->except >> w->cls & 1)
			continue;
		if (s->submitted > w->completed)
			return true;
	}
	return false;
}

/* Something that happened to the file in the end. */
struct effect {
	uint64_t tick; /* when the device did it */
	const struct sim_rec *rec;
	uint64_t torn; /* seed for choosing sectors, or 0: whole */
};

static int
by_tick(const void *a, const void *b)
{
	const struct effect *x = a, *y = b;

	if (x->tick != y->tick)
		return x->tick < y->tick ? -1 : 1;
	return x->rec < y->rec ? -1 : x->rec > y->rec;
}

/* Decide about record i; returns whether it has an effect. */
static bool
decide(const struct sim_log *log, size_t i, const struct sim_crash *crash,
       struct rng *rng, struct effect *ret)
{
	const struct sim_rec *r = &log->v[i];
	uint64_t end = min_u64(r->completed, crash->at);
	bool durable = is_durable(log, i, crash->at);

	*ret = (struct effect){.tick = r->submitted, .rec = r};
	/* In flight together means any order: sometime before completion. */
	if (crash->loss == SIM_SOME && end > r->submitted)
		ret->tick += rng_below(rng, end - r->submitted);
	if (durable)
		return true;
	/* What was told to have failed may be there or not. */
	switch (crash->loss) {
	case SIM_KEEP:
		return r->completed == SIM_NEVER || r->result == 0;
	case SIM_DROP:
		return false;
	case SIM_SOME:
		break;
	}
	if (rng_below(rng, 2))
		return false;
	if (r->kind == AIO_WRITE && rng_below(rng, 4) == 0)
		ret->torn = rng_next(rng) | 1;
	return true;
}

/* ---- putting it into a file -------------------------------------------- */

struct restorer {
	struct aio_file *file;
	unsigned left;
	int result;
	bool ended;
};

static void
op_done(struct aio_op *op)
{
	struct restorer *r = op->user;

	/* Discards may be unsupported; then their effect is dropped. */
	if (op->result < 0 && op->result != -ENOTSUP && r->result == 0)
		r->result = op->result;
	free(op);
	if (--r->left == 0)
		r->ended = true;
}

static void
submit(struct restorer *r, enum aio_kind kind, const struct sim_rec *rec,
       uint64_t skip, uint64_t len)
{
	struct {
		struct aio_op op;
		struct iovec iov;
	} *one = calloc(1, sizeof(*one));

	assert(one);
	one->op.kind = kind;
	one->op.file = r->file;
	one->op.user = r;
	one->op.done = op_done;
	if (rec) {
		one->iov.iov_base = rec->data + skip;
		one->iov.iov_len = len;
		one->op.cls = rec->cls;
		one->op.off = rec->off + skip;
		one->op.len = len;
		one->op.iov = &one->iov;
		one->op.iovcnt = 1;
	}
	r->left++;
	aio_submit(&one->op);
}

/* Some of the 512-byte sectors of a write. */
static void
submit_torn(struct restorer *r, const struct effect *e)
{
	struct rng rng = {e->torn};
	const struct sim_rec *rec = e->rec;

	for (uint64_t at = 0; at < rec->len;) {
		uint64_t n = min_u64(SECTOR - (rec->off + at) % SECTOR,
				     rec->len - at);

		if (rng_below(&rng, 2))
			submit(r, AIO_WRITE, rec, at, n);
		at += n;
	}
}

static int
drive(struct restorer *r)
{
	int e = 0;

	r->ended = r->left == 0;
	if (!r->ended)
		e = loop_run_until(r->file->loop, &r->ended);
	return e < 0 ? e : r->result;
}

/* Would it matter in which order the two are done? */
static bool
order_matters(const struct sim_rec *a, const struct sim_rec *b)
{
	return a->kind == AIO_TRUNCATE || b->kind == AIO_TRUNCATE ||
	       ranges_overlap(a->off, a->len, b->off, b->len);
}

/* Those that may not overtake each other go one after the other: the loop may
 * be recorded, and in a crash of its own what is in flight takes any order. */
static int
put_effects(struct restorer *r, const struct effect *v, size_t n)
{
	size_t first = 0; /* in flight */
	int e = 0;

	for (size_t i = 0; i < n && e == 0; i++) {
		for (size_t k = first; k < i && first < i; k++) {
			if (!order_matters(v[k].rec, v[i].rec))
				continue;
			e = drive(r);
			first = i;
		}
		if (v[i].torn)
			submit_torn(r, &v[i]);
		else
			submit(r, v[i].rec->kind, v[i].rec, 0, v[i].rec->len);
	}
	return e == 0 ? drive(r) : e;
}

int
sim_restore(const struct sim_log *log, const struct sim_crash *crash,
	    const char *name, struct loop *loop)
{
	Q2_AUTO_FREE struct effect *v = calloc(log->n + 1, sizeof(*v));
	struct rng rng = {rng_derive(crash->seed, crash->at)};
	size_t file = find_name(log, name), n = 0;
	struct points points = {0};
	struct restorer r = {0};
	int e;

	assert(v);
	for (size_t i = 0; i < log->n; i++) {
		const struct sim_rec *rec = &log->v[i];

		if (rec->submitted >= crash->at)
			break;
		if (rec->file == file && rec->kind != AIO_SYNC &&
		    decide(log, i, crash, &rng, &v[n]))
			n++;
	}
	qsort(v, n, sizeof(v[0]), by_tick);

	e = aio_open(loop, name, AIO_CREATE, &points, &r.file, NULL);
	if (e < 0)
		return e;
	e = put_effects(&r, v, n);
	if (e == 0) {
		submit(&r, AIO_SYNC, NULL, 0, 0);
		e = drive(&r);
	}
	aio_close(r.file);
	return e;
}
