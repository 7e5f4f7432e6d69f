/* SPDX-License-Identifier: MIT */
/*
 * test_output.c - the folder of the results: its name
 */
#include "harness/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define RUNS 5

/* The runs begin in the same second. */
time_t
time(time_t *timer)
{
	if (timer)
		*timer = 1000000000;
	return 1000000000;
}

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char dir[256];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%.200s/q2-output.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	return mkdtemp(dir) ? chdir(dir) : -1;
}

static int
remove_dir(void **state)
{
	char dir[256];

	(void)state;
	return getcwd(dir, sizeof(dir)) ? rmdir(dir) : -1;
}

/* All have their names before the first folder is made. */
static void
test_same_second(void **state)
{
	struct output out[RUNS];
	struct q2_err err;

	(void)state;
	for (int i = 0; i < RUNS; i++)
		assert_int_equal(output_name(&out[i], NULL, "s", &err), 0);
	for (int i = 0; i < RUNS; i++)
		assert_int_equal(output_make(&out[i], &err), 0);
	for (int i = 1; i < RUNS; i++)
		assert_string_not_equal(out[i].path, out[0].path);
	for (int i = 0; i < RUNS; i++)
		output_done(&out[i]);
}

/* What was asked for is that, or an error. */
static void
test_asked_is_no_other(void **state)
{
	struct output a, b;
	struct q2_err err;

	(void)state;
	assert_int_equal(output_name(&a, "mine", "s", &err), 0);
	assert_int_equal(output_name(&b, "mine", "s", &err), 0);
	assert_int_equal(output_make(&a, &err), 0);
	assert_int_equal(output_make(&b, &err), -EEXIST);
	output_done(&b);
	output_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_second),
		cmocka_unit_test(test_asked_is_no_other),
	};

	return cmocka_run_group_tests_name("output", tests, make_dir,
					   remove_dir);
}
