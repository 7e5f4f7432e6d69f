/* SPDX-License-Identifier: MIT */
/*
 * Whole rounds with the real program as child, tiny and on tmpfs: the same
 * work for all, another order of creation in each round, no read of holes; and
 * what becomes of a round in which a child goes wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/commit.h"
#include "harness/rounds.h"
#include "harness/workdir.h"

static struct workdir work;
static struct env env;
static char real[PATH_MAX], fake[PATH_MAX];

static struct plan
tiny_plan(const char *suite, const char *aio, const char *cache)
{
	static const struct probe probe = {.iops = 640, .bytes_per_s = 1e9};
	struct wishes wishes = {
		.suite = suites_find(suite),
		.quick = true,
		.seed = 42,
		.disk_bytes = GiB,
		.aio = aio,
		.cache = cache,
	};
	struct plan plan;
	struct q2_err err;

	assert_non_null(wishes.suite);
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 16 * MiB, 192, &probe, GiB, &err),
			 0);
	return plan;
}

static void
assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void
run_one(const struct rounds *r, uint64_t number, struct round *round)
{
	struct q2_err err = {0};
	enum bench_exit code;

	rounds_order(r->plan, number, round);
	code = round_run(r, round, &err);
	if (code != BENCH_OK)
		print_error("%s\n", err.text);
	assert_int_equal(code, BENCH_OK);
	assert_no_children();
}

/* ---- what a good round is ---------------------------------------------- */

static void
check_record(const struct plan *plan, const struct round *round,
	     const struct record *rec)
{
	size_t pass = record_int(rec, TRIAL_pass_index) - 1;
	const struct plan_pass *pp = &plan->passes[pass];

	assert_null(record_missing(rec));
	assert_string_equal(record_text(rec, TRIAL_git_commit),
			    commit_built_from);
	assert_string_equal(record_text(rec, TRIAL_pass), pp->pass->name);
	assert_int_equal(record_int(rec, TRIAL_round), round->number);
	assert_true(record_real(rec, TRIAL_duration_s) > 0);
	if (pp->pass->op != PASS_STREAM)
		return;
	assert_int_equal(record_int(rec, TRIAL_ops), pp->stream.ops);
	assert_int_equal(record_int(rec, TRIAL_slices), pp->cut.turns);
	if (!record_has(rec, TRIAL_host_write_bytes))
		assert_string_equal(record_text(rec, TRIAL_target), "null");
	else if (pp->stream.write)
		assert_true(record_int(rec, TRIAL_host_write_bytes) >=
			    record_int(rec, TRIAL_write_bytes));
	else
		assert_true(record_int(rec, TRIAL_host_read_bytes) >=
			    record_int(rec, TRIAL_read_bytes));
}

/* The machine before and after, and the images of those that have files. */
static void
check_state(const struct plan *plan, const struct round *round)
{
	const json_t *before = json_object_get(round->state, "before");
	const json_t *after = json_object_get(round->state, "after");
	const json_t *resident = json_object_get(round->state,
						 "resident_bytes");

	assert_true(json_real_value(json_object_get(before, "at_s")) > 0);
	assert_true(json_real_value(json_object_get(after, "at_s")) >=
		    json_real_value(json_object_get(before, "at_s")) +
			    round->seconds);
	assert_true(json_is_integer(json_object_get(after, "free_bytes")));
	for (size_t c = 0; c < plan->nconfigs; c++)
		assert_int_equal(json_is_integer(json_object_get(
					 resident, plan->configs[c]->label)),
				 plan_config_has_file(plan->configs[c]));
}

/* Each pass: all that do it are there, and did the same. */
static void
check_round(const struct plan *plan, const struct round *round)
{
	const struct rows *rows = &round->trials;
	size_t at = 0;

	check_state(plan, round);
	for (size_t p = 0; p < plan->npasses; p++) {
		const char *hash = NULL;

		for (size_t c = 0; c < plan->nconfigs; c++) {
			if (!plan_does(plan, c, p))
				continue;
			assert_true(at < rows->n);
			check_record(plan, round, rows->v[at]);
			assert_int_equal(
				record_int(rows->v[at], TRIAL_pass_index),
				p + 1);
			if (!hash)
				hash = record_text(rows->v[at],
						   TRIAL_stream_hash);
			assert_string_equal(
				hash,
				record_text(rows->v[at], TRIAL_stream_hash));
			at++;
		}
	}
	assert_int_equal(at, rows->n);
}

static void
test_a_square_of_rounds(void **state)
{
	struct plan plan = tiny_plan("preallocation", NULL, "none");
	unsigned place[6][6] = {{0}};
	struct rounds r;

	(void)state;
	assert_true(plan.passes[2].cut.turns > 1);
	rounds_init(&r, &plan, &env, work.path);
	r.program = real;
	for (uint64_t i = 1; i <= 6; i++) {
		struct round round;

		run_one(&r, i, &round);
		check_round(&plan, &round);
		assert_true(round.series.n > 0);
		for (unsigned j = 0; j < 6; j++)
			place[round.order[j]][j]++;
		round_done(&round);
		workdir_empty(&work);
	}
	/* Everybody has stood everywhere once. */
	for (unsigned c = 0; c < 6; c++)
		for (unsigned j = 0; j < 6; j++)
			assert_int_equal(place[c][j], 1);
}

static void
check_form(const char *suite, const char *aio, const char *cache)
{
	struct plan plan = tiny_plan(suite, aio, cache);
	struct round round;
	struct rounds r;

	rounds_init(&r, &plan, &env, work.path);
	r.program = real;
	run_one(&r, 1, &round);
	check_round(&plan, &round);
	round_done(&round);
	workdir_empty(&work);
}

static void
test_other_backends_and_modes(void **state)
{
	(void)state;
	check_form("preallocation", "threads", "none");
	check_form("preallocation", "libaio", "none");
	check_form("preallocation", NULL, "writeback");
	check_form("aa6", NULL, "none");
	check_form("aa", NULL, "unsafe");
	check_form("aa", NULL, "directsync");
}

static void
test_null_needs_no_files(void **state)
{
	(void)state;
	check_form("overhead", NULL, NULL);
	/* The folder holds its marker alone. */
	assert_int_equal(access(work.path, F_OK), 0);
}

static void
test_ids_tell_trials_apart(void **state)
{
	struct plan plan = tiny_plan("aa", NULL, "none");
	char a[ID_SIZE], b[ID_SIZE], again[ID_SIZE];
	struct rounds r;

	(void)state;
	rounds_init(&r, &plan, &env, work.path);
	rounds_trial_id(&r, 0, 1, a);
	rounds_trial_id(&r, 1, 1, b);
	assert_string_not_equal(a, b);
	rounds_trial_id(&r, 0, 2, b);
	assert_string_not_equal(a, b);
	rounds_trial_id(&r, 0, 1, again);
	assert_string_equal(a, again);
}

/* ---- a child that goes wrong ------------------------------------------- */

/* raw-b is done by body, with $spec and $real; all others by the program. */
static void
check_bad(const char *body, enum bench_exit code, const char *text)
{
	struct plan plan = tiny_plan("aa", NULL, "none");
	struct q2_err err = {0};
	struct round round;
	struct rounds r;
	FILE *f = fopen(fake, "we");

	assert_non_null(f);
	assert_true(fprintf(f,
			    "#!/bin/sh\nreal=%s\nread -r spec\n"
			    "case $spec in\n*'\"raw-b\"'*) %s ;;\n"
			    "*) { echo \"$spec\"; cat; } | $real trial ;;\n"
			    "esac\n",
			    real, body) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(fake, 0755), 0);
	rounds_init(&r, &plan, &env, work.path);
	r.program = fake;
	rounds_order(&plan, 1, &round);
	assert_int_equal(round_run(&r, &round, &err), code);
	if (!strstr(err.text, text))
		print_error("got: %s\n", err.text);
	assert_non_null(strstr(err.text, text));
	assert_no_children();
	round_done(&round);
	workdir_empty(&work);
}

static void
test_other_operations_are_no_comparison(void **state)
{
	(void)state;
	check_bad("{ echo \"$spec\"; cat; } | $real trial | "
		  "sed -u 's/\"stream_hash\":\"[0-9a-f]*\"/"
		  "\"stream_hash\":\"5555555555555555\"/'",
		  BENCH_NOTHING, "has done other operations");
}

static void
test_a_child_that_dies_ends_the_round(void **state)
{
	(void)state;
	check_bad("echo '{\"ok\":true}'; read -r l; kill -KILL $$", BENCH_TRIAL,
		  "the process of raw-b was killed by signal 9");
	check_bad("echo '{\"ok\":true}'; read -r l; exit 3", BENCH_TRIAL,
		  "ended early, status 3");
}

static void
test_a_record_that_is_none_ends_the_round(void **state)
{
	(void)state;
	check_bad("while echo '{\"ok\":true}' && read -r l; do :; done",
		  BENCH_TRIAL, "the record of raw-b");
}

static void
test_an_image_that_cannot_be_made(void **state)
{
	struct plan plan = tiny_plan("aa", NULL, "none");
	struct q2_err err = {0};
	struct round round;
	struct rounds r;

	(void)state;
	rounds_init(&r, &plan, &env, "/nowhere");
	r.program = real;
	rounds_order(&plan, 1, &round);
	assert_int_equal(round_run(&r, &round, &err), BENCH_TRIAL);
	assert_non_null(strstr(err.text, "No such file or directory"));
	assert_non_null(strstr(err.text, "/nowhere/raw-"));
	assert_no_children();
	round_done(&round);
}

/* ------------------------------------------------------------------------ */

static int
set_up(void **state)
{
	const char *dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm"
							: "/var/tmp";
	struct q2_err err = {0};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *cut;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	if (n < 0)
		return -1;
	self[n] = '\0';
	/* build/MODE/tests/harness/test_rounds */
	cut = strstr(self, "/tests/harness/");
	if (!cut)
		return -1;
	*cut = '\0';
	(void)snprintf(real, sizeof(real), "%.4000s/qcowbench", self);
	if (workdir_make(&work, dir, &err) < 0 || env_read(&env, dir, &err) < 0)
		return -1;
	(void)snprintf(fake, sizeof(fake), "%s.fake", work.path);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(fake);
	workdir_done(&work, false);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_square_of_rounds),
		cmocka_unit_test(test_other_backends_and_modes),
		cmocka_unit_test(test_null_needs_no_files),
		cmocka_unit_test(test_ids_tell_trials_apart),
		cmocka_unit_test(test_other_operations_are_no_comparison),
		cmocka_unit_test(test_a_child_that_dies_ends_the_round),
		cmocka_unit_test(test_a_record_that_is_none_ends_the_round),
		cmocka_unit_test(test_an_image_that_cannot_be_made),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
