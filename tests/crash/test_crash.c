/* SPDX-License-Identifier: MIT */
/*
 * Power cuts at every moment of random runs; see power.h.  A failure prints
 * the seed of its run: Q2_SEED=N begins with that one.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "tests/crash/power.h"
#include "tests/env.h"

static char why[64 * 1024];

static void
run_some(uint64_t seed, unsigned runs, struct power_counts *c)
{
	for (unsigned i = 0; i < runs; i++)
		if (power_run(seed + i, NULL, UINT64_MAX, c, why, sizeof(why)) <
		    0)
			fail_msg("%s\n%s", why,
				 "replay: Q2_SEED=N "
				 "build/release/tests/crash/test_crash");
}

static void
print_counts(const struct power_counts *c)
{
	print_message("%" PRIu64 " runs, %" PRIu64 " states (%" PRIu64
		      " with leaks); %" PRIu64 " second runs, %" PRIu64
		      " states of theirs\n",
		      c->runs, c->states, c->leaky_states, c->second_runs,
		      c->second_states);
	print_message("reads %" PRIu64 ", writes %" PRIu64 ", zeroes %" PRIu64
		      ", discards %" PRIu64 ", flushes %" PRIu64
		      ", FUA %" PRIu64 ", compressed %" PRIu64 "\n",
		      c->reads, c->writes, c->zeroes, c->discards, c->flushes,
		      c->fua, c->compressed);
	print_message("snapshots taken %" PRIu64 ", applied %" PRIu64
		      ", deleted %" PRIu64 "\n",
		      c->snapshots, c->applied, c->deleted);
	print_message("fast %" PRIu64 ", slow %" PRIu64 ", joins %" PRIu64
		      ", copies %" PRIu64 ", freed %" PRIu64
		      ", L2 tables %" PRIu64 ", refcount blocks %" PRIu64
		      ", refcount tables %" PRIu64 ", evictions %" PRIu64 "\n",
		      c->fast, c->slow, c->joins, c->copies, c->freed,
		      c->l2_made, c->blocks_made, c->table_grows, c->evictions);
}

static void
test_any_power_cut_leaves_a_good_image(void **state)
{
	struct power_counts c = {0};

	(void)state;
	/* Fewer would not have everything that is asserted. */
	run_some(test_seed(1), max_u64(test_rounds(12), 4), &c);
	print_counts(&c);
	assert_true(c.states && c.leaky_states && c.second_runs &&
		    c.second_states);
	assert_true(c.reads && c.writes && c.zeroes && c.discards &&
		    c.flushes && c.fua && c.compressed);
	assert_true(c.snapshots && c.applied && c.deleted);
}

static void
test_any_power_cut_with_a_fresh_seed(void **state)
{
	struct power_counts c = {0};

	(void)state;
	run_some(test_seed((uint64_t)time(NULL)), test_rounds(4), &c);
	print_counts(&c);
	assert_true(c.states);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_power_cut_leaves_a_good_image),
		cmocka_unit_test(test_any_power_cut_with_a_fresh_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
