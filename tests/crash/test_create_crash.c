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

/* The file of a state.  Its memory is kept from state to state: of thousands
 * of files, some of 130 MiB, fresh pages would be most of the time. */
static struct content {
	struct aio_file *file;
	uint8_t *bytes;
	uint64_t len, room;
	/* What was ever written: the rest of bytes is zeros. */
	struct aio_extent *ext;
	size_t n_ext;
} content;

static void
content_clear(struct content *c)
{
	for (size_t i = 0; i < c->n_ext; i++)
		if (c->ext[i].state == AIO_EXT_WRITTEN)
			memset(c->bytes + c->ext[i].off, 0, c->ext[i].len);
	free(c->ext);
	c->ext = NULL;
	c->n_ext = 0;
}

static int Q2_CO
read_written(void *arg)
{
	struct content *c = arg;
	int r = aio_extents(c->file, &c->ext, &c->n_ext);

	for (size_t i = 0; i < c->n_ext && r == 0; i++)
		if (c->ext[i].state == AIO_EXT_WRITTEN)
			r = file_read(c->file, AIO_DATA,
				      c->bytes + c->ext[i].off, c->ext[i].len,
				      c->ext[i].off);
	return r;
}

/* The file in loop, and zeros behind it. */
static const struct content *
read_content(struct loop *loop)
{
	struct content *c = &content;
	struct points points = {0};

	content_clear(c);
	assert_int_equal(
		aio_open(loop, NAME, AIO_RDONLY, &points, &c->file, NULL), 0);
	c->len = (uint64_t)aio_size(c->file);
	if (c->len + 4 > c->room) {
		free(c->bytes);
		c->room = c->len + 4;
		c->bytes = calloc(1, c->room);
		assert_non_null(c->bytes);
	}
	assert_int_equal(loop_call(loop, read_written, c), 0);
	aio_close(c->file);
	return c;
}

static int
content_free(void **state)
{
	(void)state;
	free(content.ext);
	free(content.bytes);
	content = (struct content){0};
	return 0;
}

/* Holes are: only what was written may hold something. */
static bool
is_zero_from(const struct content *c, uint64_t from)
{
	for (size_t i = 0; i < c->n_ext; i++) {
		uint64_t end = c->ext[i].off + c->ext[i].len;
		uint64_t off = max_u64(c->ext[i].off, from);

		if (c->ext[i].state == AIO_EXT_WRITTEN && off < end &&
		    !mem_is_zero(c->bytes + off, end - off))
			return false;
	}
	return true;
}

/* What is to be in the file, and how often there was no image and one. */
struct judge {
	struct plan plan;
	uint8_t *want; /* the metadata, to the end of a cluster */
	unsigned seen[2];
};

/* 0: no image, 1: a complete one; anything else fails the test. */
static int
judge_kind(const struct judge *j, struct loop *loop,
	   const struct sim_crash *crash)
{
	const struct plan *p = &j->plan;
	const struct content *got = read_content(loop);
	int kind = load_be32(got->bytes) == HEADER_MAGIC;

	/* Where writes are aligned the file may end with its last block. */
	if (kind &&
	    (got->len < p->file_bytes || got->len >= p->file_bytes + 4096 ||
	     memcmp(got->bytes, j->want, p->metadata_bytes) != 0 ||
	     !is_zero_from(got, p->metadata_bytes)))
		fail_msg("half an image after a crash at %" PRIu64
			 ", loss %d, Q2_SEED=%" PRIu64 ": cluster %" PRIu64
			 ", %" PRIu64 " bytes instead of %" PRIu64,
			 crash->at, crash->loss, crash->seed,
			 p->geom.cluster_size, got->len, p->file_bytes);
	return kind;
}

static void
crash_at(const struct sim_log *log, struct judge *j,
	 const struct sim_crash *crash)
{
	struct loop *loop;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	assert_int_equal(sim_restore(log, crash, NAME, loop), 0);
	j->seen[judge_kind(j, loop, crash)]++;
	loop_free(loop);
}

/* Without and with an image, of all creations since they were printed. */
static unsigned long states[2];

static void
print_states(void)
{
	print_message("%lu states without an image, %lu with one\n", states[0],
		      states[1]);
	states[0] = states[1] = 0;
}

static void
crash_everywhere(const struct q2_create_opts *o, uint32_t align, uint64_t seed)
{
	struct sim_log log;
	struct sim_opts sim = {.seed = seed, .delay_max = 3, .log = &log};
	struct judge j = {0};
	uint64_t meta;
	struct loop *loop;
	struct call c;

	sim_log_init(&log);
	assert_int_equal(plan_make(o, &j.plan, NULL), 0);
	meta = align_up(j.plan.metadata_bytes, j.plan.geom.cluster_size);
	j.want = malloc(meta);
	assert_non_null(j.want);
	plan_encode(&j.plan, 0, meta, j.want);
	assert_int_equal(create(o, &sim, align, &loop, &c), 0);
	assert_int_equal(c.result.file_bytes, j.plan.file_bytes);
	assert_true(c.result.fdatasyncs <= 2);
	loop_free(loop);
	for (uint64_t at = 0; at <= log.now; at++) {
		struct sim_crash crash = {.at = at, .loss = SIM_KEEP};

		crash_at(&log, &j, &crash);
		crash.loss = SIM_DROP;
		crash_at(&log, &j, &crash);
		crash.loss = SIM_SOME;
		for (unsigned i = 0; i < test_rounds(4); i++) {
			crash.seed = rng_derive(seed, i);
			crash_at(&log, &j, &crash);
		}
	}
	/* Both kinds must have been met, or nothing was tested. */
	assert_true(j.seen[0] > 0 && j.seen[1] > 0);
	states[0] += j.seen[0];
	states[1] += j.seen[1];
	free(j.want);
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
	print_states();
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
	print_states();
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
				assert_int_equal(read_content(c.loop)->len, 0);
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

	return cmocka_run_group_tests(tests, NULL, content_free);
}
