/* SPDX-License-Identifier: MIT */
#include "harness/rounds.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/rng.h"
#include "harness/child.h"
#include "harness/clock.h"
#include "harness/host_state.h"
#include "harness/stop.h"
#include "harness/targets/target.h"
#include "harness/trial_spec.h"
#include "workloads/williams.h"

/* Derived seeds; those of passes are below SUITE_PASSES_MAX (plan.c). */
enum {
	SEED_CREATION = 1000,
	SEED_TURNS = 2000,
	SEED_ORDER = 3000,
};

struct member {
	unsigned config;
	unsigned created; /* position in the order of creation, from 1 */
	struct child child;
};

/* A round at work. */
struct work {
	const struct rounds *r;
	struct round *round;
	struct member members[SUITE_CONFIGS_MAX]; /* in order of creation */
	size_t pass;
	/* Those that do the pass, in order of creation, and in this pass's. */
	struct member *active[SUITE_CONFIGS_MAX], *order[SUITE_CONFIGS_MAX];
	unsigned nactive;
};

/* ---- ids --------------------------------------------------------------- */

void
rounds_init(struct rounds *r, const struct plan *plan, const struct env *env,
	    const char *dir)
{
	json_t *json = json_object(), *configs = json_array();
	unsigned char random[16];

	*r = (struct rounds){
		.plan = plan,
		.env = env,
		.program = CHILD_PROGRAM,
		.dir = dir,
		.session = 1,
		.cache_asked = plan_cache_name(plan->cache),
	};
	if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
		double now = clock_wall_s();

		memcpy(random, &now, sizeof(now));
	}
	id_of_bytes(random, sizeof(random), r->run_id);
	(void)json_object_set_new(json, "suite",
				  json_string(plan->suite->name));
	for (size_t i = 0; i < plan->nconfigs; i++)
		(void)json_array_append_new(configs,
					    trial_spec_keys(plan, i, NULL));
	(void)json_object_set_new(json, "configurations", configs);
	id_of_json(json, r->group_id);
	json_decref(json);
}

void
rounds_trial_id(const struct rounds *r, size_t config, uint64_t number,
		char id[ID_SIZE])
{
	json_t *json = trial_spec_keys(r->plan, config, NULL);
	char seed[24];

	/* JSON's integers end at 2^63. */
	(void)snprintf(seed, sizeof(seed), "%llu",
		       (unsigned long long)r->plan->seed);
	(void)json_object_set_new(json, "suite",
				  json_string(r->plan->suite->name));
	(void)json_object_set_new(json, "label",
				  json_string(r->plan->configs[config]->label));
	(void)json_object_set_new(json, "seed", json_string(seed));
	(void)json_object_set_new(json, "round",
				  json_integer((json_int_t)number));
	/* A round that was cut short and done again later has other ids. */
	if (r->session > 1)
		(void)json_object_set_new(json, "session",
					  json_integer((json_int_t)r->session));
	(void)json_object_set_new(json, "machine",
				  json_string(r->env->machine));
	id_of_json(json, id);
	json_decref(json);
}

void
rounds_order(const struct plan *plan, uint64_t number, struct round *ret)
{
	assert(number >= 1 && plan->nconfigs <= SUITE_CONFIGS_MAX);
	*ret = (struct round){.number = number, .n = (unsigned)plan->nconfigs};
	williams_order(ret->n, rng_derive(plan->seed, SEED_CREATION),
		       (unsigned)(number - 1), ret->order);
}

/* ---- records ----------------------------------------------------------- */

static void
stamp_place(const struct env *env, struct record *rec)
{
	record_set_text(rec, TRIAL_medium, env->medium);
	record_set_text(rec, TRIAL_filesystem, env->filesystem);
	record_set_text(rec, TRIAL_mount_options, env->mount_options);
}

/* The first attempt has the id of the trial alone. */
static void
id_of_attempt(unsigned attempt, char id[ID_SIZE])
{
	char text[ID_SIZE + 16];
	int n;

	if (attempt <= 1)
		return;
	n = snprintf(text, sizeof(text), "%s/%u", id, attempt);
	id_of_bytes(text, (size_t)n, id);
}

/* What only the coordinator knows. */
static void
stamp(const struct work *w, const struct member *m, struct record *rec)
{
	const struct rounds *r = w->r;
	const struct round *round = w->round;
	const struct config *config = r->plan->configs[m->config];
	json_t *keys = trial_spec_keys(r->plan, m->config,
				       &r->plan->passes[w->pass]);
	char id[ID_SIZE];

	id_of_json(keys, id);
	json_decref(keys);
	record_set_text(rec, TRIAL_cell_id, id);
	rounds_trial_id(r, m->config, round->number, id);
	id_of_attempt(round->attempt, id);
	record_set_text(rec, TRIAL_trial_id, id);
	record_set_text(rec, TRIAL_run_id, r->run_id);
	record_set_text(rec, TRIAL_group_id, r->group_id);
	record_set_text(rec, TRIAL_suite, r->plan->suite->name);
	record_set_int(rec, TRIAL_session, r->session);
	record_set_int(rec, TRIAL_attempt, round->attempt ? round->attempt : 1);
	if (round->attempt > 1)
		record_add_flag(rec, TRIAL_flags, "redone");
	record_set_int(rec, TRIAL_create_order, m->created);
	record_set_text(rec, TRIAL_machine, r->env->machine);
	record_set_text(rec, TRIAL_env_fp, r->env->fingerprint);
	record_set_int(rec, TRIAL_seed, r->plan->seed);
	record_set_text(rec, TRIAL_cache_mode,
			config->cache != Q2_CACHE_DEFAULT
				? plan_cache_name(config->cache)
				: r->cache_asked);
	record_set_real(rec, TRIAL_settle_s, round->settled.waited_s);
	if (round->settled.timeout)
		record_add_flag(rec, TRIAL_flags, "short_settle");
	/* An export is wherever its server has it. */
	if (plan_config_has_file(config))
		stamp_place(r->env, rec);
}

static int
keep_series(struct work *w, const struct record *trial, const json_t *answer,
	    struct q2_err *err)
{
	const json_t *array = json_object_get(answer, "series");
	struct record *rec;
	size_t i;
	json_t *row;
	int r;

	json_array_foreach(array, i, row)
	{
		r = record_from_json(&table_series, row, &rec, err);
		if (r < 0)
			return r;
		record_set_int(rec, SERIES_session, w->r->session);
		record_set_int(rec, SERIES_round, w->round->number);
		record_set_text(rec, SERIES_trial_id,
				record_text(trial, TRIAL_trial_id));
		record_set_text(rec, SERIES_cell_id,
				record_text(trial, TRIAL_cell_id));
		record_set_text(rec, SERIES_label,
				record_text(trial, TRIAL_label));
		record_set_text(rec, SERIES_pass,
				record_text(trial, TRIAL_pass));
		rows_add(&w->round->series, rec);
	}
	return 0;
}

static int
keep_hists(struct work *w, const struct record *trial, const json_t *answer,
	   struct q2_err *err)
{
	const json_t *array = json_object_get(answer, "hists");
	struct record *key;
	json_t *hist;
	size_t i;
	int r;

	json_array_foreach(array, i, hist)
	{
		r = hists_add(&w->round->hists, hist, err);
		if (r < 0)
			return r;
		key = w->round->hists.v[w->round->hists.n - 1].key;
		record_set_int(key, HIST_session, w->r->session);
		record_set_int(key, HIST_round, w->round->number);
		record_set_text(key, HIST_trial_id,
				record_text(trial, TRIAL_trial_id));
		record_set_text(key, HIST_cell_id,
				record_text(trial, TRIAL_cell_id));
		record_set_text(key, HIST_label,
				record_text(trial, TRIAL_label));
		record_set_text(key, HIST_pass, record_text(trial, TRIAL_pass));
	}
	return 0;
}

static int
keep_answer(struct work *w, const struct member *m, const json_t *answer,
	    struct q2_err *err)
{
	const char *missing;
	struct record *rec;
	int r;

	r = record_from_json(&table_trials, json_object_get(answer, "record"),
			     &rec, err);
	if (r < 0)
		return err_prefix(err, r, "the record of %s", m->child.label);
	stamp(w, m, rec);
	rows_add(&w->round->trials, rec);
	missing = record_missing(rec);
	if (missing)
		return q2_fail(err, -EPROTO, "the record of %s has no field %s",
			       m->child.label, missing);
	r = keep_series(w, rec, answer, err);
	return r < 0 ? r : keep_hists(w, rec, answer, err);
}

/* ---- passes ------------------------------------------------------------ */

static int
take_turn(struct member *m, struct q2_err *err)
{
	return child_ask(&m->child, "turn", -1, NULL, err);
}

static int
begin(struct work *w, struct member *m, struct q2_err *err)
{
	return child_ask(&m->child, "begin", (int)w->pass, NULL, err);
}

static int
end(struct work *w, struct member *m, struct q2_err *err)
{
	json_t *answer;
	int r = child_ask(&m->child, "end", -1, &answer, err);

	if (r < 0)
		return r;
	r = keep_answer(w, m, answer, err);
	json_decref(answer);
	return r;
}

static int
do_whole(struct work *w, struct member *m, struct q2_err *err)
{
	int r = begin(w, m, err);

	if (r >= 0)
		r = take_turn(m, err);
	return r < 0 ? r : end(w, m, err);
}

static int
do_turns(struct work *w, struct q2_err *err)
{
	const struct turns_cut *cut = &w->r->plan->passes[w->pass].cut;
	uint64_t seed = rng_derive(w->r->plan->seed, w->round->number);
	struct turns turns;
	unsigned who;
	int r = 0;

	for (unsigned i = 0; i < w->nactive && r >= 0; i++)
		r = begin(w, w->order[i], err);
	turns_init(&turns, w->nactive, cut->turns,
		   rng_derive(seed, SEED_TURNS + w->pass));
	while (r >= 0 && turns_next(&turns, &who))
		r = take_turn(w->active[who], err);
	for (unsigned i = 0; i < w->nactive && r >= 0; i++)
		r = end(w, w->order[i], err);
	return r;
}

/* Who does the pass, and in which order. */
static void
choose(struct work *w)
{
	const struct plan *plan = w->r->plan;
	unsigned order[SUITE_CONFIGS_MAX];
	uint64_t number = w->round->number ? w->round->number - 1 : 0;

	w->nactive = 0;
	for (unsigned i = 0; i < w->round->n; i++) {
		if (plan_does(plan, w->members[i].config, w->pass))
			w->active[w->nactive++] = &w->members[i];
	}
	if (w->nactive == 0)
		return;
	/* By configuration, so that the square is one of configurations and
	 * not of positions in that of creation. */
	for (unsigned i = 1; i < w->nactive; i++) {
		for (unsigned j = i;
		     j > 0 && w->active[j]->config < w->active[j - 1]->config;
		     j--) {
			struct member *tmp = w->active[j];

			w->active[j] = w->active[j - 1];
			w->active[j - 1] = tmp;
		}
	}
	williams_order(w->nactive, rng_derive(plan->seed, SEED_ORDER + w->pass),
		       (unsigned)number, order);
	for (unsigned i = 0; i < w->nactive; i++)
		w->order[i] = w->active[order[i]];
}

/* All that did the pass have done the same. */
static int
compare(const struct work *w, struct q2_err *err)
{
	const struct rows *rows = &w->round->trials;
	const struct record *first = rows->v[rows->n - w->nactive];
	const char *hash = record_text(first, TRIAL_stream_hash);

	for (size_t i = rows->n - w->nactive + 1; i < rows->n; i++) {
		const char *other = record_text(rows->v[i], TRIAL_stream_hash);

		if (strcmp(hash, other) != 0 ||
		    record_int(first, TRIAL_ops) !=
			    record_int(rows->v[i], TRIAL_ops))
			return q2_fail(err, -EBADE,
				       "round %llu, pass %s: %s has done other "
				       "operations (%s) than %s (%s)",
				       (unsigned long long)w->round->number,
				       record_text(first, TRIAL_pass),
				       record_text(rows->v[i], TRIAL_label),
				       other, record_text(first, TRIAL_label),
				       hash);
	}
	return 0;
}

static int
do_pass(struct work *w, struct q2_err *err)
{
	const struct plan_pass *pp = &w->r->plan->passes[w->pass];
	int r = 0;

	choose(w);
	if (w->nactive == 0)
		return 0;
	if (w->r->at_pass)
		w->r->at_pass(w->r->arg, pp->pass->name);
	if (pp->pass->op != PASS_STREAM) {
		for (unsigned i = 0; i < w->round->n && r >= 0; i++) {
			if (plan_does(w->r->plan, w->members[i].config,
				      w->pass))
				r = do_whole(w, &w->members[i], err);
		}
	} else if (pp->cut.turns == 1) {
		for (unsigned i = 0; i < w->nactive && r >= 0; i++)
			r = do_whole(w, w->order[i], err);
	} else {
		r = do_turns(w, err);
	}
	return r < 0 ? r : compare(w, err);
}

/* ---- the round --------------------------------------------------------- */

static bool
image_path(const struct rounds *r, const struct config *config, char *path,
	   size_t size)
{
	int n = snprintf(path, size, "%s/%s%s", r->dir, config->label,
			 target_find(config->target)->suffix);

	return n > 0 && (size_t)n < size;
}

static int
start(struct work *w, struct member *m, struct q2_err *err)
{
	const struct rounds *r = w->r;
	const struct config *config = r->plan->configs[m->config];
	char path[PATH_MAX];
	json_t *spec;
	int code;

	if (!image_path(r, config, path, sizeof(path)))
		return q2_fail(err, -ENAMETOOLONG, "%s: the name is too long",
			       r->dir);
	spec = trial_spec_json(r->plan, m->config, w->round->number, path);
	code = child_start(&m->child, r->program, config->label, spec, err);
	json_decref(spec);
	return code < 0 ? code : child_ready(&m->child, err);
}

static int
run(struct work *w, struct q2_err *err)
{
	int r = 0;

	for (unsigned i = 0; i < w->round->n && r >= 0; i++)
		r = start(w, &w->members[i], err);
	for (w->pass = 0; r >= 0 && w->pass < w->r->plan->npasses; w->pass++)
		r = do_pass(w, err);
	for (unsigned i = 0; i < w->round->n && r >= 0; i++)
		r = child_quit(&w->members[i].child, err);
	return r;
}

/* When all children are gone: nobody's turn has this in it. */
static void
look_at_images(const struct work *w)
{
	json_t *json = json_object();

	for (unsigned i = 0; i < w->round->n; i++) {
		const struct config *config =
			w->r->plan->configs[w->members[i].config];
		char path[PATH_MAX];
		uint64_t bytes;

		if (plan_config_has_file(config) &&
		    image_path(w->r, config, path, sizeof(path)) &&
		    host_state_resident(path, &bytes) >= 0)
			(void)json_object_set_new(
				json, config->label,
				json_integer((json_int_t)bytes));
	}
	(void)json_object_set_new(w->round->state, "resident_bytes", json);
}

static void
note_state(const struct work *w, const char *when)
{
	(void)json_object_set_new(
		w->round->state, when,
		host_state_json("", &w->r->env->disks, w->r->dir));
}

enum bench_exit
round_run(const struct rounds *r, struct round *round, struct q2_err *err)
{
	struct work w = {.r = r, .round = round};
	double began;
	int code;

	for (unsigned i = 0; i < round->n; i++)
		w.members[i] = (struct member){
			.config = round->order[i],
			.created = i + 1,
			.child = {.to = -1, .from = -1},
		};
	round->state = json_object();
	note_state(&w, "before");
	began = clock_s();
	code = run(&w, err);
	for (unsigned i = 0; i < round->n; i++)
		child_end(&w.members[i].child);
	round->seconds = clock_s() - began;
	note_state(&w, "after");
	look_at_images(&w);
	if (code == -EINTR)
		return BENCH_INTERRUPTED;
	if (code == -EBADE)
		return BENCH_NOTHING;
	/* Not the trial's fault, and mended by the user. */
	if (code == -ENOSPC || code == -EDQUOT)
		return BENCH_ENVIRONMENT;
	return code < 0 ? BENCH_TRIAL : BENCH_OK;
}

void
round_done(struct round *round)
{
	rows_done(&round->trials);
	rows_done(&round->series);
	hists_done(&round->hists);
	json_decref(round->state);
	round->state = NULL;
}
