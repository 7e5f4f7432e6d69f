/* SPDX-License-Identifier: MIT */
/*
 * scratch.c - a folder for the files of one group of tests
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/scratch.h"

static char dir[256];

int
scratch_make(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%.200s/q2-scratch.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

int
scratch_remove(void **state)
{
	(void)state;
	return rmdir(dir);
}

const char *
scratch_path(const char *name)
{
	static char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

void
scratch_put(const char *name, const char *data, size_t size)
{
	FILE *f = fopen(scratch_path(name), "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

char *
scratch_get(const char *name)
{
	static char text[65536];
	FILE *f = fopen(scratch_path(name), "re");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	assert_int_equal(fclose(f), 0);
	return text;
}
