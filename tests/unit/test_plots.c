/* SPDX-License-Identifier: MIT */
/*
 * test_plots.c - plots of made-up runs: files, pictures, notices
 *
 * What they look like has to be seen; that they are drawn, without a warning
 * and again by hand, is tested here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/cells.h"
#include "plots/plots.h"
#include "tests/trials.h"

static char dir[256];

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char plots[280];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%.200s/q2-plots.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(plots, sizeof(plots), "%s/plots", dir);
	return mkdir(plots, 0777);
}

static int
remove_dir(void **state)
{
	char command[300];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* Does the shell say yes, in the folder of plots? */
static bool
shell(const char *what)
{
	char command[1024];

	(void)snprintf(command, sizeof(command), "cd '%s/plots' && %s", dir,
		       what);
	return system(command) == 0;
}

static void
draw(const struct world *w, const char *gnuplot, unsigned timeout_s,
     struct plots_result *ret)
{
	struct cells_opts reference = {.reference = "raw-written"};
	struct plots_opts opts = {
		.out = dir,
		.device = "ext4 on \"it's\" $HOME `date`, cache none",
		.gnuplot = gnuplot,
		.timeout_s = timeout_s,
	};
	struct rows trials = {0}, cells = {0};
	struct q2_err err;

	trials_make(w, &trials);
	cells_compute(&trials, &reference, &cells);
	(void)shell("rm -f *");
	assert_int_equal(plots_write(&trials, &cells, &opts, ret, &err), 0);
	rows_done(&trials);
	rows_done(&cells);
}

static void
check_pictures(const struct world *w)
{
	struct plots_result result;

	if (system("command -v gnuplot >/dev/null") != 0) {
		print_message("gnuplot is not installed\n");
		skip();
	}
	draw(w, NULL, 0, &result);
	assert_string_equal(result.notice, "");
	assert_int_equal(result.written, 4);
	assert_true(shell("head -c 4 create.png | grep -q PNG"));
	assert_true(shell("head -c 4 iops.png | grep -q PNG"));
	assert_true(shell("grep -q '</svg>' create.svg"));
	assert_true(shell("grep -q '</svg>' iops.svg"));
	assert_true(shell("grep -q qcow2-metadata iops.svg"));
	/* By hand, and nothing to complain about, but for a locale without a
	 * degree sign, which is gnuplot's own concern. */
	assert_true(shell(
		"rm *.png && export LC_ALL=C.UTF-8 && "
		"for f in create iops; do test -z \"$(gnuplot $f.gp 2>&1)\" || exit 1; done "
		"&& test -s create.png && test -s iops.png"));
}

static void
test_pictures_are_drawn(void **state)
{
	(void)state;
	check_pictures(&world_usual);
}

/* No intervals: fields are empty. */
static void
test_pictures_of_few_rounds(void **state)
{
	struct world w = world_usual;

	(void)state;
	w.rounds = 2;
	w.first_write[OWN_OFF] = 1;
	check_pictures(&w);
}

static void
test_csv_has_a_row_for_each_mark(void **state)
{
	struct plots_result result;

	(void)state;
	draw(&world_usual, "/bin/true", 0, &result);
	assert_int_equal(result.written, 0);
	assert_true(shell("test $(wc -l <create.csv) = 7"));
	assert_true(shell("test $(wc -l <iops.csv) = 31"));
	assert_true(shell("test $(wc -l <rounds.csv) = 181"));
	assert_true(shell("grep -q '^3,qcow2-off,4,6,0.00.*,200704$' "
			  "create.csv"));
	assert_true(shell("grep -q '^seq-read,MiB/s,1,raw-sparse,1,6,18' "
			  "iops.csv"));
}

static void
test_missing_gnuplot_is_a_notice(void **state)
{
	struct plots_result result;

	(void)state;
	draw(&world_usual, "no-such-gnuplot", 0, &result);
	assert_non_null(strstr(result.notice,
			       "no pictures: gnuplot is not installed ("));
	assert_int_equal(result.written, 0);
	assert_true(shell("test -s iops.gp && test -s style.gp"));
}

static void
test_failing_gnuplot_is_a_notice(void **state)
{
	struct plots_result result;

	(void)state;
	draw(&world_usual, "/bin/false", 0, &result);
	assert_string_equal(result.notice,
			    "no picture of create: gnuplot ended with status "
			    "1");
	/* one that never ends */
	assert_true(shell("printf '#!/bin/sh\\nexec sleep 60\\n' >../slow && "
			  "chmod +x ../slow"));
	draw(&world_usual, "../slow", 1, &result);
	assert_string_equal(result.notice,
			    "no picture of create: gnuplot took more than 1 s");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pictures_are_drawn),
		cmocka_unit_test(test_pictures_of_few_rounds),
		cmocka_unit_test(test_csv_has_a_row_for_each_mark),
		cmocka_unit_test(test_missing_gnuplot_is_a_notice),
		cmocka_unit_test(test_failing_gnuplot_is_a_notice),
	};

	return cmocka_run_group_tests_name("plots", tests, make_dir,
					   remove_dir);
}
