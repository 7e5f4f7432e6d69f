/* SPDX-License-Identifier: MIT */
/*
 * run_resume.c - take up a run that was killed, interrupted, or out of space
 *
 * The plan is made again from run.json: the same texts of the suite, sizes,
 * seed, and the speeds by which passes were cut into turns.  What comes out must
 * be the plan that run.json has, member by member; a program that makes another
 * of it refuses, because its rounds would not be comparable.  Whole rounds are
 * kept, all others are done again from their beginning.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/env_diff.h"
#include "harness/run.h"
#include "harness/run_qemu.h"
#include "harness/spec_file.h"

/* ---- options ------------------------------------------------------------ */

static enum bench_exit
contradiction(const struct run *run, const char *option, const char *said,
	      const char *was, struct q2_err *err)
{
	(void)q2_fail(err, -EINVAL,
		      "%s %s contradicts the run in %s, which has %s; leave it "
		      "out, or begin a new run",
		      option, said, run->args.resume, was);
	return BENCH_USAGE;
}

/* A number that was said must be the one that the run has. */
static enum bench_exit
same_number(const struct run *run, const char *option, uint64_t said,
	    uint64_t was, struct q2_err *err)
{
	char s[24], w[24];

	if (said == was)
		return BENCH_OK;
	(void)snprintf(s, sizeof(s), "%" PRIu64, said);
	(void)snprintf(w, sizeof(w), "%" PRIu64, was);
	return contradiction(run, option, s, w, err);
}

static enum bench_exit
same_text(const struct run *run, const char *option, const char *said,
	  const char *was, struct q2_err *err)
{
	if (!said || strcmp(said, was) == 0)
		return BENCH_OK;
	return contradiction(run, option, said, was[0] ? was : "none", err);
}

static enum bench_exit
check_numbers(const struct run *run, struct q2_err *err)
{
	const json_t *plan = json_object_get(run->asked, "plan");
	const struct run_args *a = &run->args;
	const struct {
		const char *option, *key;
		uint64_t said;
		bool has;
	} v[] = {
		{"--rounds", "rounds", a->rounds, a->rounds > 0},
		{"--seed", "seed", a->seed, a->has_seed},
		{"--size", "size", a->size, a->size > 0},
		{"--image-size", "image_size", a->image_size,
		 a->image_size > 0},
		{"--requests", "requests", a->requests, a->requests > 0},
		{"--slices", "slices", a->slices, a->slices > 0},
	};
	enum bench_exit code = BENCH_OK;

	for (size_t i = 0; i < ARRAY_SIZE(v) && code == BENCH_OK; i++) {
		if (v[i].has)
			code = same_number(run, v[i].option, v[i].said,
					   measured_int(plan, v[i].key), err);
	}
	return code;
}

static bool
has_word(const json_t *array, const char *word)
{
	const char *text;
	json_t *value;
	size_t i;

	json_array_foreach(array, i, value)
	{
		text = json_string_value(value);
		if (text && strcmp(text, word) == 0)
			return true;
	}
	return false;
}

/* The suite, by its name or its file's, and what was put over it. */
static enum bench_exit
check_suite(const struct run *run, struct q2_err *err)
{
	const json_t *spec = json_object_get(run->asked, "spec");
	const json_t *sets = json_object_get(spec, "set");
	const struct run_args *a = &run->args;

	for (size_t i = 0; i < a->sets.n; i++) {
		if (!has_word(sets, a->sets.v[i]))
			return contradiction(
				run, "--set", a->sets.v[i],
				json_array_size(sets) ? "others" : "none", err);
	}
	return same_text(run, "the suite", a->name, measured_text(spec, "name"),
			 err);
}

static enum bench_exit
check_options(const struct run *run, struct q2_err *err)
{
	const json_t *plan = json_object_get(run->asked, "plan");
	const struct run_args *a = &run->args;
	const char *dir = measured_text(run->asked, "dir");
	char said[PATH_MAX];
	enum bench_exit code;

	if (a->out)
		return contradiction(run, "--out", a->out, "a folder", err);
	if (a->quick && !json_is_true(json_object_get(plan, "quick")))
		return contradiction(run, "--quick", "(the short form)",
				     "the standard form", err);
	code = check_suite(run, err);
	if (code == BENCH_OK)
		code = check_numbers(run, err);
	if (code == BENCH_OK)
		code = same_text(run, "--aio", a->aio,
				 measured_text(run->asked, "aio"), err);
	if (code == BENCH_OK)
		code = same_text(run, "--cache", a->cache,
				 measured_text(run->asked, "cache"), err);
	if (code == BENCH_OK && a->dir)
		code = same_text(run, "--dir",
				 realpath(a->dir, said) ? said : a->dir, dir,
				 err);
	return code;
}

/* ---- the suite ---------------------------------------------------------- */

static enum bench_exit
bad_spec(const struct run *run, struct q2_err *err)
{
	(void)q2_fail(err, -EINVAL,
		      "%s/run.json:1: member spec does not hold the suite; "
		      "restore the file from a copy",
		      run->args.resume);
	return BENCH_USAGE;
}

/* Texts are those of run->asked. */
static int
take_texts(const json_t *files, struct suite_text v[SPEC_FILES_MAX + 1],
	   struct suite_texts *ret)
{
	json_t *file;
	size_t i;

	if (json_array_size(files) == 0 ||
	    json_array_size(files) > SPEC_FILES_MAX + 1)
		return -EINVAL;
	json_array_foreach(files, i, file)
	{
		v[i].name = json_string_value(json_object_get(file, "name"));
		v[i].text = json_string_value(json_object_get(file, "text"));
		if (!v[i].name || !v[i].text)
			return -EINVAL;
	}
	*ret = (struct suite_texts){v, json_array_size(files)};
	return 0;
}

static int
take_sets(const json_t *sets, struct option_list *ret)
{
	json_t *value;
	size_t i;

	ret->n = 0;
	json_array_foreach(sets, i, value)
	{
		if (i == OPTION_LIST_MAX || !json_is_string(value))
			return -EINVAL;
		ret->v[ret->n++] = json_string_value(value);
	}
	return 0;
}

/* Each group has a folder of its own. */
static const struct suite *
find_group(const struct suite *suite, const char *name)
{
	while (suite && strcmp(suite->group ? suite->group : "", name) != 0)
		suite = suite->next;
	return suite;
}

static enum bench_exit
take_suite(struct run *run, struct q2_err *err)
{
	const json_t *spec = json_object_get(run->asked, "spec");
	const json_t *plan = json_object_get(run->asked, "plan");
	const char *name = json_string_value(json_object_get(spec, "name"));
	struct suite_text v[SPEC_FILES_MAX + 1];
	struct run_args *a = &run->args;
	struct suite_texts texts;

	if (!name ||
	    take_texts(json_object_get(spec, "files"), v, &texts) < 0 ||
	    take_sets(json_object_get(spec, "set"), &a->sets) < 0)
		return bad_spec(run, err);
	a->aio = json_string_value(json_object_get(spec, "aio"));
	a->cache = json_string_value(json_object_get(spec, "cache"));
	if (run_args_load(a, name, &texts, err) < 0) {
		(void)err_prefix(err, -EINVAL,
				 "the suite in %s/run.json, which this version "
				 "of the program does not understand",
				 a->resume);
		return BENCH_USAGE;
	}
	a->suite = find_group(a->loaded, measured_text(plan, "group"));
	return a->suite ? BENCH_OK : bad_spec(run, err);
}

/* What the run was asked for, as if it were asked again. */
static enum bench_exit
take_options(struct run *run, struct q2_err *err)
{
	const json_t *plan = json_object_get(run->asked, "plan");
	const json_t *guards = json_object_get(run->asked, "guards");
	struct run_args *a = &run->args;

	a->quick = json_is_true(json_object_get(plan, "quick"));
	a->rounds = measured_int(plan, "rounds");
	a->seed = measured_int(plan, "seed");
	a->size = measured_int(plan, "size");
	a->image_size = measured_int(plan, "image_size");
	a->requests = measured_int(plan, "requests");
	a->slices = measured_int(plan, "slices");
	a->dir = measured_text(run->asked, "dir");
	a->strict_env |= json_is_true(json_object_get(guards, "strict"));
	run_qemu_take(run);
	return take_suite(run, err);
}

/* ---- the plan ----------------------------------------------------------- */

/* The first member in which two objects differ. */
static const char *
difference(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)a, key, value)
	{
		if (!json_equal(value, json_object_get(b, key)))
			return key;
	}
	json_object_foreach((json_t *)b, key, value)
	{
		if (!json_object_get(a, key))
			return key;
	}
	return NULL;
}

static int
find_cache(const char *name, enum q2_cache *ret)
{
	for (int i = 0; plan_cache_names[i]; i++) {
		if (strcmp(plan_cache_names[i], name) != 0)
			continue;
		*ret = plan_cache_mode(name);
		return 0;
	}
	return -EINVAL;
}

static enum bench_exit
make_plan(struct run *run, struct q2_err *err)
{
	const json_t *was = json_object_get(run->asked, "plan");
	const char *cache = measured_text(run->asked, "cache");
	struct wishes wishes = run_args_wishes(&run->args);
	enum q2_cache mode;
	const char *key;
	json_t *is;

	plan_init(&run->plan, &wishes);
	run->cache_asked = plan_cache_name(run->plan.cache);
	if (find_cache(cache, &mode) < 0) {
		(void)q2_fail(err, -EINVAL,
			      "%s/run.json:1: '%s' is no cache mode; restore "
			      "the file from a copy",
			      run->args.resume, cache);
		return BENCH_USAGE;
	}
	plan_set_cache(&run->plan, mode);
	run->plan.ops_per_s = json_number_value(
		json_object_get(was, "ops_per_s"));
	run->plan.bytes_per_s = json_number_value(
		json_object_get(was, "bytes_per_s"));
	run->plan.disk_most = measured_int(was, "disk_most");
	/* Guards judge others' load by what the disk can do. */
	run->probe.iops = run->plan.ops_per_s;
	run->probe.bytes_per_s = run->plan.bytes_per_s;
	if (plan_resolve(&run->plan, run->args.image_size, run->args.requests,
			 err) < 0)
		return BENCH_USAGE;
	is = run_plan_json(&run->plan);
	key = difference(was, is);
	if (key)
		(void)q2_fail(err, -EINVAL,
			      "%s/run.json:1: the run was planned with other "
			      "%s than this program would; use the version "
			      "that began it, or begin a new run",
			      run->args.resume, key);
	json_decref(is);
	return key ? BENCH_USAGE : BENCH_OK;
}

/* The round at the end that is not whole. */
static enum bench_exit
close_cut(struct run *run, struct q2_err *err)
{
	const struct measured *m = &run->measured;
	const struct output_lines lines = {
		.round = m->cut_round,
		.session = m->cut_session,
		.part = measured_part_names[m->cut_part],
	};

	if (m->cut_trials == 0)
		return BENCH_OK;
	return output_cut(&run->out, &lines, m->cut_trials, err) < 0
		       ? BENCH_ENVIRONMENT
		       : BENCH_OK;
}

bool
run_is_over(const struct run *run)
{
	const char *state = measured_text(run->asked, "state");
	bool ended = strcmp(state, "done") == 0 && !run->qemu.no_time;

	return run_is_complete(run) && (ended || !run_qemu_is_due(run));
}

/* The last one; there must be room for another, else nobody could read what it
 * writes. */
static enum bench_exit
take_session(struct run *run, struct q2_err *err)
{
	run->session = max_u64(run->measured.session,
			       measured_int(run->asked, "session"));
	if (run->session < MEASURED_SESSIONS_MOST)
		return BENCH_OK;
	(void)q2_fail(err, -EINVAL,
		      "the run in %s was taken up %d times; begin a new one",
		      run->args.resume, MEASURED_SESSIONS_MOST);
	return BENCH_USAGE;
}

enum bench_exit
run_resume(struct run *run, struct q2_err *err)
{
	struct measured *m = &run->measured;
	enum bench_exit code;
	uint64_t whole;
	int r;

	r = output_open(&run->out, run->args.resume, true, err);
	if (r < 0)
		return r == -ENOENT || r == -EBUSY || r == -ENAMETOOLONG
			       ? BENCH_USAGE
			       : BENCH_ENVIRONMENT;
	r = measured_load(m, run->args.resume, err);
	run->asked = json_incref(m->run);
	if (r < 0)
		return r == -EBADE ? BENCH_NOTHING : BENCH_USAGE;
	code = check_options(run, err);
	if (code == BENCH_OK)
		code = take_session(run, err);
	if (code == BENCH_OK)
		code = take_options(run, err);
	if (code == BENCH_OK)
		code = make_plan(run, err);
	if (code == BENCH_OK)
		code = close_cut(run, err);
	if (code != BENCH_OK)
		return code;
	whole = m->of[MEASURED_SUITE].n;
	/* A new session begins only if there is something left to do. */
	run->session += !run_is_over(run);
	run->began_at_s = json_number_value(
		json_object_get(run->asked, "started_at_s"));
	run->earlier_s = json_number_value(
		json_object_get(run->asked, "duration_s"));
	run->round_s = whole ? m->seconds / (double)whole : 0;
	if (m->torn)
		progress_say(&run->progress,
			     "note: the last line of %s/trials.jsonl was cut "
			     "and is left out",
			     run->args.resume);
	if (run_is_over(run))
		progress_say(&run->progress,
			     "%s is finished: %" PRIu64 " of %" PRIu64
			     " rounds are whole, and nothing is left to "
			     "measure; files and table again: qcowbench report "
			     "%s; to measure again, run without --resume",
			     run->args.resume, whole, run->plan.rounds,
			     run->args.resume);
	else
		progress_say(&run->progress,
			     "going on with %s: %" PRIu64 " of %" PRIu64
			     " rounds are whole",
			     run->args.resume, whole, run->plan.rounds);
	return BENCH_OK;
}

/* ---- as it was ---------------------------------------------------------- */

static void
take_first(void *arg, const struct env_difference *diff)
{
	struct env_difference *first = arg;

	if (!first->name[0])
		*first = *diff;
}

static enum bench_exit
compare_environment(struct run *run, struct q2_err *err)
{
	const json_t *was = json_object_get(run->asked, "environment");
	struct env_difference diff = {.name = ""};
	json_t *now = env_json(&run->env);
	bool same = env_same_fingerprint(was, now) == 1;

	(void)env_diff(was, now, take_first, &diff);
	json_decref(now);
	if (same)
		return BENCH_OK;
	if (run->args.strict_env) {
		(void)q2_fail(err, -ENOTSUP,
			      "--strict-env: the environment is not what it "
			      "was (%s: now %s, before %s); begin a new run",
			      diff.name, diff.b, diff.a);
		return BENCH_ENVIRONMENT;
	}
	progress_say(&run->progress,
		     "warning: the environment is not what it was (%s: now %s, "
		     "before %s); rounds from before and after may not be "
		     "comparable",
		     diff.name, diff.b, diff.a);
	return BENCH_OK;
}

enum bench_exit
run_resume_compare(struct run *run, struct q2_err *err)
{
	const char *aio = measured_text(run->asked, "aio");

	if (strcmp(run->aio, aio) != 0) {
		(void)q2_fail(err, -ENOTSUP,
			      "the run in %s used aio %s, and now there is "
			      "only %s; go on where %s works, or begin a new "
			      "run",
			      run->args.resume, aio, run->aio, aio);
		return BENCH_ENVIRONMENT;
	}
	(void)snprintf(run->notice, sizeof(run->notice), "%s",
		       measured_text(run->asked, "notice"));
	return compare_environment(run, err);
}
