/* SPDX-License-Identifier: MIT */
/*
 * Wrong files given to `report` and `run --resume`: each is named by file and
 * line, with what is wrong and what to do; memory stays bounded.
 *
 * A run is made once; each case changes one line of its trials.jsonl, or one
 * member of its run.json.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/hists.h"
#include "harness/measured.h"
#include "results/jsonl.h"
#include "tests/harness/runs.h"

#define LINES_MAX 16

static json_t *lines[LINES_MAX], *run;
static size_t nlines;

static int
set_up(void **state)
{
	char *text, *at;
	size_t size;

	if (runs_set_up(state) < 0 || runs_program(RUNS_TINY("run", "2")) != 0)
		return -1;
	text = at = runs_get("run/trials.jsonl", &size);
	while (*at) {
		char *end = strchr(at, '\n');

		*end = '\0';
		lines[nlines] = json_loads(at, 0, NULL);
		at = end + 1;
		/* Others may have disturbed a round. */
		if (strstr(json_string_value(
				   json_object_get(lines[nlines], "kind")),
			   "stopped") ||
		    json_is_true(json_object_get(lines[nlines], "partial")))
			json_decref(lines[nlines]);
		else
			nlines++;
	}
	free(text);
	run = json_load_file(runs_path("run/run.json"), 0, NULL);
	/* two rounds of two trials and what closes them */
	return nlines == 6 && run ? 0 : -1;
}

static int
tear_down(void **state)
{
	for (size_t i = 0; i < nlines; i++)
		json_decref(lines[i]);
	json_decref(run);
	return runs_tear_down(state);
}

static void
write_lines(json_t *const *v, size_t n)
{
	FILE *f = fopen(runs_path("bad/trials.jsonl"), "we");

	assert_non_null(f);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(json_dumpf(v[i], f, JSON_COMPACT), 0);
		assert_true(fputc('\n', f) != EOF);
	}
	assert_int_equal(fclose(f), 0);
}

static void
assert_wrong(const char *what, const char *place, const char *why)
{
	struct measured m;
	struct q2_err err = {0};
	int r = measured_load(&m, runs_path("bad"), &err);

	measured_done(&m);
	if (r >= 0)
		fail_msg("%s: taken as good", what);
	if (!strstr(err.text, place) || !strstr(err.text, why))
		fail_msg("%s: '%s' and '%s' are not in '%s'", what, place, why,
			 err.text);
	/* and what to do */
	assert_true(strstr(err.text, "restore") || strstr(err.text, "remove") ||
		    strstr(err.text, "use the version"));
}

/* ---- one member of one line ---------------------------------------------- */

/* "records.0.iops": the object that holds the last name, and that name. */
static json_t *
find_member(json_t *json, const char *path, const char **ret_name)
{
	char name[64];

	while (strchr(path, '.')) {
		size_t len = strcspn(path, ".");

		(void)snprintf(name, sizeof(name), "%.*s", (int)len, path);
		json = json_is_array(json)
			       ? json_array_get(json, strtoul(name, NULL, 10))
			       : json_object_get(json, name);
		assert_non_null(json);
		path += len + 1;
	}
	*ret_name = path;
	return json;
}

/* value: JSON, or NULL to take the member away. */
static void
change(json_t *json, const char *path, const char *value)
{
	const char *name;
	json_t *holder = find_member(json, path, &name);

	if (value)
		assert_int_equal(
			json_object_set_new(
				holder, name,
				json_loads(value, JSON_DECODE_ANY, NULL)),
			0);
	else
		assert_int_equal(json_object_del(holder, name), 0);
}

static const struct {
	unsigned line; /* from 1 */
	const char *member, *value, *why;
} wrong_members[] = {
	{1, "schema", "2", "schema is 2, this program knows 1"},
	{1, "schema", "\"1\"", "no schema number"},
	{1, "schema", NULL, "no schema number"},
	{4, "kind", "\"trail\"", "kind 'trail' is not known"},
	{4, "kind", NULL, "kind '' is not known"},
	{1, "part", "\"qemo\"", "part 'qemo' is not known"},
	{1, "part", "7", "part '' is not known"},
	{3, "part", "\"qemu\"", "ends here with 2 trials, but 2"},
	{1, "round", "\"1\"", "member round is missing"},
	{1, "round", "-1", "member round is missing"},
	{1, "session", NULL, "member session is missing"},
	{1, "session", "9223372036854775807", "no run is taken up so often"},
	{3, "session", "1000001", "session is 1000001, and no run is taken"},
	{1, "records", "[]", "a trial without records"},
	{1, "records", "7", "a trial without records"},
	{1, "records", "[7]", "is not an object"},
	{2, "records.0.iopss", "1", "'iopss' is no column of trials"},
	{2, "records.0.duration_s", "\"1\"", "duration_s is not of type real"},
	{2, "records.0.label", "7", "label is not of type text"},
	{2, "records.0.modelled", "0", "modelled is not of type bool"},
	{2, "records.0.slices", "1.5", "slices is not of type int"},
	{2, "records.0.slices", "-1", "slices is not of type int"},
	{2, "records.0.slices", "\"x\"", "is not an unsigned integer"},
	/* What no run can have measured. */
	{2, "records.1.duration_s", "-0.5",
	 "duration_s is -0.5, and cannot be negative"},
	{2, "records.1.iops", "-1.0", "iops is -1, and cannot be negative"},
	{2, "records.1.close_s", "-1.0", "close_s is -1, and cannot be"},
	{2, "records.1.ops", "0", "ops is 0 in a pass of requests"},
	{2, "records.1.lat_p50_us", "1e9",
	 "lat_p50_us 1000000000 is more than lat_"},
	{2, "records.1.lat_max_us", "0.001", "is more than lat_max_us 0.001"},
	{2, "records.1.lat_mean_us", "1e9",
	 "lat_mean_us 1000000000 is more than lat_max_us"},
	{2, "records.1.flush_s", "1e6",
	 "flush_s 1000000 is more than duration_s"},
	{2, "series.0.t_s", "-1.0", "t_s is -1, and cannot be negative"},
	{2, "series.0.lat_p50_us", "1e9", "is more than lat_"},
	{2, "records.0.label", NULL, "has no label"},
	{2, "records.0.schema", "2", "has no schema of this version"},
	{2, "records.0.label", "\"zz\"",
	 "label 'zz' is no configuration of run.json"},
	{2, "records.1.pass", "\"zz\"", "pass 'zz' is no pass of run.json"},
	{2, "records.0.started_at_s", "1e300", "is no time"},
	{2, "records.0.run_id", "\"0\"", "do not belong together"},
	{2, "records.0.trial_id", "\"0\"", "a row is of trial 0"},
	{2, "records.0.round", "9", "a row is of trial"},
	{2, "records.0.label", "\"\\u001b[2Jx\"",
	 "records: label: a text has a control character"},
	{2, "records.0.label", "\"\\u009b2Jx\"", "has a control character"},
	{2, "series.0.opss", "1", "'opss' is no column of series"},
	{2, "series.0.ops", "\"x\"", "is not an unsigned integer"},
	{2, "series.0.trial_id", "\"0\"", "a row is of trial 0"},
	{2, "hists.0.buckets", "[1]", "not pairs"},
	{2, "hists.0.buckets", "{}", "not pairs"},
	{2, "hists.0.buckets", "[\"1\",1]", "not integers"},
	{2, "hists.0.buckets", "[7424,1]", "7424 does not exist"},
	{2, "hists.0.buckets", "[5,1,4,1]", "not in order"},
	{2, "hists.0.buckets", "[5,0]", "a count below 1"},
	{2, "hists.0.buckets", "[5,1]", "its count is 64"},
	{2, "hists.0.count", NULL, "count is not an unsigned"},
	{2, "hists.0.sum_ns", "\"\"", "sum_ns is not a number"},
	{2, "hists.0.round", "9", "a row is of trial"},
	{3, "trials", "3", "ends here with 3 trials, but 2"},
	{3, "trials", NULL, "member trials is missing"},
	{3, "round", "2", "round 2 ends here"},
	{3, "session", "2", "ends here with 2 trials"},
	{2, "round", "2", "a row is of trial"},
	{2, "records.1.stream_hash", "\"0\"", "different operations"},
	{2, "records.1.ops", "63", "different operations"},
};

static void
test_one_wrong_member(void **state)
{
	char place[32], what[128];

	(void)state;
	runs_copy("run", "bad", 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong_members); i++) {
		size_t at = wrong_members[i].line - 1;
		bool later = strcmp(wrong_members[i].why,
				    "different operations") == 0;
		json_t *v[LINES_MAX];

		memcpy(v, lines, sizeof(v));
		v[at] = json_deep_copy(lines[at]);
		change(v[at], wrong_members[i].member, wrong_members[i].value);
		write_lines(v, nlines);
		json_decref(v[at]);
		(void)snprintf(place, sizeof(place), "trials.jsonl:%u: ",
			       later ? 3 : wrong_members[i].line);
		(void)snprintf(what, sizeof(what), "line %u, %s = %s",
			       wrong_members[i].line, wrong_members[i].member,
			       wrong_members[i].value ? wrong_members[i].value
						      : "nothing");
		assert_wrong(what, place, wrong_members[i].why);
	}
	runs_remove("bad");
}

/* Two turns of one pass, of which the later one ends before the other. */
static void
test_time_goes_on_in_a_pass(void **state)
{
	struct measured m;
	struct q2_err err;
	json_t *v[LINES_MAX];

	(void)state;
	runs_copy("run", "bad", 0);
	memcpy(v, lines, sizeof(v));
	v[1] = json_deep_copy(lines[1]);
	change(v[1], "series.0.t_s", "5.0");
	change(v[1], "series.1.t_s", "4.0");
	write_lines(v, nlines);
	/* Each of its own pass: nothing is wrong. */
	assert_int_equal(measured_load(&m, runs_path("bad"), &err), 0);
	measured_done(&m);
	change(v[1], "series.1.pass", "\"first-write\"");
	write_lines(v, nlines);
	json_decref(v[1]);
	assert_wrong("time goes back", "trials.jsonl:2: ",
		     "t_s goes back from 5 to 4 in pass first-write");
	runs_remove("bad");
}

/* ---- whole lines ---------------------------------------------------------- */

static void
test_lines_twice_or_missing(void **state)
{
	json_t *twice[] = {lines[0], lines[1], lines[1], lines[2]};
	json_t *round[] = {lines[0], lines[1], lines[2],
			   lines[0], lines[1], lines[2]};
	json_t *missing[] = {lines[0], lines[2], lines[3]};
	json_t *alone[] = {lines[2]};
	json_t *array[] = {json_array()};

	(void)state;
	runs_copy("run", "bad", 0);
	write_lines(twice, ARRAY_SIZE(twice));
	assert_wrong("a trial twice",
		     "trials.jsonl:3: ", "is there already, in line 2");
	write_lines(round, ARRAY_SIZE(round));
	assert_wrong("a round twice",
		     "trials.jsonl:4: ", "is there already, in line 1");
	write_lines(missing, ARRAY_SIZE(missing));
	assert_wrong("a line is missing",
		     "trials.jsonl:2: ", "ends here with 2 trials, but 1");
	write_lines(alone, 1);
	assert_wrong("no trial", "trials.jsonl:1: ", "but 0");
	write_lines(array, 1);
	assert_wrong("an array", "trials.jsonl:1: ", "not a JSON object");
	json_decref(array[0]);
	runs_remove("bad");
}

/* ---- lines of another attempt, or part ------------------------------------ */

/* A line as a trial of another id would have left it. */
static json_t *
other(const json_t *line, const char *id)
{
	static const char *const arrays[] = {"records", "series", "hists"};
	json_t *json = json_deep_copy(line), *row;
	size_t k;

	(void)json_object_set_new(json, "trial", json_string(id));
	for (size_t i = 0; i < ARRAY_SIZE(arrays); i++) {
		json_array_foreach(json_object_get(json, arrays[i]), k, row)
		{
			(void)json_object_set_new(row, "trial_id",
						  json_string(id));
		}
	}
	return json;
}

static void
load_bad(struct measured *m)
{
	struct q2_err err;

	if (measured_load(m, runs_path("bad"), &err) < 0)
		fail_msg("%s", err.text);
}

static void
free_all(json_t *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_decref(v[i]);
}

/* Round 1 was put aside because others disturbed it, and done again. */
static void
test_an_attempt_put_aside_does_not_count(void **state)
{
	json_t *aside[] = {other(lines[0], "a"), other(lines[1], "b"),
			   json_pack("{s:i,s:s,s:i,s:i,s:b,s:s}", "schema", 1,
				     "kind", "stopped", "session", 1, "round",
				     1, "redone", 1, "why",
				     "others used 1.0 of 2 CPUs")};
	json_t *v[] = {aside[0], aside[1], aside[2], lines[0], lines[1],
		       lines[2], lines[3], lines[4], lines[5]};
	json_t *flag = json_array_get(json_object_get(lines[3], "records"), 0);
	json_t *flags = json_incref(json_object_get(flag, "flags"));
	struct measured m;

	(void)state;
	(void)json_object_set_new(aside[0], "partial", json_true());
	(void)json_object_set_new(aside[1], "partial", json_true());
	(void)json_object_set_new(flag, "flags", json_string("contaminated"));
	runs_copy("run", "bad", 0);
	write_lines(v, ARRAY_SIZE(v));
	load_bad(&m);
	assert_int_equal(m.of[MEASURED_SUITE].n, 2);
	assert_int_equal(m.of[MEASURED_SUITE].trials.n, 24);
	assert_int_equal(m.redone, 1);
	assert_true(m.disturbed == 1 || m.disturbed == 2);
	assert_int_equal(m.partial, 2);
	for (size_t i = 0; i < m.of[MEASURED_SUITE].trials.n; i++)
		assert_true(strlen(record_text(m.of[MEASURED_SUITE].trials.v[i],
					       TRIAL_trial_id)) > 1);
	measured_done(&m);
	if (flags)
		(void)json_object_set_new(flag, "flags", flags);
	else
		(void)json_object_del(flag, "flags");
	free_all(aside, ARRAY_SIZE(aside));
	runs_remove("bad");
}

/* Rounds through QEMU are numbered by themselves, and count only behind all
 * rounds of the suite. */
static void
test_rounds_through_qemu_are_apart(void **state)
{
	json_t *qemu[] = {other(lines[0], "a"), other(lines[1], "b"),
			  json_deep_copy(lines[2])};
	json_t *behind[] = {lines[0], lines[1], lines[2], lines[3], lines[4],
			    lines[5], qemu[0],  qemu[1],  qemu[2]};
	json_t *between[] = {lines[0], lines[1], lines[2], qemu[0], qemu[1],
			     qemu[2],  lines[3], lines[4], lines[5]};
	const struct measured_rounds *of;
	struct measured m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(qemu); i++)
		(void)json_object_set_new(qemu[i], "part", json_string("qemu"));
	runs_copy("run", "bad", 0);
	write_lines(behind, ARRAY_SIZE(behind));
	load_bad(&m);
	of = m.of;
	assert_int_equal(of[MEASURED_SUITE].n, 2);
	assert_int_equal(of[MEASURED_SUITE].trials.n, 24);
	assert_int_equal(of[MEASURED_QEMU].n, 1);
	assert_int_equal(of[MEASURED_QEMU].trials.n, 12);
	assert_true(measured_has_round(&m, MEASURED_QEMU, 1));
	assert_false(measured_has_round(&m, MEASURED_QEMU, 2));
	measured_done(&m);
	/* cut there */
	write_lines(behind, ARRAY_SIZE(behind) - 1);
	load_bad(&m);
	assert_int_equal(m.of[MEASURED_QEMU].n, 0);
	assert_int_equal(m.cut_trials, 2);
	assert_int_equal(m.cut_part, MEASURED_QEMU);
	measured_done(&m);
	write_lines(between, ARRAY_SIZE(between));
	load_bad(&m);
	assert_int_equal(m.of[MEASURED_SUITE].n, 2);
	assert_int_equal(m.of[MEASURED_QEMU].n, 0);
	assert_int_equal(m.partial, 2);
	measured_done(&m);
	free_all(qemu, ARRAY_SIZE(qemu));
	runs_remove("bad");
}

/* Bytes that are no lines of ours, in the middle of the file. */
static void
put_between(const char *bytes, size_t n)
{
	size_t size, first;
	char *text = runs_get("run/trials.jsonl", &size), *all;

	first = (size_t)(strchr(text, '\n') + 1 - text);
	all = malloc(size + n);
	assert_non_null(all);
	memcpy(all, text, first);
	memcpy(all + first, bytes, n);
	memcpy(all + first + n, text + first, size - first);
	runs_put("bad/trials.jsonl", all, size + n);
	free(all);
	free(text);
}

static void
test_bytes_that_are_no_lines(void **state)
{
	(void)state;
	runs_copy("run", "bad", 0);
	put_between("{\"schema\":1,\"kind\":\n", 20);
	assert_wrong("cut", "trials.jsonl:2: ", "not JSON");
	put_between("\0\0\0\0\n", 5);
	assert_wrong("zeros", "trials.jsonl:2: ", "not JSON");
	put_between("{\"kind\":\"a\0b\"}\n", 15);
	assert_wrong("a zero in a text", "trials.jsonl:2: ", "not JSON");
	put_between("\n", 1);
	assert_wrong("an empty line", "trials.jsonl:2: ", "not JSON");
	put_between("\xff\xfe\n", 3);
	assert_wrong("not UTF-8", "trials.jsonl:2: ", "not JSON");
	put_between("{\"schema\":1,\"schema\":1}\n", 24);
	assert_wrong("a member twice", "trials.jsonl:2: ", "duplicate");
	runs_remove("bad");
}

/* Deeper than any stack, longer than any memory: refused, in bounds. */
static void
test_endless_lines(void **state)
{
	const size_t n = 100 << 20;
	char *deep = malloc(n);
	struct rusage usage;
	long before;

	(void)state;
	assert_non_null(deep);
	runs_copy("run", "bad", 0);
	memset(deep, '[', 1 << 20);
	deep[(1 << 20) - 1] = '\n';
	runs_put("bad/trials.jsonl", deep, 1 << 20);
	assert_wrong("a million brackets", "trials.jsonl:1: ", "not JSON");
	memset(deep, ' ', n);
	runs_put("bad/trials.jsonl", deep, n);
	free(deep);
	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	before = usage.ru_maxrss;
	assert_wrong("100 MB", "trials.jsonl:1: ", "longer than 64 MiB");
	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	/* it may have grown by doubling */
	assert_true(usage.ru_maxrss - before < 256 << 10);
	runs_remove("bad");
}

/* ---- run.json -------------------------------------------------------------- */

static void
write_run(json_t *json)
{
	assert_int_equal(
		json_dump_file(json, runs_path("bad/run.json"), JSON_INDENT(2)),
		0);
	json_decref(json);
}

static void
test_wrong_run_json(void **state)
{
	static const struct {
		const char *member, *value, *why;
	} cases[] = {
		{"schema", "2", "schema is 2"},
		{"session", "-1", "no run is taken up so often"},
		{"session", "1000001", "member session is 1000001, and no"},
		{"schema", NULL, "no schema number"},
		{"run_id", NULL, "no member run_id"},
		{"plan", "[]", "no plan with a seed"},
		{"plan.seed", NULL, "no plan with a seed"},
		{"plan.suite", "7", "plan.suite is missing"},
		{"plan.rounds", "\"6\"", "plan.rounds is missing"},
		{"caption", "\"\\u001b]0;x\\u0007\"",
		 "caption: a text has a control"},
		{"plan.margin", NULL, "plan.margin is missing"},
	};
	size_t size;
	char *text = runs_get("run/run.json", &size);

	(void)state;
	runs_copy("run", "bad", 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *json = json_deep_copy(run);

		change(json, cases[i].member, cases[i].value);
		write_run(json);
		assert_wrong(cases[i].member, "run.json:1: ", cases[i].why);
	}
	for (size_t cut = 0; cut + 2 < size; cut += size / 20) {
		runs_put("bad/run.json", text, cut);
		assert_wrong("cut", "run.json:", "not JSON");
	}
	assert_int_equal(truncate(runs_path("bad/run.json"), 100 << 20), 0);
	assert_wrong("100 MB", "run.json:1: ", "at most 16 MiB");
	free(text);
	runs_remove("bad");
}

/* The programs say it, with status 2, and touch nothing. */
static void
test_status_2(void **state)
{
	const char *const report[] = {"report", runs_path("bad"), NULL};
	const char *const json[] = {"report", runs_path("bad"), "--format",
				    "json", NULL};
	const char *const resume[] = {"run", "--resume", runs_path("bad"),
				      NULL};
	const char *const *const all[] = {report, json, resume};
	json_t *v[LINES_MAX];
	size_t size;
	char *text;

	(void)state;
	runs_copy("run", "bad", 0);
	memcpy(v, lines, sizeof(v));
	v[1] = json_deep_copy(lines[1]);
	change(v[1], "records.0.iopss", "1");
	write_lines(v, nlines);
	json_decref(v[1]);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(runs_program(all[i]), 2);
		text = runs_get("err", &size);
		assert_non_null(strstr(text, "trials.jsonl:2: 'iopss' is no "
					     "column"));
		assert_true(strchr(text, '\n') == text + size - 1);
		free(text);
		text = runs_get("out", &size);
		assert_int_equal(size, 0);
		free(text);
	}
	assert_int_equal(access(runs_path("bad/trials.csv"), F_OK), -1);
	runs_remove("bad");
}

/* ---- histograms ------------------------------------------------------------ */

/* As JSON and back, and merged: nothing is lost. */
static void
test_histograms_come_back(void **state)
{
	static struct hist h, sum, twice;
	struct hists hists = {0};
	struct q2_err err;
	json_t *json;

	(void)state;
	hist_init(&h);
	hist_init(&sum);
	hist_init(&twice);
	for (uint64_t v = 1; v; v = v > UINT64_MAX / 3 ? 0 : v * 3)
		hist_add(&h, v);
	for (int i = 0; i < 2; i++) {
		json = hists_json_of(&h, "write", "submit");
		assert_int_equal(hists_add(&hists, json, &err), 0);
		json_decref(json);
		json = hists_part_json(&hists.v[hists.n - 1]);
		assert_int_equal(hists_add(&hists, json, &err), 0);
		json_decref(json);
	}
	hists_merge(&sum, &hists.v[1]);
	assert_memory_equal(&sum.buckets, &h.buckets, sizeof(h.buckets));
	assert_true(sum.count == h.count && sum.min == h.min &&
		    sum.sum == h.sum);
	/* JSON's integers end at 2^63 */
	assert_true(sum.max == h.max || h.max > INT64_MAX);
	hists_merge(&sum, &hists.v[3]);
	hist_merge(&twice, &h);
	hist_merge(&twice, &h);
	assert_memory_equal(&sum.buckets, &twice.buckets,
			    sizeof(twice.buckets));
	assert_true(sum.count == twice.count);
	hists_done(&hists);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_wrong_member),
		cmocka_unit_test(test_time_goes_on_in_a_pass),
		cmocka_unit_test(test_lines_twice_or_missing),
		cmocka_unit_test(test_an_attempt_put_aside_does_not_count),
		cmocka_unit_test(test_rounds_through_qemu_are_apart),
		cmocka_unit_test(test_bytes_that_are_no_lines),
		cmocka_unit_test(test_endless_lines),
		cmocka_unit_test(test_wrong_run_json),
		cmocka_unit_test(test_status_2),
		cmocka_unit_test(test_histograms_come_back),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
