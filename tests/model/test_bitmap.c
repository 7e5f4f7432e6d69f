/* SPDX-License-Identifier: MIT */
/*
 * Bitmaps against arrays of bytes, on a memory file: the guest writes, zeroes
 * and discards, several requests at a time, while bitmaps are added, removed,
 * cleared, enabled, disabled and merged, and the disk gets other sizes.  After
 * each burst the image is closed or not; each bitmap has just the bits that the
 * model has, and every cluster as many references as its refcount says.
 * Q2_SEED replays a run.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "tests/bitmap_disk.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

#define DEPTH     6
#define BURSTS    40
#define BURST_OPS 30
#define MIN_BYTES (1 * MiB)

enum act {
	ADD,
	REMOVE,
	CLEAR,
	ENABLE,
	DISABLE,
	MERGE,
	RESIZE,
	REOPEN,
	ACTS
};

struct model {
	struct loop *loop;
	struct q2_image *img;
	struct rng rng;
	unsigned cluster_bits, refcount_order;
	struct bitmap_set set;
	unsigned running, named;
	int error;
};

struct op {
	struct q2_req rq;
	struct iovec iov;
	struct model *m;
	uint8_t buf[8192];
};

static uint64_t acts[ACTS], requests, refused;

static void
op_done(struct q2_req *rq)
{
	struct op *op = container_of(rq, struct op, rq);

	if (rq->result < 0)
		op->m->error = rq->result;
	op->m->running--;
	free(op);
}

static void
submit_one(struct model *m)
{
	struct op *op = calloc(1, sizeof(*op));
	static const enum q2_op kinds[] = {Q2_WRITE,   Q2_WRITE, Q2_ZERO,
					   Q2_DISCARD, Q2_READ,  Q2_FLUSH};

	assert_non_null(op);
	op->m = m;
	op->rq.op = kinds[rng_below(&m->rng, ARRAY_SIZE(kinds))];
	op->rq.off = rng_below(&m->rng, m->set.size - sizeof(op->buf));
	op->rq.len = 1 + rng_below(&m->rng, sizeof(op->buf));
	op->rq.flags = op->rq.op == Q2_ZERO ? Q2_MAY_UNMAP : 0;
	op->rq.done = op_done;
	op->iov = (struct iovec){op->buf, op->rq.len};
	op->rq.iov = &op->iov;
	op->rq.iovcnt = 1;
	if (op->rq.op != Q2_READ && op->rq.op != Q2_FLUSH)
		bitmap_set_note(&m->set, op->rq.off, op->rq.len);
	m->running++;
	requests++;
	q2_submit(m->img, &op->rq);
}

static void
drain_to(struct model *m, unsigned left)
{
	while (m->running > left)
		assert_true(q2_loop_run((struct q2_loop *)m->loop, 1, -1) >= 0);
	assert_int_equal(m->error, 0);
}

static void
reopen(struct model *m)
{
	struct q2_err err = {0};

	drain_to(m, 0);
	if (m->img && q2_close(m->img, &err) < 0)
		fail_msg("close: %s", err.text);
	if (bitmap_disk_open(m->loop, 0, &m->img, &err) < 0)
		fail_msg("open: %s", err.text);
}

static void
resize(struct model *m)
{
	struct q2_resize_opts o = {.size = sizeof(o), .shrink = true};
	uint64_t size = MIN_BYTES +
			512 * rng_below(&m->rng,
					(BITMAP_DISK_BYTES - MIN_BYTES) / 512);
	struct q2_err err = {0};

	/* Requests in flight are within the smaller one, too. */
	drain_to(m, 0);
	if (q2_resize(m->img, size, &o, &err) < 0)
		fail_msg("resize: %s", err.text);
	bitmap_set_resize(&m->set, size);
}

static int
add(struct model *m, struct q2_err *err)
{
	uint64_t granularity = UINT64_C(512) << rng_below(&m->rng, 10);
	char name[16];

	if (m->set.n == BITMAPS_MAX)
		return 0;
	(void)snprintf(name, sizeof(name), "b%u", m->named++);
	bitmap_set_add(&m->set, name, granularity, true);
	return q2_bitmap_add(m->img, name, granularity, err);
}

static int
enable(struct model *m, struct bitmap_model *b, bool on, struct q2_err *err)
{
	/* Not both at once: who was first would be anybody's guess. */
	drain_to(m, 0);
	b->enabled = on;
	return on ? q2_bitmap_enable(m->img, b->name, err)
		  : q2_bitmap_disable(m->img, b->name, err);
}

static int
act_on(struct model *m, enum act act, unsigned i, struct q2_err *err)
{
	struct bitmap_model *b = &m->set.v[i];
	unsigned other = (unsigned)rng_below(&m->rng, m->set.n);
	char name[16];

	switch (act) {
	case REMOVE:
		(void)strcpy(name, b->name);
		memmove(b, b + 1, (--m->set.n - i) * sizeof(*b));
		return q2_bitmap_remove(m->img, name, err);
	case CLEAR:
		drain_to(m, 0);
		memset(b->bits, 0, sizeof(b->bits));
		return q2_bitmap_clear(m->img, b->name, err);
	case MERGE:
		drain_to(m, 0);
		bitmap_set_merge(&m->set, b, &m->set.v[other]);
		return q2_bitmap_merge(m->img, b->name, m->img,
				       m->set.v[other].name, err);
	case ENABLE:
	case DISABLE:
		return enable(m, b, act == ENABLE, err);
	default:
		return 0;
	}
}

static void
act_once(struct model *m)
{
	enum act act = (enum act)rng_below(&m->rng, ACTS);
	struct q2_err err = {0};
	int r = 0;

	if (act == ADD)
		r = add(m, &err);
	else if (act == RESIZE)
		resize(m);
	else if (act == REOPEN)
		reopen(m);
	else if (m->set.n)
		r = act_on(m, act, (unsigned)rng_below(&m->rng, m->set.n),
			   &err);
	if (r < 0)
		fail_msg("act %d: %s", act, err.text);
	if (q2_bitmap_add(m->img, m->set.n ? m->set.v[0].name : "", 512, NULL) <
	    0)
		refused++;
	acts[act]++;
}

static void
compare(struct model *m)
{
	struct image_check c;
	char why[256] = "";

	drain_to(m, 0);
	if (bitmap_set_compare(&m->set, m->img, why, sizeof(why)) < 0)
		fail_msg("cluster bits %u: %s", m->cluster_bits, why);
	if (rng_below(&m->rng, 2))
		return;
	reopen(m);
	if (bitmap_set_compare(&m->set, m->img, why, sizeof(why)) < 0)
		fail_msg("cluster bits %u, stored: %s", m->cluster_bits, why);
	assert_int_equal(image_check(m->loop, BITMAP_DISK, &c), 0);
	if (c.corruptions || c.leaks || c.bitmaps != m->set.n)
		fail_msg("cluster bits %u: %s, %" PRIu64 " leaks",
			 m->cluster_bits, c.why, c.leaks);
}

static void
run_model(uint64_t seed, unsigned cluster_bits, unsigned refcount_order)
{
	struct model *m = calloc(1, sizeof(*m));
	struct image_make make = {.bytes = BITMAP_DISK_BYTES,
				  .cluster_bits = cluster_bits,
				  .refcount_order = refcount_order,
				  .reftable_clusters = 2};

	assert_non_null(m);
	m->cluster_bits = cluster_bits;
	m->rng.state = mix64(seed);
	m->set.size = BITMAP_DISK_BYTES;
	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &m->loop, NULL),
			 0);
	assert_int_equal(image_make(m->loop, BITMAP_DISK, &make), 0);
	reopen(m);
	for (unsigned burst = 0; burst < BURSTS; burst++) {
		act_once(m);
		for (unsigned i = 0; i < BURST_OPS; i++) {
			drain_to(m, DEPTH - 1);
			submit_one(m);
		}
		compare(m);
	}
	assert_int_equal(q2_close(m->img, NULL), 0);
	loop_free(m->loop);
	free(m);
}

static void
test_bitmaps_have_the_bits_of_the_model(void **state)
{
	static const unsigned shapes[][2] = {
		{9, 4}, {9, 6}, {12, 4}, {16, 0}, {21, 4}};
	uint64_t seed = test_seed(1);

	(void)state;
	for (unsigned i = 0; i < test_rounds(4 * ARRAY_SIZE(shapes)); i++) {
		const unsigned *s = shapes[i % ARRAY_SIZE(shapes)];

		run_model(rng_derive(seed, i), s[0], s[1]);
	}
	print_message("%" PRIu64 " requests, %" PRIu64 " refused", requests,
		      refused);
	for (unsigned i = 0; i < ACTS; i++) {
		print_message(", %" PRIu64, acts[i]);
		assert_true(acts[i] > 0);
	}
	print_message("\n");
	assert_true(requests > 0 && refused > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bitmaps_have_the_bits_of_the_model),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
