/* SPDX-License-Identifier: MIT */
/*
 * Runs that end in the middle, and go on: killed at any moment, the file cut
 * anywhere; two that want the same folder; files made again from trials.jsonl.
 *
 * A kill comes when a line has appeared in a file, so that each moment is one
 * that really happened.  Q2_SEED replays the random ones.
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
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "harness/cells.h"
#include "harness/clock.h"
#include "harness/measured.h"
#include "results/csv.h"
#include "tests/env.h"
#include "tests/harness/runs.h"

#define ROUNDS      3
#define ROUNDS_WORD "3"

static struct rng rng;

static int
set_up(void **state)
{
	rng.state = test_seed(1);
	if (runs_set_up(state) < 0)
		return -1;
	/* The run that others are compared with: a first round, a last one
	 * and one between. */
	return runs_program(RUNS_TINY("whole", ROUNDS_WORD)) == 0 ? 0 : -1;
}

static void
assert_resumed(const char *out, unsigned rounds, const char *same)
{
	const char *const words[] = {"run", "--resume", runs_path(out), NULL};
	int code = runs_program(words);
	size_t size;
	char *text;

	if (code != 0) {
		text = runs_get("err", &size);
		print_error("%s\n", text);
		free(text);
	}
	assert_int_equal(code, 0);
	runs_check_csv(out);
	runs_check_rounds(out, rounds, same);
}

/* ---- what a whole run leaves -------------------------------------------- */

static void
test_files_are_as_documented(void **state)
{
	const char *const words[] = {"run",
				     "preallocation",
				     "--quick",
				     "--image-size",
				     "16m",
				     "--requests",
				     "1024",
				     "--size",
				     "1g",
				     "--dir",
				     runs_dir,
				     "--out",
				     runs_path("documented"),
				     NULL};
	int code;

	(void)state;
	runs_check_csv("whole");
	runs_check_rounds("whole", ROUNDS, NULL);
	code = runs_program(words);
	assert_true(code == 0 || code == 4);
	runs_check_csv("documented");
}

/* Sums of what belongs together: requests of a pass, of its turns, of its
 * histogram. */
static void
check_sums(const struct rows *trials, const struct rows *parts, int id_col,
	   int pass_col, int count_col)
{
	for (size_t i = 0; i < trials->n; i++) {
		const struct record *rec = trials->v[i];
		uint64_t sum = 0;

		for (size_t k = 0; k < parts->n; k++) {
			if (strcmp(record_text(parts->v[k], id_col),
				   record_text(rec, TRIAL_trial_id)) == 0 &&
			    strcmp(record_text(parts->v[k], pass_col),
				   record_text(rec, TRIAL_pass)) == 0)
				sum += record_int(parts->v[k], count_col);
		}
		assert_int_equal(sum, record_int(rec, TRIAL_ops));
	}
}

static void
test_turns_and_histograms_add_up(void **state)
{
	struct rows trials = {0}, series = {0}, hist = {0}, cells = {0};
	const struct record *rec;
	struct q2_err err;

	(void)state;
	assert_int_equal(csv_read_file(runs_path("documented/trials.csv"),
				       &table_trials, &trials, &err),
			 0);
	assert_int_equal(csv_read_file(runs_path("documented/series.csv"),
				       &table_series, &series, &err),
			 0);
	assert_int_equal(csv_read_file(runs_path("documented/hist.csv"),
				       &table_hist, &hist, &err),
			 0);
	assert_int_equal(csv_read_file(runs_path("documented/cells.csv"),
				       &table_cells, &cells, &err),
			 0);
	check_sums(&trials, &series, SERIES_trial_id, SERIES_pass, SERIES_ops);
	check_sums(&trials, &hist, HIST_trial_id, HIST_pass, HIST_count);
	for (size_t i = 0; i < trials.n; i++)
		assert_int_equal(record_has(trials.v[i], TRIAL_stall_share),
				 record_int(trials.v[i], TRIAL_slices) > 1);
	rec = cells_find(&cells, "qcow2-off", "first-write", "iops");
	assert_non_null(rec);
	assert_int_equal(record_int(rec, CELL_n), 6);
	assert_true(record_has(rec, CELL_mde));
	assert_true(record_real(rec, CELL_mde) > 0.05);
	assert_non_null(
		cells_find(&cells, "qcow2-off", "first-write", "stall_share"));
	rows_done(&trials);
	rows_done(&series);
	rows_done(&hist);
	rows_done(&cells);
}

static void
assert_same_file(const char *a, const char *b)
{
	size_t na, nb;
	char *x = runs_get(a, &na), *y = runs_get(b, &nb);

	if (na != nb || memcmp(x, y, na) != 0)
		fail_msg("%s and %s differ", a, b);
	free(x);
	free(y);
}

static void
test_report_makes_the_same_again(void **state)
{
	static const char *const files[] = {"trials.csv", "cells.csv",
					    "series.csv", "hist.csv",
					    "run.json"};
	const char *const words[] = {"report", runs_path("again"), NULL};
	char a[64], b[64];

	(void)state;
	runs_copy("documented", "again", 0);
	(void)runs_program(words);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(a, sizeof(a), "again/%s", files[i]);
		(void)snprintf(b, sizeof(b), "documented/%s", files[i]);
		assert_same_file(a, b);
	}
	assert_int_equal(access(runs_path("again/lock"), F_OK), -1);
}

/* ---- cut anywhere -------------------------------------------------------- */

/* Whatever a crash leaves of the file: the rounds that are whole in it. */
static void
test_every_cut_keeps_the_whole_rounds(void **state)
{
	size_t size, nl = 0, closed = 0;
	char *all = runs_get("whole/trials.jsonl", &size);
	size_t step = size / 400 + 1;
	struct measured m;
	struct q2_err err;

	(void)state;
	runs_copy("whole", "cut", 0);
	for (size_t cut = 0; cut <= size; cut++) {
		if (cut > 0 && all[cut - 1] == '\n') {
			closed += strncmp(all + nl,
					  "{\"schema\":1,\"kind\":"
					  "\"round\"",
					  26) == 0;
			nl = cut;
		}
		/* all ends of lines and their neighbours, and some others */
		if (cut % step != 0 && cut - nl > 1 && cut < size &&
		    all[cut] != '\n')
			continue;
		runs_put("cut/trials.jsonl", all, cut);
		if (measured_load(&m, runs_path("cut"), &err) < 0)
			fail_msg("cut at %zu: %s", cut, err.text);
		assert_int_equal(m.of[MEASURED_SUITE].n, closed);
		assert_int_equal(m.of[MEASURED_SUITE].trials.n, closed * 12);
		assert_int_equal(m.torn, cut > nl);
		measured_done(&m);
	}
	assert_int_equal(closed, ROUNDS);
	free(all);
	runs_remove("cut");
}

static void
test_a_cut_run_goes_on(void **state)
{
	size_t size;
	char *all = runs_get("whole/trials.jsonl", &size);

	(void)state;
	free(all);
	for (unsigned i = test_rounds(1); i > 0; i--) {
		size_t cut = 1 + rng_below(&rng, size - 1);

		runs_copy("whole", "cut", cut);
		assert_resumed("cut", ROUNDS, "whole");
		runs_remove("cut");
	}
	/* nothing but run.json */
	runs_copy("whole", "cut", 1);
	assert_resumed("cut", ROUNDS, "whole");
	runs_remove("cut");
	/* all but the files made at the end */
	runs_copy("whole", "cut", 0);
	assert_resumed("cut", ROUNDS, "whole");
	assert_same_file("cut/trials.jsonl", "whole/trials.jsonl");
	runs_remove("cut");
}

/* ---- killed -------------------------------------------------------------- */

/* A run, or what goes on with it: killed wait_ms after text is n times in the
 * file. */
static void
start_and_kill(const char *const *words, const char *file, const char *text,
	       unsigned n, unsigned wait_ms)
{
	pid_t pid = runs_start(words);
	int code;

	runs_await(file, text, n);
	/* Any moment after that will do: this is no waiting for something. */
	(void)poll(NULL, 0, (int)wait_ms);
	(void)kill(pid, SIGKILL);
	code = runs_wait(pid);
	assert_true(code == 137 || code == 0);
}

/* One run that is killed before each of its rounds. */
static void
test_killed_between_rounds(void **state)
{
	const char *const resume[] = {"run", "--resume", runs_path("killed"),
				      NULL};

	(void)state;
	start_and_kill(RUNS_TINY("killed", ROUNDS_WORD), "killed/run.json",
		       "\"running\"", 1, 0);
	for (unsigned n = 1; n < ROUNDS; n++)
		start_and_kill(resume, "killed/trials.jsonl",
			       "\"kind\":\"round\"", n, 0);
	assert_resumed("killed", ROUNDS, "whole");
	runs_remove("killed");
}

/* A run, and the one that goes on with it, and so on. */
static void
test_killed_at_any_moment(void **state)
{
	const char *const resume[] = {"run", "--resume", runs_path("killed"),
				      NULL};

	(void)state;
	start_and_kill(RUNS_TINY("killed", ROUNDS_WORD), "killed/run.json",
		       "\"running\"", 1, (unsigned)rng_below(&rng, 1500));
	for (unsigned i = test_rounds(3); i > 0; i--)
		start_and_kill(resume, "killed/run.json", "\"schema\"", 1,
			       (unsigned)rng_below(&rng, 1500));
	assert_resumed("killed", ROUNDS, "whole");
	runs_remove("killed");
}

/* What was left of the killed: folders of images, removed when asked. */
static void
test_killed_images_are_removed(void **state)
{
	const char *const words[] = {"run",     "overhead",
				     "--quick", "--image-size",
				     "16m",     "--requests",
				     "64",      "--rounds",
				     "1",       "--dir",
				     runs_dir,  "--remove-stale",
				     "--out",   runs_path("removes"),
				     NULL};
	char command[128];

	(void)state;
	assert_int_equal(mkdir(runs_path("qcowbench-work-mine"), 0777), 0);
	runs_put("qcowbench-work-mine/disk.qcow2", "mine", 4);
	assert_int_equal(runs_program(words), 0);
	(void)snprintf(command, sizeof(command),
		       "test \"$(cd %s && echo qcowbench-work-*)\" = "
		       "qcowbench-work-mine",
		       runs_dir);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
	runs_remove("qcowbench-work-mine");
	runs_remove("removes");
}

/* ---- one writer ---------------------------------------------------------- */

static void
assert_refused(const char *const *words, int code, const char *why)
{
	size_t size;
	char *text;

	assert_int_equal(runs_program(words), code);
	text = runs_get("err", &size);
	if (!strstr(text, why))
		fail_msg("'%s' is not in '%s'", why, text);
	free(text);
}

static void
test_one_writer(void **state)
{
	const char *const resume[] = {"run", "--resume", runs_path("busy"),
				      NULL};
	const char *const report[] = {"report", runs_path("busy"), NULL};
	const char *const look[] = {"report", runs_path("busy"), "--format",
				    "json", NULL};
	pid_t pid = runs_start(RUNS_TINY("busy", "1000"));
	char who[64];

	(void)state;
	runs_await("busy/trials.jsonl", "\"kind\":\"round\"", 1);
	/* the files of its talk are taken by the others from here on */
	(void)snprintf(who, sizeof(who), "process %ld is writing there",
		       (long)pid);
	assert_refused(RUNS_TINY("busy", "1"), 2, "exists");
	assert_refused(resume, 2, who);
	assert_refused(report, 2, who);
	assert_int_equal(runs_program(look), 0);
	(void)kill(pid, SIGTERM);
	assert_int_equal(runs_wait(pid), 130);
	assert_int_equal(access(runs_path("busy/lock"), F_OK), -1);
	assert_int_equal(runs_program(report), 0);
	runs_remove("busy");
}

static void
test_what_contradicts_is_refused(void **state)
{
	const char *out;

	(void)state;
	/* Nothing is left to do: a resume that is not refused is over soon. */
	runs_copy("whole", "cut", 0);
	out = runs_path("cut");
#define REFUSED(why, ...)                                            \
	assert_refused((const char *const[]){"run", "--resume", out, \
					     __VA_ARGS__, NULL},     \
		       2, why)
	REFUSED("--seed 8 contradicts", "--seed", "8");
	REFUSED("--rounds 5 contradicts", "--rounds", "5");
	REFUSED("--image-size 33554432 contradicts", "--image-size", "32m");
	REFUSED("--requests 32 contradicts", "--requests", "32");
	REFUSED("--size 1048576 contradicts", "--size", "1m");
	REFUSED("--cache writeback contradicts", "--cache", "writeback");
	REFUSED("--dir / contradicts", "--dir", "/");
	REFUSED("--out x contradicts", "--out", "x");
	REFUSED("the suite overhead contradicts", "overhead");
#undef REFUSED
	/* what agrees is not refused */
	assert_int_equal(runs_program((const char *const[]){
				 "run", "aa", "--resume", out, "--seed", "7",
				 "--rounds", ROUNDS_WORD, "--quick", NULL}),
			 0);
	runs_remove("cut");
}

/* ---- disks, terminals ---------------------------------------------------- */

/* The folder goes away under a run: it ends, with a reason. */
static void
test_folder_removed(void **state)
{
	pid_t pid = runs_start(RUNS_TINY("gone", "1000"));
	size_t size;
	char *text;

	(void)state;
	runs_await("gone/trials.jsonl", "\"kind\":\"round\"", 2);
	runs_remove("gone");
	assert_int_equal(runs_wait(pid), 6);
	text = runs_get("err", &size);
	assert_non_null(strstr(text, "removed while it was written"));
	free(text);
	/* what was measured is at least shown */
	text = runs_get("out", &size);
	assert_non_null(strstr(text, "raw-a"));
	free(text);
}

static void
test_usr1_asks_how_far_it_is(void **state)
{
	pid_t pid = runs_start(RUNS_TINY("asked", "1000"));

	(void)state;
	runs_await("asked/trials.jsonl", "\"kind\":\"round\"", 1);
	assert_int_equal(kill(pid, SIGUSR1), 0);
	runs_await("err", " kept\n", 1);
	assert_int_equal(kill(pid, SIGHUP), 0);
	assert_int_equal(runs_wait(pid), 130);
	runs_await("err",
		   "of 1000 rounds are kept; to go on: qcowbench run "
		   "--resume",
		   1);
	runs_check_csv("asked");
	runs_remove("asked");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_are_as_documented),
		cmocka_unit_test(test_turns_and_histograms_add_up),
		cmocka_unit_test(test_report_makes_the_same_again),
		cmocka_unit_test(test_every_cut_keeps_the_whole_rounds),
		cmocka_unit_test(test_a_cut_run_goes_on),
		cmocka_unit_test(test_killed_between_rounds),
		cmocka_unit_test(test_killed_at_any_moment),
		cmocka_unit_test(test_killed_images_are_removed),
		cmocka_unit_test(test_one_writer),
		cmocka_unit_test(test_what_contradicts_is_refused),
		cmocka_unit_test(test_folder_removed),
		cmocka_unit_test(test_usr1_asks_how_far_it_is),
	};

	return cmocka_run_group_tests(tests, set_up, runs_tear_down);
}
