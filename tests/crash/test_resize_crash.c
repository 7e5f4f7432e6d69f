/* SPDX-License-Identifier: MIT */
/*
 * test_resize_crash.c - rules R1 and R2: whenever a resize is cut off, the
 * image has its old size and content, or its new size with what belongs there
 *
 * Every prefix of what reached the disk, and random subsets of what no sync
 * covered; from some of these states the work goes on, on space that the crash
 * has left.  Q2_SEED replays a run.
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

#include "engine/base/num.h"
#include "tests/env.h"
#include "tests/resize_disk.h"
#include "tests/sim/sim.h"

struct scene {
	struct resize_disk disk;
	uint64_t new_bytes;
	enum q2_prealloc mode;
	uint32_t align;
	uint64_t seed;
	struct sim_log log;
	uint64_t start;   /* tick */
	unsigned seen[2]; /* states before, after */
	unsigned leaky, went_on;
};

/* Make the image and resize it, recorded. */
static void
record(struct scene *s)
{
	struct sim_opts sim = {.seed = s->seed, .log = &s->log};
	struct q2_resize_opts opts = {
		.size = sizeof(opts), .preallocation = s->mode, .shrink = true};
	struct loop *loop = sim_loop(&sim);
	struct q2_image *img;
	struct q2_err err = {0};
	char why[256] = "";

	assert_int_equal(resize_disk_make(&s->disk, loop), 0);
	sim.delay_max = 3;
	sim.align = s->align;
	sim_set_chances(loop, &sim);
	if (resize_disk_open(loop, &img, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	if (s->disk.lazy)
		assert_int_equal(resize_disk_fill_gaps(&s->disk, img), 0);
	s->start = s->log.now;
	if (q2_resize(img, s->new_bytes, &opts, &err) < 0)
		fail_msg("%s", err.text);
	if (q2_close(img, &err) < 0)
		fail_msg("%s", err.text);
	loop_free(loop);
}

/* All files, each with losses of its own. */
static void
restore(const struct scene *s, const struct sim_crash *crash, struct loop *loop)
{
	struct sim_crash other = *crash;

	other.seed = mix64(crash->seed);
	assert_int_equal(sim_restore(&s->log, crash, RESIZE_DISK, loop), 0);
	if (s->disk.data_file)
		assert_int_equal(
			sim_restore(&s->log, &other, RESIZE_DATA, loop), 0);
	if (s->disk.base_bytes)
		assert_int_equal(
			sim_restore(&s->log, &other, RESIZE_BASE, loop), 0);
}

static void
crash_at(struct scene *s, const struct sim_crash *crash, bool on)
{
	struct loop *loop = sim_loop(NULL);
	uint64_t leaks = 0, size;
	char why[256] = "";

	restore(s, crash, loop);
	size = resize_disk_check(&s->disk, s->new_bytes, loop, &leaks, why,
				 sizeof(why));
	s->leaky += leaks > 0;
	if (size && on &&
	    resize_disk_go_on(&s->disk, loop, &leaks, why, sizeof(why)) < 0)
		size = 0;
	if (!size)
		fail_msg("crash at %" PRIu64 " of %" PRIu64 "..%" PRIu64
			 ", loss %d, seed %" PRIu64
			 ": %s (cluster bits %u, order %u, %" PRIu64
			 " -> %" PRIu64 ", base %" PRIu64 ", data file %d, "
			 "lazy %d, mode %d, align %u, Q2_SEED=%" PRIu64 ")",
			 crash->at, s->start, s->log.now, crash->loss,
			 crash->seed, why, s->disk.cluster_bits,
			 s->disk.refcount_order, s->disk.bytes, s->new_bytes,
			 s->disk.base_bytes,
			 s->disk.data_file + s->disk.data_raw, s->disk.lazy,
			 s->mode, s->align, s->seed);
	s->seen[size == s->new_bytes]++;
	s->went_on += on;
	loop_free(loop);
}

static void
crash_everywhere(struct scene *s)
{
	static const enum sim_loss losses[] = {SIM_KEEP, SIM_DROP, SIM_SOME,
					       SIM_SOME, SIM_SOME};

	sim_log_init(&s->log);
	record(s);
	for (uint64_t at = s->start; at <= s->log.now;
	     at = test_next(at, s->log.now)) {
		for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
			struct sim_crash crash = {
				.at = at,
				.seed = rng_derive(s->seed, at * 8 + i),
				.loss = losses[i]};

			crash_at(s, &crash, (at + i) % 3 == 0);
		}
	}
	/* Both kinds must have been met, or nothing was tested. */
	assert_true(s->seen[0] > 0 && s->seen[1] > 0);
	sim_log_done(&s->log);
	resize_disk_done(&s->disk);
}

static unsigned states, leaky;

static void
run_scene(const struct resize_disk *disk, uint64_t new_bytes,
	  enum q2_prealloc mode, uint32_t align, uint64_t seed)
{
	struct scene s = {.disk = *disk,
			  .new_bytes = new_bytes,
			  .mode = mode,
			  .align = align,
			  .seed = seed};

	s.disk.seed = seed;
	crash_everywhere(&s);
	states += s.seen[0] + s.seen[1];
	leaky += s.leaky;
}

static void
test_every_crash_of_a_grow_leaves_the_old_or_the_new_disk(void **state)
{
	static const uint32_t aligns[] = {1, 512, 4096};
	uint64_t seed = test_seed(1);

	(void)state;
	states = leaky = 0;
	for (unsigned mode = 0; mode < 4; mode++)
		for (size_t i = 0; i < n_resize_disks; i++)
			run_scene(&resize_disks[i],
				  resize_disks[i].bytes + 65 * KiB,
				  (enum q2_prealloc)mode,
				  aligns[(mode + i) % 3], seed + mode * 32 + i);
	print_message("%u states, %u with leaks\n", states, leaky);
	assert_true(states > 1000 / test_stride() && leaky > 0);
}

static void
test_every_crash_of_a_shrink_leaves_the_old_or_the_new_disk(void **state)
{
	uint64_t seed = test_seed(1);

	(void)state;
	states = leaky = 0;
	for (size_t i = 0; i < n_resize_disks; i++) {
		run_scene(&resize_disks[i], 10 * KiB, Q2_PREALLOC_OFF, 1,
			  seed + i);
		run_scene(&resize_disks[i], resize_disks[i].bytes - 512,
			  Q2_PREALLOC_OFF, 512, seed + i);
	}
	print_message("%u states, %u with leaks\n", states, leaky);
	assert_true(states > 500 / test_stride());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_every_crash_of_a_grow_leaves_the_old_or_the_new_disk),
		cmocka_unit_test(
			test_every_crash_of_a_shrink_leaves_the_old_or_the_new_disk),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
