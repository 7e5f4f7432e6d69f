/* SPDX-License-Identifier: MIT */
/*
 * test_plots_judged.c - the plot of what a suite judges: which panels, lines and
 * places there are
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/cells.h"
#include "plots/plots.h"
#include "tests/trials.h"

static char dir[] = "/tmp/q2-judged.XXXXXX";

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int
remove_dir(void **state)
{
	char command[128];

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

/* Without gnuplot: files only. */
static void
draw(const struct plots_opts *asked)
{
	const struct cells_opts named = {.reference = "raw-written"};
	struct plots_opts opts = *asked;
	struct rows trials = {0}, cells = {0};
	struct plots_result result;
	struct q2_err err;

	opts.out = dir;
	opts.gnuplot = "/bin/true";
	trials_make(&world_usual, &trials);
	cells_compute(&trials, &named, &cells);
	if (asked->njudged == 0)
		(void)shell("rm -f *");
	assert_int_equal(plots_write(&trials, &cells, &opts, &result, &err), 0);
	rows_done(&cells);
	rows_done(&trials);
}

static void
test_nothing_judged_is_no_plot(void **state)
{
	(void)state;
	draw(&(struct plots_opts){.njudged = 0});
	assert_true(shell("test ! -e judged.csv && test ! -e judged.gp"));
}

/* A bar for each configuration, panels in the order in which they are named. */
static void
test_without_a_sweep_there_are_bars(void **state)
{
	static const struct plots_judged judged[] = {{"read", "iops"},
						     {"create", "duration_s"}};

	(void)state;
	draw(&(struct plots_opts){
		.judged = judged, .njudged = 2, .question = "Why is it?"});
	assert_true(shell("grep -q \"^sweep = ''\" judged.gp"));
	assert_true(shell("grep -q '^panels = 2' judged.gp"));
	assert_true(shell("grep -q \"^title = 'Why is it?'\" judged.gp"));
	assert_true(shell("grep -q \"^array pass.2. = .'read', 'create'.\" "
			  "judged.gp"));
	/* Six configurations in each of both. */
	assert_true(shell("test $(wc -l <judged.csv) = 13"));
	assert_true(shell("grep -q '^1,1,1,6,.*,iops,read,raw-sparse$' "
			  "judged.csv"));
	assert_true(shell("grep -q '^2,6,6,6,.*,duration_s,create,"
			  "qcow2-full$' judged.csv"));
}

/* Lines by what stands before the last -, places by what stands behind it. */
static void
test_a_key_of_configurations_is_the_axis(void **state)
{
	static const struct plots_judged judged[] = {{"read", "iops"}};

	(void)state;
	draw(&(struct plots_opts){
		.judged = judged, .njudged = 1, .sweep = "preallocation"});
	assert_true(shell("grep -q \"^array labels.2. = .'raw', 'qcow2'.\" "
			  "judged.gp"));
	assert_true(shell("grep -q \"^array place.6. = .'sparse', 'written', "
			  "'off',\" judged.gp"));
	assert_true(shell("grep -q '^1,2,3,6,.*,qcow2-off$' judged.csv"));
}

/* first-write and seq-write: two panels, at one place each. */
static void
test_a_key_of_passes_is_the_axis(void **state)
{
	static const struct plots_judged judged[] = {
		{"seq-write", "bw_bytes_per_s"},
		{"seq-read", "bw_bytes_per_s"},
		{"first-write", "bw_bytes_per_s"}};

	(void)state;
	draw(&(struct plots_opts){.judged = judged,
				  .njudged = 3,
				  .sweep = "bs",
				  .by_pass = true});
	assert_true(shell("grep -q \"^array pass.2. = .'seq', 'first'.\" "
			  "judged.gp"));
	/* First writes stand first in a trial. */
	assert_true(shell("grep -q \"^array place.2. = .'write', 'read'.\" "
			  "judged.gp"));
	assert_true(shell("grep -q '^1,1,2,6,.*,seq-read,raw-sparse$' "
			  "judged.csv"));
	assert_true(shell("grep -q '^2,1,1,6,.*,first-write,raw-sparse$' "
			  "judged.csv"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_judged_is_no_plot),
		cmocka_unit_test(test_without_a_sweep_there_are_bars),
		cmocka_unit_test(test_a_key_of_configurations_is_the_axis),
		cmocka_unit_test(test_a_key_of_passes_is_the_axis),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
