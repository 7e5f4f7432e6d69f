/* SPDX-License-Identifier: MIT */
/*
 * test_csv.c - records as CSV
 *
 * What is written must be read back bit for bit, and files that a spreadsheet or
 * another version has touched must give an error or their whole lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "results/csv.h"
#include "results/record.h"
#include "tests/records.h"
#include "tests/scratch.h"

static void
test_csv_comes_back_exactly(void **state)
{
	struct rows rows = {0}, back = {0};
	struct q2_err err;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct record *rec = records_sample();

		record_set_int(rec, TRIAL_round, (uint64_t)i);
		record_set_real(rec, TRIAL_iops, exp(i));
		rows_add(&rows, rec);
	}
	assert_int_equal(csv_write_file(scratch_path("t.csv"), &table_trials,
					&rows, &err),
			 0);
	assert_int_equal(csv_read_file(scratch_path("t.csv"), &table_trials,
				       &back, &err),
			 0);
	assert_int_equal(back.n, rows.n);
	for (size_t i = 0; i < rows.n; i++)
		records_assert_same(rows.v[i], back.v[i]);
	assert_int_equal(access(scratch_path("t.csv.tmp"), F_OK), -1);
	assert_int_equal(unlink(scratch_path("t.csv")), 0);
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
	scratch_put("v.csv", later, sizeof(later) - 1);
	assert_int_equal(csv_read_file(scratch_path("v.csv"), &table_trials,
				       &rows, &err),
			 0);
	assert_int_equal(rows.n, 2);
	assert_int_equal(record_int(rows.v[1], TRIAL_round), 8);
	assert_string_equal(record_text(rows.v[0], TRIAL_label), "one");
	rows_done(&rows);
	scratch_put("v.csv", bad, sizeof(bad) - 1);
	assert_int_equal(csv_read_file(scratch_path("v.csv"), &table_trials,
				       &rows, &err),
			 -EINVAL);
	(void)snprintf(want, sizeof(want),
		       "%s: line 3 has 1 fields, the header 2",
		       scratch_path("v.csv"));
	assert_string_equal(err.text, want);
	assert_int_equal(rows.n, 1);
	rows_done(&rows);
	scratch_put("v.csv", wrong, sizeof(wrong) - 1);
	assert_int_equal(csv_read_file(scratch_path("v.csv"), &table_trials,
				       &rows, &err),
			 -EINVAL);
	(void)snprintf(want, sizeof(want),
		       "%s: line 3: column round: 'x' is not an unsigned "
		       "integer",
		       scratch_path("v.csv"));
	assert_string_equal(err.text, want);
	rows_done(&rows);
	scratch_put("v.csv", "", 0);
	assert_int_equal(csv_read_file(scratch_path("v.csv"), &table_trials,
				       &rows, &err),
			 -EINVAL);
	assert_int_equal(unlink(scratch_path("v.csv")), 0);
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
		scratch_put("x.csv", text, size);
		assert_int_equal(csv_read_file(scratch_path("x.csv"),
					       &table_trials, &rows, &err),
				 -EINVAL);
		assert_non_null(
			strstr(err.text, "line 1 is longer than 4 MiB"));
	}
	free(text);
	assert_int_equal(rows.n, 0);
	assert_int_equal(unlink(scratch_path("x.csv")), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csv_comes_back_exactly),
		cmocka_unit_test(test_csv_reads_rfc_4180),
		cmocka_unit_test(test_csv_of_other_versions),
		cmocka_unit_test(test_csv_refuses_endless_lines),
	};

	return cmocka_run_group_tests_name("csv", tests, scratch_make,
					   scratch_remove);
}
