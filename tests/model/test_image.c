/* SPDX-License-Identifier: MIT */
/*
 * The image layer against a plain array of bytes, on a memory file: random
 * requests of every kind, several in flight, with the smallest caches, and
 * reopened between bursts.  Requests in flight do not overlap here; those that
 * do are the business of tests/crash.  Q2_SEED replays a run.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

#define DISK_BYTES (2 * MiB)
#define DEPTH      8
#define BURSTS     8
#define BURST_OPS  120

#define KINDS (Q2_FLUSH + 1)

static const char *const names[KINDS] = {"read", "write", "zero", "discard",
					 "flush"};

/* Of all runs. */
static uint64_t counts[KINDS], fast, slow, joins, copies, freed;

struct model {
	struct loop *loop;
	struct q2_image *img;
	struct rng rng;
	uint64_t seed;
	unsigned cluster_bits;
	enum q2_zero zero;
	uint8_t *bytes; /* what the disk must hold */
	bool *busy;     /* sectors with a request in flight */
	unsigned running;
	int error;
	char why[128];
};

struct op {
	struct q2_req rq;
	struct iovec iov;
	struct model *m;
	uint8_t *buf;
};

static enum image_cluster
cluster_state(void *arg, uint64_t cluster)
{
	const struct model *m = arg;

	/* Half of the disk, in every state. */
	return cluster << m->cluster_bits < DISK_BYTES / 2
		       ? (enum image_cluster)(rng_derive(m->seed, cluster) %
					      (IMAGE_SHARED + 1))
		       : IMAGE_EMPTY;
}

static int
make_disk(struct model *m)
{
	struct image_make make = {
		.bytes = DISK_BYTES,
		.cluster_bits = m->cluster_bits,
		.refcount_order = 4,
		.state = m->seed % 2 ? cluster_state : NULL,
		.arg = m,
	};

	return image_make(m->loop, "disk", &make);
}

static void
record(struct model *m, const char *what, uint64_t off, int r)
{
	if (m->error)
		return;
	m->error = r < 0 ? r : -1;
	(void)snprintf(m->why, sizeof(m->why), "%s at %" PRIu64 ": %d", what,
		       off, r);
}

static void
set_busy(struct model *m, const struct q2_req *rq, bool busy)
{
	for (uint64_t c = rq->off >> 9;
	     rq->len && c <= (rq->off + rq->len - 1) >> 9; c++)
		m->busy[c] = busy;
}

/* What the request has done to the disk, or what it should have read. */
static void
apply(struct model *m, const struct op *op)
{
	const struct q2_req *rq = &op->rq;
	uint64_t size = UINT64_C(1) << m->cluster_bits;
	uint64_t first = align_up(rq->off, size);
	uint64_t end = align_down(rq->off + rq->len, size);

	switch (rq->op) {
	case Q2_READ:
		if (memcmp(m->bytes + rq->off, op->buf, rq->len) != 0)
			record(m, "wrong bytes", rq->off, 1);
		break;
	case Q2_WRITE:
		memcpy(m->bytes + rq->off, op->buf, rq->len);
		break;
	case Q2_ZERO:
		memset(m->bytes + rq->off, 0, rq->len);
		break;
	case Q2_DISCARD:
		/* Whole clusters go; what is left of others stays. */
		if (first < end)
			memset(m->bytes + first, 0, end - first);
		break;
	case Q2_FLUSH:
		break;
	}
}

static void
op_done(struct q2_req *rq)
{
	struct op *op = container_of(rq, struct op, rq);
	struct model *m = op->m;

	if (rq->result < 0)
		record(m, names[rq->op], rq->off, rq->result);
	else
		apply(m, op);
	set_busy(m, rq, false);
	m->running--;
	free(op->buf);
	free(op);
}

/* A random place that no other operation in flight touches, so that the array
 * says what must be read. */
static bool
pick_place(struct model *m, struct op *op)
{
	uint64_t max = rng_below(&m->rng, 4) ? 8 * KiB : 200 * KiB;
	uint64_t off = rng_below(&m->rng, DISK_BYTES);
	uint64_t len = 1 + rng_below(&m->rng, max);

	if (rng_below(&m->rng, 2)) {
		off = align_down(off, 4096);
		len = align_up(len, 4096);
	}
	op->rq.off = off;
	op->rq.len = len = min_u64(len, DISK_BYTES - off);
	for (uint64_t c = off >> 9; c <= (off + len - 1) >> 9; c++)
		if (m->busy[c])
			return false;
	set_busy(m, &op->rq, true);
	return true;
}

static enum q2_op
pick_kind(struct model *m)
{
	static const enum q2_op kinds[] = {
		Q2_FLUSH, Q2_ZERO,  Q2_ZERO,  Q2_DISCARD, Q2_READ,  Q2_READ,
		Q2_READ,  Q2_READ,  Q2_WRITE, Q2_WRITE,   Q2_WRITE, Q2_WRITE,
		Q2_WRITE, Q2_WRITE, Q2_WRITE, Q2_WRITE};

	return kinds[rng_below(&m->rng, ARRAY_SIZE(kinds))];
}

static void
start_op(struct model *m)
{
	struct op *op = calloc(1, sizeof(*op));

	op->m = m;
	op->rq.op = pick_kind(m);
	if (op->rq.op != Q2_FLUSH && !pick_place(m, op)) {
		free(op);
		return;
	}
	if (op->rq.op == Q2_ZERO && rng_below(&m->rng, 2))
		op->rq.flags = Q2_MAY_UNMAP;
	op->buf = malloc(op->rq.len + 1);
	for (uint64_t i = 0; i < op->rq.len; i++)
		op->buf[i] = (uint8_t)rng_next(&m->rng);
	if (op->rq.op == Q2_READ || op->rq.op == Q2_WRITE) {
		op->iov = (struct iovec){op->buf, op->rq.len};
		op->rq.iov = &op->iov;
		op->rq.iovcnt = 1;
	}
	op->rq.done = op_done;
	m->running++;
	counts[op->rq.op]++;
	q2_submit(m->img, &op->rq);
}

static void
burst(struct model *m)
{
	for (int i = 0; i < BURST_OPS && !m->error; i++) {
		start_op(m);
		while (m->running >= DEPTH && !m->error)
			(void)loop_run(m->loop, 0, 0);
	}
	while (m->running)
		(void)loop_run(m->loop, 0, 0);
}

static void
open_model(struct model *m)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = "qcow2",
		.zero = m->zero,
		.flags = Q2_UNMAP,
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
	};
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)m->loop, "disk", &opts, &m->img, &err) <
	    0)
		fail_msg("open: %s", err.text);
}

/* Every refcount equals the number of references: no leak, no corruption. */
static void
close_model(struct model *m)
{
	struct image_check c;
	struct q2_err err = {0};
	struct q2_stats n;

	q2_stats(m->img, &n);
	fast += n.fast_requests;
	slow += n.slow_requests;
	joins += n.alloc_join;
	copies += n.cow_read;
	freed += n.clusters_freed;
	if (q2_close(m->img, &err) < 0)
		fail_msg("close: %s", err.text);
	assert_int_equal(image_check(m->loop, "disk", &c), 0);
	if (c.corruptions || c.leaks)
		fail_msg("%" PRIu64 " leaks, %" PRIu64 " corruptions: %s",
			 c.leaks, c.corruptions, c.why);
}

static void
run_model(unsigned cluster_bits, uint32_t align, enum q2_zero zero,
	  uint64_t seed)
{
	struct q2_err err = {0};
	struct model m = {.rng.state = seed,
			  .seed = seed,
			  .cluster_bits = cluster_bits,
			  .zero = zero};

	m.bytes = calloc(1, DISK_BYTES);
	m.busy = calloc(DISK_BYTES / 512 + 1, sizeof(*m.busy));
	assert_int_equal(loop_new_backend(backend_memory_new(align, &err),
					  &(struct loop_opts){0}, &m.loop,
					  &err),
			 0);
	assert_int_equal(make_disk(&m), 0);
	for (unsigned i = test_rounds(BURSTS); i-- > 0 && !m.error;) {
		open_model(&m);
		burst(&m);
		close_model(&m);
	}
	if (m.error)
		fail_msg("%s (cluster %u, align %u, zero %d, Q2_SEED=%" PRIu64
			 ")",
			 m.why, 1U << cluster_bits, align, zero, seed);
	loop_free(m.loop);
	free(m.bytes);
	free(m.busy);
}

static void
run_all(uint64_t seed, unsigned rounds)
{
	static const unsigned bits[] = {9, 12, 16, 18};
	static const uint32_t aligns[] = {1, 512, 4096};

	for (unsigned i = 0; i < rounds; i++)
		for (size_t b = 0; b < ARRAY_SIZE(bits); b++)
			for (size_t a = 0; a < ARRAY_SIZE(aligns); a++)
				for (int z = Q2_ZERO_HOLE; z <= Q2_ZERO_WRITE;
				     z++)
					run_model(bits[b], aligns[a],
						  (enum q2_zero)z, seed + i);
}

static void
test_random_requests_equal_a_plain_array(void **state)
{
	(void)state;
	run_all(test_seed(1), 2);
	for (int i = 0; i < KINDS; i++) {
		print_message("%s %" PRIu64 ", ", names[i], counts[i]);
		assert_true(counts[i] > 0);
	}
	print_message("fast %" PRIu64 ", slow %" PRIu64 ", joined %" PRIu64
		      ", copied %" PRIu64 ", freed %" PRIu64 "\n",
		      fast, slow, joins, copies, freed);
	assert_true(fast && slow && joins && copies && freed);
}

static void
test_random_requests_with_a_fresh_seed(void **state)
{
	(void)state;
	run_all(test_seed((uint64_t)time(NULL)), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_requests_equal_a_plain_array),
		cmocka_unit_test(test_random_requests_with_a_fresh_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
