/* SPDX-License-Identifier: MIT */
/*
 * test_base_iov.c - the cursor over scattered memory, against flat copies
 *
 * Every way to cut 12 bytes into up to four pieces (empty ones too), with
 * every start and length: the cursor must see what a flat array has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/iov.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"

#define TOTAL  12
#define PIECES 4

static const char letters[] = "abcdefghijkl";

struct scattered {
	char mem[PIECES][TOTAL];
	struct iovec iov[PIECES];
};

/* Cut at a <= b <= c, filled with 'a', 'b', ... */
static void
scatter(struct scattered *s, int a, int b, int c)
{
	const int ends[PIECES] = {a, b, c, TOTAL};
	int at = 0;

	for (int i = 0; i < PIECES; i++) {
		s->iov[i].iov_base = s->mem[i];
		s->iov[i].iov_len = (size_t)(ends[i] - at);
		for (int j = 0; at < ends[i]; j++)
			s->mem[i][j] = (char)('a' + at++);
	}
}

static void
flatten(struct scattered *s, char *flat)
{
	size_t at = 0;

	for (int i = 0; i < PIECES; i++) {
		memcpy(flat + at, s->mem[i], s->iov[i].iov_len);
		at += s->iov[i].iov_len;
	}
}

/* Call check(s, skip, len) for every cut, start and length > 0. */
static void
for_all(void (*check)(struct scattered *s, int skip, int len))
{
	struct scattered s;

	for (int n = 0; n < 13 * 13 * 13; n++) {
		int a = n % 13, b = n / 13 % 13, c = n / 169;

		if (a > b || b > c)
			continue;
		for (int skip = 0; skip < TOTAL; skip++) {
			for (int len = 1; skip + len <= TOTAL; len++) {
				scatter(&s, a, b, c);
				check(&s, skip, len);
			}
		}
	}
}

static struct iov_iter
at_offset(struct scattered *s, int skip)
{
	struct iov_iter it = iov_iter_init(s->iov, PIECES);

	assert_int_equal(it.left, TOTAL);
	iov_advance(&it, (uint64_t)skip);
	assert_int_equal(it.left, TOTAL - skip);
	return it;
}

static void
check_copy_out(struct scattered *s, int skip, int len)
{
	struct iov_iter it = at_offset(s, skip);
	char out[TOTAL + 1] = {0};

	iov_copy_out(&it, out, (uint64_t)len);
	assert_memory_equal(out, letters + skip, len);
	assert_int_equal(out[len], 0);
	assert_int_equal(it.left, TOTAL - skip - len);
}

static void
check_copy_in_and_fill(struct scattered *s, int skip, int len)
{
	struct iov_iter it = at_offset(s, skip);
	char want[TOTAL + 1] = "abcdefghijkl", flat[TOTAL];

	iov_copy_in(&it, "ABCDEFGHIJKL", (uint64_t)len);
	memcpy(want + skip, "ABCDEFGHIJKL", (size_t)len);
	flatten(s, flat);
	assert_memory_equal(flat, want, TOTAL);

	it = at_offset(s, skip);
	iov_fill(&it, '*', (uint64_t)len);
	memset(want + skip, '*', (size_t)len);
	flatten(s, flat);
	assert_memory_equal(flat, want, TOTAL);
}

static void
check_slice(struct scattered *s, int skip, int len)
{
	struct iov_iter it = at_offset(s, skip);
	struct iovec out[PIECES];
	char flat[TOTAL];
	uint64_t got;

	for (int max = 1; max <= PIECES; max++) {
		int n = iov_slice(&it, (uint64_t)len, out, max, &got);
		uint64_t at = 0;

		assert_in_range(n, 1, max);
		for (int i = 0; i < n; i++) {
			assert_true(out[i].iov_len > 0);
			memcpy(flat + at, out[i].iov_base, out[i].iov_len);
			at += out[i].iov_len;
		}
		assert_int_equal(at, got);
		assert_true(got == (uint64_t)len || n == max);
		assert_memory_equal(flat, letters + skip, got);
	}
	assert_int_equal(got, len);
	assert_int_equal(it.left, TOTAL - skip);
}

static void
check_contiguous(struct scattered *s, int skip, int len)
{
	struct iov_iter it = at_offset(s, skip);
	struct iovec out[PIECES];
	void *ptr = NULL;
	uint64_t got;
	int n = iov_slice(&it, (uint64_t)len, out, PIECES, &got);

	assert_int_equal(iov_contiguous(&it, (uint64_t)len, &ptr), n == 1);
	assert_ptr_equal(ptr, n == 1 ? out[0].iov_base : NULL);
	assert_int_equal(it.left, TOTAL - skip);
}

static void
test_copy_out_of_every_cut(void **state)
{
	(void)state;
	for_all(check_copy_out);
}

static void
test_copy_into_every_cut(void **state)
{
	(void)state;
	for_all(check_copy_in_and_fill);
}

static void
test_slices_of_every_cut(void **state)
{
	(void)state;
	for_all(check_slice);
}

static void
test_contiguous_means_one_slice(void **state)
{
	(void)state;
	for_all(check_contiguous);
}

static void
test_lengths_are_summed(void **state)
{
	struct scattered s;

	(void)state;
	scatter(&s, 3, 3, 7);
	assert_int_equal(iov_length(s.iov, PIECES), TOTAL);
	assert_int_equal(iov_length(s.iov, 3), 7);
	assert_int_equal(iov_length(NULL, 0), 0);
}

static void
test_alignment_looks_at_address_and_length(void **state)
{
	Q2_AUTO_FREE char *mem = mem_aligned(8192);
	struct iovec iov[2] = {{mem, 4096}, {mem + 4096, 1024}};
	struct iov_iter it = iov_iter_init(iov, 2);

	(void)state;
	assert_true(iov_is_aligned(&it, 4096, 4096));
	assert_false(iov_is_aligned(&it, 5120, 4096));
	assert_true(iov_is_aligned(&it, 5120, 512));
	assert_true(iov_is_aligned(&it, 5119, 1));
	iov[1].iov_base = mem + 4097;
	assert_false(iov_is_aligned(&it, 5120, 512));
	assert_true(iov_is_aligned(&it, 4096, 512));
	iov_advance(&it, 256);
	assert_false(iov_is_aligned(&it, 512, 512));
	assert_true(iov_is_aligned(&it, 512, 256));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_out_of_every_cut),
		cmocka_unit_test(test_copy_into_every_cut),
		cmocka_unit_test(test_slices_of_every_cut),
		cmocka_unit_test(test_contiguous_means_one_slice),
		cmocka_unit_test(test_lengths_are_summed),
		cmocka_unit_test(test_alignment_looks_at_address_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
