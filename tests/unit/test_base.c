/* SPDX-License-Identifier: MIT */
/*
 * test_base.c - errors, numbers, lists, random numbers, memory, counters
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/err.h"
#include "engine/base/list.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/base/points.h"
#include "engine/base/rng.h"

static void
test_fail_fills_the_error_and_returns_its_code(void **state)
{
	struct q2_err err = {0};

	(void)state;
	assert_int_equal(q2_fail(&err, -EINVAL, "the size is %d", 0), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.text, "the size is 0");
	assert_non_null(strstr(err.file, "test_base.c"));
	assert_true(err.line > 0);
	assert_int_equal(q2_fail(NULL, -EIO, "nobody listens"), -EIO);
	assert_int_equal(err_prefix(NULL, -EIO, "nobody"), -EIO);
}

static void
test_prefix_goes_before_the_text(void **state)
{
	struct q2_err err = {0};

	(void)state;
	q2_fail(&err, -EIO, "read error");
	assert_int_equal(err_prefix(&err, -EIO, "block %d", 7), -EIO);
	assert_string_equal(err.text, "block 7: read error");
}

static void
test_long_error_text_is_cut_not_overrun(void **state)
{
	struct q2_err err = {0};
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	q2_fail(&err, -EINVAL, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	err_prefix(&err, -EINVAL, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

/* What the functions of num.h say, computed the slow way. */
static void
test_rounding_agrees_with_counting(void **state)
{
	(void)state;
	for (uint64_t to = 1; to <= 64; to *= 2) {
		for (uint64_t n = 0; n <= 200; n++) {
			uint64_t down = n - n % to;

			assert_int_equal(align_down(n, to), down);
			assert_int_equal(align_up(n, to),
					 n % to ? down + to : n);
			assert_int_equal(is_aligned(n, to), n % to == 0);
			assert_int_equal(div_up(n, to),
					 n / to + (n % to ? 1 : 0));
		}
	}
	assert_true(align_up(UINT64_MAX - 511, 512) == UINT64_MAX - 511);
	assert_true(div_up(UINT64_MAX, 2) == UINT64_C(1) << 63);
}

static void
test_powers_of_two(void **state)
{
	(void)state;
	assert_false(is_pow2(0));
	for (unsigned i = 0; i < 64; i++) {
		assert_true(is_pow2(UINT64_C(1) << i));
		assert_int_equal(log2_u64(UINT64_C(1) << i), i);
		if (i > 1)
			assert_false(is_pow2((UINT64_C(1) << i) - 1));
	}
}

static void
test_checked_arithmetic_sees_the_edge(void **state)
{
	uint64_t sum;

	(void)state;
	assert_false(add_overflows(UINT64_MAX - 1, UINT64_C(1), &sum));
	assert_true(sum == UINT64_MAX);
	assert_true(add_overflows(UINT64_MAX, UINT64_C(1), &sum));
	assert_true(mul_overflows(UINT64_C(1) << 32, UINT64_C(1) << 32, &sum));
	assert_false(mul_overflows(UINT64_C(1) << 32, UINT64_C(1) << 31, &sum));
}

/* All pairs of short ranges, against a count of common numbers. */
static void
test_ranges_overlap_when_they_share_a_byte(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6 * 6 * 6 * 6; i++) {
		uint64_t a = i % 6, b = i / 36 % 6;
		uint64_t a_len = i / 6 % 6, b_len = i / 216;
		int common = 0;

		if (a_len == 0 || b_len == 0)
			continue;
		for (uint64_t n = 0; n < 12; n++)
			common += n >= a && n < a + a_len && n >= b &&
				  n < b + b_len;
		assert_int_equal(ranges_overlap(a, a_len, b, b_len),
				 common > 0);
	}
}

static void
test_big_endian_at_any_address(void **state)
{
	static const uint8_t want[] = {0x01, 0x23, 0x45, 0x67,
				       0x89, 0xab, 0xcd, 0xef};
	uint8_t buf[16];

	(void)state;
	for (int at = 0; at < 8; at++) {
		store_be64(buf + at, UINT64_C(0x0123456789abcdef));
		assert_memory_equal(buf + at, want, 8);
		assert_true(load_be64(buf + at) ==
			    UINT64_C(0x0123456789abcdef));
		store_be32(buf + at, 0x01234567);
		assert_memory_equal(buf + at, want, 4);
		assert_int_equal(load_be32(buf + at), 0x01234567);
		store_be16(buf + at, 0x0123);
		assert_memory_equal(buf + at, want, 2);
		assert_int_equal(load_be16(buf + at), 0x0123);
	}
}

struct item {
	int n;
	struct list link;
};

static int
digits(const struct list *head)
{
	int sum = 0;

	list_for_each (pos, head)
		sum = sum * 10 + container_of(pos, struct item, link)->n;
	return sum;
}

static void
test_list_keeps_order(void **state)
{
	struct item items[4];
	struct list a, b;

	(void)state;
	list_init(&a);
	list_init(&b);
	assert_true(list_empty(&a));
	assert_null(list_pop(&a));
	for (int i = 0; i < 4; i++) {
		items[i].n = i + 1;
		list_append(i < 2 ? &a : &b, &items[i].link);
	}
	assert_int_equal(digits(&a), 12);
	list_splice(&a, &b);
	assert_true(list_empty(&b));
	assert_int_equal(digits(&a), 1234);
	list_splice(&a, &b);
	assert_int_equal(digits(&a), 1234);
	list_remove(&items[2].link);
	list_remove(&items[2].link);
	assert_int_equal(digits(&a), 124);
	assert_ptr_equal(list_pop(&a), &items[0].link);
	assert_int_equal(digits(&a), 24);
	list_splice(&b, &a);
	assert_int_equal(digits(&b), 24);
}

/* The reference values of splitmix64 for seed 1234567. */
static void
test_rng_gives_the_published_sequence(void **state)
{
	static const uint64_t want[] = {
		UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
		UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
		UINT64_C(16408922859458223821)};
	struct rng rng = {.state = 1234567};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_true(rng_next(&rng) == want[i]);
}

static void
test_rng_below_is_even_and_in_range(void **state)
{
	struct rng rng = {.state = 1};
	unsigned seen[7] = {0};

	(void)state;
	for (int i = 0; i < 70000; i++) {
		uint64_t n = rng_below(&rng, 7);

		assert_true(n < 7);
		seen[n]++;
	}
	/* 10000 each; sd is 93, so five of them either side. */
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		assert_in_range(seen[i], 9535, 10465);
	assert_int_equal(rng_below(&rng, 1), 0);
}

static void
test_derived_seeds_differ(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		for (uint64_t j = 0; j < i; j++)
			assert_true(rng_derive(1, i) != rng_derive(1, j));
		assert_true(rng_derive(1, i) != rng_derive(2, i));
	}
}

static void
test_memory_is_aligned_and_zero(void **state)
{
	static const size_t sizes[] = {0, 1, 511, 4096, 4097, 1 << 20};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		Q2_AUTO_FREE char *p = mem_aligned_zero(sizes[i]);

		assert_non_null(p);
		assert_true(is_aligned((uintptr_t)p, MEM_ALIGN));
		for (size_t at = 0; at < sizes[i]; at++)
			assert_int_equal(p[at], 0);
	}
	assert_null(mem_aligned(SIZE_MAX / 2));
	assert_null(mem_aligned_zero(SIZE_MAX / 2));
}

struct probe {
	int *released;
};

static void
probe_done(struct probe *p)
{
	(*p->released)++;
}

static int
leave_early(int *released) /* NOLINT(readability-non-const-parameter) */
{
	Q2_AUTO(probe) p = {.released = released};

	if (p.released)
		return 1;
	return 0;
}

static void
test_scope_end_releases_and_take_hands_out(void **state)
{
	int released = 0;
	char *p = malloc(1), *q;

	(void)state;
	assert_int_equal(leave_early(&released), 1);
	assert_int_equal(released, 1);
	q = q2_take_ptr(p);
	assert_null(p);
	assert_non_null(q);
	free(q);
}

static int
refuse_l2_load(void *arg, enum point point)
{
	(*(int *)arg)++;
	return point == POINT_l2_load ? -EIO : 0;
}

static void
test_points_count_and_ask_the_hook(void **state)
{
	struct points p = {0};
	int asked = 0;

	(void)state;
	assert_int_equal(POINT_HIT(&p, l2_load), 0);
	POINT_ADD(&p, host_read_l2_bytes, 4096);
	p.hook = refuse_l2_load;
	p.hook_arg = &asked;
	assert_int_equal(POINT_HIT(&p, l2_load), -EIO);
	assert_int_equal(POINT_HIT(&p, l2_link), 0);
	assert_int_equal(asked, 2);
	assert_int_equal(p.n.l2_load, 2);
	assert_int_equal(p.n.l2_link, 1);
	assert_int_equal(p.n.host_read_l2_bytes, 4096);
}

/* The number of a counter is its place in struct q2_stats. */
static void
test_points_have_distinct_names_and_their_own_place(void **state)
{
	struct points p = {0};
	const uint64_t *n = (const uint64_t *)&p.n;

	(void)state;
	assert_string_equal(point_name(POINT_guest_reads), "guest_reads");
	for (int i = 0; i < POINT_COUNT; i++) {
		assert_true(strlen(point_text((enum point)i)) > 0);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(point_name((enum point)i),
						point_name((enum point)j));
	}
	p.n.flush_join = 7;
	assert_int_equal(n[POINT_flush_join], 7);
	assert_int_equal(n[POINT_guest_reads], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_fail_fills_the_error_and_returns_its_code),
		cmocka_unit_test(test_prefix_goes_before_the_text),
		cmocka_unit_test(test_long_error_text_is_cut_not_overrun),
		cmocka_unit_test(test_rounding_agrees_with_counting),
		cmocka_unit_test(test_powers_of_two),
		cmocka_unit_test(test_checked_arithmetic_sees_the_edge),
		cmocka_unit_test(test_ranges_overlap_when_they_share_a_byte),
		cmocka_unit_test(test_big_endian_at_any_address),
		cmocka_unit_test(test_list_keeps_order),
		cmocka_unit_test(test_rng_gives_the_published_sequence),
		cmocka_unit_test(test_rng_below_is_even_and_in_range),
		cmocka_unit_test(test_derived_seeds_differ),
		cmocka_unit_test(test_memory_is_aligned_and_zero),
		cmocka_unit_test(test_scope_end_releases_and_take_hands_out),
		cmocka_unit_test(test_points_count_and_ask_the_hook),
		cmocka_unit_test(
			test_points_have_distinct_names_and_their_own_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
