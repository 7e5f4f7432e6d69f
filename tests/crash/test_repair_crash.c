/* SPDX-License-Identifier: MIT */
/*
 * test_repair_crash.c - a repair that is cut off leaves an image that is no
 * worse, and that another repair makes whole
 *
 * Every prefix of what reached the disk, and random subsets of what no sync
 * covered.  In each state no more clusters have too low a refcount than before
 * the repair, and a guest reads what it read.
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
#include "tests/damage.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/sim/sim.h"

struct run {
	const struct damage *damage;
	struct damaged d;
	struct sim_log log;
	struct damage_found before;
	uint64_t corrupt_before;
	enum repairer by;
	uint64_t states, repaired; /* of these, already whole */
};

static struct loop *
plain_loop(void)
{
	struct loop *loop;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	return loop;
}

static uint64_t
corruptions(struct run *run, struct loop *loop)
{
	struct image_check c;

	/* It does not know tables of snapshots. */
	if (run->damage->snapshots)
		return 0;
	if (image_check(loop, DAMAGE_FILE, &c) < 0)
		return UINT64_MAX;
	return c.corruptions;
}

/* The state in loop, after a crash. */
static void
judge(struct run *run, struct loop *loop, const struct sim_crash *crash)
{
	struct damage_found now;
	struct q2_check left;
	const char *wrong = NULL;

	run->states++;
	if (damage_check(loop, &now) < 0)
		wrong = "cannot be checked";
	else if (now.lost > run->before.lost ||
		 corruptions(run, loop) > run->corrupt_before)
		wrong = "is worse";
	else if (!damage_content_is_same(loop, run->damage, &run->d, false))
		wrong = "has another content";
	else if (damage_repair(loop, BY_ALL, &left) < 0 || left.check_errors)
		wrong = "cannot be repaired";
	else if (!damage_content_is_same(loop, run->damage, &run->d, true))
		wrong = "has another content after the second repair";
	else if (corruptions(run, loop))
		wrong = "is corrupt after the second repair";
	run->repaired += !now.lost && !now.check.corruptions;
	if (!wrong && (damage_check(loop, &now) < 0 || now.check.corruptions ||
		       now.check.leaks || now.check.check_errors))
		wrong = "is not clean after the second repair";
	if (wrong)
		fail_msg("%s, clusters of %u, refcount order %u, by %d: the "
			 "image %s after a crash at %" PRIu64
			 ", loss %d, seed %" PRIu64 "; lost %u of %u",
			 run->damage->name, 1U << run->d.cluster_bits,
			 run->d.refcount_order, run->by, wrong, crash->at,
			 crash->loss, crash->seed, now.lost, run->before.lost);
}

static void
crash_at(struct run *run, const struct sim_crash *crash)
{
	struct loop *loop = plain_loop();

	assert_int_equal(sim_restore(&run->log, crash, DAMAGE_FILE, loop), 0);
	judge(run, loop, crash);
	loop_free(loop);
}

/* Damage and repair on the recorder; returns when the repair begins. */
static uint64_t
record(struct run *run, uint32_t align, uint64_t seed)
{
	struct sim_opts sim = {.seed = seed, .delay_max = 3, .log = &run->log};
	struct q2_check left;
	struct loop *loop;
	uint64_t start;
	int r;

	sim_log_init(&run->log);
	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(align, NULL), &sim),
				 NULL, &loop, NULL),
		0);
	assert_int_equal(damage_make(loop, run->damage, run->d.cluster_bits,
				     run->d.refcount_order, &run->d),
			 0);
	assert_int_equal(damage_check(loop, &run->before), 0);
	run->corrupt_before = corruptions(run, loop);
	/* A block outside the file has no refcount either, but only once the
	 * file has grown it is counted. */
	if (strcmp(run->damage->name, "block outside") == 0) {
		run->before.lost++;
		run->corrupt_before++;
	}
	start = run->log.now;
	r = damage_repair(loop, run->by, &left);
	/* Leaks alone is not always enough. */
	if (run->by != BY_LEAKS)
		assert_int_equal(r, 0);
	loop_free(loop);
	return start;
}

static void
crash_everywhere(struct run *run, uint32_t align, uint64_t seed)
{
	uint64_t start = record(run, align, seed);

	for (uint64_t at = start; at <= run->log.now; at++) {
		struct sim_crash crash = {.at = at, .loss = SIM_KEEP};

		crash_at(run, &crash);
		crash.loss = SIM_DROP;
		crash_at(run, &crash);
		crash.loss = SIM_SOME;
		for (unsigned i = 0; i < test_rounds(2); i++) {
			crash.seed = rng_derive(seed, i);
			crash_at(run, &crash);
		}
	}
	damage_done(&run->d);
	sim_log_done(&run->log);
}

static void
test_a_repair_that_is_cut_off_makes_nothing_worse(void **state)
{
	static const unsigned shapes[][3] = {
		/* cluster bits, refcount order, alignment */
		{9, 4, 1}, {9, 6, 512}, {12, 0, 1}, {12, 3, 4096}, {10, 1, 512},
	};
	uint64_t seed = test_seed(1), states = 0, repaired = 0;

	(void)state;
	for (unsigned i = 0; i < n_damages * REPAIRERS; i++) {
		const struct damage *damage = &damages[i / REPAIRERS];
		enum repairer by = i % REPAIRERS;

		if (by == BY_OPENING && !damage->dirty)
			continue;
		for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
			struct run run = {
				.damage = damage,
				.by = by,
				.d = {.cluster_bits = shapes[s][0],
				      .refcount_order = shapes[s][1]},
			};

			/* Of 512 bytes all addresses are aligned; where a
			 * refcount has one bit, nothing is shared. */
			if ((shapes[s][0] == 9 &&
			     strstr(damage->name, "unaligned")) ||
			    (!shapes[s][1] && strstr(damage->name, "low")))
				continue;
			crash_everywhere(&run, shapes[s][2], seed + i);
			states += run.states;
			repaired += run.repaired;
		}
	}
	print_message("%" PRIu64 " states, %" PRIu64 " of them whole\n", states,
		      repaired);
	/* Both kinds, or nothing was tested. */
	assert_in_range(repaired, 100, states - 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_repair_that_is_cut_off_makes_nothing_worse),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
