/* SPDX-License-Identifier: MIT */
/* test_williams.c - every position once, every ordered neighbour once */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "workloads/williams.h"

#define K_MAX 13

static void
check_square(unsigned k, uint64_t seed, unsigned square)
{
	unsigned position[K_MAX][K_MAX] = {{0}}, follows[K_MAX][K_MAX] = {{0}};
	unsigned rows = williams_rows(k), times = rows / k, order[K_MAX];

	for (unsigned r = 0; r < rows; r++) {
		williams_order(k, seed, square * rows + r, order);
		for (unsigned c = 0; c < k; c++) {
			assert_true(order[c] < k);
			position[order[c]][c]++;
			if (c)
				follows[order[c - 1]][order[c]]++;
		}
	}
	for (unsigned a = 0; a < k; a++)
		for (unsigned b = 0; b < k; b++) {
			assert_int_equal(position[a][b], times);
			assert_int_equal(follows[a][b], a == b ? 0 : times);
		}
}

static void
test_balance(void **state)
{
	(void)state;
	for (unsigned k = 1; k <= K_MAX; k++)
		for (unsigned square = 0; square < 3; square++)
			check_square(k, 99, square);
}

static void
test_seed_and_square_change_the_order(void **state)
{
	unsigned a[8], b[8], same_seed = 0, same_square = 0;

	(void)state;
	for (unsigned r = 0; r < 8; r++) {
		williams_order(8, 1, r, a);
		williams_order(8, 2, r, b);
		same_seed += memcmp(a, b, sizeof(a)) == 0;
		williams_order(8, 1, 8 + r, b);
		same_square += memcmp(a, b, sizeof(a)) == 0;
		williams_order(8, 1, r, b);
		assert_memory_equal(a, b, sizeof(a));
	}
	assert_true(same_seed < 4 && same_square < 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_seed_and_square_change_the_order),
	};

	return cmocka_run_group_tests_name("williams", tests, NULL, NULL);
}
