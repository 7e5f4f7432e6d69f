/* SPDX-License-Identifier: MIT */
/*
 * test_resize.c - every width of refcounts, with small and large clusters, and
 * each preallocation; resized by QEMU and us in turns
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "tests/interop/resize_turns.h"

static void
test_taking_turns_with_qemu(void **state)
{
	static const unsigned large[] = {4096, 65536};
	char options[80];

	(void)state;
	if (!turns_have_qemu())
		skip();
	for (unsigned order = 0; order < 7; order++) {
		for (unsigned i = 0; i < 2; i++) {
			(void)snprintf(options, sizeof(options),
				       "cluster_size=%u,refcount_bits=%u",
				       i ? large[order % 2] : 512, 1U << order);
			turns_take(options, false,
				   (enum q2_prealloc)((order + i) % 4));
		}
	}
}

/* However much is added: data and tables, what names them, the size. */
static void
test_a_grow_takes_a_constant_number_of_syncs(void **state)
{
	uint64_t small, large;

	(void)state;
	if (!turns_have_qemu())
		skip();
	small = turns_syncs(GiB, GiB + MiB);
	large = turns_syncs(GiB, 101 * GiB);
	print_message("%" PRIu64 " and %" PRIu64 " syncs\n", small, large);
	assert_true(small <= 5 && large <= 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taking_turns_with_qemu),
		cmocka_unit_test(test_a_grow_takes_a_constant_number_of_syncs),
	};

	return cmocka_run_group_tests(tests, turns_setup, turns_teardown);
}
