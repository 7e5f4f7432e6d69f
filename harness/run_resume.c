/* SPDX-License-Identifier: MIT */
/*
 * run_resume.c - take up a run that was killed, interrupted, or out of space
 *
 * The plan is made again from run.json: the same suite, sizes, seed, and the
 * speeds by which passes were cut into turns.  What comes out must be the plan
 * that run.json has, member by member; a suite that has changed since is
 * refused, because its rounds would not be comparable.  Whole rounds are kept,
 * all others are done again from their beginning.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/run.h"

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
	};
	enum bench_exit code = BENCH_OK;

	for (size_t i = 0; i < ARRAY_SIZE(v) && code == BENCH_OK; i++) {
		if (v[i].has)
			code = same_number(run, v[i].option, v[i].said,
					   measured_int(plan, v[i].key), err);
	}
	return code;
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
	code = same_text(run, "the suite", a->suite ? a->suite->name : NULL,
			 measured_text(plan, "suite"), err);
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

/* What the run was asked for, as if it were asked again. */
static enum bench_exit
take_options(struct run *run, struct q2_err *err)
{
	const json_t *plan = json_object_get(run->asked, "plan");
	const char *name = measured_text(plan, "suite");
	struct run_args *a = &run->args;

	a->suite = suites_find(name);
	if (!a->suite) {
		(void)q2_fail(err, -EINVAL,
			      "%s/run.json:1: this program has no suite '%s'; "
			      "use the version that began the run",
			      a->resume, name);
		return BENCH_USAGE;
	}
	a->quick = json_is_true(json_object_get(plan, "quick"));
	a->rounds = measured_int(plan, "rounds");
	a->seed = measured_int(plan, "seed");
	a->size = measured_int(plan, "size");
	a->image_size = measured_int(plan, "image_size");
	a->requests = measured_int(plan, "requests");
	a->dir = measured_text(run->asked, "dir");
	a->aio = json_string_value(json_object_get(run->asked, "aio_asked"));
	a->cache = measured_text(run->asked, "cache_asked");
	return BENCH_OK;
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
	run->cache_asked = run->args.cache;
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

enum bench_exit
run_resume(struct run *run, struct q2_err *err)
{
	struct measured *m = &run->measured;
	enum bench_exit code;
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
		code = take_options(run, err);
	if (code == BENCH_OK)
		code = make_plan(run, err);
	if (code == BENCH_OK && m->cut_trials > 0 &&
	    output_cut(&run->out, m->cut_round, m->cut_session, m->cut_trials,
		       err) < 0)
		code = BENCH_ENVIRONMENT;
	if (code != BENCH_OK)
		return code;
	/* A new session begins only if there is something left to do. */
	run->session = max_u64(m->session,
			       measured_int(run->asked, "session")) +
		       !run_is_complete(run);
	run->began_at_s = json_number_value(
		json_object_get(run->asked, "started_at_s"));
	run->earlier_s = json_number_value(
		json_object_get(run->asked, "duration_s"));
	run->round_s = m->rounds ? m->seconds / (double)m->rounds : 0;
	if (m->torn)
		progress_say(&run->progress,
			     "note: the last line of %s/trials.jsonl was cut "
			     "and is left out",
			     run->args.resume);
	progress_say(&run->progress,
		     "going on with %s: %" PRIu64 " of %" PRIu64
		     " rounds are whole",
		     run->args.resume, m->rounds, run->plan.rounds);
	return BENCH_OK;
}

/* ---- as it was ---------------------------------------------------------- */

enum bench_exit
run_resume_compare(struct run *run, struct q2_err *err)
{
	const json_t *env = json_object_get(run->asked, "environment");
	const char *aio = measured_text(run->asked, "aio"), *key;
	json_t *now;

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
	if (strcmp(measured_text(env, "fingerprint"), run->env.fingerprint) ==
	    0)
		return BENCH_OK;
	now = env_json(&run->env);
	key = difference(env, now);
	progress_say(&run->progress,
		     "warning: the environment is not what it was (%s: now %s, "
		     "before %s); rounds from before and after may not be "
		     "comparable",
		     key ? key : "fingerprint",
		     key ? measured_text(now, key) : run->env.fingerprint,
		     measured_text(env, key ? key : "fingerprint"));
	json_decref(now);
	return BENCH_OK;
}
