/* SPDX-License-Identifier: MIT */
/*
 * The cache mode of an open file, as the kernel tells it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness/cache_mode.h"

static char path[128];

static void
test_not_open_is_as_asked(void **state)
{
	(void)state;
	assert_int_equal(cache_mode_effective(path, Q2_CACHE_NONE),
			 Q2_CACHE_NONE);
	assert_int_equal(cache_mode_effective("/no/such", Q2_CACHE_UNSAFE),
			 Q2_CACHE_UNSAFE);
}

static void
test_the_flag_decides(void **state)
{
	static const struct {
		enum q2_cache asked, buffered, direct;
	} rows[] = {
		{Q2_CACHE_NONE, Q2_CACHE_WRITEBACK, Q2_CACHE_NONE},
		{Q2_CACHE_WRITEBACK, Q2_CACHE_WRITEBACK, Q2_CACHE_NONE},
		{Q2_CACHE_WRITETHROUGH, Q2_CACHE_WRITETHROUGH,
		 Q2_CACHE_DIRECTSYNC},
		{Q2_CACHE_DIRECTSYNC, Q2_CACHE_WRITETHROUGH,
		 Q2_CACHE_DIRECTSYNC},
		{Q2_CACHE_UNSAFE, Q2_CACHE_UNSAFE, Q2_CACHE_NONE},
	};
	int fd = open(path, O_RDWR), direct = open(path, O_RDWR | O_DIRECT);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (direct >= 0)
			assert_int_equal(
				cache_mode_effective(path, rows[i].asked),
				rows[i].direct);
	}
	if (direct >= 0)
		(void)close(direct);
	else
		print_message("no O_DIRECT here\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(cache_mode_effective(path, rows[i].asked),
				 rows[i].buffered);
	(void)close(fd);
}

static int
set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "%.80s/q2-cache-mode.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_open_is_as_asked),
		cmocka_unit_test(test_the_flag_decides),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
