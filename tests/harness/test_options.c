/* SPDX-License-Identifier: MIT */
/*
 * Command lines: what is understood, and what is said about the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "harness/options.h"

struct args {
	bool keep;
	const char *dir, *aio;
	uint64_t rounds, seed, size;
};

static const char *const words[] = {"io_uring", "libaio", "threads", NULL};

static const struct option_spec specs[] = {
	{"keep", OPTION_FLAG, offsetof(struct args, keep), NULL, NULL, ""},
	{"dir", OPTION_TEXT, offsetof(struct args, dir), "DIR", NULL, ""},
	{"aio", OPTION_WORD, offsetof(struct args, aio), "X", words, ""},
	{"rounds", OPTION_COUNT, offsetof(struct args, rounds), "N", NULL, ""},
	{"seed", OPTION_NUMBER, offsetof(struct args, seed), "N", NULL, ""},
	{"size", OPTION_SIZE, offsetof(struct args, size), "N", NULL, ""},
};
static const struct options opts = {specs, ARRAY_SIZE(specs)};

/* A line cut at blanks. */
static int
parse(const char *line, struct args *args, const char **operands, int max,
      struct q2_err *err)
{
	static char text[256];
	char *argv[16];
	char *save = NULL;
	int argc = 0;

	assert_true(strlen(line) < sizeof(text));
	(void)strcpy(text, line);
	for (char *w = strtok_r(text, " ", &save); w;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	*args = (struct args){0};
	*err = (struct q2_err){0};
	return options_parse(&opts, argc, argv, args,
			     (struct operands){operands, max}, err);
}

static void
test_both_forms_and_all_kinds(void **state)
{
	const char *operands[2];
	struct q2_err err;
	struct args args;

	(void)state;
	assert_int_equal(parse("one --keep --dir=/x --aio libaio two "
			       "--rounds 6 --seed=0x10 --size 64k",
			       &args, operands, 2, &err),
			 2);
	assert_string_equal(operands[0], "one");
	assert_string_equal(operands[1], "two");
	assert_true(args.keep);
	assert_string_equal(args.dir, "/x");
	assert_string_equal(args.aio, "libaio");
	assert_int_equal(args.rounds, 6);
	assert_int_equal(args.seed, 16);
	assert_int_equal(args.size, 65536);
}

static void
test_bad_lines_name_the_value_and_the_remedy(void **state)
{
	static const struct {
		const char *line, *text;
	} bad[] = {
		{"--dri x", "unknown option --dri; did you mean --dir?"},
		{"--zzzzzzz", "unknown option --zzzzzzz"},
		{"-x", "unknown option -x; options begin with two dashes"},
		{"--keep=1", "--keep takes no value"},
		{"--dir", "--dir needs a value: DIR"},
		{"--dir=", "--dir: the value is empty"},
		{"--aio iouring",
		 "--aio: 'iouring' is not known; did you mean 'io_uring'? "
		 "(one of io_uring, libaio, threads)"},
		{"--aio=x",
		 "--aio: 'x' is not known; it is one of io_uring, libaio, "
		 "threads"},
		{"--rounds 0", "--rounds: 0 is less than 1"},
		{"--rounds -1", "--rounds: '-1' is not a number"},
		{"--rounds 1x", "--rounds: '1x' is not a number"},
		{"--rounds 99999999999999999999",
		 "--rounds: '99999999999999999999' is not a number"},
		{"--size 0", "--size: the size is 0"},
		{"--size 5q", "--size: '5q' is not a size: after the number "
			      "comes nothing, k, m, g or t"},
		{"--size 99999999t",
		 "--size: the size '99999999t' is too large"},
		{"a b", "unexpected word 'b'"},
	};
	const char *operands[1];
	struct q2_err err;
	struct args args;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i].line, &args, operands, 1, &err),
				 -EINVAL);
		assert_string_equal(err.text, bad[i].text);
	}
}

static void
test_sizes_are_binary(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"1", 1},        {"512", 512},      {"64k", 64 * KiB},
		{"3M", 3 * MiB}, {"20g", 20 * GiB}, {"2TiB", 2 * TiB},
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(options_size(good[i].text, &bytes, NULL), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_forms_and_all_kinds),
		cmocka_unit_test(test_bad_lines_name_the_value_and_the_remedy),
		cmocka_unit_test(test_sizes_are_binary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
