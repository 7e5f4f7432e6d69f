/* SPDX-License-Identifier: MIT */
/* test_content.c - content.c: reproducible, incompressible, diagnosable */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "engine/base/num.h"
#include "workloads/content.h"

static _Alignas(4096) char buf[64 * 1024], other[64 * 1024];

static void
test_is_a_function_of_offset_and_seed(void **state)
{
	(void)state;
	content_fill(buf, 65536, 1 * MiB, 7);
	content_fill(other, 4096, 1 * MiB + 8192, 7);
	assert_memory_equal(buf + 8192, other, 4096);
	assert_int_equal(content_check(buf, 65536, 1 * MiB, 7, NULL), 0);
}

/* Byte frequencies of 64 KiB: entropy near 8 bits, so nothing to compress by
 * symbol; and no two 8-byte words are the same, so nothing to match. */
static void
test_is_incompressible(void **state)
{
	unsigned count[256] = {0};
	double bits = 0;

	(void)state;
	content_fill(buf, sizeof(buf), 0, 1);
	for (size_t i = 0; i < sizeof(buf); i++)
		if (i % 512 >= 24)
			count[(unsigned char)buf[i]]++;
	for (unsigned i = 0; i < 256; i++) {
		double p = count[i] / (128.0 * 488);

		bits -= p * log2(p);
	}
	assert_true(bits > 7.99);
	for (size_t s = 512; s < sizeof(buf); s += 512)
		assert_memory_not_equal(buf + 24, buf + s + 24, 8);
}

static void
test_a_part_compresses_away(void **state)
{
	static const unsigned percents[] = {0, 1, 50, 99, 100};

	(void)state;
	content_fill(other, 4096, 8192, 7);
	for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
		size_t zeros = 0, stamp = 24;

		content_fill_partly(buf, 4096, 8192, 7, percents[i]);
		/* Each sector has its stamp, and is what it was but for its
		 * end. */
		for (size_t s = 0; s < 4096; s += 512) {
			size_t n = 512;

			while (n > stamp && buf[s + n - 1] == 0)
				n--;
			zeros += 512 - n;
			assert_memory_equal(buf + s, other + s, n);
		}
		assert_in_range(100 * zeros / 4096,
				percents[i] > 97  ? 90
				: percents[i] > 1 ? 49
						  : 0,
				percents[i] + 1);
	}
}

static void
check_fault(uint64_t wrong, enum content_state what, const char *text)
{
	struct content_fault fault;
	char line[128];

	assert_int_equal(content_check(buf, 4096, 8192, 7, &fault), wrong);
	assert_int_equal(fault.state, what);
	content_describe(&fault, line, sizeof(line));
	assert_string_equal(line, text);
}

static void
test_faults_are_named(void **state)
{
	(void)state;
	content_fill(buf, 4096, 8192, 7);
	content_fill(buf + 1024, 1024, 65536, 7);
	check_fault(2, CONTENT_ELSEWHERE,
		    "guest offset 9216 holds what belongs to 65536");
	content_fill(buf, 4096, 8192, 7);
	content_fill(buf + 512, 512, 8192 + 512, 6);
	check_fault(1, CONTENT_OTHER,
		    "guest offset 8704 holds the write of another pass "
		    "(seed 6)");
	content_fill(buf, 4096, 8192, 7);
	memset(buf + 3584, 0, 512);
	check_fault(1, CONTENT_ZERO, "guest offset 11776 reads as zeros");
	content_fill(buf, 4096, 8192, 7);
	buf[511] ^= 1;
	check_fault(1, CONTENT_DAMAGED, "guest offset 8192 is damaged");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_a_function_of_offset_and_seed),
		cmocka_unit_test(test_is_incompressible),
		cmocka_unit_test(test_a_part_compresses_away),
		cmocka_unit_test(test_faults_are_named),
	};

	return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
