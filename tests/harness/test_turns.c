/* SPDX-License-Identifier: MIT */
/*
 * The schedule within a pass: everybody gets the same turns, places balance,
 * and the same seed gives the same order.
 */
#include "tests/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "harness/turns.h"

static void
test_cut_gives_all_operations_in_even_turns(void **state)
{
	(void)state;
	for (uint64_t ops = 1; ops < 3000; ops += 7) {
		for (unsigned rate = 1; rate < 1000000; rate *= 7) {
			struct turns_cut cut = turns_cut(ops, rate, 0.1, 64);

			assert_true(cut.turns >= 1);
			assert_true(cut.turns * cut.slice_ops >= ops);
			/* The last turn is not empty. */
			assert_true((cut.turns - 1) * cut.slice_ops < ops);
			if (cut.turns > 1)
				assert_true(cut.slice_ops >= 32);
		}
	}
}

static void
test_cut_is_about_as_long_as_asked(void **state)
{
	/* 100,000 at 10,000 a second in 0.1 s: a hundred turns of 1,000. */
	struct turns_cut cut = turns_cut(100000, 10000, 0.1, 64);

	(void)state;
	assert_int_equal(cut.turns, 100);
	assert_int_equal(cut.slice_ops, 1000);
	/* No rate: in one piece. */
	cut = turns_cut(100000, 0, 0.1, 64);
	assert_int_equal(cut.turns, 1);
	assert_int_equal(cut.slice_ops, 100000);
	/* However fast the disk, a pass is not in one piece ... */
	cut = turns_cut(16384, 1e6, 0.1, 256);
	assert_int_equal(cut.turns, TURNS_LEAST);
	/* ... unless its turns would end as soon as they begin. */
	cut = turns_cut(400, 1e6, 0.1, 256);
	assert_int_equal(cut.turns, 1);
	/* Too few to be cut. */
	cut = turns_cut(100, 1, 0.1, 64);
	assert_int_equal(cut.turns, 1);
}

static void
test_cut_into_a_number_of_turns(void **state)
{
	struct turns_cut cut = turns_cut_into(1000, 1);

	(void)state;
	assert_int_equal(cut.turns, 1);
	assert_int_equal(cut.slice_ops, 1000);
	cut = turns_cut_into(1000, 8);
	assert_int_equal(cut.turns, 8);
	assert_int_equal(cut.slice_ops, 125);
	for (uint64_t ops = 1; ops < 100; ops++) {
		for (uint64_t turns = 1; turns < 200; turns++) {
			cut = turns_cut_into(ops, turns);
			assert_true(cut.turns >= 1 && cut.turns <= turns);
			assert_true(cut.turns * cut.slice_ops >= ops);
			assert_true((cut.turns - 1) * cut.slice_ops < ops);
		}
	}
}

static void
test_everybody_gets_the_same_number_of_turns(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 8; n++) {
		for (uint64_t each = 1; each <= 6; each++) {
			unsigned got[8] = {0}, who;
			struct turns t;

			turns_init(&t, n, each, n * 100 + each);
			while (turns_next(&t, &who)) {
				assert_true(who < n);
				got[who]++;
			}
			for (unsigned i = 0; i < n; i++)
				assert_int_equal(got[i], each);
		}
	}
}

static void
test_places_balance_over_pairs_of_cycles(void **state)
{
	uint64_t seed = test_seed(1);
	unsigned sum[6] = {0}, who;
	struct turns t;

	(void)state;
	turns_init(&t, 6, 8, seed);
	for (unsigned at = 0; turns_next(&t, &who); at++) {
		sum[who] += at % 6;
		/* After each pair all have the same mean place: 2 * 2.5. */
		if (at % 12 == 11) {
			for (unsigned i = 0; i < 6; i++)
				assert_int_equal(sum[i], (at / 12 + 1) * 5);
		}
	}
}

static void
test_every_cycle_has_everybody_once(void **state)
{
	unsigned who;
	struct turns t;

	(void)state;
	turns_init(&t, 5, 10, 7);
	for (unsigned cycle = 0; cycle < 10; cycle++) {
		unsigned seen = 0;

		for (unsigned i = 0; i < 5; i++) {
			assert_true(turns_next(&t, &who));
			seen |= 1U << who;
		}
		assert_int_equal(seen, 31);
	}
	assert_false(turns_next(&t, &who));
}

static void
test_order_follows_from_the_seed(void **state)
{
	struct turns a, b, c;
	unsigned wa, wb, wc, differ = 0;

	(void)state;
	turns_init(&a, 6, 20, 1);
	turns_init(&b, 6, 20, 1);
	turns_init(&c, 6, 20, 2);
	while (turns_next(&a, &wa)) {
		assert_true(turns_next(&b, &wb));
		assert_true(turns_next(&c, &wc));
		assert_int_equal(wa, wb);
		differ += wa != wc;
	}
	assert_true(differ > 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_gives_all_operations_in_even_turns),
		cmocka_unit_test(test_cut_is_about_as_long_as_asked),
		cmocka_unit_test(test_cut_into_a_number_of_turns),
		cmocka_unit_test(test_everybody_gets_the_same_number_of_turns),
		cmocka_unit_test(test_places_balance_over_pairs_of_cycles),
		cmocka_unit_test(test_every_cycle_has_everybody_once),
		cmocka_unit_test(test_order_follows_from_the_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
