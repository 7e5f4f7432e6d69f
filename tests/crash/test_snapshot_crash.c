/* SPDX-License-Identifier: MIT */
/*
 * test_snapshot_crash.c - rules S1 to S3: whenever an operation on snapshots, or
 * an amend of an image that has some, is cut off, the disk and each snapshot are
 * as before it or as after it
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
#include "engine/base/rng.h"
#include "tests/env.h"
#include "tests/sim/sim.h"
#include "tests/snapshot_disk.h"
#include "tests/snapshot_files.h"

struct scene {
	struct snapshot_disk disk;
	uint32_t align;
	struct sim_log log;
	uint64_t start;   /* tick */
	unsigned seen[2]; /* states before, after */
	unsigned leaky, went_on;
};

static void
record(struct scene *s)
{
	struct sim_opts sim = {.seed = s->disk.seed, .log = &s->log};
	struct loop *loop = sim_loop(&sim);
	struct q2_image *img;
	struct q2_err err = {0};
	char why[256] = "";

	assert_int_equal(snapshot_disk_make(&s->disk, loop), 0);
	sim.delay_max = 3;
	sim.align = s->align;
	sim_set_chances(loop, &sim);
	if (snapshot_disk_open(loop, &img, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	s->start = s->log.now;
	if (snapshot_disk_run(&s->disk, img, &err) < 0)
		fail_msg("%s: %s", snapshot_disk_text(&s->disk), err.text);
	if (q2_close(img, &err) < 0)
		fail_msg("%s", err.text);
	loop_free(loop);
}

static void
crash_at(struct scene *s, const struct sim_crash *crash, bool on)
{
	struct loop *loop = sim_loop(NULL);
	uint64_t leaks = 0;
	char why[512] = "";
	int now;

	assert_int_equal(sim_restore(&s->log, crash, SNAPSHOT_DISK, loop), 0);
	if (s->disk.below)
		assert_int_equal(
			sim_restore(&s->log, crash, SNAPSHOT_BELOW, loop), 0);
	now = snapshot_disk_check(&s->disk, loop, &leaks, why, sizeof(why));
	s->leaky += leaks > 0;
	if (now >= 0 && on &&
	    snapshot_disk_go_on(&s->disk, now == 1, loop, why, sizeof(why)) < 0)
		now = -1;
	if (now < 0)
		fail_msg("crash at %" PRIu64 " of %" PRIu64 "..%" PRIu64
			 ", loss %d, seed %" PRIu64 ": %s (%s, align %u)",
			 crash->at, s->start, s->log.now, crash->loss,
			 crash->seed, why, snapshot_disk_text(&s->disk),
			 s->align);
	s->seen[now]++;
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
				.seed = rng_derive(s->disk.seed, at * 8 + i),
				.loss = losses[i]};

			crash_at(s, &crash, (at + i) % 3 == 0);
		}
	}
	/* Both kinds must have been met, or nothing was tested. */
	assert_true(s->seen[0] > 0 && s->seen[1] > 0);
	sim_log_done(&s->log);
	snapshot_disk_done(&s->disk);
}

static void
crash_op(enum snapshot_disk_op op)
{
	static const uint32_t aligns[] = {1, 512, 4096};
	uint64_t seed = test_seed(1);
	unsigned states = 0, leaky = 0, went_on = 0;

	for (unsigned round = 0; round < test_rounds(2); round++) {
		for (unsigned i = 0; i < n_snapshot_disks; i++) {
			struct scene s = {.disk = snapshot_disks[i],
					  .align = aligns[(round + i) % 3]};

			if (!snapshot_disk_can(&s.disk, op))
				continue;
			s.disk.op = op;
			s.disk.seed = rng_derive(seed, round * 64 + i);
			crash_everywhere(&s);
			states += s.seen[0] + s.seen[1];
			leaky += s.leaky;
			went_on += s.went_on;
		}
	}
	print_message("%u states, %u with leaks, %u went on\n", states, leaky,
		      went_on);
	assert_true(states > 500 / test_stride() && leaky && went_on);
}

static void
test_every_crash_of_a_create_leaves_before_or_after(void **state)
{
	(void)state;
	crash_op(OP_CREATE);
}

static void
test_every_crash_of_an_apply_leaves_before_or_after(void **state)
{
	(void)state;
	crash_op(OP_APPLY);
}

static void
test_every_crash_of_a_delete_leaves_before_or_after(void **state)
{
	(void)state;
	crash_op(OP_DELETE);
}

/* Zero clusters of snapshots expanded, tables with longer entries. */
static void
test_every_crash_of_an_amend_leaves_before_or_after(void **state)
{
	(void)state;
	crash_op(OP_AMEND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_every_crash_of_a_create_leaves_before_or_after),
		cmocka_unit_test(
			test_every_crash_of_an_apply_leaves_before_or_after),
		cmocka_unit_test(
			test_every_crash_of_a_delete_leaves_before_or_after),
		cmocka_unit_test(
			test_every_crash_of_an_amend_leaves_before_or_after),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
