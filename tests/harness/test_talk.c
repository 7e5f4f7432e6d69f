/* SPDX-License-Identifier: MIT */
/*
 * What goes to people: when output is coloured, how much is said on the way,
 * and lines that are wrapped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/color.h"
#include "harness/progress.h"
#include "harness/table.h"
#include "harness/wrap.h"

/* ---- colour ------------------------------------------------------------ */

/* A terminal of our own; NULL where there is no /dev/pts. */
static FILE *
open_terminal(int *ret_master)
{
	const char *name;
	int fd = -1;

	*ret_master = posix_openpt(O_RDWR | O_NOCTTY);
	if (*ret_master < 0)
		return NULL;
	name = ptsname(*ret_master);
	if (name && grantpt(*ret_master) == 0 && unlockpt(*ret_master) == 0)
		fd = open(name, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? NULL : fdopen(fd, "w");
}

static void
set(const char *name, const char *value)
{
	assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void
test_colour_follows_terminal_environment_and_option(void **state)
{
	static const struct {
		const char *when, *no_color, *term;
		bool on_terminal, on_file;
	} rows[] = {
		{NULL, NULL, "xterm", true, false},
		{"auto", NULL, "xterm", true, false},
		{"auto", "", "xterm", true, false},
		{"auto", "1", "xterm", false, false},
		{"auto", NULL, "dumb", false, false},
		{"auto", NULL, NULL, false, false},
		{"never", NULL, "xterm", false, false},
		{"always", "1", "dumb", true, true},
	};
	int master;
	FILE *terminal = open_terminal(&master), *file = tmpfile();
	struct table_opts opts;

	(void)state;
	assert_non_null(file);
	if (!terminal) {
		(void)fclose(file);
		print_message("no pseudo-terminal here\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set("NO_COLOR", rows[i].no_color);
		set("TERM", rows[i].term);
		assert_int_equal(color_wanted(rows[i].when, terminal),
				 rows[i].on_terminal);
		assert_int_equal(color_wanted(rows[i].when, file),
				 rows[i].on_file);
		if (rows[i].when)
			continue;
		table_opts_for(terminal, NULL, &opts);
		assert_true(opts.color);
		table_opts_for(file, NULL, &opts);
		assert_false(opts.color);
	}
	(void)fclose(terminal);
	(void)fclose(file);
	(void)close(master);
}

struct color_args {
	const char *color;
	bool quiet, verbose;
};

static int
parse(const char *word, struct color_args *ret, struct q2_err *err)
{
	static const struct option_spec v[] = {
		COLOR_OPTION(offsetof(struct color_args, color)),
		VERBOSITY_OPTIONS(offsetof(struct color_args, quiet),
				  offsetof(struct color_args, verbose)),
	};
	const struct options options = {v, ARRAY_SIZE(v)};
	char text[32], *argv[] = {text};

	*ret = (struct color_args){0};
	(void)snprintf(text, sizeof(text), "%s", word);
	return options_parse(&options, 1, argv, ret, (struct operands){0}, err);
}

static void
test_the_options_are_understood(void **state)
{
	struct color_args args;
	enum verbosity verbosity;
	struct q2_err err;

	(void)state;
	assert_int_equal(parse("--color=always", &args, &err), 0);
	assert_string_equal(args.color, "always");
	assert_int_equal(parse("--color=sometimes", &args, &err), -EINVAL);
	assert_string_equal(err.text, "--color: 'sometimes' is not known; it "
				      "is one of auto, always, never");
	assert_int_equal(parse("--quiet", &args, &err), 0);
	assert_int_equal(
		verbosity_of(args.quiet, args.verbose, &verbosity, &err), 0);
	assert_int_equal(verbosity, VERBOSITY_QUIET);
	assert_int_equal(parse("--verbose", &args, &err), 0);
	assert_int_equal(
		verbosity_of(args.quiet, args.verbose, &verbosity, &err), 0);
	assert_int_equal(verbosity, VERBOSITY_VERBOSE);
	assert_int_equal(verbosity_of(false, false, &verbosity, &err), 0);
	assert_int_equal(verbosity, VERBOSITY_USUAL);
	assert_int_equal(verbosity_of(true, true, &verbosity, &err), -EINVAL);
	assert_string_equal(err.text,
			    "--quiet and --verbose exclude each other");
}

/* ---- progress ---------------------------------------------------------- */

/* What a round of one trial says on stderr. */
static void
talk(bool terminal, enum verbosity verbosity, char *text, size_t size)
{
	struct progress p;
	struct rows trials = {0};
	struct record *rec = record_new(&table_trials);
	FILE *f = tmpfile();
	int was = dup(STDERR_FILENO);
	size_t n;

	assert_non_null(f);
	record_set_text(rec, TRIAL_label, "a");
	record_set_text(rec, TRIAL_pass, "create");
	record_set_real(rec, TRIAL_duration_s, 2);
	rows_add(&trials, rec);
	(void)fflush(stderr);
	assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
	progress_init(&p);
	p.terminal = terminal;
	p.verbosity = verbosity;
	p.rounds = 3;
	progress_round(&p, 1);
	progress_pass(&p, "create");
	progress_trials(&p, &trials);
	progress_say(&p, "warning: %d", 7);
	progress_done(&p);
	(void)fflush(stderr);
	(void)dup2(was, STDERR_FILENO);
	(void)close(was);
	rewind(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	rows_done(&trials);
}

#define DRAWN "\r\033[Kround 1 of 3: create"
#define AWAY  "\r\033[K"
#define LINE  "round 1/3, a, create 2.00 s\n"
#define SAID  "warning: 7\n"

static void
test_how_much_is_said(void **state)
{
	static const struct {
		bool terminal;
		enum verbosity verbosity;
		const char *text;
	} rows[] = {
		{true, VERBOSITY_USUAL, DRAWN AWAY SAID},
		{true, VERBOSITY_QUIET, SAID},
		{true, VERBOSITY_VERBOSE, DRAWN AWAY LINE SAID},
		{false, VERBOSITY_USUAL, LINE SAID},
		{false, VERBOSITY_QUIET, SAID},
		{false, VERBOSITY_VERBOSE, LINE SAID},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		talk(rows[i].terminal, rows[i].verbosity, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

/* ---- wrapping ---------------------------------------------------------- */

static char *
wrapped(const char *text, unsigned at, unsigned indent)
{
	char *buf = NULL;
	size_t size;
	FILE *f = open_memstream(&buf, &size);

	assert_non_null(f);
	wrap_words(f, text, at, indent);
	assert_int_equal(fclose(f), 0);
	return buf;
}

static void
assert_wrapped(const char *text, unsigned at, unsigned indent, const char *want)
{
	char *got = wrapped(text, at, indent);

	assert_string_equal(got, want);
	free(got);
}

/* At each width of the last word: 79 columns and not 80; no word is lost. */
static void
test_lines_end_at_79_columns(void **state)
{
	char text[128], want[160], word[81];

	(void)state;
	for (unsigned len = 1; len <= 80; len++) {
		memset(word, 'w', len);
		word[len] = '\0';
		(void)snprintf(text, sizeof(text), "ab  cd\n%s", word);
		/* From column 4 on: "ab cd" ends at 9, then a blank. */
		(void)snprintf(want, sizeof(want), "ab cd%s%s\n",
			       10 + len > WRAP_WIDTH ? "\n  " : " ", word);
		assert_wrapped(text, 4, 2, want);
	}
	assert_wrapped("", 4, 2, "\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_colour_follows_terminal_environment_and_option),
		cmocka_unit_test(test_the_options_are_understood),
		cmocka_unit_test(test_how_much_is_said),
		cmocka_unit_test(test_lines_end_at_79_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
