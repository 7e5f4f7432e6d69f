/* SPDX-License-Identifier: MIT */
#include "harness/run_qemu.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/advice.h"
#include "harness/clock.h"
#include "harness/plan_time.h"
#include "harness/report_qemu.h"
#include "harness/targets/qemu.h"

/* When the rounds of a quick run have to be over: what is written and drawn
 * after them fits into three minutes. */
#define QUICK_S (PLAN_QUICK_S + 5)

/* A suite that is put together at run time; the plan points into it. */
struct qemu_suite {
	char labels[2][32];
	struct config configs[PLAN_QEMU_CONFIGS];
	struct pass passes[2];
	struct suite suite;
	struct plan plan;
};

/* ---- whether ----------------------------------------------------------- */

static uint64_t
rounds_done(const struct run *run)
{
	return run->measured.of[MEASURED_QEMU].n;
}

/* Rounds that an earlier session has done are of that session's QEMU. */
static void
keep_version(struct run *run, const char *was)
{
	struct run_qemu *q = &run->qemu;

	if (q->wanted && strcmp(was, q->version) != 0) {
		(void)snprintf(q->why_not, sizeof(q->why_not),
			       "%" PRIu64 " rounds were done with %s, and now "
			       "there is %s",
			       rounds_done(run), was, q->version);
		q->wanted = false;
	}
	(void)snprintf(q->version, sizeof(q->version), "%s", was);
}

/* Is QEMU there, and asked for? */
static void
look(struct run *run)
{
	struct run_qemu *q = &run->qemu;
	struct q2_err err;

	/* What was put off stays so until QEMU is there. */
	*q = (struct run_qemu){.no_time = q->no_time};
	if (run->args.no_qemu) {
		(void)snprintf(q->why_not, sizeof(q->why_not), "--no-qemu");
		return;
	}
	q->wanted = qemu_check(q->version, &err) == 0;
	if (q->wanted)
		q->no_time = false;
	else
		(void)snprintf(q->why_not, sizeof(q->why_not), "%s", err.text);
	if (!q->version[0])
		(void)snprintf(q->version, sizeof(q->version), "QEMU");
}

void
run_qemu_take(struct run *run)
{
	const json_t *was = json_object_get(run->asked, "qemu");
	struct run_qemu *q = &run->qemu;

	q->wanted = json_is_true(json_object_get(was, "wanted"));
	(void)snprintf(q->version, sizeof(q->version), "%s",
		       measured_text(was, "version"));
	(void)snprintf(q->why_not, sizeof(q->why_not), "%s",
		       measured_text(was, "why_not"));
	q->no_time = json_is_true(json_object_get(was, "no_time"));
	if (json_is_false(json_object_get(was, "asked")))
		run->args.no_qemu = true;
}

void
run_qemu_look(struct run *run)
{
	if (!run->plan.suite->advice || run->plan.rounds < PLAN_QEMU_ROUNDS ||
	    (run_is_complete(run) && rounds_done(run) == PLAN_QEMU_ROUNDS))
		return;
	look(run);
	if (rounds_done(run) > 0)
		keep_version(run,
			     measured_text(json_object_get(run->asked, "qemu"),
					   "version"));
}

static const struct pass *
find_pass(const struct plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->npasses; i++) {
		if (strcmp(plan->passes[i].pass->name, name) == 0)
			return plan->passes[i].pass;
	}
	return NULL;
}

/* Of what two passes took the slowest configuration, for all of them. */
static double
worst_round_s(const struct rows *trials)
{
	double create_s = 0, write_s = 0;

	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];
		double s = record_real(t, TRIAL_duration_s);
		const char *pass = record_text(t, TRIAL_pass);

		if (strcmp(pass, "create") == 0 && s > create_s)
			create_s = s;
		if (strcmp(pass, "first-write") == 0 && s > write_s)
			write_s = s;
	}
	return plan_qemu_round_s(create_s, write_s);
}

double
run_qemu_round_s(const struct run *run, const struct rows *trials)
{
	return run->qemu.wanted ? worst_round_s(trials) + run->removal_s : 0;
}

double
run_qemu_left_s(const struct run *run, const struct rows *trials)
{
	return run_qemu_round_s(run, trials) *
	       (double)(PLAN_QEMU_ROUNDS - rounds_done(run));
}

/* ---- the suite --------------------------------------------------------- */

static struct config
policy_config(enum advice_policy p, char label[32])
{
	static const enum q2_prealloc preallocs[] = {
		Q2_PREALLOC_OFF, Q2_PREALLOC_METADATA, Q2_PREALLOC_FALLOC,
		Q2_PREALLOC_FULL};

	(void)snprintf(label, 32, "qemu-%s", advice_policy_name(p));
	return (struct config){
		.label = label,
		.target = "qemu",
		.prealloc = preallocs[p],
		.cluster_size = 64 * KiB,
		.takes_all = p >= ADVICE_FALLOC,
	};
}

/* The cheaper of the two is what the other is compared with. */
static void
make_suite(struct qemu_suite *s, const struct plan *plan,
	   const struct advice *own)
{
	bool swap = own->rival < own->policy;

	s->configs[0] = (struct config){.label = REPORT_QEMU_RAW,
					.target = "qemu",
					.raw_state = "written",
					.takes_all = true};
	s->configs[1] = policy_config(swap ? own->rival : own->policy,
				      s->labels[0]);
	s->configs[2] = policy_config(swap ? own->policy : own->rival,
				      s->labels[1]);
	s->passes[0] = *find_pass(plan, "create");
	s->passes[1] = *find_pass(plan, "first-write");
	s->suite = (struct suite){
		.name = plan->suite->name,
		.question = plan->suite->question,
		.configs = s->configs,
		.nconfigs = PLAN_QEMU_CONFIGS,
		.passes = s->passes,
		.npasses = ARRAY_SIZE(s->passes),
		.reference = REPORT_QEMU_RAW,
		.margin = plan->suite->margin,
		.rounds = PLAN_QEMU_ROUNDS,
		.image_bytes = plan->suite->image_bytes,
		.requests = plan->suite->requests,
		.quick = &s->suite,
	};
}

static int
make_plan(struct qemu_suite *s, const struct run *run, const struct advice *own,
	  struct q2_err *err)
{
	const struct plan *plan = &run->plan;
	struct wishes wishes = {
		.suite = &s->suite,
		.quick = plan->quick,
		.seed = plan->seed,
		.disk_bytes = plan->disk_bytes,
		.slices = plan->slices,
		.aio = plan->aio,
		.cache = plan_cache_name(plan->cache),
	};

	if (!find_pass(plan, "create") || !find_pass(plan, "first-write"))
		return q2_fail(
			err, -EINVAL,
			"the suite has no pass create, or no first-write");
	make_suite(s, plan, own);
	plan_init(&s->plan, &wishes);
	s->plan.ops_per_s = plan->ops_per_s;
	s->plan.bytes_per_s = plan->bytes_per_s;
	return plan_resolve(&s->plan, plan->image_bytes, plan->requests, err);
}

/* ---- its rounds -------------------------------------------------------- */

/* No rounds of QEMU is a reason to lose those that are done. */
static enum bench_exit
keep(struct run *run, struct round *round, enum bench_exit code,
     struct q2_err *err)
{
	struct run_qemu *q = &run->qemu;

	if (code != BENCH_OK)
		(void)snprintf(q->why_not, sizeof(q->why_not), "%.*s",
			       (int)sizeof(q->why_not) - 1, err->text);
	return run_keep_round(run, MEASURED_QEMU, round, code, err);
}

/* A quick run has promised to be over soon; one that is taken up has not. */
static bool
has_time(const struct run *run, double round_s, uint64_t rounds)
{
	return !run->plan.quick || run->args.rounds || run->args.resume ||
	       clock_s() - run->began_s + round_s * (double)rounds < QUICK_S;
}

static void
put_off(struct run *run)
{
	struct run_qemu *q = &run->qemu;

	q->no_time = true;
	(void)snprintf(q->why_not, sizeof(q->why_not),
		       "no time is left for it in a quick run; qcowbench run "
		       "--resume %.800s asks it",
		       run->out.path);
}

static enum bench_exit
do_rounds(struct run *run, const struct rounds *rounds, double round_s,
	  struct q2_err *err)
{
	enum bench_exit code = BENCH_OK;
	double began_s = clock_s();
	struct round round;
	uint64_t done = 0;

	run->progress.rounds = PLAN_QEMU_ROUNDS;
	run->progress.after_s = PLAN_FINISH_S;
	run->progress.round_s = round_s;
	for (uint64_t i = 1; code == BENCH_OK && i <= PLAN_QEMU_ROUNDS; i++) {
		if (measured_has_round(&run->measured, MEASURED_QEMU, i))
			continue;
		if (!has_time(run, round_s, PLAN_QEMU_ROUNDS - i + 1)) {
			put_off(run);
			break;
		}
		rounds_order(rounds->plan, i, &round);
		round.settled = run_settle(run);
		progress_round(&run->progress, i);
		code = round_run(rounds, &round, err);
		code = keep(run, &round, code, err);
		round_done(&round);
		workdir_empty(&run->work);
		round_s = (clock_s() - began_s) / (double)++done;
		run->progress.round_s = round_s;
	}
	return code;
}

/* Which policy, against which: is there anything to ask QEMU? */
static bool
has_question(const struct run *run, struct advice *ret_own)
{
	struct advice_opts opts = {.margin = run->plan.suite->margin,
				   .quick = run->plan.quick};

	advice_of(&run->measured.of[MEASURED_SUITE].trials, &opts, ret_own);
	return ret_own->kind >= ADVICE_BETTER;
}

bool
run_qemu_is_due(const struct run *run)
{
	struct advice own;

	return run->plan.suite->advice &&
	       run->plan.rounds >= PLAN_QEMU_ROUNDS &&
	       (run->qemu.wanted || run->qemu.no_time) && !run->args.no_qemu &&
	       rounds_done(run) < PLAN_QEMU_ROUNDS && has_question(run, &own);
}

/* Rounds of an earlier session are of the same policies, or cannot be gone on
 * with. */
static bool
is_of_suite(const struct rows *trials, const struct qemu_suite *s)
{
	for (size_t i = 0; i < trials->n; i++) {
		const char *label = record_text(trials->v[i], TRIAL_label);

		if (strcmp(label, REPORT_QEMU_RAW) != 0 &&
		    strcmp(label, s->labels[0]) != 0 &&
		    strcmp(label, s->labels[1]) != 0)
			return false;
	}
	return true;
}

static void
set_up(const struct run *run, const struct qemu_suite *suite,
       struct rounds *rounds)
{
	rounds_init(rounds, &suite->plan, &run->env, run->work.path);
	memcpy(rounds->run_id, run->rounds.run_id, sizeof(rounds->run_id));
	rounds->session = run->rounds.session;
	rounds->cache_asked = run->cache_asked;
	rounds->at_pass = run->rounds.at_pass;
	rounds->arg = run->rounds.arg;
}

enum bench_exit
run_qemu_rounds(struct run *run, struct q2_err *err)
{
	struct measured_rounds *had = &run->measured.of[MEASURED_QEMU];
	struct run_qemu *q = &run->qemu;
	struct qemu_suite suite;
	struct rounds rounds;
	struct advice own;
	enum bench_exit code;
	struct q2_err why;

	if (!q->wanted || had->n == PLAN_QEMU_ROUNDS)
		return BENCH_OK;
	if (run->kept) {
		(void)snprintf(q->why_not, sizeof(q->why_not),
			       "--keep leaves no room for it");
		return BENCH_OK;
	}
	if (!has_question(run, &own))
		return BENCH_OK;
	if (make_plan(&suite, run, &own, &why) < 0) {
		(void)snprintf(q->why_not, sizeof(q->why_not), "%s", why.text);
		return BENCH_OK;
	}
	if (!is_of_suite(&had->trials, &suite)) {
		(void)snprintf(q->why_not, sizeof(q->why_not),
			       "its rounds in trials.jsonl are of other "
			       "policies");
		return BENCH_OK;
	}
	progress_say(&run->progress, "through %s: %s and %s", q->version,
		     suite.labels[0], suite.labels[1]);
	set_up(run, &suite, &rounds);
	code = do_rounds(
		run, &rounds,
		run_qemu_round_s(run, &run->measured.of[MEASURED_SUITE].trials),
		&why);
	if (code == BENCH_OK || code == BENCH_TRIAL || code == BENCH_NOTHING)
		return BENCH_OK;
	*err = why;
	return code;
}
