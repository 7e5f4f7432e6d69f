/* SPDX-License-Identifier: MIT */
/*
 * test_convert_crash.c - a copy that is cut off or fails leaves no half image
 *
 * Convert on a simulated disk, at alignments 1, 512 and 4096.  After a power
 * cut at every moment, with all, none or random ones of the operations that no
 * sync covers, the target is no image, the empty one that was just made, or
 * complete; likewise after the nth operation of any kind has failed.  Q2_SEED replays a run.
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

#include "engine/aio/aio.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/sim/sim.h"

#define SOURCE "source.raw"
#define TARGET "disk.qcow2"

struct job {
	struct rng rng;
	struct loop *loop;
	uint64_t bytes;
	uint8_t *want; /* what a guest reads from the source */
	struct q2_create_opts create;
	struct q2_convert_opts convert;
	struct q2_err err;
};

static struct q2_loop *public(struct loop *loop)
{
	return (struct q2_loop *)loop;
}

/* Data and zeros of all lengths, also ones that are no whole sectors. */
static void
invent_content(struct job *j)
{
	uint64_t at = 0;

	j->want = calloc(1, j->bytes);
	assert_non_null(j->want);
	while (at < j->bytes) {
		uint64_t len = 1 + rng_below(&j->rng, 40000);

		len = min_u64(len, j->bytes - at);
		if (rng_below(&j->rng, 2))
			for (uint64_t i = at; i < at + len; i++)
				j->want[i] = (uint8_t)(1 + (i >> 9) % 255);
		at += len;
	}
}

static struct loop *
new_loop(struct sim_opts *sim, uint32_t align)
{
	struct aio_backend *b = backend_memory_new(align, NULL);
	struct loop *loop;

	if (sim)
		b = sim_new(b, sim);
	assert_int_equal(loop_new_backend(b, NULL, &loop, NULL), 0);
	return loop;
}

static void
make_source(struct job *j)
{
	struct q2_create_opts o = {
		.size = sizeof(o), .driver = "raw", .virtual_size = j->bytes};
	struct q2_open_opts open = {.size = sizeof(open), .driver = "raw"};
	struct q2_image *img;

	assert_int_equal(q2_create(public(j->loop), SOURCE, &o, NULL, NULL), 0);
	assert_int_equal(q2_open(public(j->loop), SOURCE, &open, &img, NULL),
			 0);
	for (uint64_t at = 0; at < j->bytes; at += 512)
		if (!mem_is_zero(j->want + at, 512))
			assert_int_equal(q2_pwrite(img, j->want + at, 512, at),
					 0);
	assert_int_equal(q2_close(img, NULL), 0);
}

/* Make the target and copy; the first error. */
static int
convert(struct job *j)
{
	struct q2_open_opts from = {
		.size = sizeof(from), .driver = "raw", .flags = Q2_RDONLY};
	struct q2_open_opts to = {.size = sizeof(to), .driver = "qcow2"};
	struct q2_image *src, *dst;
	int r, closed;

	r = q2_create(public(j->loop), TARGET, &j->create, NULL, &j->err);
	if (r < 0)
		return r;
	r = q2_open(public(j->loop), SOURCE, &from, &src, &j->err);
	if (r < 0)
		return r;
	r = q2_open(public(j->loop), TARGET, &to, &dst, &j->err);
	if (r == 0) {
		r = q2_convert(&src, 1, dst, &j->convert, &j->err);
		closed = q2_close(dst, NULL);
		r = r < 0 ? r : closed;
	}
	closed = q2_close(src, NULL);
	return r < 0 ? r : closed;
}

enum state {
	NO_IMAGE,
	EMPTY,
	COMPLETE,
	STATES
};

/* What is in loop; anything between fails the test. */
static enum state
judge(const struct job *j, struct loop *loop, const char *when)
{
	struct q2_open_opts open = {
		.size = sizeof(open), .driver = "qcow2", .flags = Q2_RDONLY};
	struct image_check check;
	struct q2_image *img;
	enum state state = NO_IMAGE;
	uint8_t *got;

	if (q2_open(public(loop), TARGET, &open, &img, NULL) < 0)
		return NO_IMAGE;
	got = calloc(1, j->bytes);
	assert_non_null(got);
	assert_int_equal(q2_size(img), j->bytes);
	assert_int_equal(q2_pread(img, got, j->bytes, 0), 0);
	if (memcmp(got, j->want, j->bytes) == 0)
		state = COMPLETE;
	else if (mem_is_zero(got, j->bytes))
		state = EMPTY;
	else
		fail_msg("half a copy %s", when);
	free(got);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_int_equal(image_check(loop, TARGET, &check), 0);
	if (check.corruptions)
		fail_msg("%s %s", check.why, when);
	return state;
}

static void
crash_at(const struct job *j, const struct sim_log *log,
	 const struct sim_crash *crash, unsigned seen[STATES])
{
	struct loop *loop = new_loop(NULL, 1);
	char when[128];

	(void)snprintf(when, sizeof(when),
		       "after a crash at %" PRIu64 ", loss %d, seed %" PRIu64,
		       crash->at, crash->loss, crash->seed);
	assert_int_equal(sim_restore(log, crash, TARGET, loop), 0);
	seen[judge(j, loop, when)]++;
	loop_free(loop);
}

/* A job whose details follow from the seed. */
static struct job
new_job(uint64_t seed, unsigned cluster_bits)
{
	struct job j = {.rng = {.state = seed}, .bytes = 200 * KiB};

	j.create = (struct q2_create_opts){
		.size = sizeof(j.create),
		.virtual_size = j.bytes,
		.cluster_size = 1U << cluster_bits,
		.preallocation = (enum q2_prealloc)rng_below(&j.rng, 3),
	};
	j.convert = (struct q2_convert_opts){
		.size = sizeof(j.convert),
		.coroutines = 1 + (unsigned)rng_below(&j.rng, 16),
		.out_of_order = rng_below(&j.rng, 2),
		.dense = rng_below(&j.rng, 4) == 0,
		.sparse_bytes = UINT64_C(512) << rng_below(&j.rng, 6),
		.target_is_new = true,
	};
	invent_content(&j);
	return j;
}

static void
crash_everywhere(uint64_t seed, unsigned cluster_bits, uint32_t align)
{
	struct job j = new_job(seed, cluster_bits);
	struct sim_log log;
	struct sim_opts sim = {
		.seed = seed, .delay_max = 3, .shorten = 50, .log = &log};
	unsigned seen[STATES] = {0};
	uint64_t begin;

	sim_log_init(&log);
	j.loop = new_loop(&sim, align);
	make_source(&j);
	begin = log.now;
	assert_int_equal(convert(&j), 0);
	loop_free(j.loop);
	for (uint64_t at = begin; at <= log.now; at++) {
		struct sim_crash crash = {.at = at, .loss = SIM_KEEP};

		crash_at(&j, &log, &crash, seen);
		crash.loss = SIM_DROP;
		crash_at(&j, &log, &crash, seen);
		crash.loss = SIM_SOME;
		for (unsigned i = 0; i < test_rounds(3); i++) {
			crash.seed = rng_derive(seed, i);
			crash_at(&j, &log, &crash, seen);
		}
	}
	/* All must have been met, or nothing was tested. */
	assert_true(seen[NO_IMAGE] > 0 && seen[COMPLETE] > 0);
	sim_log_done(&log);
	free(j.want);
}

static void
test_every_crash_leaves_no_image_or_a_complete_one(void **state)
{
	static const uint32_t aligns[] = {1, 512, 4096};
	uint64_t seed = test_seed(1);

	(void)state;
	for (unsigned bits = 9; bits <= 17; bits += 4)
		for (size_t a = 0; a < ARRAY_SIZE(aligns); a++)
			crash_everywhere(seed++, bits, aligns[a]);
}

/* The nth operation of a kind fails with error; returns whether there was
 * one. */
static bool
fail_nth(uint64_t seed, enum aio_kind kind, uint64_t nth, int error)
{
	struct job j = new_job(seed, 12);
	struct sim_opts sim = {.seed = seed};
	enum state state;
	char when[128];
	bool failed;
	int r;

	(void)snprintf(when, sizeof(when),
		       "after %d of operation %" PRIu64 " of kind %d, seed "
		       "%" PRIu64,
		       error, nth, kind, seed);
	j.loop = new_loop(&sim, 1);
	make_source(&j);
	sim_fail_nth(j.loop, (int)kind, nth, error, false);
	r = convert(&j);
	failed = sim_has_failed(j.loop);
	sim_fail_nth(j.loop, (int)kind, 0, 0, false);
	state = judge(&j, j.loop, when);
	if (r == 0 && state != COMPLETE)
		fail_msg("success and no complete image %s", when);
	if (!failed && r < 0)
		fail_msg("%s without a failure %s", j.err.text, when);
	loop_free(j.loop);
	free(j.want);
	return failed;
}

static void
test_every_failure_leaves_no_image_or_a_complete_one(void **state)
{
	static const enum aio_kind kinds[] = {AIO_READ, AIO_WRITE, AIO_SYNC,
					      AIO_ZERO, AIO_TRUNCATE};
	static const int errors[] = {-EIO, -ENOSPC};
	uint64_t seed = test_seed(100);
	unsigned failures = 0;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
			uint64_t nth = 1;

			while (fail_nth(seed + k, kinds[k], nth, errors[e]))
				nth++;
			failures += (unsigned)nth - 1;
		}
	}
	print_message("%u failures\n", failures);
	assert_true(failures > 30);
}

static bool
stop(void *arg, uint64_t done, uint64_t of)
{
	(void)of;
	return done < *(uint64_t *)arg;
}

static void
interrupt(uint64_t after, bool count_data)
{
	uint64_t seed = test_seed(200);
	struct sim_opts sim = {.seed = seed, .delay_max = 2};
	struct job j = new_job(seed, 9);

	j.convert.count_data = count_data;
	j.loop = new_loop(&sim, 1);
	make_source(&j);
	j.convert.progress = stop;
	j.convert.arg = &after;
	assert_int_equal(convert(&j), -ECANCELED);
	assert_string_equal(j.err.text, "interrupted");
	assert_int_equal(judge(&j, j.loop, "after an interruption"), NO_IMAGE);
	loop_free(j.loop);
	free(j.want);
}

/* While bytes are copied, and before that, as the data is counted. */
static void
test_an_interrupted_copy_is_no_image(void **state)
{
	(void)state;
	interrupt(70000, false);
	interrupt(70000, true);
	interrupt(0, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_every_crash_leaves_no_image_or_a_complete_one),
		cmocka_unit_test(
			test_every_failure_leaves_no_image_or_a_complete_one),
		cmocka_unit_test(test_an_interrupted_copy_is_no_image),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
