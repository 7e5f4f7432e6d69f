/* SPDX-License-Identifier: MIT */
/*
 * From suite, wishes and probe to exact work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "harness/guard.h"
#include "harness/plan_time.h"
#include "harness/settle.h"
#include "harness/trial_spec.h"
#include "results/id.h"

#define MUCH (UINT64_C(1) << 50)

static struct plan
quick_plan(const char *suite)
{
	struct wishes wishes = {
		.suite = suites_find(suite), .quick = true, .seed = 7};
	struct plan plan;

	assert_non_null(wishes.suite);
	plan_init(&plan, &wishes);
	return plan;
}

static void
test_quick_sizes_follow_the_disk(void **state)
{
	static const struct {
		struct probe probe;
		uint64_t image_mib, requests;
	} cases[] = {
		{{.iops = 100, .bytes_per_s = 1e6}, 80, 128},
		{{.iops = 284, .bytes_per_s = 93.3e6}, 80, 128},
		{{.iops = 570, .bytes_per_s = 187e6}, 160, 256},
		{{.iops = 10000, .bytes_per_s = 750e6}, 640, 4096},
		{{.iops = 1e6, .bytes_per_s = 1e10}, 1280, 16384},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct plan plan = quick_plan("preallocation");
		struct q2_err err;

		assert_int_equal(
			plan_sizes(&plan, 0, 0, &cases[i].probe, MUCH, &err),
			0);
		assert_int_equal(plan.image_bytes, cases[i].image_mib * MiB);
		assert_int_equal(plan.requests, cases[i].requests);
	}
}

static void
test_quick_image_shrinks_to_the_space(void **state)
{
	struct plan plan = quick_plan("preallocation");
	struct q2_err err;

	(void)state;
	assert_int_equal(
		plan_sizes(&plan, 0, 0, &plan_fast_disk, 3 * GiB, &err), 0);
	assert_true(plan.image_bytes < 1280 * MiB);
	assert_true(plan_space(&plan, plan.image_bytes, plan.requests) <=
		    3 * GiB);
	assert_int_equal(
		plan_sizes(&plan, 0, 0, &plan_fast_disk, 100 * MiB, &err),
		-ENOSPC);
	assert_non_null(strstr(err.text, " and 100 MiB are free; "));
}

static void
test_wishes_are_kept(void **state)
{
	struct wishes wishes = {
		.suite = suites_find("preallocation"),
		.quick = true,
		.rounds = 3,
		.disk_bytes = 50 * MiB,
		.cache = "writeback",
	};
	struct q2_err err;
	struct plan plan;

	(void)state;
	plan_init(&plan, &wishes);
	assert_int_equal(plan.rounds, 3);
	assert_int_equal(plan.cache, Q2_CACHE_WRITEBACK);
	/* Measured is not more than the user wants to have. */
	assert_int_equal(plan_sizes(&plan, 0, 64, &plan_fast_disk, MUCH, &err),
			 0);
	assert_int_equal(plan.image_bytes, 50 * MiB);
	assert_int_equal(plan.requests, 64);
	/* Buffered: in one piece. */
	for (size_t i = 0; i < plan.npasses; i++)
		assert_int_equal(plan.passes[i].cut.turns, 1);
	assert_int_equal(
		plan_sizes(&plan, MiB, 64, &plan_fast_disk, MUCH, &err),
		-EINVAL);
	/* Turns by number, whatever the cache mode. */
	wishes.slices = 8;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 0, 64, &plan_fast_disk, MUCH, &err),
			 0);
	for (size_t i = 0; i < plan.npasses; i++) {
		if (plan.passes[i].pass->op == PASS_STREAM)
			assert_in_range(plan.passes[i].cut.turns, 2, 8);
	}
	wishes.cache = "none";
	wishes.slices = 1;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 0, 64, &plan_fast_disk, MUCH, &err),
			 0);
	for (size_t i = 0; i < plan.npasses; i++)
		assert_int_equal(plan.passes[i].cut.turns, 1);
}

static void
test_passes_of_the_quick_form(void **state)
{
	static const char *const names[] = {
		"create", "create-disk", "first-write", "rewrite",
		"read",   "seq-write",   "seq-read"};
	struct plan plan = quick_plan("preallocation");
	struct q2_err err;

	(void)state;
	assert_int_equal(plan.nconfigs, 6);
	assert_int_equal(plan.rounds, 6);
	assert_int_equal(plan.npasses, ARRAY_SIZE(names));
	assert_int_equal(plan_resolve(&plan, 640 * MiB, 4096, &err), 0);
	for (size_t i = 0; i < plan.npasses; i++)
		assert_string_equal(plan.passes[i].pass->name, names[i]);
	/* Rewrite and read: the very bytes of first-write. */
	assert_int_equal(plan.passes[3].touch, 2);
	assert_int_equal(plan.passes[4].touch, 2);
	assert_int_equal(plan.passes[3].stream.ops, plan.passes[2].stream.ops);
	/* Random in the first 80 %, sequential in the last 20 %. */
	assert_int_equal(plan.passes[2].stream.area_off, 0);
	assert_int_equal(plan.passes[2].stream.area_bytes, 512 * MiB);
	assert_true(plan.passes[5].stream.area_off >= 511 * MiB);
	assert_true(plan.passes[5].stream.area_off +
			    plan.passes[5].stream.area_bytes <=
		    640 * MiB);
}

static void
test_all_configurations_get_the_same_operations(void **state)
{
	struct stream_spec one[SUITE_PASSES_MAX], two[SUITE_PASSES_MAX];
	struct plan plan = quick_plan("preallocation");
	struct q2_err err;

	(void)state;
	assert_int_equal(plan_resolve(&plan, 160 * MiB, 1024, &err), 0);
	plan_streams(&plan, 1, one);
	plan_streams(&plan, 1, two);
	for (size_t i = 0; i < plan.npasses; i++)
		assert_int_equal(one[i].seed, two[i].seed);
	plan_streams(&plan, 2, two);
	for (size_t i = 0; i < plan.npasses; i++) {
		assert_int_not_equal(one[i].seed, two[i].seed);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(one[i].seed, one[j].seed);
	}
}

static void
test_only_two_policies_make_the_users_disk(void **state)
{
	struct plan plan = quick_plan("preallocation");

	(void)state;
	for (size_t c = 0; c < plan.nconfigs; c++) {
		const char *label = plan.configs[c]->label;
		bool does = strcmp(label, "qcow2-off") == 0 ||
			    strcmp(label, "qcow2-metadata") == 0;

		assert_int_equal(plan_does(&plan, c, 1), does);
		assert_true(plan_does(&plan, c, 0));
	}
}

static void
test_halvings_until_it_fits(void **state)
{
	(void)state;
	assert_int_equal(plan_halvings(10, 1, 6, 100), 0);
	assert_int_equal(plan_halvings(20, 1, 6, 100), 1);
	assert_int_equal(plan_halvings(60, 1, 6, 100), 2);
	assert_int_equal(plan_halvings(1e6, 1, 6, 100), 3);
}

static void
test_every_suite_can_be_planned(void **state)
{
	(void)state;
	for (size_t i = 0; i < suites_count(); i++) {
		struct plan plan = quick_plan(suites_name(i));
		struct plan_cost slow, fast;
		struct plan_time t;
		struct q2_err err;

		assert_int_equal(
			plan_sizes(&plan, 0, 0, &plan_slow_disk, MUCH, &err),
			0);
		slow = plan_cost(&plan);
		t = plan_time(&plan, &plan_slow_disk, true, true);
		assert_true(slow.cells > 0 && t.seconds > 0);
		/* Under three minutes everywhere. */
		assert_true(t.seconds < 165);
		assert_int_equal(
			plan_sizes(&plan, 0, 0, &plan_fast_disk, MUCH, &err),
			0);
		fast = plan_cost(&plan);
		t = plan_time(&plan, &plan_fast_disk, true, true);
		assert_true(t.seconds < 165);
		assert_true(fast.space >= slow.space);
	}
}

/* ---- time -------------------------------------------------------------- */

static struct plan
sized_plan(const char *suite, const struct probe *probe)
{
	struct plan plan = quick_plan(suite);
	struct q2_err err;

	assert_int_equal(plan_sizes(&plan, 0, 0, probe, MUCH, &err), 0);
	return plan;
}

/* The whole is its parts, and none of what a run waits for is left out. */
static void
test_the_time_has_all_parts(void **state)
{
	struct probe probe = {
		.iops = 20000, .bytes_per_s = 500e6, .duration_s = 3};
	struct plan plan = sized_plan("preallocation", &probe);
	struct plan_time t = plan_time(&plan, &probe, false, true), with;
	double work_s = 0;

	(void)state;
	for (size_t c = 0; c < plan.nconfigs; c++) {
		for (size_t p = 0; p < plan.npasses; p++)
			work_s += plan_cell_s(&plan, c, p, &probe);
	}
	assert_float_equal(t.seconds,
			   t.probe_s + t.warm_up_s + 6 * t.round_s + t.finish_s,
			   1e-9);
	assert_float_equal(t.probe_s, 3, 1e-9);
	assert_true(t.round_s > work_s + SETTLE_QUIET_S + guard_look_s(true));
	assert_true(t.warm_up_s > guard_begin_s(true));
	assert_true(t.qemu_s == 0 && t.finish_s > 0);
	/* QEMU is asked on top of that; and not by suites without advice. */
	with = plan_time(&plan, &probe, true, true);
	assert_float_equal(with.seconds, t.seconds + with.qemu_s, 1e-9);
	assert_true(with.qemu_s > PLAN_QEMU_ROUNDS * SETTLE_QUIET_S);
	plan = sized_plan("aa", &probe);
	assert_true(plan_time(&plan, &probe, true, true).qemu_s == 0);
	/* Without a disk nothing is probed, and the windows are shorter. */
	plan = quick_plan("overhead");
	assert_true(plan_between_s(false) < plan_between_s(true));
	assert_true(plan_time(&plan, &probe, true, true).probe_s == 0);
}

/* Files in pieces, where the file system discards as it frees. */
static void
test_removal_takes_time(void **state)
{
	struct probe probe = {.iops = 20000, .bytes_per_s = 500e6};
	struct plan plan = sized_plan("preallocation", &probe);
	double before = plan_time(&plan, &probe, false, true).round_s;

	(void)state;
	probe.removal_s = 1e-4;
	assert_float_equal(plan_time(&plan, &probe, false, true).round_s,
			   before + (double)plan.passes[2].stream.ops * 1e-4,
			   1e-6);
}

/* As run does it after the warm-up: what was asked for stays. */
static void
test_a_plan_too_long_is_halved(void **state)
{
	struct probe probe = {
		.iops = 20000, .bytes_per_s = 500e6, .removal_s = 4e-3};
	struct plan plan = sized_plan("preallocation", &probe);
	uint64_t image = plan.image_bytes, requests = plan.requests;
	struct plan_time t = plan_time(&plan, &probe, true, true);
	struct q2_err err;

	(void)state;
	assert_in_range(t.halvings, 1, 3);
	assert_true(t.seconds < PLAN_QUICK_S);
	assert_true(plan_time(&plan, &probe, true, false).seconds >
		    PLAN_QUICK_S);
	assert_int_equal(plan_halve(&plan, t.halvings, true, false, &err), 0);
	assert_int_equal(plan.image_bytes, image >> t.halvings);
	assert_int_equal(plan.requests, requests);
	assert_int_equal(plan_halve(&plan, 3, false, true, &err), 0);
	assert_int_equal(plan.image_bytes, image >> t.halvings);
	assert_int_equal(plan.requests, requests >> 3);
}

/* A cache covers an image of one size and not of another. */
static void
test_what_the_probe_has_not_chosen_is_not_halved(void **state)
{
	struct probe probe = {.iops = 20000, .bytes_per_s = 500e6};
	struct plan plan = sized_plan("cache-size", &probe);
	uint64_t requests = plan.requests;
	struct q2_err err;

	(void)state;
	assert_int_equal(plan.image_bytes, 8 * GiB);
	assert_int_equal(plan_halve(&plan, 1, true, true, &err), 0);
	assert_int_equal(plan.image_bytes, 8 * GiB);
	assert_int_equal(plan.requests, requests / 2);
}

/* What is filled before is written twice: half of it in the same time. */
static void
test_images_that_are_filled_are_smaller(void **state)
{
	struct probe probe = {.iops = 10000, .bytes_per_s = 750e6};

	(void)state;
	assert_int_equal(sized_plan("preallocation", &probe).image_bytes,
			 640 * MiB);
	assert_int_equal(sized_plan("chain", &probe).image_bytes, 320 * MiB);
	assert_int_equal(sized_plan("compression", &probe).image_bytes,
			 320 * MiB);
}

/* ---- ids --------------------------------------------------------------- */

/* The line of a cell in tests/golden/cell_ids.csv. */
static void
cell_line(const struct plan *plan, size_t c, size_t p, char *line, size_t size)
{
	json_t *keys = trial_spec_keys(plan, c, &plan->passes[p]);
	char id[ID_SIZE];

	id_of_json(keys, id);
	json_decref(keys);
	(void)snprintf(line, size, "%s,%s,%s,%s,%s\n", plan->suite->name,
		       plan->quick ? "quick" : "standard",
		       plan->configs[c]->label, plan->passes[p].pass->name, id);
}

static void
compare_cells(const struct plan *plan, FILE *golden)
{
	char line[256], want[256];

	for (size_t c = 0; c < plan->nconfigs; c++) {
		for (size_t p = 0; p < plan->npasses; p++) {
			if (!plan_does(plan, c, p))
				continue;
			cell_line(plan, c, p, line, sizeof(line));
			assert_non_null(fgets(want, sizeof(want), golden));
			assert_string_equal(line, want);
		}
	}
}

/* Results of years are compared by them. */
static void
test_cell_ids_stay(void **state)
{
	static const struct probe probe = {.iops = 10000, .bytes_per_s = 750e6};
	FILE *golden = fopen("tests/golden/cell_ids.csv", "r");
	char line[256];

	(void)state;
	assert_non_null(golden);
	assert_non_null(fgets(line, sizeof(line), golden));
	for (size_t i = 0; i < suites_count(); i++) {
		for (int quick = 1; quick >= 0; quick--) {
			struct wishes wishes = {.suite = suites_at(i),
						.quick = quick,
						.seed = 7};
			struct q2_err err;
			struct plan plan;

			plan_init(&plan, &wishes);
			assert_int_equal(
				plan_sizes(&plan, 0, 0, &probe, MUCH, &err), 0);
			compare_cells(&plan, golden);
		}
	}
	assert_null(fgets(line, sizeof(line), golden));
	(void)fclose(golden);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quick_sizes_follow_the_disk),
		cmocka_unit_test(test_quick_image_shrinks_to_the_space),
		cmocka_unit_test(test_wishes_are_kept),
		cmocka_unit_test(test_passes_of_the_quick_form),
		cmocka_unit_test(
			test_all_configurations_get_the_same_operations),
		cmocka_unit_test(test_only_two_policies_make_the_users_disk),
		cmocka_unit_test(test_halvings_until_it_fits),
		cmocka_unit_test(test_every_suite_can_be_planned),
		cmocka_unit_test(test_the_time_has_all_parts),
		cmocka_unit_test(test_removal_takes_time),
		cmocka_unit_test(test_a_plan_too_long_is_halved),
		cmocka_unit_test(
			test_what_the_probe_has_not_chosen_is_not_halved),
		cmocka_unit_test(test_images_that_are_filled_are_smaller),
		cmocka_unit_test(test_cell_ids_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
