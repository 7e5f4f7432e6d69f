/* SPDX-License-Identifier: MIT */
/*
 * The nth operation of a kind fails, for n = 1, 2, ... until the workload ends
 * before that; with each error.
 *
 *	- a failed data operation fails its request and no other
 *	- a failed metadata write fails the flush; a later one succeeds
 *	- a failed sync, or a failed write to the header, latches: writes
 *	  and flushes fail, and so does close
 *	- nothing hangs or asserts; the file has no corruption, neither as it
 *	  is nor after a power cut, and holds what was acknowledged
 *
 * Nothing is random but what a power cut leaves.
 */
#include <errno.h>
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
#include "engine/image/image.h"
#include "tests/crash/oracle.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/image_make.h"
#include "tests/sim/sim.h"

#define DISK "disk.qcow2"

/* One region: clusters of 512, a table of 64 entries each 32 KiB. */
#define BYTES (96 * KiB)

static const struct regions whole = {1, BYTES, BYTES};

struct step {
	enum q2_op op;
	unsigned flags;
	uint64_t off, len;
	bool wait; /* for everything so far */
};

/* Over three L2 tables: new, shared, zero and unmapped clusters, parts of
 * them, and joined writes. */
static const struct step steps[] = {
	{Q2_WRITE, 0, 0x0000, 0x0c00, true},
	{Q2_WRITE, 0, 0x1080, 0x0080, false},
	{Q2_WRITE, 0, 0x1100, 0x0080, true},
	{Q2_FLUSH, 0, 0, 0, true},
	{Q2_WRITE, 0, 0x8100, 0x0400, false},
	{Q2_WRITE, 0, 0x0200, 0x0200, true},
	{Q2_DISCARD, 0, 0x0400, 0x0600, true},
	{Q2_FLUSH, 0, 0, 0, true},
	{Q2_WRITE, 0, 0x10000, 0x2000, false},
	{Q2_WRITE, 0, 0x9100, 0x0200, false},
	{Q2_ZERO, Q2_MAY_UNMAP, 0x0080, 0x0300, true},
	{Q2_READ, 0, 0x0000, 0x2000, true},
	{Q2_WRITE, 0, 0x3080, 0x0100, false},
	{Q2_WRITE, 0, 0x3180, 0x0080, true},
	{Q2_ZERO, 0, 0x8000, 0x0c00, true},
	{Q2_FLUSH, 0, 0, 0, false},
	{Q2_WRITE, Q2_FUA, 0x4000, 0x0700, true},
	{Q2_WRITE, 0, 0x8080, 0x0080, true},
};

struct trial {
	struct sim_log log;
	struct oracle oracle;
	struct loop *loop;
	struct q2_image *img;
	unsigned running, failed, failed_flushes, failed_shared;
	bool seen; /* the failure was injected */
	enum aio_kind kind;
	enum aio_class cls;
	uint64_t start, hit_at; /* ticks */
	/* the case, for messages */
	int want_kind, error;
	uint64_t nth;
	enum q2_zero zero;
	uint32_t align;
	unsigned crypt_method; /* 1: AES, 2: LUKS */
};

struct request {
	struct q2_req rq;
	struct iovec iov;
	struct trial *t;
	size_t index;
	uint8_t buf[0x2000];
};

#define expect(t, condition)                                                  \
	do {                                                                  \
		if (!(condition))                                             \
			fail_msg("%s (kind %d, number %" PRIu64               \
				 ", error %d, zero %d, align %u, encryption " \
				 "%u, class %d)",                             \
				 #condition, (t)->want_kind, (t)->nth,        \
				 (t)->error, (t)->zero, (t)->align,           \
				 (t)->crypt_method, (t)->cls);                \
	} while (0)

static unsigned
on_op(void *arg, const struct aio_op *op)
{
	struct trial *t = arg;

	if (t->loop && !t->seen && sim_has_failed(t->loop)) {
		t->seen = true;
		t->hit_at = t->log.now;
		t->kind = op->kind;
		t->cls = op->cls;
	}
	return 0;
}

static enum image_cluster
state(void *arg, uint64_t cluster)
{
	(void)arg;
	/* The clusters of 0x3000 and 0x4000. */
	return cluster >= 24 && cluster < 36 ? IMAGE_SHARED : IMAGE_EMPTY;
}

static void
start(struct trial *t)
{
	struct sim_opts opts = {.log = &t->log, .on_op = on_op, .on_op_arg = t};
	struct q2_open_opts open = {
		.size = sizeof(open),
		.driver = "qcow2",
		.zero = t->zero,
		.flags = Q2_UNMAP,
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
		.refcount_cache_size = 1024,
		.key = IMAGE_KEY,
		.key_len = strlen(IMAGE_KEY),
	};
	/* The table ends at 2 MiB and is all but full: it must grow. */
	struct image_make make = {
		.bytes = BYTES,
		.cluster_bits = 9,
		.refcount_order = 6,
		.state = state,
		.leak_bytes = 2 * MiB - 24 * 512,
		.crypt_method = t->crypt_method,
	};
	struct q2_err err = {0};

	sim_log_init(&t->log);
	oracle_init(&t->oracle, &whole, 1, NULL);
	expect(t, loop_new_backend(sim_new(backend_memory_new(1, &err), &opts),
				   NULL, &t->loop, &err) == 0);
	expect(t, image_make(t->loop, DISK, &make) == 0);
	t->start = t->log.now;
	opts.align = t->align;
	sim_set_chances(t->loop, &opts);
	if (q2_open((struct q2_loop *)t->loop, DISK, &open, &t->img, &err) < 0)
		fail_msg("open: %s", err.text);
	sim_fail_nth(t->loop, t->want_kind, t->nth, t->error, false);
}

static void
request_done(struct q2_req *rq)
{
	struct request *q = container_of(rq, struct request, rq);
	struct trial *t = q->t;

	oracle_end(&t->oracle, q->index, rq->result, t->log.now);
	t->failed += rq->result < 0 && rq->op != Q2_FLUSH;
	t->failed_shared += rq->result < 0 && rq->off / 512 == 0x3000 / 512;
	t->failed_flushes += rq->result < 0 && rq->op == Q2_FLUSH;
	t->running--;
	free(q);
}

static void
submit(struct trial *t, const struct step *s)
{
	struct guest_op op = {
		.op = s->op, .flags = s->flags, .off = s->off, .len = s->len};
	struct request *q = calloc(1, sizeof(*q));

	assert_non_null(q);
	q->t = t;
	q->index = oracle_begin(&t->oracle, &op, t->log.now);
	if (s->op == Q2_WRITE)
		oracle_fill(&t->oracle, q->index, q->buf);
	q->iov = (struct iovec){q->buf, s->len};
	q->rq = (struct q2_req){.op = s->op,
				.flags = s->flags,
				.off = s->off,
				.len = s->len,
				.iov = &q->iov,
				.iovcnt = 1,
				.done = request_done};
	t->running++;
	q2_submit(t->img, &q->rq);
}

static void
wait_all(struct trial *t)
{
	for (int i = 0; t->running; i++) {
		expect(t, loop_run(t->loop, 0, 0) >= 0);
		expect(t, i < 10000);
	}
}

static void
check_cells(struct trial *t, struct loop *loop, const struct view *view)
{
	struct q2_open_opts open = {.size = sizeof(open),
				    .driver = "qcow2",
				    .flags = Q2_RDONLY,
				    .key = IMAGE_KEY,
				    .key_len = strlen(IMAGE_KEY)};
	static uint8_t buf[BYTES];
	static char why[8192];
	struct q2_image *img;
	struct q2_err err = {0};
	struct image_check c;

	expect(t, image_check(loop, DISK, &c) == 0);
	if (c.corruptions)
		print_error("%s\n", c.why);
	expect(t, c.corruptions == 0);
	if (q2_open((struct q2_loop *)loop, DISK, &open, &img, &err) < 0)
		fail_msg("open: %s", err.text);
	expect(t, q2_pread(img, buf, BYTES, 0) == 0);
	expect(t, q2_close(img, &err) == 0);
	for (size_t i = 0; i < BYTES / CELL; i++) {
		uint32_t id = 0;

		expect(t, oracle_decode(buf + i * CELL, i, &id));
		if (oracle_allows(&t->oracle, i, id, view, why, sizeof(why)))
			continue;
		print_error("%s\n", why);
		expect(t, !"the cell may not hold this");
	}
}

/* Power cuts around the failure and after it. */
static void
check_crashes(struct trial *t)
{
	unsigned crashes = 24;
	struct loop *loop;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	/* Whether an entry is in the file is unknown after that: look closely
	 * at what is written next. */
	if (t->seen && t->cls == AIO_L1)
		crashes = 200;
	for (unsigned i = 0; i < crashes; i++) {
		uint64_t from = t->seen ? t->hit_at : t->start;
		struct sim_crash crash = {
			.at = from + (t->log.now - from) * i / (crashes - 1),
			.seed = i,
			.loss = i % 3 ? SIM_SOME : SIM_DROP,
		};
		struct view view = {.tick = crash.at};

		expect(t, sim_restore(&t->log, &crash, DISK, loop) == 0);
		check_cells(t, loop, &view);
	}
	loop_free(loop);
}

static void
end(struct trial *t)
{
	loop_free(t->loop);
	sim_log_done(&t->log);
	oracle_done(&t->oracle);
}

/* After a failed sync nothing succeeds any more that would have to write. */
static void
check_latched(struct trial *t)
{
	static const struct step write = {Q2_WRITE, 0, 0x0000, 0x0200, true};
	static const struct step flush = {Q2_FLUSH, 0, 0, 0, true};
	unsigned failed = t->failed, flushes = t->failed_flushes;

	expect(t, failed + flushes > 0);
	submit(t, &write);
	wait_all(t);
	expect(t, t->failed == failed + 1);
	submit(t, &flush);
	wait_all(t);
	expect(t, t->failed_flushes == flushes + 1);
}

/* One failure; false: the workload ended before it. */
static bool
run_trial(struct trial *t)
{
	static const struct step flush = {Q2_FLUSH, 0, 0, 0, true};
	struct view all = {.live = true};
	struct q2_err err = {0};
	bool hit, latched;
	int r;

	start(t);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		submit(t, &steps[i]);
		if (steps[i].wait)
			wait_all(t);
	}
	submit(t, &flush);
	wait_all(t);
	hit = sim_has_failed(t->loop);
	/* Of the header it is unknown what it names now. */
	latched = hit && (t->kind == AIO_SYNC || t->cls == AIO_HEADER);
	if (!hit)
		expect(t, !t->failed && !t->failed_flushes);
	if (latched)
		check_latched(t);
	if (hit && !latched) {
		/* It is over: the next flush succeeds. */
		unsigned before = t->failed_flushes;

		submit(t, &flush);
		wait_all(t);
		expect(t, t->failed_flushes == before);
		/* Two that fill the copy of one cluster fail together;
		 * without space one is tried again when limbo has given
		 * clusters back. */
		if (t->cls == AIO_DATA && t->kind == AIO_WRITE)
			expect(t,
			       t->failed == 1 || t->failed_shared == 2 ||
				       (t->failed == 0 && t->error == -ENOSPC));
	}
	sim_fail_nth(t->loop, t->want_kind, 0, 0, false);
	r = q2_close(t->img, &err);
	expect(t, latched ? r < 0 : r == 0);
	if (r == 0)
		oracle_closed(&t->oracle, t->log.now);
	all.seq = t->oracle.seq;
	/* What failed to become durable is still in the file's cache here. */
	if (!latched)
		check_cells(t, t->loop, &all);
	check_crashes(t);
	end(t);
	return hit;
}

/* What the images of a case have in common. */
struct variant {
	enum q2_zero zero;
	unsigned crypt_method;
	unsigned stride; /* only every so many-th failure */
};

/* The n-th operation of kind fails, for each n; returns how many did. */
static unsigned
fail_in_turn(int kind, int error, uint32_t align, const struct variant *v)
{
	/* At Q2_TEST_SCALE=10 every tenth. */
	uint64_t stride = v->stride * max_u64(1, 100 / test_rounds(100));
	unsigned n = 0;

	for (uint64_t nth = 1;; nth += stride) {
		struct trial t = {
			.want_kind = kind,
			.error = error,
			.nth = nth,
			.zero = v->zero,
			.align = align,
			.crypt_method = v->crypt_method,
		};

		if (!run_trial(&t))
			return n;
		n++;
	}
}

static void
fail_each(int kind, int error)
{
	static const uint32_t aligns[] = {1, 4096};
	/* Zeros are always written to an encrypted image; LUKS takes longer to
	 * open. */
	static const struct variant variants[] = {
		{Q2_ZERO_HOLE, 0, 1},  {Q2_ZERO_RANGE, 0, 1},
		{Q2_ZERO_WRITE, 0, 1}, {Q2_ZERO_HOLE, 1, 1},
		{Q2_ZERO_HOLE, 2, 11},
	};
	unsigned n = 0;

	for (size_t a = 0; a < ARRAY_SIZE(aligns); a++)
		for (size_t v = 0; v < ARRAY_SIZE(variants); v++)
			n += fail_in_turn(kind, error, aligns[a], &variants[v]);
	print_message("%u failures of kind %d, error %d\n", n, kind, error);
	assert_true(n > 0);
}

static void
test_failed_reads(void **unused)
{
	(void)unused;
	fail_each(AIO_READ, -EIO);
}

static void
test_failed_writes(void **unused)
{
	(void)unused;
	fail_each(AIO_WRITE, -EIO);
	fail_each(AIO_WRITE, -ENOSPC);
}

static void
test_failed_syncs(void **unused)
{
	(void)unused;
	fail_each(AIO_SYNC, -EIO);
	fail_each(AIO_SYNC, -ENOSPC);
}

static void
test_failed_growth(void **unused)
{
	(void)unused;
	fail_each(AIO_TRUNCATE, -ENOSPC);
}

/* Blocks for tables are taken before these are linked. */
static void
test_failed_allocations(void **unused)
{
	(void)unused;
	fail_each(AIO_ALLOCATE, -ENOSPC);
	fail_each(AIO_ALLOCATE, -EIO);
}

static void
test_failed_discards_and_zero_ranges(void **unused)
{
	(void)unused;
	fail_each(AIO_DISCARD, -EIO);
	fail_each(AIO_ZERO, -EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_reads),
		cmocka_unit_test(test_failed_writes),
		cmocka_unit_test(test_failed_syncs),
		cmocka_unit_test(test_failed_growth),
		cmocka_unit_test(test_failed_allocations),
		cmocka_unit_test(test_failed_discards_and_zero_ranges),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
