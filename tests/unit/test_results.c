/* SPDX-License-Identifier: MIT */
/*
 * test_results.c - columns, records, CSV, JSON lines, ids
 *
 * What is written must be read back bit for bit, in any locale, and files that
 * a crash or a spreadsheet has touched must give an error or their whole lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "results/csv.h"
#include "results/id.h"
#include "results/jsonl.h"
#include "results/number.h"
#include "results/record.h"
#include "tests/env.h"

static char dir[256];

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%.200s/q2-results.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static const char *
path_of(const char *name)
{
	static char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
put_file(const char *name, const char *data, size_t size)
{
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static char *
get_file(const char *name)
{
	static char text[65536];
	FILE *f = fopen(path_of(name), "re");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	assert_int_equal(fclose(f), 0);
	return text;
}

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
		       "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 2>/dev/null",
		       dir);
	(void)!system(command);
	(void)setenv("LOCPATH", dir, 1);
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
	(void)snprintf(command, sizeof(command), "rm -rf %s/de_DE.UTF-8", dir);
	(void)!system(command);
	if (!entered) {
		print_message("no locale with a decimal comma, no localedef\n");
		skip();
	}
}

static struct record *
sample(void)
{
	struct record *rec = record_new(&table_trials);

	record_set_int(rec, TRIAL_round, 3);
	record_set_int(rec, TRIAL_seed, UINT64_MAX);
	record_set_real(rec, TRIAL_duration_s, 0.1 + 0.2);
	record_set_bool(rec, TRIAL_modelled, false);
	record_set_bool(rec, TRIAL_extended_l2, true);
	record_set_text(rec, TRIAL_label, "a,\"b\"\r\nc");
	record_set_text(rec, TRIAL_medium, "ssd");
	return rec;
}

static void
assert_same(const struct record *a, const struct record *b)
{
	char x[256], y[256];

	assert_ptr_equal(record_table(a), record_table(b));
	for (size_t i = 0; i < record_table(a)->ncolumns; i++) {
		(void)record_format(a, (int)i, x, sizeof(x));
		(void)record_format(b, (int)i, y, sizeof(y));
		assert_string_equal(x, y);
		assert_int_equal(record_has(a, (int)i), record_has(b, (int)i));
	}
}

static void
test_records_hold_what_was_set(void **state)
{
	struct record *rec = sample(), *copy = record_copy(rec);
	struct q2_err err;

	(void)state;
	assert_same(rec, copy);
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
	struct record *rec = sample();

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
	struct record *rec = sample(), *back;
	json_t *json = record_to_json(rec);
	struct q2_err err;
	char *text = json_dumps(json, JSON_COMPACT);

	(void)state;
	json_decref(json);
	json = json_loads(text, 0, NULL);
	(void)json_object_set_new(json, "a_later_column", json_true());
	assert_int_equal(record_from_json(&table_trials, json, &back, &err), 0);
	assert_same(rec, back);
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
	struct record *rec = sample();
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

/* ---- CSV ---------------------------------------------------------------- */

static void
test_csv_comes_back_exactly(void **state)
{
	struct rows rows = {0}, back = {0};
	struct q2_err err;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct record *rec = sample();

		record_set_int(rec, TRIAL_round, (uint64_t)i);
		record_set_real(rec, TRIAL_iops, exp(i));
		rows_add(&rows, rec);
	}
	assert_int_equal(
		csv_write_file(path_of("t.csv"), &table_trials, &rows, &err),
		0);
	assert_int_equal(
		csv_read_file(path_of("t.csv"), &table_trials, &back, &err), 0);
	assert_int_equal(back.n, rows.n);
	for (size_t i = 0; i < rows.n; i++)
		assert_same(rows.v[i], back.v[i]);
	assert_int_equal(access(path_of("t.csv.tmp"), F_OK), -1);
	assert_int_equal(unlink(path_of("t.csv")), 0);
	rows_done(&rows);
	rows_done(&back);
	assert_int_equal(
		csv_write_file("/nowhere/t.csv", &table_trials, &rows, &err),
		-ENOENT);
	assert_string_equal(err.text, "cannot write /nowhere/t.csv.tmp: "
				      "No such file or directory");
}

/* Fields joined by '|', lines by '\n'; "!" and the reason of an error. */
static char *
parsed(const char *text, size_t size)
{
	static char out[4096];
	Q2_AUTO(csv_line) line = {0};
	struct q2_err err;
	FILE *f = fmemopen((void *)text, size, "r");
	size_t n = 0;
	int r;

	assert_non_null(f);
	out[0] = '\0';
	while ((r = csv_read_line(f, &line, &err)) > 0) {
		for (size_t i = 0; i < line.n; i++)
			n += (size_t)sprintf(out + n, "%s%s", i ? "|" : "",
					     line.fields[i]);
		n += (size_t)sprintf(out + n, "@%lu ", line.number);
	}
	if (r < 0)
		(void)sprintf(out + n, "!%s", err.text);
	assert_int_equal(fclose(f), 0);
	return out;
}

static void
test_csv_reads_rfc_4180(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"a,b\n1,2\n", "a|b@1 1|2@2 "},
		{"a,b\r\n1,2\r\n", "a|b@1 1|2@2 "},
		{"a,b", "a|b@1 "},
		{"a,\n", "a|@1 "},
		{",", "|@1 "},
		{"\n\nx\n", "@1 @2 x@3 "},
		{"\"a,\"\"b\"\"\",c\n", "a,\"b\"|c@1 "},
		{"\"a\nb\",c\nd,e\n", "a\nb|c@1 d|e@3 "},
		{"\"a\r\nb\"\r\nd\r\n", "a\r\nb@1 d@3 "},
		{"\"\",x\n", "|x@1 "},
		{"\"\"", "@1 "},
		{"x\n\"abc\n", "x@1 !line 2: a quoted field has no end"},
		{"\"a\"b,c\n", "!line 1: text after a quoted field"},
		{"a\"b\n", "!line 1: a quote inside a field"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(
			parsed(cases[i].text, strlen(cases[i].text)),
			cases[i].want);
	assert_string_equal(parsed("a\0b\n", 4),
			    "!line 1: a zero byte inside a field");
}

static void
test_csv_of_other_versions(void **state)
{
	static const char later[] = "\xef\xbb\xbfround,new,label\r\n"
				    "7,x,one\r\n"
				    "\r\n"
				    "8,\"y\",two\r\n";
	static const char bad[] = "round,label\n7,one\n8\n";
	static const char wrong[] = "round,label\n7,one\nx,two\n";
	struct rows rows = {0};
	struct q2_err err;
	char want[400];

	(void)state;
	put_file("v.csv", later, sizeof(later) - 1);
	assert_int_equal(
		csv_read_file(path_of("v.csv"), &table_trials, &rows, &err), 0);
	assert_int_equal(rows.n, 2);
	assert_int_equal(record_int(rows.v[1], TRIAL_round), 8);
	assert_string_equal(record_text(rows.v[0], TRIAL_label), "one");
	rows_done(&rows);
	put_file("v.csv", bad, sizeof(bad) - 1);
	assert_int_equal(
		csv_read_file(path_of("v.csv"), &table_trials, &rows, &err),
		-EINVAL);
	(void)snprintf(want, sizeof(want),
		       "%s: line 3 has 1 fields, the header 2",
		       path_of("v.csv"));
	assert_string_equal(err.text, want);
	assert_int_equal(rows.n, 1);
	rows_done(&rows);
	put_file("v.csv", wrong, sizeof(wrong) - 1);
	assert_int_equal(
		csv_read_file(path_of("v.csv"), &table_trials, &rows, &err),
		-EINVAL);
	(void)snprintf(want, sizeof(want),
		       "%s: line 3: column round: 'x' is not an unsigned "
		       "integer",
		       path_of("v.csv"));
	assert_string_equal(err.text, want);
	rows_done(&rows);
	put_file("v.csv", "", 0);
	assert_int_equal(
		csv_read_file(path_of("v.csv"), &table_trials, &rows, &err),
		-EINVAL);
	assert_int_equal(unlink(path_of("v.csv")), 0);
}

/* Neither an endless field nor endless fields take endless memory. */
static void
test_csv_refuses_endless_lines(void **state)
{
	const size_t size = 100 << 20;
	char *text = malloc(size);
	struct rows rows = {0};
	struct q2_err err;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < 3; i++) {
		memset(text, i == 1 ? ',' : 'x', size);
		text[0] = i == 2 ? '"' : 'x';
		put_file("x.csv", text, size);
		assert_int_equal(csv_read_file(path_of("x.csv"), &table_trials,
					       &rows, &err),
				 -EINVAL);
		assert_non_null(
			strstr(err.text, "line 1 is longer than 4 MiB"));
	}
	free(text);
	assert_int_equal(rows.n, 0);
	assert_int_equal(unlink(path_of("x.csv")), 0);
}

/* ---- JSON lines --------------------------------------------------------- */

/* All lines, as an array. */
static int
collect(void *arg, unsigned long number, const json_t *json, struct q2_err *err)
{
	(void)err;
	assert_int_equal(number, json_array_size(arg) + 1);
	return json_array_append(arg, (json_t *)json);
}

static int
read_all(const char *name, json_t **ret_array, bool *ret_torn,
	 struct q2_err *err)
{
	struct jsonl_sink sink = {.line = collect, .arg = json_array()};

	*ret_array = sink.arg;
	return jsonl_each(path_of(name), &sink, ret_torn, err);
}

static void
append_number(int fd, int number)
{
	json_t *json = json_pack("[{s:i}]", "n", number);
	struct q2_err err;

	assert_int_equal(jsonl_append(fd, json, &err), 0);
	json_decref(json);
}

static void
test_jsonl_cuts_a_torn_line(void **state)
{
	struct q2_err err;
	json_t *all;
	int fd = jsonl_open(path_of("t.jsonl"), &err);
	struct stat st;
	bool torn;

	(void)state;
	assert_true(fd >= 0);
	append_number(fd, 1);
	append_number(fd, 2);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(close(fd), 0);
	/* every cut of the second line is read, and mended, the same way */
	for (off_t cut = 8; cut < st.st_size; cut++) {
		put_file("t.jsonl", "{\"n\":1}\n{\"n\":2}\n", (size_t)cut);
		assert_int_equal(read_all("t.jsonl", &all, &torn, &err), 0);
		assert_int_equal(json_array_size(all), 1);
		assert_int_equal(torn, cut > 8);
		json_decref(all);
		fd = jsonl_open(path_of("t.jsonl"), &err);
		append_number(fd, 3);
		assert_int_equal(close(fd), 0);
		assert_string_equal(get_file("t.jsonl"),
				    "{\"n\":1}\n{\"n\":3}\n");
	}
	assert_int_equal(unlink(path_of("t.jsonl")), 0);
}

static void
test_jsonl_finds_the_end_of_a_long_line(void **state)
{
	static char text[20000];
	struct q2_err err;
	struct stat st;
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[0] = '{';
	text[1] = '}';
	text[2] = '\n';
	put_file("l.jsonl", text, sizeof(text));
	fd = jsonl_open(path_of("l.jsonl"), &err);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(close(fd), 0);
	put_file("l.jsonl", text + 3, sizeof(text) - 3);
	fd = jsonl_open(path_of("l.jsonl"), &err);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path_of("l.jsonl")), 0);
}

static void
test_jsonl_names_a_broken_line(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *why;
	} cases[] = {
#define BROKEN(text, why) {text, sizeof(text) - 1, why}
		BROKEN("{\"n\":1}\n{\"n\":\n{\"n\":3}\n",
		       "b.jsonl:2: not JSON"),
		BROKEN("{\"n\":1}\n\n", "b.jsonl:2: not JSON"),
		BROKEN("{\"n\":1}\n{\"n\":\"\0\"}\n", "b.jsonl:2: not JSON"),
		BROKEN("\0\0\0\n", "b.jsonl:1: not JSON"),
		BROKEN("{\"n\":1}\n{\"n\":1,\"n\":2}\n",
		       "b.jsonl:2: not JSON: duplicate object key"),
		BROKEN("{\"n\":\"\xff\"}\n", "b.jsonl:1: not JSON"),
	};
	struct q2_err err;
	json_t *all;
	bool torn;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_file("b.jsonl", cases[i].text, cases[i].size);
		assert_int_equal(read_all("b.jsonl", &all, &torn, &err),
				 -Q2_ECORRUPT);
		json_decref(all);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s, not %s", err.text, cases[i].why);
	}
	assert_int_equal(unlink(path_of("b.jsonl")), 0);
	assert_int_equal(read_all("b.jsonl", &all, &torn, &err), -ENOENT);
	json_decref(all);
}

/* No line takes more memory than JSONL_LINE_MOST, whatever the file has. */
static void
test_jsonl_refuses_an_endless_line(void **state)
{
	struct q2_err err;
	json_t *all;
	bool torn;
	int fd = jsonl_open(path_of("e.jsonl"), &err);

	(void)state;
	append_number(fd, 1);
	/* a hole: it takes no space */
	assert_int_equal(ftruncate(fd, (off_t)(2 * JSONL_LINE_MOST)), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(read_all("e.jsonl", &all, &torn, &err), -EFBIG);
	assert_int_equal(json_array_size(all), 1);
	json_decref(all);
	assert_non_null(strstr(err.text, "e.jsonl:2: the line is longer than"));
	assert_int_equal(unlink(path_of("e.jsonl")), 0);
}

/* Into a file that somebody has removed nothing can be kept. */
static void
test_jsonl_notices_a_removed_file(void **state)
{
	struct q2_err err;
	json_t *json = json_pack("[{s:i}]", "n", 1);
	int fd = jsonl_open(path_of("r.jsonl"), &err);

	(void)state;
	assert_int_equal(unlink(path_of("r.jsonl")), 0);
	assert_int_equal(jsonl_append(fd, json, &err), -ENOENT);
	assert_non_null(strstr(err.text, "removed"));
	json_decref(json);
	assert_int_equal(close(fd), 0);
}

/* A full disk (here: a limit of the file's size) leaves whole lines. */
static void
test_jsonl_without_space(void **state)
{
	struct rlimit old, tight;
	struct q2_err err;
	/* the first of the two would have room */
	json_t *json = json_pack("[{s:i}, {s:s}]", "n", 9, "text",
				 "longer than what is left");
	int fd = jsonl_open(path_of("f.jsonl"), &err), r;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

	(void)state;
	append_number(fd, 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	r = jsonl_append(fd, json, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, handler);
	assert_int_equal(r, -EFBIG);
	append_number(fd, 2);
	assert_string_equal(get_file("f.jsonl"), "{\"n\":1}\n{\"n\":2}\n");
	json_decref(json);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path_of("f.jsonl")), 0);
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
		cmocka_unit_test(test_csv_comes_back_exactly),
		cmocka_unit_test(test_csv_reads_rfc_4180),
		cmocka_unit_test(test_csv_of_other_versions),
		cmocka_unit_test(test_csv_refuses_endless_lines),
		cmocka_unit_test(test_jsonl_cuts_a_torn_line),
		cmocka_unit_test(test_jsonl_finds_the_end_of_a_long_line),
		cmocka_unit_test(test_jsonl_names_a_broken_line),
		cmocka_unit_test(test_jsonl_refuses_an_endless_line),
		cmocka_unit_test(test_jsonl_notices_a_removed_file),
		cmocka_unit_test(test_jsonl_without_space),
		cmocka_unit_test(test_ids_are_of_canonical_json),
		cmocka_unit_test(test_canonical_strings),
	};

	return cmocka_run_group_tests_name("results", tests, make_dir,
					   remove_dir);
}
