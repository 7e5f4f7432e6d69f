/* SPDX-License-Identifier: MIT */
/*
 * test_plots_numbers.c - merged histograms, and where cost lines cross, against
 * the obvious way of finding them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "harness/stats/hist.h"
#include "plots/buckets.h"
#include "plots/cost.h"
#include "tests/env.h"

/* ---- buckets --------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
add(struct buckets *b, uint64_t value, uint64_t count)
{
	struct bucket bucket = {.count = count};

	hist_bounds(hist_bucket(value), &bucket.lo, &bucket.hi);
	bucket.hi++;
	buckets_add(b, &bucket);
}

/* Any spread: a few exact values up to many octaves. */
static void
test_quantiles_are_those_of_the_values(void **state)
{
	struct rng rng = {.state = test_seed(11)};
	uint64_t values[700];

	(void)state;
	for (unsigned round = 0; round < test_rounds(300); round++) {
		struct buckets b = {0};
		size_t n = 1 + rng_below(&rng, ARRAY_SIZE(values));
		unsigned shift = (unsigned)rng_below(&rng, 62);

		for (size_t i = 0; i < n; i++) {
			values[i] = rng_next(&rng) >> (63 - shift);
			add(&b, values[i], 1);
		}
		buckets_merge(&b);
		assert_int_equal(b.count, n);
		qsort(values, n, sizeof(*values), compare);
		for (size_t above = 0; above < n; above++) {
			double exact = (double)values[n - 1 - above];
			double found = buckets_quantile(&b, above);

			assert_true(fabs(found - exact) <= exact / 256);
		}
		buckets_done(&b);
	}
}

/* Merging is exact: histograms of parts give what one of all gives. */
static void
test_merged_histograms_are_the_histogram_of_all(void **state)
{
	struct rng rng = {.state = test_seed(12)};
	static struct hist all;
	struct buckets b = {0};

	(void)state;
	hist_init(&all);
	for (unsigned trial = 0; trial < 50; trial++) {
		static struct hist h;

		hist_init(&h);
		for (unsigned i = 0; i < 2000; i++) {
			uint64_t v = 50000 + rng_below(&rng, 1 << (12 + i % 9));

			hist_add(&h, v);
			hist_add(&all, v);
		}
		for (unsigned k = 0; k < HIST_BUCKETS; k++) {
			uint64_t first, last;

			hist_bounds(k, &first, &last);
			if (h.buckets[k])
				add(&b, first, h.buckets[k]);
		}
	}
	/* Memory follows the number of buckets, not that of rows. */
	assert_true(b.room < 4 * 9 * 128);
	buckets_merge(&b);
	assert_int_equal(b.count, all.count);
	for (size_t i = 0; i < b.n; i++)
		assert_int_equal(b.v[i].count,
				 all.buckets[hist_bucket(b.v[i].lo)]);
	buckets_done(&b);
}

/* ---- cost ------------------------------------------------------------------ */

static double
any(struct rng *rng)
{
	return (double)(1 + rng_below(rng, 1000)) / 100;
}

/* The first of many points at which the order is not that of the start. */
static double
walk(const struct cost *a, const struct cost *b, double knee, double limit,
     unsigned steps)
{
	double start = a->create_s - b->create_s;

	for (unsigned i = 1; i <= steps; i++) {
		double x = limit * i / steps;

		if (start * (cost_at(a, knee, x) - cost_at(b, knee, x)) <= 0)
			return x;
	}
	return INFINITY;
}

static void
test_crossing_is_the_first_one(void **state)
{
	struct rng rng = {.state = test_seed(13)};
	const unsigned steps = 2000;
	const double limit = 20;
	unsigned crossed = 0;

	(void)state;
	for (unsigned i = 0; i < test_rounds(1000); i++) {
		struct cost a = {any(&rng), any(&rng), any(&rng)};
		struct cost b = {any(&rng), any(&rng), any(&rng)};
		double knee = any(&rng);
		double seen = walk(&a, &b, knee, limit, steps);
		double x = cost_crossing(&a, &b, knee, limit);

		/* Two crossings in one step, about the knee, are not seen. */
		if (a.create_s == b.create_s ||
		    fabs(cost_at(&a, knee, knee) - cost_at(&b, knee, knee)) < 1)
			continue;
		crossed += isfinite(x);
		if (isfinite(seen) || isfinite(x))
			assert_true(fabs(fmin(seen, limit) - fmin(x, limit)) <=
				    limit / steps + 1e-9);
		/* The order of the two does not matter. */
		assert_true(x == cost_crossing(&b, &a, knee, limit) ||
			    fabs(x - cost_crossing(&b, &a, knee, limit)) <
				    1e-9);
	}
	assert_true(crossed > 0);
}

static void
test_what_was_not_measured_crosses_nothing(void **state)
{
	const struct cost cheap = {1, 2, NAN}, dear = {5, 1, 1};
	const struct cost gap = {1, NAN, 1};

	(void)state;
	/* before the knee, after which one has no line */
	assert_float_equal(cost_crossing(&cheap, &dear, 10, 100), 4, 1e-12);
	assert_true(isinf(cost_crossing(&cheap, &dear, 3, 100)));
	assert_true(isinf(cost_crossing(&gap, &dear, 10, 100)));
	assert_true(isinf(cost_crossing(&dear, &dear, 10, 100)));
	assert_true(isinf(cost_crossing(&cheap, &dear, 10, 3.9)));
	assert_float_equal(cost_at(&cheap, 10, 10), 21, 1e-12);
	assert_true(isnan(cost_at(&cheap, 10, 11)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantiles_are_those_of_the_values),
		cmocka_unit_test(
			test_merged_histograms_are_the_histogram_of_all),
		cmocka_unit_test(test_crossing_is_the_first_one),
		cmocka_unit_test(test_what_was_not_measured_crosses_nothing),
	};

	return cmocka_run_group_tests_name("plots_numbers", tests, NULL, NULL);
}
