/* SPDX-License-Identifier: MIT */
/*
 * test_create_crash.c - rule N1: whenever a creation is cut off, the file is
 * no image or a complete one
 *
 * Every prefix of what reached the disk, and random subsets of what no sync
 * covered.  Q2_SEED replays a run.
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

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/plan.h"
#include "engine/manage/manage.h"
#include "tests/env.h"
#include "tests/sim/sim.h"

#define NAME "disk.qcow2"

struct call {
	struct loop *loop;
	const struct q2_create_opts *opts;
	struct q2_create_result result;
	struct q2_err err;
};

static int Q2_CO
run_create(void *arg)
{
	struct call *c = arg;

	return create_image(c->loop, NAME, c->opts, &c->result, &c->err);
}

/* Make an image on a simulated disk. */
static int
create(const struct q2_create_opts *o, struct sim_opts *sim, uint32_t align,
       struct loop **ret_loop, struct call *c)
{
	*c = (struct call){.opts = o};
	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(align, NULL), sim),
				 NULL, &c->loop, NULL),
		0);
	*ret_loop = c->loop;
	return loop_call(c->loop, run_create, c);
}

struct reading {
	struct aio_file *file;
	uint8_t *buf;
	uint64_t len;
};

static int Q2_CO
read_all(void *arg)
{
	struct reading *rd = arg;

	return file_read(rd->file, AIO_DATA, rd->buf, rd->len, 0);
}

/* The file in loop: the caller frees it. */
static uint8_t *
content(struct loop *loop, uint64_t *ret_len)
{
	struct points points = {0};
	struct reading rd;

	assert_int_equal(
		aio_open(loop, NAME, AIO_RDONLY, &points, &rd.file, NULL), 0);
	rd.len = *ret_len = (uint64_t)aio_size(rd.file);
	rd.buf = calloc(1, rd.len + 4);
	assert_int_equal(loop_call(loop, read_all, &rd), 0);
	aio_close(rd.file);
	return rd.buf;
}

static bool
is_zero(const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* 0: no image, 1: a complete one; anything else fails the test. */
static int
judge(const struct plan *p, struct loop *loop, const struct sim_crash *crash)
{
	uint64_t size = p->geom.cluster_size, len;
	uint64_t meta = align_up(p->metadata_bytes, size);
	uint8_t *got = content(loop, &len);
	uint8_t *want = malloc(meta);
	int kind = load_be32(got) == HEADER_MAGIC;

	plan_encode(p, 0, meta, want);
	/* Where writes are aligned the file may end with its last block. */
	if (kind &&
	    (len < p->file_bytes || len >= p->file_bytes + 4096 ||
	     memcmp(got, want, p->metadata_bytes) != 0 ||
	     !is_zero(got + p->metadata_bytes, len - p->metadata_bytes)))
		fail_msg("half an image after a crash at %" PRIu64
			 ", loss %d, Q2_SEED=%" PRIu64 ": cluster %" PRIu64
			 ", %" PRIu64 " bytes instead of %" PRIu64,
			 crash->at, crash->loss, crash->seed, size, len,
			 p->file_bytes);
	free(want);
	free(got);
	return kind;
}

static void
crash_at(const struct sim_log *log, const struct plan *p,
	 const struct sim_crash *crash, unsigned *seen)
{
	struct loop *loop;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	assert_int_equal(sim_restore(log, crash, NAME, loop), 0);
	seen[judge(p, loop, crash)]++;
	loop_free(loop);
}

static void
crash_everywhere(const struct q2_create_opts *o, uint32_t align, uint64_t seed)
{
	struct sim_log log;
	struct sim_opts sim = {.seed = seed, .delay_max = 3, .log = &log};
	unsigned seen[2] = {0};
	struct loop *loop;
	struct plan p;
	struct call c;

	sim_log_init(&log);
	assert_int_equal(plan_make(o, &p, NULL), 0);
	assert_int_equal(create(o, &sim, align, &loop, &c), 0);
	assert_int_equal(c.result.file_bytes, p.file_bytes);
	assert_true(c.result.fdatasyncs <= 2);
	loop_free(loop);
	for (uint64_t at = 0; at <= log.now; at++) {
		struct sim_crash crash = {.at = at, .loss = SIM_KEEP};

		crash_at(&log, &p, &crash, seen);
		crash.loss = SIM_DROP;
		crash_at(&log, &p, &crash, seen);
		crash.loss = SIM_SOME;
		for (unsigned i = 0; i < test_rounds(4); i++) {
			crash.seed = rng_derive(seed, i);
			crash_at(&log, &p, &crash, seen);
		}
	}
	/* Both kinds must have been met, or nothing was tested. */
	assert_true(seen[0] > 0 && seen[1] > 0);
	sim_log_done(&log);
}

static void
test_every_crash_leaves_no_image_or_a_complete_one(void **state)
{
	static const uint32_t aligns[] = {1, 512, 4096};
	uint64_t seed = test_seed(1);

	(void)state;
	for (unsigned mode = 0; mode < 4; mode++)
		for (unsigned bits = 9; bits <= 18; bits += 3)
			for (size_t a = 0; a < ARRAY_SIZE(aligns); a++)
				crash_everywhere(
					&(struct q2_create_opts){
						.size = sizeof(
							struct q2_create_opts),
						.virtual_size = 300 * KiB,
						.cluster_size = 1U << bits,
						.preallocation = mode,
					},
					aligns[a], seed++);
	/* Metadata of several writes. */
	crash_everywhere(
		&(struct q2_create_opts){.size = sizeof(struct q2_create_opts),
					 .virtual_size = 130 * MiB,
					 .cluster_size = 512,
					 .preallocation = Q2_PREALLOC_METADATA},
		1, seed);
}

static void
test_every_kind_of_image_too(void **state)
{
	static const struct q2_create_opts kinds[] = {
		{.compat = 2, .preallocation = Q2_PREALLOC_METADATA},
		{.compat = 2, .backing_file = "base", .backing_format = "raw"},
		{.refcount_bits = 1, .preallocation = Q2_PREALLOC_FALLOC},
		{.refcount_bits = 64,
		 .cluster_size = 512,
		 .preallocation = Q2_PREALLOC_METADATA},
		{.lazy_refcounts = true, .compression_type = "zstd"},
		{.extended_l2 = true,
		 .cluster_size = 16384,
		 .backing_file = "base.qcow2",
		 .backing_format = "qcow2",
		 .preallocation = Q2_PREALLOC_METADATA},
	};
	uint64_t seed = test_seed(5);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct q2_create_opts o = kinds[i];

		o.size = sizeof(o);
		o.virtual_size = 300 * KiB + 512;
		crash_everywhere(&o, i % 2 ? 512 : 1, seed++);
	}
}

/* Each write, sync, truncate in turn fails: nothing that looks like an image
 * is left, and the error has a text. */
static void
test_every_failure_leaves_nothing(void **state)
{
	static const enum aio_kind kinds[] = {AIO_WRITE, AIO_SYNC, AIO_TRUNCATE,
					      AIO_ALLOCATE};
	struct q2_create_opts o = {.size = sizeof(o),
				   .virtual_size = 9 * MiB,
				   .cluster_size = 4096};
	unsigned failures = 0;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (unsigned nth = 1, failed = 1; failed; nth++) {
			struct sim_opts sim = {.seed = nth};
			struct call c = {.opts = &o};
			uint64_t len;
			int r;

			o.preallocation = kinds[k] == AIO_ALLOCATE
						  ? Q2_PREALLOC_FALLOC
						  : Q2_PREALLOC_FULL;
			assert_int_equal(
				loop_new_backend(
					sim_new(backend_memory_new(1, NULL),
						&sim),
					NULL, &c.loop, NULL),
				0);
			sim_fail_nth(c.loop, (int)kinds[k], nth, -EIO, false);
			r = loop_call(c.loop, run_create, &c);
			failed = sim_has_failed(c.loop);
			assert_int_equal(r, failed ? -EIO : 0);
			failures += failed;
			if (failed) {
				free(content(c.loop, &len));
				assert_int_equal(len, 0);
				assert_non_null(strstr(c.err.text, NAME));
			}
			loop_free(c.loop);
		}
	}
	assert_in_range(failures, 6, 100);
}

static void
test_falloc_is_emulated_where_it_is_not_native(void **state)
{
	struct q2_create_opts o = {.size = sizeof(o),
				   .virtual_size = 5 * MiB,
				   .preallocation = Q2_PREALLOC_FALLOC};
	struct sim_opts sim = {.seed = 1};
	struct call c = {.opts = &o};
	struct aio_file *file;
	struct points points = {0};

	(void)state;
	for (int raw = 0; raw < 2; raw++) {
		o.driver = raw ? "raw" : "qcow2";
		assert_int_equal(
			loop_new_backend(
				sim_new(backend_memory_new(1, NULL), &sim),
				NULL, &c.loop, NULL),
			0);
		sim_fail_nth(c.loop, AIO_ALLOCATE, 1, -ENOTSUP, true);
		assert_int_equal(loop_call(c.loop, run_create, &c), 0);
		assert_true(c.result.emulated_falloc);
		assert_int_equal(aio_open(c.loop, NAME, AIO_RDONLY, &points,
					  &file, NULL),
				 0);
		assert_int_equal(aio_allocated(file),
				 align_up(c.result.file_bytes, 4096));
		aio_close(file);
		loop_free(c.loop);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_every_crash_leaves_no_image_or_a_complete_one),
		cmocka_unit_test(test_every_kind_of_image_too),
		cmocka_unit_test(test_every_failure_leaves_nothing),
		cmocka_unit_test(
			test_falloc_is_emulated_where_it_is_not_native),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
