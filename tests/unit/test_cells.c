/* SPDX-License-Identifier: MIT */
/*
 * test_cells.c - from trials to cells, and the table of them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/cells.h"
#include "harness/table.h"
#include "tests/trials.h"

static const struct cells_contrast contrasts[] = {
	{"qcow2-off", "raw-sparse"},
	{"qcow2-falloc", "raw-falloc"},
	{"qcow2-full", "raw-written"},
};

static const struct cells_opts usual = {
	.reference = "raw-written",
	.baseline = "qcow2-off",
	.contrasts = contrasts,
	.ncontrasts = 3,
};

/* Trials of one column by hand: label, round, value; 0 ends the list. */
struct shot {
	const char *label;
	unsigned round;
	double iops;
	unsigned attempt; /* 0: 1 */
	const char *error;
};

static void
add_shots(struct rows *rows, const struct shot *shots, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct record *rec = record_new(&table_trials);

		record_set_text(rec, TRIAL_label, shots[i].label);
		record_set_text(rec, TRIAL_pass, "read");
		record_set_text(rec, TRIAL_rw, "randread");
		record_set_int(rec, TRIAL_session, 1);
		record_set_int(rec, TRIAL_round, shots[i].round);
		record_set_int(rec, TRIAL_attempt,
			       shots[i].attempt ? shots[i].attempt : 1);
		record_set_bool(rec, TRIAL_modelled, false);
		record_set_text(rec, TRIAL_error, shots[i].error);
		if (shots[i].iops >= 0)
			record_set_real(rec, TRIAL_iops, shots[i].iops);
		rows_add(rows, rec);
	}
}

static void
assert_real(const struct record *rec, int col, double want)
{
	double got = record_real(rec, col);

	if (!(fabs(got - want) <= 1e-12 * fabs(want)))
		fail_msg("%s is %.17g, not %.17g",
			 table_cells.columns[col].name, got, want);
}

/* A run that was taken up again is one series of rounds; a second session that
 * confirms has a seed of its own, and cells of its own. */
static void
test_sessions_of_one_seed_are_one_series(void **state)
{
	static const struct shot shots[] = {
		{"a", 1, 10, 0, NULL}, {"b", 1, 11, 0, NULL},
		{"a", 2, 10, 0, NULL}, {"b", 2, 11, 0, NULL},
		{"a", 3, 10, 0, NULL}, {"b", 3, 11, 0, NULL},
		{"a", 4, 10, 0, NULL}, {"b", 4, 11, 0, NULL},
		{"a", 5, 10, 0, NULL}, {"b", 5, 11, 0, NULL},
		{"a", 6, 10, 0, NULL}, {"b", 6, 11, 0, NULL},
	};
	struct cells_opts opts = {.reference = "a"};

	(void)state;
	for (uint64_t seeds = 1; seeds <= 2; seeds++) {
		struct rows trials = {0}, cells = {0};
		const struct record *rec;

		add_shots(&trials, shots, ARRAY_SIZE(shots));
		for (size_t i = 0; i < trials.n; i++) {
			uint64_t second = i >= 6;

			record_set_int(trials.v[i], TRIAL_session, 1 + second);
			record_set_int(trials.v[i], TRIAL_seed,
				       seeds == 2 ? second : 0);
		}
		cells_compute(&trials, &opts, &cells);
		assert_int_equal(cells.n, 2 * seeds);
		rec = cells_find(&cells, "b", "read", "iops");
		assert_non_null(rec);
		assert_int_equal(record_int(rec, CELL_n), 6 / seeds);
		assert_int_equal(record_has(rec, CELL_ratio_lo), seeds == 1);
		assert_int_equal(record_int(rec, CELL_session), 1);
		rows_done(&trials);
		rows_done(&cells);
	}
}

static void
test_ratios_are_paired_by_round(void **state)
{
	/* Rounds differ tenfold, b is always 1.1 times a; out of order. */
	static const struct shot shots[] = {
		{"b", 3, 1100, 0, NULL},  {"a", 1, 10, 0, NULL},
		{"a", 2, 100, 0, NULL},   {"b", 1, 11, 0, NULL},
		{"a", 3, 1000, 0, NULL},  {"b", 2, 110, 0, NULL},
		{"a", 4, 1e4, 0, NULL},   {"a", 5, 1e5, 0, NULL},
		{"b", 5, 1.1e5, 0, NULL}, {"b", 4, 1.1e4, 0, NULL},
		{"a", 6, 1e6, 0, NULL},   {"b", 6, 1.1e6, 0, NULL},
		{"b", 7, 77, 0, NULL}, /* no partner */
	};
	struct cells_opts opts = {.reference = "a"};
	struct rows trials = {0}, cells = {0};
	const struct record *rec;

	(void)state;
	add_shots(&trials, shots, ARRAY_SIZE(shots));
	cells_compute(&trials, &opts, &cells);
	rec = cells_find(&cells, "b", "read", "iops");
	assert_non_null(rec);
	assert_int_equal(record_int(rec, CELL_n), 7);
	assert_real(rec, CELL_median, 1100);
	assert_real(rec, CELL_ci_lo, 11);
	assert_real(rec, CELL_ci_hi, 1.1e6);
	assert_real(rec, CELL_ratio_to_reference, 1.1);
	assert_real(rec, CELL_ratio_lo, 1.1);
	assert_real(rec, CELL_ratio_hi, 1.1);
	assert_string_equal(record_text(rec, CELL_verdict), "improvement");
	assert_string_equal(record_text(rec, CELL_better), "higher");
	assert_string_equal(record_text(rec, CELL_unit), "1/s");
	assert_true(record_real(rec, CELL_mde) < 0.06);
	rec = cells_find(&cells, "a", "read", "iops");
	assert_false(record_has(rec, CELL_ratio_to_reference));
	assert_false(record_has(rec, CELL_verdict));
	assert_null(cells_find(&cells, "b", "read", "flush_s"));
	rows_done(&trials);
	rows_done(&cells);
}

static void
test_only_the_last_attempt_counts(void **state)
{
	static const struct shot shots[] = {
		{"a", 1, 50, 1, NULL},  {"b", 1, 51, 1, NULL},
		{"a", 1, 100, 2, NULL}, {"b", 1, 200, 2, NULL},
		{"a", 2, 100, 1, NULL}, {"b", 2, -1, 1, "I/O error"},
		{"a", 3, 300, 1, NULL}, {"b", 3, 600, 1, NULL},
	};
	struct cells_opts opts = {.reference = "a"};
	struct rows trials = {0}, cells = {0};
	struct cells_pair pair = {"a", "b", "read", TRIAL_iops};
	const struct record *rec;
	double a[8], b[8];

	(void)state;
	add_shots(&trials, shots, ARRAY_SIZE(shots));
	assert_int_equal(cells_whole_rounds(&trials, "read"), 2);
	assert_int_equal(cells_whole_rounds(&trials, "write"), 0);
	assert_int_equal(cells_pairs(&trials, &pair, a, b, 8), 2);
	assert_true(a[0] == 100 && b[0] == 200 && a[1] == 300 && b[1] == 600);
	assert_int_equal(cells_pairs(&trials, &pair, a, b, 1), 1);
	cells_compute(&trials, &opts, &cells);
	rec = cells_find(&cells, "b", "read", "iops");
	assert_int_equal(record_int(rec, CELL_n), 2);
	assert_int_equal(record_int(rec, CELL_n_flagged), 1);
	assert_string_equal(record_text(rec, CELL_flags), "error");
	assert_real(rec, CELL_ratio_to_reference, 2);
	/* two pairs have no interval, and so no verdict */
	assert_false(record_has(rec, CELL_ratio_lo));
	assert_false(record_has(rec, CELL_verdict));
	assert_false(record_has(rec, CELL_mde));
	assert_false(record_has(rec, CELL_ci_lo));
	rows_done(&trials);
	rows_done(&cells);
}

static void
test_zero_has_no_ratio(void **state)
{
	struct cells_opts opts = {.reference = "a"};
	struct rows trials = {0}, cells = {0};
	const struct record *rec;
	struct shot shots[12];

	(void)state;
	for (unsigned i = 0; i < 12; i++)
		shots[i] = (struct shot){i % 2 ? "a" : "b", 1 + i / 2,
					 i == 3 ? 0 : 5, 0, NULL};
	add_shots(&trials, shots, 12);
	cells_compute(&trials, &opts, &cells);
	rec = cells_find(&cells, "b", "read", "iops");
	assert_true(record_has(rec, CELL_median));
	assert_false(record_has(rec, CELL_ratio_to_reference));
	assert_int_equal(record_bool(rec, CELL_exact), 0);
	rows_done(&trials);
	rows_done(&cells);
}

static void
test_rows_are_complete(void **state)
{
	struct rows trials = {0}, cells = {0};
	const struct record *rec;

	(void)state;
	trials_make(&world_usual, &trials);
	cells_compute(&trials, &usual, &cells);
	for (size_t i = 0; i < cells.n; i++)
		assert_null(record_missing(cells.v[i]));
	rec = cells_find(&cells, "qcow2-off", "first-write", "iops");
	assert_string_equal(record_text(rec, CELL_contrast_label),
			    "raw-sparse");
	assert_string_equal(record_text(rec, CELL_reference_cell),
			    "000001000001");
	assert_string_equal(record_text(rec, CELL_preallocation), "off");
	assert_true(fabs(record_real(rec, CELL_ratio_to_contrast) -
			 0.55 / 0.7) < 0.02);
	assert_false(record_has(rec, CELL_ratio_to_baseline));
	assert_string_equal(record_text(rec, CELL_baseline_label), "qcow2-off");
	rec = cells_find(&cells, "qcow2-falloc", "first-write", "iops");
	/* raw-falloc was not measured */
	assert_false(record_has(rec, CELL_contrast_label));
	assert_string_equal(record_text(rec, CELL_baseline_verdict),
			    "improvement");
	rec = cells_find(&cells, "qcow2-falloc", "create", "duration_s");
	assert_string_equal(record_text(rec, CELL_better), "lower");
	assert_string_equal(record_text(rec, CELL_baseline_verdict),
			    "regression");
	rows_done(&trials);
	rows_done(&cells);
}

static void
test_labels_go_from_cheap_to_dear(void **state)
{
	struct world w = world_usual;
	struct rows trials = {0};
	Q2_AUTO_FREE const char **labels = NULL;
	size_t n;

	(void)state;
	w.first_write[OWN_OFF] = 1;
	trials_make(&w, &trials);
	labels = cells_labels(&trials, &n);
	assert_int_equal(n, WORLD_CONFIGS);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(labels[i], world_configs[i].label);
	rows_done(&trials);
}

/* ---- the table ----------------------------------------------------------- */

typedef void number_fn(double, char *, size_t);

static void
check(number_fn *fn, double v, const char *want)
{
	char text[32];

	fn(v, text, sizeof(text));
	assert_string_equal(text, want);
}

static void
test_numbers_for_people(void **state)
{
	(void)state;
	check(table_number, 0, "0.00");
	check(table_number, 1.236, "1.24");
	check(table_number, 9.996, "10.0");
	check(table_number, 99.96, "100");
	check(table_number, 999.7, "1000");
	check(table_number, 9999.4, "9999");
	check(table_number, 9999.6, "10.0k");
	check(table_number, 48210, "48.2k");
	check(table_number, 999600, "1.00M");
	check(table_seconds, 0.00085, "850 us");
	check(table_seconds, 0.0025, "2.5 ms");
	check(table_seconds, 0.0851, "85 ms");
	check(table_seconds, 0.9996, "1.00 s");
	check(table_seconds, 1.236, "1.24 s");
	check(table_seconds, 99.96, "1 min 40 s");
	check(table_seconds, 200.4, "3 min 20 s");
	check(table_seconds, 3599.7, "1 h 00 min");
	check(table_seconds, 7500, "2 h 05 min");
	check(table_bytes, 0, "0 B");
	check(table_bytes, 200704, "196 KiB");
	check(table_bytes, 1.25 * 0x1p30, "1.25 GiB");
	check(table_bytes, 0x1p34, "16 GiB");
	check(table_bytes, 1000, "0.98 KiB");
}

/* An interval stands in the unit of its value. */
static void
test_times_beside_another(void **state)
{
	static const struct {
		double like, s;
		const char *text;
	} v[] = {
		{0.0009, 0.0012, "1200 us"}, {0.0011, 0.0009, "0.9 ms"},
		{0.9, 1.1, "1100 ms"},       {1.1, 0.9, "0.90 s"},
		{90, 110, "110 s"},          {110, 90, "1 min 30 s"},
		{3500, 3700, "61 min 40 s"}, {3700, 3500, "0 h 58 min"},
		{0.0025, 0.0025, "2.5 ms"},
	};
	char text[24];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		table_seconds_like(v[i].like, v[i].s, text, sizeof(text));
		assert_string_equal(text, v[i].text);
	}
}

static char *
table_text(const struct rows *cells, const struct table_opts *opts)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_true(f != NULL);
	table_print(f, cells, opts);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* No line is longer than the width, none ends in a blank. */
static void
check_shape(const char *text, unsigned width)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len > width || (len && text[len - 1] == ' '))
			fail_msg("width %u: '%.*s'", width, (int)len, text);
		text += len + 1;
	}
}

static void
test_table_fits(void **state)
{
	struct table_opts opts = {.baseline = "qcow2-off"};
	struct rows trials = {0}, cells = {0};
	char *text;

	(void)state;
	trials_make(&world_usual, &trials);
	cells_compute(&trials, &usual, &cells);
	for (opts.width = TABLE_WIDTH_MIN; opts.width < 200; opts.width++) {
		text = table_text(&cells, &opts);
		check_shape(text, opts.width > 80 ? opts.width : 80);
		for (size_t i = 0; i < ARRAY_SIZE(world_passes); i++)
			assert_non_null(strstr(text, world_passes[i].name));
		assert_null(strchr(text, '\033'));
		free(text);
	}
	rows_done(&trials);
	rows_done(&cells);
}

static void
test_table_reads_well(void **state)
{
	struct table_opts opts = {.baseline = "qcow2-off", .width = 80};
	struct rows trials = {0}, cells = {0};
	FILE *f = fopen("tests/golden/table.txt", "re");
	static char want[8192];
	char *text;

	(void)state;
	trials_make(&world_usual, &trials);
	cells_compute(&trials, &usual, &cells);
	text = table_text(&cells, &opts);
	if (f) {
		want[fread(want, 1, sizeof(want) - 1, f)] = '\0';
		assert_int_equal(fclose(f), 0);
	}
	if (strcmp(text, want) != 0)
		fail_msg("tests/golden/table.txt is not:\n%s", text);
	free(text);
	opts.color = true;
	text = table_text(&cells, &opts);
	assert_non_null(strstr(text, "\033[2m"));
	free(text);
	rows_done(&trials);
	rows_done(&cells);
}

static void
test_table_of_few_rounds_without_reference(void **state)
{
	struct table_opts opts = {.width = 80};
	struct cells_opts none = {0};
	struct world w = world_usual;
	struct rows trials = {0}, cells = {0};
	char *text;

	(void)state;
	w.rounds = 2;
	trials_make(&w, &trials);
	cells_compute(&trials, &none, &cells);
	text = table_text(&cells, &opts);
	check_shape(text, 80);
	assert_non_null(strstr(text, "Medians of 2 rounds; no intervals from "
				     "fewer than 6."));
	assert_null(strchr(text, '%'));
	free(text);
	rows_done(&trials);
	rows_done(&cells);
	text = table_text(&cells, &opts);
	assert_string_equal(text, "");
	free(text);
}

/* Created in a random order, with raw in the middle of the plan. */
static void
test_order_is_that_of_the_plan(void **state)
{
	static const char *const plan[] = {"qcow2-full", "none-such",
					   "raw-written", "qcow2-off"};
	static const char *const want[] = {"qcow2-full", "raw-written",
					   "qcow2-off", "raw-sparse",
					   "qcow2-metadata"};
	struct cells_opts opts = usual;
	struct table_opts wide = {.width = 200};
	struct rows trials = {0}, cells = {0};
	Q2_AUTO_FREE const char **labels = NULL;
	char *text, *at;
	size_t n;

	(void)state;
	opts.labels = plan;
	opts.nlabels = ARRAY_SIZE(plan);
	trials_make(&world_usual, &trials);
	cells_compute(&trials, &opts, &cells);
	labels = cells_labels_in_order(&cells, &n);
	assert_true(n >= ARRAY_SIZE(want));
	at = text = table_text(&cells, &wide);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		char line[40];

		assert_string_equal(labels[i], want[i]);
		(void)snprintf(line, sizeof(line), "\n%s ", want[i]);
		at = strstr(at, line);
		assert_non_null(at);
	}
	free(text);
	rows_done(&trials);
	rows_done(&cells);
}

/* The ends of an interval of six rounds are the least and the greatest. */
static void
check_range(double lo, double hi, const char *want)
{
	struct table_opts wide = {.width = 80};
	struct cells_opts opts = {.reference = "a"};
	struct rows trials = {0}, cells = {0};
	char *text;

	for (unsigned round = 1; round <= 6; round++) {
		struct shot pair[] = {
			{"a", round, 1000, 0, NULL},
			{"b", round, 1000 * (round == 1 ? lo : hi), 0, NULL},
		};

		add_shots(&trials, pair, ARRAY_SIZE(pair));
	}
	cells_compute(&trials, &opts, &cells);
	text = table_text(&cells, &wide);
	if (!strstr(text, want))
		fail_msg("no '%s' in:\n%s", want, text);
	free(text);
	rows_done(&trials);
	rows_done(&cells);
}

static void
test_both_ends_have_one_unit(void **state)
{
	(void)state;
	check_range(0.5, 0.75, " 50..75 %\n");
	check_range(12, 101, " 12..101 x\n");
	check_range(1.5, 101, " 1.5..101 x\n");
	check_range(0.025, 101, " 0.025..101 x\n");
	check_range(9.99, 101, " 10..101 x\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sessions_of_one_seed_are_one_series),
		cmocka_unit_test(test_ratios_are_paired_by_round),
		cmocka_unit_test(test_only_the_last_attempt_counts),
		cmocka_unit_test(test_zero_has_no_ratio),
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_labels_go_from_cheap_to_dear),
		cmocka_unit_test(test_order_is_that_of_the_plan),
		cmocka_unit_test(test_both_ends_have_one_unit),
		cmocka_unit_test(test_numbers_for_people),
		cmocka_unit_test(test_times_beside_another),
		cmocka_unit_test(test_table_fits),
		cmocka_unit_test(test_table_reads_well),
		cmocka_unit_test(test_table_of_few_rounds_without_reference),
	};

	return cmocka_run_group_tests_name("cells", tests, NULL, NULL);
}
