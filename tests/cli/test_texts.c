/* SPDX-License-Identifier: MIT */
/*
 * test_texts.c - qcowimg, called qemu-img or qemu-io, prints what they print
 *
 * tests/golden/texts/cases.jsonl holds command lines with what QEMU 7.2 printed
 * (the README there says what its fields are).  Each is a test: QEMU's own
 * tools set the case up (once for all cases that begin so), our program runs it, and output, exit status, files
 * and guest content must be equal.  Texts go through the same filters as the
 * captured ones: times, rates, and what depends on the file system.
 *
 *	test_texts			run them all, or as many as
 *					Q2_TEST_SCALE says
 *	test_texts --only PREFIX	those whose id begins so
 *	test_texts --select FILE	print the cases of FILE, a full capture,
 *					that apply to this version, after a line
 *					that counts the others by reason
 */
#include <gcrypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/cli/texts.h"
#include "tests/env.h"

#define GOLDEN "tests/golden/texts/cases.jsonl"

static void
compare_text(const char *what, const char *want, const char *have)
{
	char *text = texts_filtered(have);

	if (strcmp(want, text) != 0)
		texts_differ(what, "\n    want <%s>\n    have <%s>", want,
			     text);
	free(text);
}

/* Neither our program nor anybody else writes: info, check, map. */
static bool
only_looks(const json_t *argv)
{
	static char words[16384];

	words[0] = 0;
	texts_join(argv, words, sizeof(words));
	return texts_matches("^qemu-img (info|check|map)", words) &&
	       !texts_matches("^qemu-img check.* -r", words);
}

static void
test_case(void **state)
{
	const json_t *c = *state, *hold = json_object_get(c, "hold");
	const json_t *argv = json_object_get(c, "argv");
	const char *input = json_string_value(json_object_get(c, "stdin"));
	bool low = json_is_true(json_object_get(c, "unprivileged"));
	int want = (int)json_integer_value(json_object_get(c, "status"));
	struct texts_holder holder;
	struct texts_outcome o;

	texts_failed = false;
	texts_set_up(json_object_get(c, "setup"), low);
	if (hold)
		holder = texts_hold(hold, low);
	o = texts_run(argv, input, true, low);
	if (o.status != want)
		texts_differ("status", "%d, not %d", o.status, want);
	compare_text("stdout", json_string_value(json_object_get(c, "stdout")),
		     o.out);
	compare_text("stderr", json_string_value(json_object_get(c, "stderr")),
		     o.err);
	texts_compare_files(c, only_looks(argv));
	texts_outcome_done(&o);
	if (hold)
		texts_let_go(&holder);
	assert_false(texts_failed);
}

/* ---- running ----------------------------------------------------------- */

static bool
has_qemu(void)
{
	return system("qemu-img --version >/dev/null 2>&1 && "
		      "qemu-io --version >/dev/null 2>&1") == 0;
}

/* root/bin/qemu-img and qemu-io: a copy, so that nobody may run it too. */
static void
install_program(void)
{
	const char *b = getenv("B");
	char command[5 * PATH_MAX];

	(void)snprintf(command, sizeof(command),
		       "set -e; mkdir '%s/bin'; cp '%s/qcowimg' '%s/bin/'; "
		       "cd '%s/bin'; ln -s qcowimg qemu-img; "
		       "ln -s qcowimg qemu-io",
		       texts_root, b ? b : "build/release", texts_root,
		       texts_root);
	if (system(command) != 0)
		exit(1);
}

static void
make_root(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(texts_root, sizeof(texts_root), "%s/q2-texts.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	if (!mkdtemp(texts_root) || chmod(texts_root, 0755)) {
		perror(texts_root);
		exit(1);
	}
	install_program();
	/* What the programs inherit. */
	(void)umask(022);
	(void)setenv("LC_ALL", "C", 1);
	(void)setenv("TZ", "UTC", 1);
	(void)setenv("TMPDIR", texts_root, 1);
}

static int
run_cases(json_t *cases, const char *prefix)
{
	size_t n = json_array_size(cases), used = 0, i;
	struct CMUnitTest *tests = calloc(n, sizeof(*tests));
	json_t *c;
	int r;

	if (!tests)
		return 1;
	json_array_foreach(cases, i, c)
	{
		const char *id = json_string_value(json_object_get(c, "id"));

		if (!id || strncmp(id, prefix, strlen(prefix)) != 0)
			continue;
		/* Evenly as many as were asked for: Q2_TEST_SCALE. */
		if (!prefix[0] &&
		    test_rounds(1000 * (unsigned)i) / 1000 ==
			    test_rounds(1000 * (unsigned)i - 1000) / 1000)
			continue;
		tests[used++] = (struct CMUnitTest){
			.name = id, .test_func = test_case, .initial_state = c};
	}
	make_root();
	r = _cmocka_run_group_tests("texts", tests, used, NULL, NULL);
	texts_remove_tree(texts_root);
	free(tests);
	return r;
}

int
main(int argc, char **argv)
{
	const char *prefix = "";
	json_t *cases;
	int r;

	(void)gcry_check_version(NULL);
	if (argc == 3 && strcmp(argv[1], "--select") == 0)
		return texts_select(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--only") == 0)
		prefix = argv[2];
	if (!has_qemu()) {
		(void)printf("skip - texts # qemu-img and qemu-io are not "
			     "installed\n");
		return 0;
	}
	cases = texts_load(GOLDEN);
	texts_print_head(json_array_get(cases, 0));
	r = run_cases(cases, prefix);
	json_decref(cases);
	return r;
}
