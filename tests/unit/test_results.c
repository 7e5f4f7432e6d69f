/* SPDX-License-Identifier: MIT */
/*
 * test_results.c - columns, numbers, records, ids
 *
 * What is written must be read back bit for bit, in any locale.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "results/csv.h"
#include "results/id.h"
#include "results/number.h"
#include "results/record.h"
#include "tests/env.h"
#include "tests/records.h"
#include "tests/scratch.h"

/* ---- columns ------------------------------------------------------------ */

/* A line of the frozen list belongs to this column. */
static void
check_column(const struct table *table, size_t i, char **fields)
{
	const struct column *c = &table->columns[i];

	assert_string_equal(fields[0], table->file);
	assert_int_equal(strtoul(fields[1], NULL, 10), i + 1);
	assert_string_equal(fields[2], c->name);
	assert_string_equal(fields[3], column_type_name(c->type));
	assert_string_equal(fields[4], c->unit);
	assert_string_equal(fields[5], c->meaning);
	assert_string_equal(fields[6], c->empty_means);
	assert_int_equal(column_find(table, c->name), i);
}

static void
test_columns_are_the_frozen_ones(void **state)
{
	static const struct table *const tables[] = {
		&table_trials, &table_cells, &table_series, &table_hist};
	FILE *f = fopen("tests/golden/columns.csv", "re");
	Q2_AUTO(csv_line) line = {0};
	struct q2_err err;

	(void)state;
	assert_true(f != NULL);
	assert_int_equal(csv_read_line(f, &line, &err), 1);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (size_t i = 0; i < tables[t]->ncolumns; i++) {
			assert_int_equal(csv_read_line(f, &line, &err), 1);
			assert_int_equal(line.n, 7);
			check_column(tables[t], i, line.fields);
		}
	}
	assert_int_equal(csv_read_line(f, &line, &err), 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(TRIAL_schema, 0);
	assert_int_equal(column_find(&table_cells, "iops"), -1);
}

/* The manual has the same columns, in the same words. */
static void
test_manual_lists_the_columns(void **state)
{
	static const struct table *const tables[] = {
		&table_trials, &table_cells, &table_series, &table_hist};
	static char manual[131072];
	FILE *f = fopen("docs/results-format.md", "re");
	const char *at = manual, *found;
	char want[1024];

	(void)state;
	assert_non_null(f);
	manual[fread(manual, 1, sizeof(manual) - 1, f)] = '\0';
	assert_true(feof(f));
	assert_int_equal(fclose(f), 0);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		(void)snprintf(want, sizeof(want), "\n## %s\n",
			       tables[t]->file);
		found = strstr(at, want);
		if (found)
			at = found;
		assert_ptr_equal(found, at);
		for (size_t i = 0; i < tables[t]->ncolumns; i++) {
			const struct column *c = &tables[t]->columns[i];

			(void)snprintf(want, sizeof(want),
				       "\n| %zu | `%s` | %s | %s | %s | %s |\n",
				       i + 1, c->name,
				       column_type_name(c->type), c->unit,
				       c->meaning, c->empty_means);
			found = strstr(at, want);
			if (!found)
				fail_msg("docs/results-format.md lacks, or has "
					 "out of order:%s",
					 want);
			else
				at = found;
		}
	}
}

/* ---- numbers and records ------------------------------------------------ */

static void
check_number(double value)
{
	char text[NUMBER_SIZE];
	double back;

	number_format(value, text);
	assert_true(number_parse(text, &back));
	if (back != value || signbit(back) != signbit(value))
		fail_msg("%a became %s", value, text);
}

static void
check_numbers(void)
{
	static const double odd[] = {0.0,
				     -0.0,
				     0.1,
				     1.0 / 3,
				     DBL_MIN,
				     DBL_MAX,
				     5e-324,
				     -2.5,
				     1e15,
				     9007199254740993.0,
				     0.412,
				     1e-7,
				     123456.789012345};
	uint64_t seed = test_seed(11), bits;
	struct rng rng;
	double value;
	char text[NUMBER_SIZE];

	rng = (struct rng){.state = seed};
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		check_number(odd[i]);
	for (size_t i = 0; i < test_rounds(20000); i++) {
		bits = rng_next(&rng);
		memcpy(&value, &bits, sizeof(value));
		if (isfinite(value))
			check_number(value);
	}
	number_format(0.1, text);
	assert_string_equal(text, "0.1");
	number_format(1234.5, text);
	assert_string_equal(text, "1234.5");
}

static void
test_numbers_come_back_exactly(void **state)
{
	static const char *const bad[] = {"",    " 1",  "1 ",   "0x10",
					  "inf", "nan", "1,5",  "1.2.3",
					  "-",   "e5",  "1e999"};
	double ignored;

	(void)state;
	check_numbers();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(number_parse(bad[i], &ignored));
}

/* A locale with a decimal comma: one that is installed, or one made here. */
static bool
enter_comma_locale(void)
{
	char command[600];

	if (setlocale(LC_ALL, "de_DE.UTF-8"))
		return true;
	(void)snprintf(command, sizeof(command),
		       "localedef -i de_DE -f UTF-8 %s 2>/dev/null",
		       scratch_path("de_DE.UTF-8"));
	(void)!system(command);
	(void)setenv("LOCPATH", scratch_path(""), 1);
	return setlocale(LC_ALL, "de_DE.UTF-8");
}

static void
test_numbers_ignore_the_locale(void **state)
{
	char text[32], command[300];
	bool entered = enter_comma_locale();

	(void)state;
	if (entered) {
		(void)snprintf(text, sizeof(text), "%g", 0.5);
		assert_string_equal(text, "0,5");
		check_numbers();
		(void)snprintf(text, sizeof(text), "%g", 0.5);
		assert_string_equal(text, "0,5"); /* put back */
		assert_non_null(setlocale(LC_ALL, "C"));
	}
	(void)snprintf(command, sizeof(command), "rm -rf %s",
		       scratch_path("de_DE.UTF-8"));
	(void)!system(command);
	if (!entered) {
		print_message("no locale with a decimal comma, no localedef\n");
		skip();
	}
}

static void
test_records_hold_what_was_set(void **state)
{
	struct record *rec = records_sample(), *copy = record_copy(rec);
	struct q2_err err;

	(void)state;
	records_assert_same(rec, copy);
	assert_int_equal(record_int(rec, TRIAL_schema), RESULTS_SCHEMA);
	assert_int_equal(record_int(rec, TRIAL_session), 0);
	assert_true(isnan(record_real(rec, TRIAL_flush_s)));
	assert_true(record_real(rec, TRIAL_round) == 3);
	assert_false(record_has(rec, TRIAL_flush_s));
	assert_string_equal(record_text(rec, TRIAL_filesystem), "");
	record_set_real(rec, TRIAL_duration_s, NAN);
	assert_false(record_has(rec, TRIAL_duration_s));
	record_set_text(rec, TRIAL_label, "");
	assert_false(record_has(rec, TRIAL_label));
	assert_string_equal(record_missing(rec), "run_id");
	assert_int_equal(record_parse(rec, TRIAL_round, "-1", &err), -EINVAL);
	assert_string_equal(err.text,
			    "column round: '-1' is not an unsigned integer");
	assert_int_equal(record_parse(rec, TRIAL_modelled, "2", &err), -EINVAL);
	assert_int_equal(record_parse(rec, TRIAL_iops, "fast", &err), -EINVAL);
	assert_int_equal(
		record_parse(rec, TRIAL_seed, "18446744073709551616", &err),
		-EINVAL);
	assert_int_equal(record_int(rec, TRIAL_seed), UINT64_MAX);
	record_free(rec);
	record_free(copy);
}

static void
test_flags_are_words(void **state)
{
	struct record *rec = records_sample();

	(void)state;
	record_add_flag(rec, TRIAL_flags, "redone");
	record_add_flag(rec, TRIAL_flags, "short_settle");
	record_add_flag(rec, TRIAL_flags, "redone");
	assert_string_equal(record_text(rec, TRIAL_flags),
			    "redone+short_settle");
	assert_true(record_has_flag(rec, TRIAL_flags, "short_settle"));
	assert_false(record_has_flag(rec, TRIAL_flags, "short"));
	assert_false(record_has_flag(rec, TRIAL_flags, "settle"));
	record_free(rec);
}

static void
test_records_survive_json(void **state)
{
	struct record *rec = records_sample(), *back;
	json_t *json = record_to_json(rec);
	struct q2_err err;
	char *text = json_dumps(json, JSON_COMPACT);

	(void)state;
	json_decref(json);
	json = json_loads(text, 0, NULL);
	(void)json_object_set_new(json, "a_later_column", json_true());
	assert_int_equal(record_from_json(&table_trials, json, &back, &err), 0);
	records_assert_same(rec, back);
	record_free(back);
	(void)json_object_set_new(json, "round", json_string("three"));
	assert_int_equal(record_from_json(&table_trials, json, &back, &err),
			 -EINVAL);
	(void)json_object_set_new(json, "round", json_integer(-3));
	assert_int_equal(record_from_json(&table_trials, json, &back, &err),
			 -EINVAL);
	assert_string_equal(err.text, "member round is not of type int");
	json_decref(json);
	free(text);
	record_free(rec);
}

static void
test_text_becomes_utf8(void **state)
{
	struct record *rec = records_sample();
	json_t *json;

	(void)state;
	record_set_text(rec, TRIAL_label, "\xc3\xa9t\xc3\xa9");
	assert_string_equal(record_text(rec, TRIAL_label), "\xc3\xa9t\xc3\xa9");
	record_set_text(rec, TRIAL_label, "\xe9t\xe9");
	assert_string_equal(record_text(rec, TRIAL_label), "?t?");
	json = record_to_json(rec);
	assert_string_equal(json_string_value(json_object_get(json, "label")),
			    "?t?");
	json_decref(json);
	record_free(rec);
}

/* ---- ids ---------------------------------------------------------------- */

static void
test_ids_are_of_canonical_json(void **state)
{
	json_t *a = json_loads("{\"b\": [true, null, 0.1], \"a\": 1}", 0, NULL);
	json_t *b = json_loads("{ \"a\":1,\"b\":[true,null,1e-1]}", 0, NULL);
	char id[ID_SIZE], other[ID_SIZE];
	char *text = id_canonical(a);

	(void)state;
	assert_string_equal(text, "{\"a\":1,\"b\":[true,null,0.1]}");
	free(text);
	id_of_json(a, id);
	id_of_json(b, other);
	/* printf '{"a":1,"b":[true,null,0.1]}' | sha256sum */
	assert_string_equal(id, "25f86f498507");
	assert_string_equal(other, id);
	(void)json_object_set_new(b, "c", json_false());
	id_of_json(b, other);
	assert_string_not_equal(other, id);
	id_of_bytes("abc", 3, id); /* FIPS 180-2, appendix B.1 */
	assert_string_equal(id, "ba7816bf8f01");
	json_decref(a);
	json_decref(b);
}

static void
test_canonical_strings(void **state)
{
	json_t *json = json_pack("{s:s, s:s, s:{}}", "\xc3\xa9", "\xe2\x82\xac",
				 "q\"\\", "a\n\x01", "Z");
	char *text = id_canonical(json);

	(void)state;
	assert_string_equal(text, "{\"Z\":{},"
				  "\"q\\\"\\\\\":\"a\\u000a\\u0001\","
				  "\"\xc3\xa9\":\"\xe2\x82\xac\"}");
	free(text);
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_are_the_frozen_ones),
		cmocka_unit_test(test_manual_lists_the_columns),
		cmocka_unit_test(test_numbers_come_back_exactly),
		cmocka_unit_test(test_numbers_ignore_the_locale),
		cmocka_unit_test(test_records_hold_what_was_set),
		cmocka_unit_test(test_flags_are_words),
		cmocka_unit_test(test_records_survive_json),
		cmocka_unit_test(test_text_becomes_utf8),
		cmocka_unit_test(test_ids_are_of_canonical_json),
		cmocka_unit_test(test_canonical_strings),
	};

	return cmocka_run_group_tests_name("results", tests, scratch_make,
					   scratch_remove);
}
