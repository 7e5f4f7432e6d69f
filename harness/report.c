/* SPDX-License-Identifier: MIT */
#include "harness/report.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/cells.h"
#include "harness/output.h"
#include "harness/suite.h"
#include "harness/table.h"
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

/* NULL where there is none. */
static const char *
label_of(const struct report *r, const char *key)
{
	return json_string_value(json_object_get(plan_of(r), key));
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

	if (s > 0 || r->m->rounds == 0)
		return s;
	return r->m->seconds / (double)r->m->rounds;
}

/* ---- cells and sentence ------------------------------------------------- */

static void
compute_cells(struct report *r)
{
	struct cells_contrast contrasts[SUITE_CONFIGS_MAX];
	const json_t *array = json_object_get(plan_of(r), "contrasts");
	struct cells_opts opts = {
		.reference = label_of(r, "reference"),
		.baseline = label_of(r, "baseline"),
		.contrasts = contrasts,
		.margin = margin_of(r),
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
	cells_compute(&r->m->trials, &opts, &r->cells);
}

/* The median of a metric of create-disk, or -1. */
static double
create_disk(const struct rows *cells, const char *label, const char *metric)
{
	const struct record *cell = cells_find(cells, label, "create-disk",
					       metric);

	return cell ? record_real(cell, CELL_median) : -1;
}

static void
find_advice(struct report *r)
{
	struct advice_opts opts = {
		.margin = margin_of(r),
		.quick = json_is_true(json_object_get(plan_of(r), "quick")),
		.user_bytes = measured_int(plan_of(r), "size"),
		.round_s = round_seconds(r),
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
	advice_of(&r->m->trials, &opts, &r->advice);
}

void
report_init(struct report *r, const struct measured *m)
{
	*r = (struct report){.m = m};
	compute_cells(r);
	r->has_advice = m->rounds > 0 &&
			json_is_true(json_object_get(plan_of(r), "advice"));
	if (r->has_advice)
		find_advice(r);
}

void
report_done(struct report *r)
{
	rows_done(&r->cells);
}

enum bench_exit
report_exit(const struct report *r)
{
	if (r->m->rounds == 0)
		return BENCH_NOTHING;
	return r->has_advice ? (enum bench_exit)r->advice.exit_code : BENCH_OK;
}

/* ---- files -------------------------------------------------------------- */

int
report_write_csv(const struct report *r, const char *out, struct q2_err *err)
{
	const struct {
		const struct table *table;
		const struct rows *rows;
	} files[] = {{&table_trials, &r->m->trials},
		     {&table_cells, &r->cells},
		     {&table_series, &r->m->series}};
	char path[PATH_MAX];
	int code;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", out,
			       files[i].table->file);
		code = csv_write_file(path, files[i].table, files[i].rows, err);
		if (code < 0)
			return code;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", out, table_hist.file);
	return hists_write_csv(&r->m->hists, path, err);
}

int
report_draw(const struct report *r, const char *out, struct plots_result *ret,
	    struct q2_err *err)
{
	char caption[400];
	struct plots_opts opts = {.out = out, .device = caption};

	(void)snprintf(caption, sizeof(caption), "%s, cache %s",
		       measured_text(r->m->run, "caption"),
		       measured_text(r->m->run, "cache"));
	return plots_write(&r->m->trials, &r->cells, &opts, ret, err);
}

/* ---- table -------------------------------------------------------------- */

static void
print_head(const struct report *r, FILE *f)
{
	const json_t *run = r->m->run, *plan = plan_of(r);
	const char *notice = measured_text(run, "notice");
	char image[16];

	table_bytes((double)measured_int(plan, "image_size"), image,
		    sizeof(image));
	(void)fprintf(f, "%s on %s\n", measured_text(plan, "suite"),
		      measured_text(run, "caption"));
	(void)fprintf(f,
		      "images of %s, cache %s, aio %s, %" PRIu64
		      " round%s, seed %" PRIu64 "\n",
		      image, measured_text(run, "cache"),
		      measured_text(run, "aio"), r->m->rounds,
		      r->m->rounds == 1 ? "" : "s", measured_int(plan, "seed"));
	if (notice[0])
		(void)fprintf(f, "note: %s\n", notice);
	(void)fputc('\n', f);
}

static void
print_table(const struct report *r, FILE *f)
{
	struct table_opts opts;

	if (r->m->rounds == 0)
		return;
	table_opts_for(f, &opts);
	opts.baseline = label_of(r, "baseline");
	print_head(r, f);
	table_print(f, &r->cells, &opts);
	if (!r->has_advice)
		return;
	(void)fprintf(f, "\n%s\n", r->advice.sentence);
	for (size_t i = 0; i < r->advice.nnotes; i++)
		(void)fprintf(f, "- %s\n", r->advice.notes[i]);
}

/* ---- CSV and JSON ------------------------------------------------------- */

static void
print_csv(const struct report *r, FILE *f)
{
	csv_write_header(f, &table_trials);
	for (size_t i = 0; i < r->m->trials.n; i++)
		csv_write_record(f, r->m->trials.v[i]);
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

/* The trials as they stand in trials.jsonl, whole rounds only. */
static void
print_trials(const struct report *r, FILE *f)
{
	struct output_lines lines = {
		.trials = &r->m->trials,
		.series = &r->m->series,
		.hists = &r->m->hists,
	};
	bool first = true;

	(void)fputs(",\n\"trials\": [", f);
	for (size_t i = 0; i < lines.trials->n; i++) {
		const struct record *rec = lines.trials->v[i];

		if (!output_is_first(lines.trials, i))
			continue;
		lines.round = record_int(rec, TRIAL_round);
		lines.session = record_int(rec, TRIAL_session);
		print_element(f, first, output_trial_json(&lines, rec));
		first = false;
	}
	(void)fputs("\n]", f);
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
	(void)fputs(",\n\"cells\": [", f);
	for (size_t i = 0; i < r->cells.n; i++)
		print_element(f, i == 0, record_to_json(r->cells.v[i]));
	(void)fputs("\n]", f);
	print_trials(r, f);
	(void)fputs("\n}\n", f);
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
