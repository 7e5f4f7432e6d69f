/* SPDX-License-Identifier: MIT */
/* test_stream.c - perm.c and stream.c: bijection, touch, order, hash */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "workloads/perm.h"
#include "workloads/stream.h"

static void
test_perm_is_a_bijection(void **state)
{
	static const uint64_t sizes[] = {1,  2,   3,    4,    5,     7,
					 16, 127, 1000, 4096, 20480, 65537};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *seen = calloc(sizes[i], 1);
		struct perm p;

		perm_init(&p, sizes[i], 1000 + i);
		for (uint64_t j = 0; j < sizes[i]; j++) {
			uint64_t to = perm_at(&p, j);

			assert_true(to < sizes[i]);
			assert_false(seen[to]);
			seen[to] = 1;
		}
		free(seen);
	}
}

/* The first element of many permutations is spread evenly: chi-square with 9
 * degrees of freedom stays below its 0.9999 quantile. */
static void
test_perm_is_even(void **state)
{
	unsigned count[10] = {0};
	double chi2 = 0;
	struct perm p;

	(void)state;
	for (uint64_t seed = 0; seed < 10000; seed++) {
		perm_init(&p, 10, seed);
		count[perm_at(&p, 3)]++;
	}
	for (unsigned i = 0; i < 10; i++)
		chi2 += (count[i] - 1000.0) * (count[i] - 1000.0) / 1000;
	assert_true(chi2 < 33.7);
}

static void
test_perm_seeds_differ(void **state)
{
	struct perm a, b;
	unsigned same = 0;

	(void)state;
	perm_init(&a, 20000, 1);
	perm_init(&b, 20000, 2);
	for (uint64_t i = 0; i < 20000; i++)
		same += perm_at(&a, i) == perm_at(&b, i);
	assert_true(same < 20);
}

static const struct stream_spec first_write = {
	.order = STREAM_ONCE,
	.write = true,
	.bs_bytes = 4096,
	.area_off = 1 * MiB,
	.area_bytes = 64 * MiB,
	.ops = 512,
	.seed = 42,
};

static void
test_once_touches_each_stride_once(void **state)
{
	struct stream_spec spec = first_write;
	char seen[1024] = {0};
	unsigned inside[16] = {0}, used = 0;
	struct stream_op op;
	struct stream s;

	(void)state;
	spec.ops = 0;
	assert_int_equal(stream_init(&s, &spec, NULL), 0);
	assert_int_equal(stream_ops(&s), 1024);
	while (stream_next(&s, &op)) {
		uint64_t rel = op.off - spec.area_off;

		assert_true(op.off >= spec.area_off);
		assert_true(rel + op.len <= spec.area_bytes);
		assert_true(op.off % 4096 == 0 && op.len == 4096 && op.write);
		assert_false(seen[rel / 65536]);
		seen[rel / 65536] = 1;
		inside[rel % 65536 / 4096]++;
	}
	for (unsigned i = 0; i < 16; i++)
		used += inside[i] > 30; /* 64 expected */
	assert_int_equal(used, 16);
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
offsets_of(const struct stream_spec *spec, uint64_t *offs, size_t n)
{
	struct stream_op op;
	struct stream s;
	size_t i = 0;

	assert_int_equal(stream_init(&s, spec, NULL), 0);
	assert_int_equal(stream_ops(&s), n);
	while (stream_next(&s, &op))
		offs[i++] = op.off;
	assert_int_equal(i, n);
}

static void
test_touch_is_the_same_bytes_in_another_order(void **state)
{
	struct stream_spec again = {.order = STREAM_ONCE,
				    .bs_bytes = 4096,
				    .seed = 43,
				    .touch = &first_write};
	uint64_t a[512], b[512];
	unsigned same = 0;

	(void)state;
	offsets_of(&first_write, a, 512);
	offsets_of(&again, b, 512);
	for (unsigned i = 0; i < 512; i++)
		same += a[i] == b[i];
	assert_true(same < 10);
	qsort(a, 512, sizeof(a[0]), compare_u64);
	qsort(b, 512, sizeof(b[0]), compare_u64);
	assert_memory_equal(a, b, sizeof(a));
}

static void
test_sequential(void **state)
{
	struct stream_spec fill = {.order = STREAM_SEQ,
				   .write = true,
				   .bs_bytes = MiB,
				   .area_off = 16 * MiB,
				   .area_bytes = 4 * MiB};
	struct stream_spec scan = {
		.order = STREAM_SEQ, .bs_bytes = MiB, .ops = 6, .touch = &fill};
	uint64_t offs[6];

	(void)state;
	offsets_of(&fill, offs, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(offs[i], (16 + i) * MiB);
	offsets_of(&scan, offs, 6);
	assert_int_equal(offs[3], 19 * MiB);
	assert_int_equal(offs[4], 16 * MiB);
}

/* A pass without gaps may be read in another size. */
static void
test_touch_with_another_size(void **state)
{
	struct stream_spec fill = {.order = STREAM_ONCE,
				   .write = true,
				   .bs_bytes = 65536,
				   .area_off = MiB,
				   .area_bytes = 8 * MiB,
				   .seed = 5};
	struct stream_spec scan = {
		.order = STREAM_SEQ, .bs_bytes = MiB, .touch = &fill};
	struct stream s;
	uint64_t offs[8] = {0};

	(void)state;
	offsets_of(&scan, offs, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(offs[i], (1 + i) * MiB);
	fill.ops = 127; /* now one block is missing */
	assert_int_equal(stream_init(&s, &scan, NULL), -EINVAL);
}

static void
test_places(void **state)
{
	struct stream_spec spec = first_write;
	struct stream_op op;
	struct stream s;

	(void)state;
	spec.place = STREAM_PLACE_START;
	assert_int_equal(stream_init(&s, &spec, NULL), 0);
	while (stream_next(&s, &op))
		assert_int_equal(op.off % 65536, 0);
	spec.place = STREAM_PLACE_MIDDLE;
	assert_int_equal(stream_init(&s, &spec, NULL), 0);
	while (stream_next(&s, &op))
		assert_int_equal(op.off % 65536, 32768);
}

static void
test_uniform_repeats_and_stays_inside(void **state)
{
	struct stream_spec spec = first_write;
	unsigned count[1024] = {0}, repeated = 0;
	struct stream_op op;
	struct stream s;

	(void)state;
	spec.order = STREAM_UNIFORM;
	spec.ops = 4096;
	assert_int_equal(stream_init(&s, &spec, NULL), 0);
	while (stream_next(&s, &op)) {
		assert_true(op.off >= spec.area_off);
		assert_true(op.off + op.len <= spec.area_off + spec.area_bytes);
		repeated += count[(op.off - spec.area_off) / 65536]++ > 0;
	}
	/* 4096 draws of 1024 places: all but 19 are expected to be hit */
	assert_true(repeated > 3050 && repeated < 3150);
}

static void
test_hash(void **state)
{
	struct stream_spec spec = first_write;
	struct stream a, b;
	struct stream_op op, at;
	uint64_t before;

	(void)state;
	assert_int_equal(stream_init(&a, &spec, NULL), 0);
	assert_int_equal(stream_init(&b, &spec, NULL), 0);
	before = stream_hash(&a);
	while (stream_next(&a, &op)) {
		stream_at(&b, op.index, &at);
		assert_int_equal(at.off, op.off);
	}
	assert_int_equal(stream_hash(&b), before); /* stream_at() is silent */
	while (stream_next(&b, &op))
		;
	assert_int_equal(stream_hash(&a), stream_hash(&b));
	/* Frozen: stream_hash of old runs must stay comparable. */
	assert_int_equal(stream_hash(&a), UINT64_C(0xb6feadbf60fd1891));

	spec.write = false;
	assert_int_equal(stream_init(&b, &spec, NULL), 0);
	while (stream_next(&b, &op))
		;
	assert_int_not_equal(stream_hash(&a), stream_hash(&b));
	spec = first_write;
	spec.seed++;
	assert_int_equal(stream_init(&b, &spec, NULL), 0);
	while (stream_next(&b, &op))
		;
	assert_int_not_equal(stream_hash(&a), stream_hash(&b));
}

static void
assert_refused(const struct stream_spec *spec, const char *text)
{
	struct q2_err err = {0};
	struct stream s;

	assert_int_equal(stream_init(&s, spec, &err), -EINVAL);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void
test_bad_specs(void **state)
{
	struct stream_spec spec = first_write, touch, uniform = first_write;

	(void)state;
	spec.ops = 1025;
	assert_refused(&spec, "only 1024 places");
	spec = first_write;
	spec.bs_bytes = 1000;
	assert_refused(&spec, "bs 1000");
	spec = first_write;
	spec.stride_bytes = 2048;
	assert_refused(&spec, "stride 2048");
	spec = first_write;
	spec.area_bytes = 65535;
	assert_refused(&spec, "holds no stride");
	spec = first_write;
	spec.area_off = UINT64_MAX - 511;
	assert_refused(&spec, "beyond 2^64");
	uniform.order = STREAM_UNIFORM;
	touch = (struct stream_spec){
		.order = STREAM_ONCE, .bs_bytes = 4096, .touch = &uniform};
	assert_refused(&touch, "repeats places");
	touch.touch = &first_write;
	touch.bs_bytes = 8192;
	assert_refused(&touch, "has gaps");
	touch.bs_bytes = 4096;
	touch.ops = 513;
	assert_refused(&touch, "only 512 places");
}

static void
test_overlap(void **state)
{
	struct stream_spec a = first_write, b = first_write;

	(void)state;
	assert_true(stream_areas_overlap(&a, &b));
	b.area_off = a.area_off + a.area_bytes;
	assert_false(stream_areas_overlap(&a, &b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_perm_is_a_bijection),
		cmocka_unit_test(test_perm_is_even),
		cmocka_unit_test(test_perm_seeds_differ),
		cmocka_unit_test(test_once_touches_each_stride_once),
		cmocka_unit_test(test_touch_is_the_same_bytes_in_another_order),
		cmocka_unit_test(test_sequential),
		cmocka_unit_test(test_touch_with_another_size),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_uniform_repeats_and_stays_inside),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_bad_specs),
		cmocka_unit_test(test_overlap),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
