/* SPDX-License-Identifier: MIT */
/*
 * test_bitmap_crash.c - whenever an operation on bitmaps, or the guest's
 * writing, is cut off, no bitmap that can be used misses a change
 *
 * Every prefix of what reached the disk, and random subsets of what no sync
 * covered; from some of these states the work goes on.  Q2_SEED replays a run.
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
#include "engine/base/rng.h"
#include "tests/bitmap_disk.h"
#include "tests/env.h"
#include "tests/sim/sim.h"

struct scene {
	struct bitmap_disk disk;
	uint32_t align;
	struct sim_log log;
	uint64_t start; /* tick */
};

static unsigned seen[N_NOW], leaky, went_on;

static void
record(struct scene *s)
{
	struct sim_opts sim = {.seed = s->disk.seed, .log = &s->log};
	struct loop *loop = sim_loop(&sim);
	struct q2_image *img;
	struct q2_err err = {0};

	assert_int_equal(bitmap_disk_make(&s->disk, loop), 0);
	sim.delay_max = 3;
	sim.align = s->align;
	sim_set_chances(loop, &sim);
	s->start = s->log.now;
	if (bitmap_disk_open(loop, 0, &img, &err) < 0 ||
	    bitmap_disk_run(&s->disk, img, &err) < 0 || q2_close(img, &err) < 0)
		fail_msg("%s: %s", bitmap_disk_text(&s->disk), err.text);
	loop_free(loop);
}

static void
crash_at(struct scene *s, const struct sim_crash *crash, bool on)
{
	struct loop *loop = sim_loop(NULL);
	uint64_t leaks = 0;
	char why[512] = "";
	int now;

	assert_int_equal(sim_restore(&s->log, crash, BITMAP_DISK, loop), 0);
	now = bitmap_disk_check(&s->disk, loop, &leaks, why, sizeof(why));
	leaky += leaks > 0;
	if (now >= 0 && on &&
	    bitmap_disk_go_on(&s->disk, loop, why, sizeof(why)) < 0)
		now = -1;
	if (now < 0)
		fail_msg("crash at %" PRIu64 " of %" PRIu64 "..%" PRIu64
			 ", loss %d, seed %" PRIu64 ": %s (%s, align %u)",
			 crash->at, s->start, s->log.now, crash->loss,
			 crash->seed, why, bitmap_disk_text(&s->disk),
			 s->align);
	seen[now]++;
	went_on += on;
	loop_free(loop);
}

static void
crash_everywhere(struct scene *s)
{
	static const enum sim_loss losses[] = {SIM_KEEP, SIM_DROP, SIM_SOME,
					       SIM_SOME};

	sim_log_init(&s->log);
	record(s);
	for (uint64_t at = s->start; at <= s->log.now;
	     at = test_next(at, s->log.now)) {
		for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
			struct sim_crash crash = {
				.at = at,
				.seed = rng_derive(s->disk.seed, at * 8 + i),
				.loss = losses[i]};

			crash_at(s, &crash, (at + i) % 3 == 0);
		}
	}
	sim_log_done(&s->log);
	bitmap_disk_done(&s->disk);
}

static void
test_no_crash_leaves_a_bitmap_that_misses_a_change(void **state)
{
	static const uint32_t aligns[] = {1, 512, 4096};
	uint64_t seed = test_seed(1);

	(void)state;
	for (unsigned i = 0; i < n_bitmap_disks; i++) {
		for (unsigned op = 0; op < N_OPS; op++) {
			struct scene s = {.disk = bitmap_disks[i],
					  .align = aligns[(op + i) % 3]};

			s.disk.op = (enum bitmap_disk_op)op;
			s.disk.seed = rng_derive(seed, i * N_OPS + op);
			crash_everywhere(&s);
		}
	}
	print_message("%u states as before, %u as after, %u in use, %u with "
		      "leaks, %u went on\n",
		      seen[NOW_BEFORE], seen[NOW_AFTER], seen[NOW_IN_USE],
		      leaky, went_on);
	/* All kinds must have been met, or nothing was tested. */
	assert_true(seen[NOW_BEFORE] && seen[NOW_AFTER] && seen[NOW_IN_USE] &&
		    leaky && went_on);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_no_crash_leaves_a_bitmap_that_misses_a_change),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
