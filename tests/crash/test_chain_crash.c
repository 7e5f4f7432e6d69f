/* SPDX-License-Identifier: MIT */
/*
 * test_chain_crash.c - whenever an operation on a chain is cut off, its guest
 * reads what it read before, no file is corrupt, and work can go on
 *
 * Every prefix of what reached the files, and random subsets of what no sync
 * covered, chosen for each file by itself.  Q2_SEED replays a run.
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
#include "tests/chain_disk.h"
#include "tests/env.h"
#include "tests/sim/sim.h"

struct scene {
	struct chain_disk disk;
	const struct chain_op *op;
	uint32_t align;
	uint64_t seed;
	struct sim_log log;
	uint64_t start; /* tick */
};

static unsigned states, leaky;

static void
record(struct scene *s)
{
	struct sim_opts sim = {.seed = s->seed, .log = &s->log};
	struct loop *loop = sim_loop(&sim);
	struct q2_image *img;
	struct q2_err err = {0};

	assert_int_equal(chain_disk_make(&s->disk, loop), 0);
	sim.delay_max = 3;
	sim.align = s->align;
	sim_set_chances(loop, &sim);
	if (chain_disk_open(loop, &img, &err) < 0)
		fail_msg("%s", err.text);
	s->start = s->log.now;
	if (s->op->run(&s->disk, img, &err) < 0)
		fail_msg("%s: %s", s->op->name, err.text);
	if (q2_close(img, &err) < 0)
		fail_msg("%s", err.text);
	loop_free(loop);
}

static void
crash_at(struct scene *s, const struct sim_crash *crash, bool on)
{
	struct loop *loop = sim_loop(NULL);
	const char *const *f = chain_disk_files(&s->disk);
	struct sim_crash own = *crash;
	char why[256] = "";
	uint64_t leaks;
	int r;

	for (; *f; f++) {
		assert_int_equal(sim_restore(&s->log, &own, *f, loop), 0);
		own.seed = mix64(own.seed);
	}
	r = chain_disk_check(&s->disk, loop, &leaks, why, sizeof(why));
	leaky += leaks > 0;
	if (r == 0 && on)
		r = chain_disk_go_on(&s->disk, loop, why, sizeof(why));
	if (r < 0)
		fail_msg("%s, disk %u: crash at %" PRIu64 " of %" PRIu64
			 "..%" PRIu64 ", loss %d, align %u, Q2_SEED=%" PRIu64
			 ": %s",
			 s->op->name, s->disk.cluster_bits, crash->at, s->start,
			 s->log.now, crash->loss, s->align, s->seed, why);
	states++;
	loop_free(loop);
}

static void
crash_everywhere(struct scene *s)
{
	static const enum sim_loss losses[] = {SIM_KEEP, SIM_DROP, SIM_SOME,
					       SIM_SOME, SIM_SOME};

	sim_log_init(&s->log);
	record(s);
	for (uint64_t at = s->start; at <= s->log.now; at++)
		for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
			struct sim_crash crash = {
				.at = at,
				.seed = rng_derive(s->seed, at * 8 + i),
				.loss = losses[i]};

			crash_at(s, &crash, (at + i) % 3 == 0);
		}
	sim_log_done(&s->log);
	chain_disk_done(&s->disk);
}

static void
test_op(void **state)
{
	static const uint32_t aligns[] = {1, 512, 4096};
	const struct chain_op *op = *state;
	uint64_t seed = test_seed(1);

	states = leaky = 0;
	for (unsigned i = 0; i < n_chain_disks; i++) {
		struct scene s = {.disk = chain_disks[i],
				  .op = op,
				  .align = aligns[i % 3],
				  .seed = seed + i};

		if (op->applies && !op->applies(&s.disk))
			continue;
		s.disk.seed = s.seed;
		crash_everywhere(&s);
	}
	print_message("%u states, %u with leaks\n", states, leaky);
	assert_true(states > 20);
}

int
main(void)
{
	struct CMUnitTest tests[32] = {{0}};

	assert(n_chain_ops <= ARRAY_SIZE(tests));
	for (unsigned i = 0; i < n_chain_ops; i++)
		tests[i] = (struct CMUnitTest){
			.name = chain_ops[i].name,
			.test_func = test_op,
			/* cmocka has no const here; it is only read. */
			.initial_state = (void *)(uintptr_t)&chain_ops[i]};
	test_keep_memory();
	return _cmocka_run_group_tests("chain", tests, n_chain_ops, NULL, NULL);
}
