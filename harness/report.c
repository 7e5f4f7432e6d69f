/* SPDX-License-Identifier: MIT */
#include "harness/report.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/cells.h"
#include "harness/output.h"
#include "harness/report_qemu.h"
#include "harness/suite.h"
#include "harness/table.h"
#include "harness/wrap.h"
#include "results/csv.h"

const char *const report_formats[] = {"table", "json", "csv", NULL};

enum report_format
report_format_of(const char *word)
{
	for (int i = 0; word && report_formats[i]; i++) {
		if (strcmp(report_formats[i], word) == 0)
			return (enum report_format)i;
	}
	return REPORT_TABLE;
}

/* ---- what run.json says ------------------------------------------------- */

static const json_t *
plan_of(const struct report *r)
{
	return json_object_get(r->m->run, "plan");
}

/* The rounds that the suite is about. */
static const struct measured_rounds *
suite_of(const struct report *r)
{
	return &r->m->of[MEASURED_SUITE];
}

/* NULL where there is none. */
static const char *
label_of(const struct report *r, const char *key)
{
	return json_string_value(json_object_get(plan_of(r), key));
}

/* Its configurations, in its order; returns their number. */
static size_t
plan_labels(const struct report *r, const char *labels[SUITE_CONFIGS_MAX])
{
	const json_t *array = json_object_get(plan_of(r), "configurations");
	size_t n = 0, i;
	json_t *label;

	json_array_foreach(array, i, label)
	{
		if (n < SUITE_CONFIGS_MAX && json_is_string(label))
			labels[n++] = json_string_value(label);
	}
	return n;
}

static double
margin_of(const struct report *r)
{
	return json_number_value(json_object_get(plan_of(r), "margin"));
}

/* Seconds for a round with all around it: as the run has found when it ended,
 * else of the rounds alone. */
static double
round_seconds(const struct report *r)
{
	double s = json_number_value(json_object_get(r->m->run, "round_s"));

	if (s > 0 || suite_of(r)->n == 0)
		return s;
	return r->m->seconds / (double)suite_of(r)->n;
}

/* ---- modes that were used ------------------------------------------------ */

#define MODES_SIZE 128

static bool
has_mode(const char *modes, const char *mode, size_t len)
{
	for (const char *at = modes; *at;) {
		size_t n = strcspn(at, ",");

		if (n == len && strncmp(at, mode, len) == 0)
			return true;
		at += n;
		at += strspn(at, ", ");
	}
	return false;
}

static void
add_mode(char modes[MODES_SIZE], const char *mode)
{
	size_t n = strlen(modes), len = strcspn(mode, "-");

	if (len && !has_mode(modes, mode, len))
		(void)snprintf(modes + n, MODES_SIZE - n, "%s%.*s",
			       n ? ", " : "", (int)len, mode);
}

/*
 * "none, writeback": what the configurations were measured with, in order of
 * the plan; column is that of what was asked for.  What run.json has under key
 * holds for those only that have none of their own.
 */
static void
modes_used(const struct report *r, int column, const char *key,
	   char modes[MODES_SIZE])
{
	const struct rows *trials = &suite_of(r)->trials;
	const char *labels[SUITE_CONFIGS_MAX];
	const char *common = measured_text(r->m->run, key);
	size_t n = plan_labels(r, labels);

	modes[0] = '\0';
	for (size_t k = 0; k < n; k++) {
		for (size_t i = 0; i < trials->n; i++) {
			const struct record *trial = trials->v[i];

			if (strcmp(record_text(trial, TRIAL_label),
				   labels[k]) != 0)
				continue;
			add_mode(modes, record_text(trial, column));
			break;
		}
	}
	/* One for all is told as the run has told it. */
	if (!modes[0] || (!strchr(modes, ',') &&
			  has_mode(modes, common, strcspn(common, "-"))))
		(void)snprintf(modes, MODES_SIZE, "%s", common);
}

/* ---- cells and sentence ------------------------------------------------- */

static void
compute_cells(struct report *r)
{
	struct cells_contrast contrasts[SUITE_CONFIGS_MAX];
	const char *labels[SUITE_CONFIGS_MAX];
	const json_t *array = json_object_get(plan_of(r), "contrasts");
	struct cells_opts opts = {
		.reference = label_of(r, "reference"),
		.baseline = label_of(r, "baseline"),
		.contrasts = contrasts,
		.margin = margin_of(r),
		.labels = labels,
		.nlabels = plan_labels(r, labels),
	};
	json_t *pair;
	size_t i;

	json_array_foreach(array, i, pair)
	{
		if (opts.ncontrasts == ARRAY_SIZE(contrasts))
			break;
		contrasts[opts.ncontrasts++] = (struct cells_contrast){
			measured_text(pair, "label"),
			measured_text(pair, "raw")};
	}
	cells_compute(&suite_of(r)->trials, &opts, &r->cells);
}

/* The median of a metric of create-disk, or -1. */
static double
create_disk(const struct rows *cells, const char *label, const char *metric)
{
	const struct record *cell = cells_find(cells, label, "create-disk",
					       metric);

	return cell ? record_real(cell, CELL_median) : -1;
}

/* What QEMU makes of it is asked for its policy and the next best. */
static void
find_advice(struct report *r)
{
	struct advice cheaper;
	struct advice_opts opts = {
		.margin = margin_of(r),
		.quick = json_is_true(json_object_get(plan_of(r), "quick")),
		.user_bytes = measured_int(plan_of(r), "size"),
		.round_s = round_seconds(r),
		.disturbed = r->m->disturbed,
	};
	char label[32];

	for (int p = 0; p < ADVICE_POLICIES; p++) {
		(void)snprintf(label, sizeof(label), "qcow2-%s",
			       advice_policy_name((enum advice_policy)p));
		opts.create_user_s[p] = create_disk(&r->cells, label,
						    "duration_s");
		opts.alloc_user_bytes[p] = create_disk(&r->cells, label,
						       "alloc_bytes");
	}
	advice_of(&suite_of(r)->trials, &opts, &r->advice);
	opts.without = 1U << r->advice.policy;
	advice_of(&suite_of(r)->trials, &opts, &cheaper);
	report_qemu_advise(r->m, margin_of(r), &cheaper, &r->advice);
}

static void
find_findings(struct report *r)
{
	const json_t *judge = json_object_get(plan_of(r), "judge");

	r->has_findings = suite_of(r)->n > 0 && json_array_size(judge) > 0;
	if (r->has_findings)
		findings_of_cells(&r->cells, judge, label_of(r, "reference"),
				  &r->findings);
}

void
report_init(struct report *r, const struct measured *m)
{
	*r = (struct report){.m = m};
	compute_cells(r);
	report_qemu_cells(m, margin_of(r), &r->qemu_cells);
	find_findings(r);
	r->has_advice = suite_of(r)->n > 0 &&
			json_is_true(json_object_get(plan_of(r), "advice"));
	if (r->has_advice)
		find_advice(r);
}

void
report_done(struct report *r)
{
	rows_done(&r->cells);
	rows_done(&r->qemu_cells);
	if (r->has_findings)
		findings_done(&r->findings);
}

enum bench_exit
report_exit(const struct report *r)
{
	if (suite_of(r)->n == 0)
		return BENCH_NOTHING;
	if (r->has_findings && r->findings.exit_code)
		return (enum bench_exit)r->findings.exit_code;
	return r->has_advice ? (enum bench_exit)r->advice.exit_code : BENCH_OK;
}

/* ---- files -------------------------------------------------------------- */

static int
write_table(const char *out, const struct table *table, const struct rows *a,
	    const struct rows *b, struct q2_err *err)
{
	char path[PATH_MAX];
	struct rows rows;
	int code;

	(void)snprintf(path, sizeof(path), "%s/%s", out, table->file);
	rows_join(a, b, &rows);
	code = csv_write_file(path, table, &rows, err);
	free(rows.v);
	return code;
}

static int
write_hists(const char *out, const struct hists *a, const struct hists *b,
	    struct q2_err *err)
{
	struct hists hists;
	char path[PATH_MAX];
	int code;

	(void)snprintf(path, sizeof(path), "%s/%s", out, table_hist.file);
	hists_join(a, b, &hists);
	code = hists_write_csv(&hists, path, err);
	free(hists.v);
	return code;
}

/* Rounds through QEMU stand behind those of the suite. */
int
report_write_csv(const struct report *r, const char *out, struct q2_err *err)
{
	const struct measured_rounds *suite = suite_of(r);
	const struct measured_rounds *qemu = &r->m->of[MEASURED_QEMU];
	int code;

	code = write_table(out, &table_trials, &suite->trials, &qemu->trials,
			   err);
	if (code >= 0)
		code = write_table(out, &table_cells, &r->cells, &r->qemu_cells,
				   err);
	if (code >= 0)
		code = write_table(out, &table_series, &suite->series,
				   &qemu->series, err);
	return code < 0 ? code
			: write_hists(out, &suite->hists, &qemu->hists, err);
}

/* More have no room in a picture. */
#define JUDGED_MAX 32

static size_t
plan_judged(const struct report *r, struct plots_judged v[JUDGED_MAX])
{
	const json_t *array = json_object_get(plan_of(r), "judge");
	json_t *pair;
	size_t n = 0, i;

	json_array_foreach(array, i, pair)
	{
		if (n < JUDGED_MAX)
			v[n++] = (struct plots_judged){
				measured_text(pair, "pass"),
				measured_text(pair, "metric")};
	}
	return n;
}

int
report_draw(const struct report *r, const char *out, struct plots_result *ret,
	    struct q2_err *err)
{
	char caption[400], cache[MODES_SIZE];
	struct plots_judged judged[JUDGED_MAX];
	struct plots_opts opts = {
		.out = out,
		.device = caption,
		.judged = judged,
		.question = measured_text(plan_of(r), "question"),
		.sweep = label_of(r, "sweep"),
		.by_pass = json_is_true(
			json_object_get(plan_of(r), "sweep_is_pass")),
	};

	opts.njudged = plan_judged(r, judged);
	modes_used(r, TRIAL_cache_mode, "cache", cache);
	(void)snprintf(caption, sizeof(caption), "%s, cache %s",
		       measured_text(r->m->run, "caption"), cache);
	return plots_write(&suite_of(r)->trials, &r->cells, &opts, ret, err);
}

/* ---- table -------------------------------------------------------------- */

static void
print_guards(const struct measured *m, FILE *f)
{
	if (m->redone + m->disturbed == 0)
		return;
	(void)fprintf(f,
		      "note: others disturbed the run: %" PRIu64
		      " round%s done again, %" PRIu64
		      " kept and flagged 'contaminated';\nratios, taken "
		      "within rounds, and their intervals allow for it, the "
		      "speeds by themselves do not\n",
		      m->redone, m->redone == 1 ? " was" : "s were",
		      m->disturbed);
}

/* Why a place in the column of create-disk is empty where it need not be. */
static void
print_left_out(const struct report *r, FILE *f)
{
	const struct rows *trials = &suite_of(r)->trials;
	char disk[16];

	if (!cells_find(&r->cells, "qcow2-off", "create-disk", "duration_s"))
		return;
	table_bytes((double)measured_int(plan_of(r), "size"), disk,
		    sizeof(disk));
	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];
		const char *label = record_text(t, TRIAL_label);

		if (strcmp(record_text(t, TRIAL_preallocation), "metadata") !=
			    0 ||
		    strcmp(record_text(t, TRIAL_zero_policy), "range") != 0 ||
		    cells_find(&r->cells, label, "create-disk", "duration_s"))
			continue;
		(void)fprintf(f,
			      "note: create-disk of %s is not measured: a file "
			      "of %s is too large here, or its tables take "
			      "too long in each round\n",
			      label, disk);
		return;
	}
}

static void
print_head(const struct report *r, FILE *f)
{
	const json_t *run = r->m->run, *plan = plan_of(r);
	const char *notice = measured_text(run, "notice");
	const char *group = measured_text(plan, "group");
	char image[16], cache[MODES_SIZE], aio[MODES_SIZE];

	modes_used(r, TRIAL_cache_mode, "cache", cache);
	modes_used(r, TRIAL_aio, "aio", aio);
	table_bytes((double)measured_int(plan, "image_size"), image,
		    sizeof(image));
	(void)fprintf(f, "%s%s%s on %s\n", measured_text(plan, "suite"),
		      group[0] ? ", " : "", group,
		      measured_text(run, "caption"));
	(void)fprintf(f,
		      "images of %s, cache %s, aio %s, %" PRIu64
		      " round%s, seed %" PRIu64 "\n",
		      image, cache, aio, suite_of(r)->n,
		      suite_of(r)->n == 1 ? "" : "s",
		      measured_int(plan, "seed"));
	if (notice[0])
		(void)fprintf(f, "note: %s\n", notice);
	print_guards(r->m, f);
	print_left_out(r, f);
	(void)fputc('\n', f);
}

/* Notes belong to the sentence.  Without one the first says why, and stands in
 * its place. */
static void
print_advice(const struct advice *advice, FILE *f)
{
	bool said = advice->sentence[0] != '\0';
	size_t from = said ? 0 : 1;

	if (!said && advice->nnotes == 0)
		return;
	(void)fputc('\n', f);
	wrap_words(f, said ? advice->sentence : advice->notes[0], 0, 2);
	for (size_t i = from; i < advice->nnotes; i++) {
		(void)fputs("- ", f);
		wrap_words(f, advice->notes[i], 2, 2);
	}
}

static void
print_table(const struct report *r, FILE *f)
{
	struct table_opts opts;

	if (suite_of(r)->n == 0)
		return;
	table_opts_for(f, r->color, &opts);
	opts.baseline = label_of(r, "baseline");
	print_head(r, f);
	table_print(f, &r->cells, &opts);
	report_qemu_table(r->m, &r->qemu_cells, r->color, f);
	if (r->has_findings) {
		(void)fputc('\n', f);
		findings_print(&r->findings, f);
	}
	if (!r->has_advice)
		return;
	print_advice(&r->advice, f);
}

/* ---- CSV and JSON ------------------------------------------------------- */

static void
print_csv(const struct report *r, FILE *f)
{
	struct rows rows;

	if (!r->headless)
		csv_write_header(f, &table_trials);
	rows_join(&suite_of(r)->trials, &r->m->of[MEASURED_QEMU].trials, &rows);
	for (size_t i = 0; i < rows.n; i++)
		csv_write_record(f, rows.v[i]);
	free(rows.v);
}

/* A member of the document, and json with it. */
static void
print_member(FILE *f, const char *name, json_t *json)
{
	(void)fprintf(f, ",\n\"%s\": ", name);
	(void)json_dumpf(json, f, JSON_INDENT(1) | JSON_ENCODE_ANY);
	json_decref(json);
}

/* An element of an array, a line each. */
static void
print_element(FILE *f, bool first, json_t *json)
{
	(void)fputs(first ? "\n" : ",\n", f);
	(void)json_dumpf(json, f, JSON_COMPACT);
	json_decref(json);
}

static json_t *
advice_json(const struct advice *advice)
{
	json_t *json = json_object(), *notes = json_array();

	(void)json_object_set_new(json, "sentence",
				  json_string(advice->sentence));
	(void)json_object_set_new(json, "decided",
				  json_boolean(advice->decided));
	if (advice->decided)
		(void)json_object_set_new(
			json, "policy",
			json_string(advice_policy_name(advice->policy)));
	for (size_t i = 0; i < advice->nnotes; i++)
		(void)json_array_append_new(notes,
					    json_string(advice->notes[i]));
	(void)json_object_set_new(json, "notes", notes);
	return json;
}

/* As they stand in trials.jsonl, whole rounds only. */
static void
print_trials(const struct measured *m, enum measured_part part, bool first,
	     FILE *f)
{
	const struct measured_rounds *of = &m->of[part];
	struct output_lines lines = {
		.trials = &of->trials,
		.series = &of->series,
		.hists = &of->hists,
		.part = measured_part_names[part],
	};

	for (size_t i = 0; i < of->trials.n; i++) {
		const struct record *rec = of->trials.v[i];

		if (!output_is_first(&of->trials, i))
			continue;
		lines.round = record_int(rec, TRIAL_round);
		lines.session = record_int(rec, TRIAL_session);
		print_element(f, first, output_trial_json(&lines, rec));
		first = false;
	}
}

static void
print_cells(const struct rows *cells, bool first, FILE *f)
{
	for (size_t i = 0; i < cells->n; i++)
		print_element(f, first && i == 0, record_to_json(cells->v[i]));
}

static void
print_json(const struct report *r, FILE *f)
{
	(void)fprintf(f,
		      "{\"schema\": %d,\n\"tool\": \"qcowbench\",\n"
		      "\"version\": \"%s\"",
		      RESULTS_SCHEMA, q2_version());
	print_member(f, "run", json_incref(r->m->run));
	if (r->has_advice)
		print_member(f, "advice", advice_json(&r->advice));
	if (r->has_findings)
		print_member(f, "findings", findings_json(&r->findings));
	(void)fputs(",\n\"cells\": [", f);
	print_cells(&r->cells, true, f);
	print_cells(&r->qemu_cells, false, f);
	(void)fputs("\n],\n\"trials\": [", f);
	print_trials(r->m, MEASURED_SUITE, true, f);
	print_trials(r->m, MEASURED_QEMU, false, f);
	(void)fputs("\n]\n}\n", f);
}

void
report_print(const struct report *r, FILE *f, enum report_format format)
{
	switch (format) {
	case REPORT_TABLE:
		print_table(r, f);
		break;
	case REPORT_JSON:
		print_json(r, f);
		break;
	case REPORT_CSV:
		print_csv(r, f);
		break;
	}
}
