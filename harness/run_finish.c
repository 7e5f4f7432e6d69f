/* SPDX-License-Identifier: MIT */
/*
 * run_finish.c - what a run leaves: files, table, sentence, plots
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/advice.h"
#include "harness/cells.h"
#include "harness/clock.h"
#include "harness/run.h"
#include "harness/run_qemu.h"
#include "harness/table.h"
#include "plots/plots.h"

/* ---- run.json ---------------------------------------------------------- */

static void
set_int(json_t *json, const char *key, uint64_t value)
{
	(void)json_object_set_new(json, key, json_integer((json_int_t)value));
}

static void
set_real(json_t *json, const char *key, double value)
{
	(void)json_object_set_new(json, key, json_real(value));
}

static void
set_text(json_t *json, const char *key, const char *text)
{
	if (text && text[0])
		(void)json_object_set_new(json, key, json_string(text));
}

static json_t *
passes_json(const struct plan *plan)
{
	json_t *array = json_array();

	for (size_t i = 0; i < plan->npasses; i++) {
		const struct plan_pass *pp = &plan->passes[i];
		json_t *json = json_object();

		set_text(json, "name", pp->pass->name);
		if (pp->pass->op == PASS_STREAM) {
			set_int(json, "ops", pp->stream.ops);
			set_int(json, "bs", pp->stream.bs_bytes);
			set_int(json, "iodepth", pp->pass->iodepth);
			set_int(json, "turns", pp->cut.turns);
			set_int(json, "slice_ops", pp->cut.slice_ops);
			set_text(json, "touch", pp->pass->touch);
		}
		(void)json_array_append_new(array, json);
	}
	return array;
}

static json_t *
plan_json(const struct plan *plan)
{
	json_t *json = json_object(), *configs = json_array();

	for (size_t i = 0; i < plan->nconfigs; i++)
		(void)json_array_append_new(
			configs, json_string(plan->configs[i]->label));
	set_text(json, "suite", plan->suite->name);
	(void)json_object_set_new(json, "quick", json_boolean(plan->quick));
	set_int(json, "rounds", plan->rounds);
	set_int(json, "seed", plan->seed);
	set_int(json, "image_size", plan->image_bytes);
	set_int(json, "requests", plan->requests);
	set_int(json, "size", plan->disk_bytes);
	set_real(json, "margin", plan->suite->margin);
	set_text(json, "group", plan->suite->group);
	(void)json_object_set_new(json, "configurations", configs);
	(void)json_object_set_new(json, "passes", passes_json(plan));
	return json;
}

/* What to read again to get the same suite. */
static json_t *
spec_json(const struct run_args *args)
{
	json_t *json = json_object(), *sets = json_array();

	set_text(json, "name", args->name);
	for (size_t i = 0; i < args->sets.n; i++)
		(void)json_array_append_new(sets, json_string(args->sets.v[i]));
	(void)json_object_set_new(json, "set", sets);
	return json;
}

static json_t *
probe_json(const struct run *run)
{
	json_t *json = json_object();

	set_real(json, "random_write_iops", run->probe.iops);
	set_real(json, "seq_write_bytes_per_s", run->probe.bytes_per_s);
	set_real(json, "duration_s", run->probe.duration_s);
	set_real(json, "warmup_s", run->warmup_s);
	set_real(json, "predicted_round_s", run->predicted_s);
	set_int(json, "halvings", run->halvings);
	return json;
}

int
run_write_json(const struct run *run, const char *state, struct q2_err *err)
{
	json_t *json = json_object();

	set_int(json, "schema", RESULTS_SCHEMA);
	set_text(json, "program_version", q2_version());
	set_text(json, "run_id", run->rounds.run_id);
	set_text(json, "group_id", run->rounds.group_id);
	set_text(json, "state", state);
	set_real(json, "started_at_s", run->began_at_s);
	set_real(json, "duration_s", clock_s() - run->began_s);
	set_int(json, "rounds_done", run->rounds_done);
	set_real(json, "round_s", run->round_s);
	set_text(json, "dir", run->args.dir);
	set_text(json, "aio_asked", run->args.aio);
	set_text(json, "aio", run->aio);
	set_text(json, "cache_asked", run->cache_asked);
	set_text(json, "cache", plan_cache_name(run->plan.cache));
	set_text(json, "notice", run->notice);
	set_text(json, "qemu", run->qemu.wanted ? run->qemu.version : "");
	(void)json_object_set_new(json, "spec", spec_json(&run->args));
	(void)json_object_set_new(json, "plan", plan_json(&run->plan));
	if (run->probe.duration_s > 0)
		(void)json_object_set_new(json, "probe", probe_json(run));
	(void)json_object_set_new(json, "guards", run_guard_json(run));
	(void)json_object_set_new(json, "environment", env_json(&run->env));
	return output_run_json(&run->out, json, err);
}

/* ---- cells, table, sentence -------------------------------------------- */

static void
compute_cells(const struct run *run, struct rows *cells)
{
	const struct suite *suite = run->plan.suite;
	struct cells_opts opts = {
		.reference = suite->reference,
		.baseline = suite->baseline,
		.contrasts = suite->contrasts,
		.ncontrasts = suite->ncontrasts,
		.margin = suite->margin,
	};

	cells_compute(&run->trials, &opts, cells);
}

/* With those of the rounds through QEMU behind them. */
static int
write_joined(const struct run *run, const char *file, const struct table *table,
	     const struct rows *first, const struct rows *then,
	     struct q2_err *err)
{
	struct rows all = {.n = first->n + then->n};
	int r;

	all.v = calloc(all.n + 1, sizeof(struct record *));
	if (!all.v)
		return q2_fail(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < all.n; i++)
		all.v[i] = i < first->n ? first->v[i] : then->v[i - first->n];
	r = output_csv(&run->out, file, table, &all, err);
	free(all.v);
	return r;
}

static int
write_csv(const struct run *run, const struct rows *cells, struct q2_err *err)
{
	struct rows qemu = {0};
	int r;

	run_qemu_cells(run, &qemu);
	r = write_joined(run, "trials.csv", &table_trials, &run->trials,
			 &run->qemu.trials, err);
	if (r >= 0)
		r = write_joined(run, "cells.csv", &table_cells, cells, &qemu,
				 err);
	rows_done(&qemu);
	if (r >= 0)
		r = output_csv(&run->out, "series.csv", &table_series,
			       &run->series, err);
	return r;
}

static void
print_head(const struct run *run)
{
	char caption[256], image[16], guards[200];

	env_caption(&run->env, caption, sizeof(caption));
	table_bytes((double)run->plan.image_bytes, image, sizeof(image));
	printf("%s on %s\n", run->plan.suite->name, caption);
	printf("images of %s, cache %s, aio %s, %llu round%s, seed %llu\n",
	       image, plan_cache_name(run->plan.cache), run->aio,
	       (unsigned long long)run->rounds_done,
	       run->rounds_done == 1 ? "" : "s",
	       (unsigned long long)run->plan.seed);
	if (run->notice[0])
		printf("note: %s\n", run->notice);
	if (run_guard_summary(run, guards, sizeof(guards)))
		printf("note: %s\n", guards);
	printf("\n");
}

static void
print_table(const struct run *run, const struct rows *cells)
{
	struct table_opts opts = {
		.color = isatty(STDOUT_FILENO) == 1 && !getenv("NO_COLOR"),
		.baseline = run->plan.suite->baseline,
	};

	print_head(run);
	table_print(stdout, cells, &opts);
}

/* Creation of a disk of the user's size, where it was measured. */
/* The median of a metric of create-disk, or -1. */
static double
create_disk(const struct rows *cells, const char *label, const char *metric)
{
	const struct record *cell = cells_find(cells, label, "create-disk",
					       metric);

	return cell ? record_real(cell, CELL_median) : -1;
}

static enum bench_exit
print_advice(const struct run *run, const struct rows *cells)
{
	struct advice_opts opts = {
		.margin = run->plan.suite->margin,
		.quick = run->plan.quick,
		.user_bytes = run->plan.disk_bytes,
		.round_s = run->round_s,
	};
	struct advice advice;
	char label[32];

	for (int p = 0; p < ADVICE_POLICIES; p++) {
		(void)snprintf(label, sizeof(label), "qcow2-%s",
			       advice_policy_name((enum advice_policy)p));
		opts.create_user_s[p] = create_disk(cells, label, "duration_s");
		opts.alloc_user_bytes[p] = create_disk(cells, label,
						       "alloc_bytes");
	}
	advice_of(&run->trials, &opts, &advice);
	run_qemu_advise(run, &advice);
	printf("\n%s\n", advice.sentence);
	for (size_t i = 0; i < advice.nnotes; i++)
		printf("- %s\n", advice.notes[i]);
	return (enum bench_exit)advice.exit_code;
}

static int
draw(struct run *run, const struct rows *cells, struct plots_result *ret,
     struct q2_err *err)
{
	char device[256], caption[300];
	struct plots_opts opts = {.out = run->out.path, .device = caption};

	env_caption(&run->env, device, sizeof(device));
	(void)snprintf(caption, sizeof(caption), "%s, cache %s", device,
		       plan_cache_name(run->plan.cache));
	progress_draw(&run->progress, "drawing the plots");
	return plots_write(&run->trials, cells, &opts, ret, err);
}

static enum bench_exit
report(struct run *run, const struct rows *cells, enum bench_exit code,
       struct q2_err *err)
{
	struct plots_result plots = {0};
	enum bench_exit advice = BENCH_OK;

	if (run->rounds_done == 0)
		return code;
	progress_done(&run->progress);
	print_table(run, cells);
	run_qemu_table(run, stdout);
	if (run->plan.suite->advice)
		advice = print_advice(run, cells);
	(void)fflush(stdout);
	if (draw(run, cells, &plots, err) < 0)
		return BENCH_ENVIRONMENT;
	progress_done(&run->progress);
	printf("\nresults: %s/ (trials.csv, cells.csv, series.csv, run.json%s"
	       ")\n",
	       run->out.path, plots.written ? ", plots/" : "");
	if (plots.notice[0])
		(void)fprintf(stderr, "note: %s\n", plots.notice);
	return code == BENCH_OK ? advice : code;
}

enum bench_exit
run_finish(struct run *run, enum bench_exit code, struct q2_err *err)
{
	const char *state = code == BENCH_OK            ? "done"
			    : code == BENCH_INTERRUPTED ? "interrupted"
							: "failed";
	struct rows cells = {0};
	struct q2_err why;
	int r;

	compute_cells(run, &cells);
	r = write_csv(run, &cells, &why);
	if (r >= 0)
		r = run_write_json(run, state, &why);
	if (r < 0) {
		/* The first failure is the reason. */
		if (code == BENCH_OK) {
			*err = why;
			code = BENCH_ENVIRONMENT;
		}
	} else {
		code = report(run, &cells, code, code == BENCH_OK ? err : &why);
	}
	rows_done(&cells);
	return code;
}
