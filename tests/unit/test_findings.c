/* SPDX-License-Identifier: MIT */
/*
 * test_findings.c - the sentences of judge=: one made-up run for each verdict
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "harness/cells.h"
#include "harness/findings.h"
#include "tests/trials.h"

struct told {
	struct rows trials, cells;
	struct findings f;
};

static void
tell(struct told *told, const struct world *world, const char *pass,
     const char *metric)
{
	const struct cells_opts opts = {.reference = "raw-written"};
	json_t *judge = json_array(), *pair = json_object();

	*told = (struct told){0};
	(void)json_object_set_new(pair, "pass", json_string(pass));
	(void)json_object_set_new(pair, "metric", json_string(metric));
	(void)json_array_append_new(judge, pair);
	trials_make(world, &told->trials);
	cells_compute(&told->trials, &opts, &told->cells);
	findings_of_cells(&told->cells, judge, opts.reference, &told->f);
	/* The texts of pass and metric are in judge. */
	assert_int_equal(told->f.n, 1);
	told->f.of[0].pass = pass;
	told->f.of[0].metric = metric;
	json_decref(judge);
}

static void
tell_done(struct told *told)
{
	findings_done(&told->f);
	rows_done(&told->cells);
	rows_done(&told->trials);
}

static struct world
world_of(double off, double noise, unsigned rounds)
{
	struct world world = world_usual;

	world.rounds = rounds;
	world.noise = noise;
	for (int i = 0; i < WORLD_CONFIGS; i++)
		world.first_write[i] = i == RAW_WRITTEN ? 1
				       : i == OFF       ? off
							: 0;
	return world;
}

static void
assert_told(double off, double noise, enum verdict verdict, const char *words)
{
	struct world world = world_of(off, noise, 6);
	struct told told;

	tell(&told, &world, "first-write", "iops");
	assert_int_equal(told.f.of[0].n, 1);
	assert_int_equal(told.f.of[0].v[0].verdict, verdict);
	if (!strstr(told.f.of[0].sentence, words))
		print_error("%s\n", told.f.of[0].sentence);
	assert_non_null(strstr(told.f.of[0].sentence, words));
	assert_int_equal(told.f.exit_code,
			 verdict == VERDICT_CANNOT_TELL ? 4 : 0);
	tell_done(&told);
}

static void
test_each_verdict_has_its_words(void **state)
{
	(void)state;
	assert_told(0.5, 0.001, VERDICT_REGRESSION,
		    "first-write, requests per second: worse than "
		    "raw-written: qcow2-off (-50%");
	assert_told(3, 0.001, VERDICT_IMPROVEMENT,
		    "better than raw-written: qcow2-off (3.0 times");
	assert_told(1.01, 0.001, VERDICT_SAME,
		    "the same within 5%: qcow2-off (+1");
	assert_told(0.95, 0.004, VERDICT_MINOR,
		    "different, but perhaps by less than 5%: qcow2-off (-");
	assert_told(1, 0.2, VERDICT_CANNOT_TELL, "cannot tell: qcow2-off (");
	assert_told(1, 0.2, VERDICT_CANNOT_TELL, "rounds would tell)");
	assert_told(3, 0.5, VERDICT_IMPROVEMENT, " times, 1.");
}

static void
test_less_is_better_where_it_is(void **state)
{
	struct world world = world_of(0.4, 0.001, 6);
	struct told told;

	(void)state;
	tell(&told, &world, "first-write", "duration_s");
	assert_non_null(strstr(told.f.of[0].sentence,
			       "first-write, time: worse than raw-written: "
			       "qcow2-off (2.5 times"));
	tell_done(&told);
}

static void
test_few_rounds_judge_nothing(void **state)
{
	struct world world = world_of(0.5, 0.001, 5);
	struct told told;

	(void)state;
	tell(&told, &world, "first-write", "iops");
	assert_int_equal(told.f.of[0].n, 0);
	assert_int_equal(told.f.exit_code, 4);
	assert_int_equal(told.f.nnotes, 1);
	assert_non_null(strstr(told.f.notes[0], "they take 6 whole rounds"));
	tell_done(&told);
}

static void
test_memory_is_no_disk(void **state)
{
	struct world world = world_of(0.5, 0.001, 6);
	struct told told;

	(void)state;
	world.filesystem = "tmpfs";
	tell(&told, &world, "first-write", "iops");
	assert_int_equal(told.f.nnotes, 1);
	assert_non_null(strstr(told.f.notes[0], "measured in memory"));
	tell_done(&told);
}

static void
test_several_are_named_in_one_sentence(void **state)
{
	struct world world = world_of(0.5, 0.001, 6);
	struct told told;
	json_t *json;

	(void)state;
	world.first_write[METADATA] = 0.4;
	world.first_write[FULL] = 1;
	tell(&told, &world, "first-write", "iops");
	assert_non_null(strstr(told.f.of[0].sentence, "qcow2-off (-50%"));
	assert_non_null(
		strstr(told.f.of[0].sentence, " and qcow2-metadata (-60%"));
	assert_non_null(strstr(told.f.of[0].sentence,
			       "; the same within 5%: qcow2-full ("));
	json = findings_json(&told.f);
	assert_int_equal(json_array_size(json_object_get(
				 json_array_get(json, 0), "verdicts")),
			 3);
	json_decref(json);
	tell_done(&told);
}

static void
print_to(char *text, size_t size, const struct findings *f)
{
	FILE *out = fmemopen(text, size, "w");

	assert_non_null(out);
	findings_print(f, out);
	assert_int_equal(fclose(out), 0);
}

static void
test_lines_for_people_and_the_sum(void **state)
{
	struct world world = world_of(0.5, 0.001, 6);
	struct told told;
	static char text[8192];
	const char *sum;

	(void)state;
	world.first_write[METADATA] = 1.5;
	world.first_write[FULL] = 3;
	tell(&told, &world, "first-write", "iops");
	print_to(text, sizeof(text), &told.f);
	assert_non_null(strstr(
		text, "first-write, requests per second, against raw-written:\n"
		      "  better: qcow2-metadata (+50%"));
	assert_non_null(strstr(text, " and qcow2-full (3.0 times"));
	assert_non_null(strstr(text, "\n  worse: qcow2-off (-50%"));
	sum = strstr(text, "\nIn sum, better in something and worse in nothing "
			   "that is judged:");
	assert_non_null(sum);
	assert_non_null(strstr(sum, "qcow2-metadata, qcow2-full."));
	assert_null(strstr(sum, "qcow2-off"));
	tell_done(&told);
	world = world_of(0.5, 0.001, 6);
	tell(&told, &world, "first-write", "iops");
	assert_non_null(strstr(told.f.sum, "nothing is better than "
					   "raw-written in something"));
	tell_done(&told);
}

/* Processor time for the bytes: no column of its own. */
static void
test_processor_time_per_gib(void **state)
{
	const struct cells_opts opts = {.reference = "raw-written"};
	struct world world = world_of(1, 0.001, 6);
	struct rows trials = {0}, cells = {0};
	const struct record *cell;

	(void)state;
	trials_make(&world, &trials);
	for (size_t i = 0; i < trials.n; i++) {
		record_set_real(trials.v[i], TRIAL_cpu_user_s, 0.3);
		record_set_real(trials.v[i], TRIAL_cpu_sys_s, 0.1);
	}
	cells_compute(&trials, &opts, &cells);
	/* 8192 requests of 4 KiB are 32 MiB. */
	cell = cells_find(&cells, "qcow2-off", "first-write", "cpu_s_per_gib");
	assert_non_null(cell);
	assert_float_equal(record_real(cell, CELL_median), 0.4 * 32, 1e-9);
	assert_string_equal(record_text(cell, CELL_verdict), "same");
	assert_null(cells_find(&cells, "qcow2-off", "create", "cpu_s_per_gib"));
	rows_done(&cells);
	rows_done(&trials);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_verdict_has_its_words),
		cmocka_unit_test(test_less_is_better_where_it_is),
		cmocka_unit_test(test_few_rounds_judge_nothing),
		cmocka_unit_test(test_memory_is_no_disk),
		cmocka_unit_test(test_several_are_named_in_one_sentence),
		cmocka_unit_test(test_lines_for_people_and_the_sum),
		cmocka_unit_test(test_processor_time_per_gib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
