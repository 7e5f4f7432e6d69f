/* SPDX-License-Identifier: MIT */
/*
 * run_json.c - run.json: what was asked for, resolved and found
 *
 * All that it takes to go on with the run, or to report on it, without the
 * suite's file: sizes, seed, labels of reference, baseline and contrasts.
 */
#include <stdio.h>
#include <string.h>

#include "harness/clock.h"
#include "harness/commit.h"
#include "harness/run.h"
#include "harness/trial_spec.h"

static void
set_int(json_t *json, const char *key, uint64_t value)
{
	(void)json_object_set_new(json, key, measured_json_int(value));
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
contrasts_json(const struct suite *suite)
{
	json_t *array = json_array();

	for (size_t i = 0; i < suite->ncontrasts; i++) {
		json_t *json = json_object();

		set_text(json, "label", suite->contrasts[i].label);
		set_text(json, "raw", suite->contrasts[i].raw);
		(void)json_array_append_new(array, json);
	}
	return array;
}

static json_t *
judge_json(const struct suite *suite)
{
	json_t *array = json_array();

	for (size_t i = 0; i < suite->njudged; i++) {
		json_t *json = json_object();

		set_text(json, "pass", suite->judged[i].pass);
		set_text(json, "metric", suite->judged[i].metric);
		(void)json_array_append_new(array, json);
	}
	return array;
}

/* One id over the keys of all cells: whatever changes work or target changes
 * it, so that a run goes on with the same work or not at all. */
static void
work_id(const struct plan *plan, char id[ID_SIZE])
{
	json_t *array = json_array();

	for (size_t c = 0; c < plan->nconfigs; c++) {
		for (size_t p = 0; p < plan->npasses; p++) {
			if (plan_does(plan, c, p))
				(void)json_array_append_new(
					array,
					trial_spec_keys(plan, c,
							&plan->passes[p]));
		}
	}
	id_of_json(array, id);
	json_decref(array);
}

json_t *
run_plan_json(const struct plan *plan)
{
	json_t *json = json_object(), *configs = json_array();
	const struct suite *suite = plan->suite;
	char id[ID_SIZE];

	work_id(plan, id);
	for (size_t i = 0; i < plan->nconfigs; i++)
		(void)json_array_append_new(
			configs, json_string(plan->configs[i]->label));
	set_text(json, "suite", suite->name);
	(void)json_object_set_new(json, "quick", json_boolean(plan->quick));
	set_int(json, "rounds", plan->rounds);
	set_int(json, "seed", plan->seed);
	set_int(json, "image_size", plan->image_bytes);
	set_int(json, "requests", plan->requests);
	set_int(json, "size", plan->disk_bytes);
	set_int(json, "slices", plan->slices);
	set_int(json, "disk_most", plan->disk_most);
	/* By these the passes were cut into turns. */
	set_real(json, "ops_per_s", plan->ops_per_s);
	set_real(json, "bytes_per_s", plan->bytes_per_s);
	set_real(json, "margin", suite->margin);
	set_text(json, "group", suite->group);
	set_text(json, "reference", suite->reference);
	set_text(json, "baseline", suite->baseline);
	(void)json_object_set_new(json, "contrasts", contrasts_json(suite));
	(void)json_object_set_new(json, "advice", json_boolean(suite->advice));
	if (suite->njudged)
		(void)json_object_set_new(json, "judge", judge_json(suite));
	if (suite->njudged)
		set_text(json, "question", suite->question);
	set_text(json, "sweep", suite->sweep);
	if (suite->sweep_is_pass)
		(void)json_object_set_new(json, "sweep_is_pass", json_true());
	set_text(json, "work_id", id);
	(void)json_object_set_new(json, "configurations", configs);
	(void)json_object_set_new(json, "passes", passes_json(plan));
	return json;
}

/* What to read again to get the same suite, whatever has become of its file;
 * and what was asked for that changes it. */
static json_t *
spec_json(const struct run_args *args)
{
	json_t *json = json_object(), *sets = json_array();
	json_t *files = json_array();
	const struct suite_texts *texts = &args->loaded->texts;

	set_text(json, "name", args->name);
	for (size_t i = 0; i < args->sets.n; i++)
		(void)json_array_append_new(sets, json_string(args->sets.v[i]));
	(void)json_object_set_new(json, "set", sets);
	set_text(json, "aio", args->aio);
	set_text(json, "cache", args->cache);
	for (size_t i = 0; i < texts->n; i++) {
		json_t *file = json_object();

		set_text(file, "name", texts->v[i].name);
		(void)json_object_set_new(file, "text",
					  json_string(texts->v[i].text));
		(void)json_array_append_new(files, file);
	}
	(void)json_object_set_new(json, "files", files);
	return json;
}

/* The rounds through QEMU, where there can be some. */
static json_t *
qemu_json(const struct run *run)
{
	const struct run_qemu *q = &run->qemu;
	json_t *json = json_object();

	(void)json_object_set_new(json, "asked",
				  json_boolean(!run->args.no_qemu));
	(void)json_object_set_new(json, "wanted", json_boolean(q->wanted));
	set_text(json, "version", q->version);
	set_text(json, "why_not", q->why_not);
	if (q->no_time)
		(void)json_object_set_new(json, "no_time", json_true());
	return json;
}

static json_t *
probe_json(const struct run *run)
{
	json_t *json = json_object();

	set_real(json, "random_write_iops", run->probe.iops);
	set_real(json, "seq_write_bytes_per_s", run->probe.bytes_per_s);
	set_real(json, "duration_s", run->probe.duration_s);
	set_real(json, "removal_s", run->probe.removal_s);
	set_real(json, "warmup_s", run->warmup_s);
	set_real(json, "predicted_round_s", run->predicted_s);
	set_int(json, "halvings", run->halvings);
	return json;
}

/* One entry for each time that the run was taken up. */
static json_t *
sessions_json(const struct run *run, const json_t *first)
{
	json_t *array = json_deep_copy(
		json_object_get(run->measured.run, "sessions"));
	json_t *json = json_object();
	size_t last;

	if (!array)
		array = json_array();
	set_int(json, "session", run->rounds.session);
	set_real(json, "started_at_s",
		 clock_wall_s() - (clock_s() - run->began_s));
	set_real(json, "duration_s", clock_s() - run->began_s);
	set_text(json, "program_version", q2_version());
	set_text(json, "git_commit", commit_built_from);
	set_text(json, "env_fp", run->env.fingerprint);
	if (strcmp(measured_text(first, "fingerprint"), run->env.fingerprint) !=
	    0)
		(void)json_object_set_new(json, "environment",
					  env_json(&run->env));
	/* This session's is replaced whenever run.json is. */
	last = json_array_size(array);
	if (last > 0 && measured_int(json_array_get(array, last - 1),
				     "session") == run->rounds.session)
		(void)json_array_set_new(array, last - 1, json);
	else
		(void)json_array_append_new(array, json);
	return array;
}

static json_t *
run_json(const struct run *run, const char *state)
{
	json_t *json = json_object();
	json_t *env = json_incref(json_object_get(run->asked, "environment"));
	char caption[256];

	env_caption(&run->env, caption, sizeof(caption));
	/* The first session's; another one's stands with that session. */
	if (!env)
		env = env_json(&run->env);
	else
		(void)snprintf(caption, sizeof(caption), "%s",
			       measured_text(run->asked, "caption"));
	set_int(json, "schema", RESULTS_SCHEMA);
	set_text(json, "program_version", q2_version());
	set_text(json, "git_commit", commit_built_from);
	set_text(json, "run_id", run->rounds.run_id);
	set_text(json, "group_id", run->rounds.group_id);
	set_text(json, "state", state);
	set_real(json, "started_at_s", run->began_at_s);
	set_real(json, "duration_s", run->earlier_s + clock_s() - run->began_s);
	set_int(json, "session", run->rounds.session);
	(void)json_object_set_new(json, "sessions", sessions_json(run, env));
	set_int(json, "rounds_done", run->measured.of[MEASURED_SUITE].n);
	set_real(json, "round_s", run->round_s);
	set_text(json, "dir", run->dir);
	set_text(json, "aio_asked", run->args.aio);
	set_text(json, "aio", run->aio);
	set_text(json, "cache_asked", run->cache_asked);
	set_text(json, "cache", plan_cache_name(run->plan.cache));
	set_text(json, "notice", run->notice);
	set_text(json, "caption", caption);
	(void)json_object_set_new(json, "spec", spec_json(&run->args));
	(void)json_object_set_new(json, "plan", run_plan_json(&run->plan));
	if (run->qemu.wanted || run->qemu.why_not[0])
		(void)json_object_set_new(json, "qemu", qemu_json(run));
	(void)json_object_set_new(json, "guards", run_guard_json(run));
	if (run->probe.duration_s > 0)
		(void)json_object_set_new(json, "probe", probe_json(run));
	else if (json_object_get(run->measured.run, "probe"))
		(void)json_object_set(
			json, "probe",
			json_object_get(run->measured.run, "probe"));
	(void)json_object_set_new(json, "environment", env);
	return json;
}

int
run_write_json(struct run *run, const char *state, struct q2_err *err)
{
	json_t *json = run_json(run, state);

	json_decref(run->measured.run);
	run->measured.run = json;
	return output_run_json(&run->out, json, err);
}
