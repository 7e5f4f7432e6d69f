/* SPDX-License-Identifier: MIT */
/*
 * test_jsonl.c - JSON lines, which a crash may have cut off
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "results/jsonl.h"
#include "tests/scratch.h"

/* All lines, as an array. */
static int
collect(void *arg, unsigned long number, const json_t *json, struct q2_err *err)
{
	(void)err;
	assert_int_equal(number, json_array_size(arg) + 1);
	return json_array_append(arg, (json_t *)json);
}

static int
read_all(const char *name, json_t **ret_array, bool *ret_torn,
	 struct q2_err *err)
{
	struct jsonl_sink sink = {.line = collect, .arg = json_array()};

	*ret_array = sink.arg;
	return jsonl_each(scratch_path(name), &sink, ret_torn, err);
}

static void
append_number(int fd, int number)
{
	json_t *json = json_pack("[{s:i}]", "n", number);
	struct q2_err err;

	assert_int_equal(jsonl_append(fd, json, &err), 0);
	json_decref(json);
}

static void
test_jsonl_cuts_a_torn_line(void **state)
{
	struct q2_err err;
	json_t *all;
	int fd = jsonl_open(scratch_path("t.jsonl"), &err);
	struct stat st;
	bool torn;

	(void)state;
	assert_true(fd >= 0);
	append_number(fd, 1);
	append_number(fd, 2);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(close(fd), 0);
	/* every cut of the second line is read, and mended, the same way */
	for (off_t cut = 8; cut < st.st_size; cut++) {
		scratch_put("t.jsonl", "{\"n\":1}\n{\"n\":2}\n", (size_t)cut);
		assert_int_equal(read_all("t.jsonl", &all, &torn, &err), 0);
		assert_int_equal(json_array_size(all), 1);
		assert_int_equal(torn, cut > 8);
		json_decref(all);
		fd = jsonl_open(scratch_path("t.jsonl"), &err);
		append_number(fd, 3);
		assert_int_equal(close(fd), 0);
		assert_string_equal(scratch_get("t.jsonl"),
				    "{\"n\":1}\n{\"n\":3}\n");
	}
	assert_int_equal(unlink(scratch_path("t.jsonl")), 0);
}

static void
test_jsonl_finds_the_end_of_a_long_line(void **state)
{
	static char text[20000];
	struct q2_err err;
	struct stat st;
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[0] = '{';
	text[1] = '}';
	text[2] = '\n';
	scratch_put("l.jsonl", text, sizeof(text));
	fd = jsonl_open(scratch_path("l.jsonl"), &err);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(close(fd), 0);
	scratch_put("l.jsonl", text + 3, sizeof(text) - 3);
	fd = jsonl_open(scratch_path("l.jsonl"), &err);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(scratch_path("l.jsonl")), 0);
}

static void
test_jsonl_names_a_broken_line(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *why;
	} cases[] = {
#define BROKEN(text, why) {text, sizeof(text) - 1, why}
		BROKEN("{\"n\":1}\n{\"n\":\n{\"n\":3}\n",
		       "b.jsonl:2: not JSON"),
		BROKEN("{\"n\":1}\n\n", "b.jsonl:2: not JSON"),
		BROKEN("{\"n\":1}\n{\"n\":\"\0\"}\n", "b.jsonl:2: not JSON"),
		BROKEN("\0\0\0\n", "b.jsonl:1: not JSON"),
		BROKEN("{\"n\":1}\n{\"n\":1,\"n\":2}\n",
		       "b.jsonl:2: not JSON: duplicate object key"),
		BROKEN("{\"n\":\"\xff\"}\n", "b.jsonl:1: not JSON"),
	};
	struct q2_err err;
	json_t *all;
	bool torn;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scratch_put("b.jsonl", cases[i].text, cases[i].size);
		assert_int_equal(read_all("b.jsonl", &all, &torn, &err),
				 -Q2_ECORRUPT);
		json_decref(all);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s, not %s", err.text, cases[i].why);
	}
	assert_int_equal(unlink(scratch_path("b.jsonl")), 0);
	assert_int_equal(read_all("b.jsonl", &all, &torn, &err), -ENOENT);
	json_decref(all);
}

/* No line takes more memory than JSONL_LINE_MOST, whatever the file has. */
static void
test_jsonl_refuses_an_endless_line(void **state)
{
	struct q2_err err;
	json_t *all;
	bool torn;
	int fd = jsonl_open(scratch_path("e.jsonl"), &err);

	(void)state;
	append_number(fd, 1);
	/* a hole: it takes no space */
	assert_int_equal(ftruncate(fd, (off_t)(2 * JSONL_LINE_MOST)), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(read_all("e.jsonl", &all, &torn, &err), -EFBIG);
	assert_int_equal(json_array_size(all), 1);
	json_decref(all);
	assert_non_null(strstr(err.text, "e.jsonl:2: the line is longer than"));
	assert_int_equal(unlink(scratch_path("e.jsonl")), 0);
}

/* Into a file that somebody has removed nothing can be kept. */
static void
test_jsonl_notices_a_removed_file(void **state)
{
	struct q2_err err;
	json_t *json = json_pack("[{s:i}]", "n", 1);
	int fd = jsonl_open(scratch_path("r.jsonl"), &err);

	(void)state;
	assert_int_equal(unlink(scratch_path("r.jsonl")), 0);
	assert_int_equal(jsonl_append(fd, json, &err), -ENOENT);
	assert_non_null(strstr(err.text, "removed"));
	json_decref(json);
	assert_int_equal(close(fd), 0);
}

/* A full disk (here: a limit of the file's size) leaves whole lines. */
static void
test_jsonl_without_space(void **state)
{
	struct rlimit old, tight;
	struct q2_err err;
	/* the first of the two would have room */
	json_t *json = json_pack("[{s:i}, {s:s}]", "n", 9, "text",
				 "longer than what is left");
	int fd = jsonl_open(scratch_path("f.jsonl"), &err), r;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

	(void)state;
	append_number(fd, 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	r = jsonl_append(fd, json, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, handler);
	assert_int_equal(r, -EFBIG);
	append_number(fd, 2);
	assert_string_equal(scratch_get("f.jsonl"), "{\"n\":1}\n{\"n\":2}\n");
	json_decref(json);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(scratch_path("f.jsonl")), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jsonl_cuts_a_torn_line),
		cmocka_unit_test(test_jsonl_finds_the_end_of_a_long_line),
		cmocka_unit_test(test_jsonl_names_a_broken_line),
		cmocka_unit_test(test_jsonl_refuses_an_endless_line),
		cmocka_unit_test(test_jsonl_notices_a_removed_file),
		cmocka_unit_test(test_jsonl_without_space),
	};

	return cmocka_run_group_tests_name("jsonl", tests, scratch_make,
					   scratch_remove);
}
