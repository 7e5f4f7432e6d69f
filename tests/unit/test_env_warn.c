/* SPDX-License-Identifier: MIT */
/*
 * What of an environment is warned of, and what differs between two.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "harness/env_diff.h"
#include "harness/env_warn.h"

static struct env_facts facts;

static int
set_up(void **state)
{
	(void)state;
	memset(&facts, 0, sizeof(facts));
	return 0;
}

/* ---- warnings ---------------------------------------------------------- */

static void
test_nothing_known_gives_no_warning(void **state)
{
	struct env_warning v[ENV_WARNINGS];

	(void)state;
	assert_int_equal(env_warnings(&facts, v), 0);
}

static void
test_each_warning_alone(void **state)
{
	static const struct {
		enum env_field field;
		const char *bad, *good, *says;
	} cases[] = {
		{ENV_fs_kind, "memory", "disk", "is memory"},
		{ENV_fs_kind, "network", "disk", "network file system"},
		{ENV_fs_used, "93.0", "80.0", "93 % full"},
		{ENV_block_offset, "32256", "1048576", "begins at 32256"},
		{ENV_cgroup_io_max, "wbps=1", "none", "limits the disk"},
		{ENV_cgroup_cpu_max, "1 2", "none", "limits the processor"},
		{ENV_cpu_governor, "powersave", "performance", "the clock low"},
		{ENV_state_power, "battery", "mains", "battery"},
		{ENV_virt_steal, "7.0", "1.0", "7.0 %"},
		{ENV_software_build, "thread sanitizer", "optimised",
		 "built for tests"},
		{ENV_limits_memlock, "65536", "unlimited", "only 64 KiB"},
		{ENV_limits_io_uring, "EPERM", "yes", "(EPERM)"},
		{ENV_state_io_pressure, "40.0", "1.0", "waited for I/O"},
	};
	struct env_warning v[ENV_WARNINGS];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&facts, 0, sizeof(facts));
		facts_text(&facts, cases[i].field, cases[i].bad);
		assert_int_equal(env_warnings(&facts, v), 1);
		assert_non_null(strstr(v[0].what, cases[i].says));
		assert_true(v[0].remedy[0] != '\0');
		facts_text(&facts, cases[i].field, cases[i].good);
		assert_int_equal(env_warnings(&facts, v), 0);
	}
}

static void
test_warnings_of_two_fields(void **state)
{
	struct env_warning v[ENV_WARNINGS];

	(void)state;
	facts_int(&facts, ENV_cpu_threads, 4);
	facts_text(&facts, ENV_state_load, "1.20");
	facts_int(&facts, ENV_memory_swap, 100 * MiB);
	facts_int(&facts, ENV_memory_swap_used, 10 * MiB);
	facts_int(&facts, ENV_limits_aio_max, 65536);
	facts_int(&facts, ENV_limits_aio_used, 1000);
	assert_int_equal(env_warnings(&facts, v), 0);
	facts_text(&facts, ENV_state_load, "1.30");
	facts_int(&facts, ENV_memory_swap_used, 11 * MiB);
	facts_int(&facts, ENV_limits_aio_used, 65000);
	assert_int_equal(env_warnings(&facts, v), 3);
	/* This driver's powersave goes up to the top all the same. */
	memset(&facts, 0, sizeof(facts));
	facts_text(&facts, ENV_cpu_governor, "powersave");
	facts_text(&facts, ENV_cpu_driver, "intel_pstate");
	assert_int_equal(env_warnings(&facts, v), 0);
}

static void
test_all_warnings_at_once_fit(void **state)
{
	struct env_warning v[ENV_WARNINGS];

	(void)state;
	for (size_t i = 0; i < ENV_FIELDS; i++)
		facts_text(&facts, (enum env_field)i, "99");
	facts_text(&facts, ENV_fs_kind, "fuse");
	facts_text(&facts, ENV_cpu_governor, "powersave");
	facts_text(&facts, ENV_state_power, "battery");
	facts_text(&facts, ENV_software_build, "not optimised");
	assert_in_range(env_warnings(&facts, v), 10, ENV_WARNINGS - 1);
}

/* ---- differences ------------------------------------------------------- */

static char seen[512];

static void
see(void *arg, const struct env_difference *diff)
{
	size_t used = strlen(seen);

	(void)arg;
	(void)snprintf(seen + used, sizeof(seen) - used, "%s: %.20s|%.20s\n",
		       diff->name, diff->a, diff->b);
}

static void
test_differences_in_order_of_weight(void **state)
{
	json_t *a, *b;

	(void)state;
	facts_text(&facts, ENV_cpu_model, "A");
	facts_int(&facts, ENV_fs_free, 2 * GiB);
	facts_text(&facts, ENV_fs_mount_point, "/a");
	a = facts_json(&facts);
	facts_text(&facts, ENV_cpu_model, "B");
	facts_int(&facts, ENV_fs_free, 3 * GiB);
	facts_text(&facts, ENV_fs_mount_point, "/b");
	b = facts_json(&facts);
	seen[0] = '\0';
	assert_int_equal(env_diff(a, a, see, NULL), 0);
	assert_string_equal(seen, "");
	/* A field that only a later version knows. */
	(void)json_object_set_new(json_object_get(b, "cpu"), "new",
				  json_string("x"));
	assert_int_equal(env_diff(a, b, see, NULL), 4);
	assert_string_equal(seen, "cpu.model: A|B\ncpu.new: not recorded|x\n"
				  "fs.mount_point: /a|/b\n"
				  "fs.free: 2 GiB|3 GiB\n");
	assert_int_equal(env_same_machine(a, b), -1);
	(void)json_object_set_new(a, "machine", json_string("1"));
	(void)json_object_set_new(b, "machine", json_string("1"));
	assert_int_equal(env_same_machine(a, b), 1);
	(void)json_object_set_new(b, "machine", json_string("2"));
	assert_int_equal(env_same_machine(a, b), 0);
	json_decref(a);
	json_decref(b);
}

/* ------------------------------------------------------------------------ */

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_known_gives_no_warning),
		TEST(test_each_warning_alone),
		TEST(test_warnings_of_two_fields),
		TEST(test_all_warnings_at_once_fit),
		TEST(test_differences_in_order_of_weight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
