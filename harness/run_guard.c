/* SPDX-License-Identifier: MIT */
/*
 * run_guard.c - what others do to a run: warn, look, redo, count
 *
 * A round is judged as a whole and before anybody has looked at its numbers, so
 * that no configuration gets a second chance for having been slow.
 */
#include <stdio.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/env_warn.h"
#include "harness/plan_time.h"
#include "harness/run.h"
#include "harness/stop.h"

static struct disk_rates
rates(const struct run *run)
{
	return (struct disk_rates){run->probe.iops, run->probe.bytes_per_s};
}

struct settled
run_settle(const struct run *run)
{
	static const struct disks none = {.n = 0};
	const struct disk_rates r = rates(run);

	return settle(run->work.path,
		      plan_has_files(&run->plan) ? &run->env.disks : &none, &r,
		      &stop_requested);
}

/* ---- before ------------------------------------------------------------ */

enum bench_exit
run_guard_environment(struct run *run, struct q2_err *err)
{
	struct env_warning v[ENV_WARNINGS];
	size_t n = env_warnings(&run->env.facts, v);

	if (n > 0 && run->args.strict_env) {
		(void)q2_fail(err, -ENOTSUP,
			      "--strict-env: %s; %s ('qcowbench env' lists "
			      "all %zu)",
			      v[0].what, v[0].remedy, n);
		return BENCH_ENVIRONMENT;
	}
	for (size_t i = 0; i < n; i++)
		progress_say(&run->progress, "warning: %s; %s", v[i].what,
			     v[i].remedy);
	return BENCH_OK;
}

enum bench_exit
run_guard_begin(struct run *run, struct q2_err *err)
{
	const char *dir = plan_has_files(&run->plan) ? run->work.path : NULL;
	uint64_t cpus = facts_get_int(&run->env.facts, ENV_cpu_threads);
	const struct disk_rates r = rates(run);
	struct guard_verdict v;

	if (cpus == 0) /* without /sys */
		cpus = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	guard_init(&run->guard, &run->env.disks, dir, (unsigned)cpus);
	run->window = guard_look(&run->guard, &stop_requested);
	run->continued = stop_continued();
	guard_round(&run->guard, &r, &run->window, &run->window, &v);
	if (!run->args.strict_env || !v.contaminated)
		return BENCH_OK;
	(void)q2_fail(err, -EBUSY,
		      "--strict-env: before the first round %s; measure when "
		      "nothing else runs",
		      v.why);
	return BENCH_ENVIRONMENT;
}

/* ---- after a round ----------------------------------------------------- */

static void
stamp(struct round *round, const struct guard_verdict *v)
{
	for (size_t i = 0; i < round->trials.n; i++) {
		struct record *rec = round->trials.v[i];

		record_set_real(rec, TRIAL_canary_ratio, v->canary_ratio);
		if (v->has_cpu)
			record_set_real(rec, TRIAL_steal_pct, v->steal_pct);
		if (v->has_disk)
			record_set_int(rec, TRIAL_foreign_bytes,
				       v->foreign_bytes);
		if (v->contaminated)
			record_add_flag(rec, TRIAL_flags, "contaminated");
	}
}

/* What the windows cannot see: we did not look, nor work, for a while. */
static void
judge_stop(struct run *run, struct guard_verdict *v)
{
	unsigned now = stop_continued();

	if (now == run->continued)
		return;
	run->continued = now;
	v->contaminated = true;
	(void)snprintf(v->why, sizeof(v->why),
		       "the run itself was stopped (Ctrl-Z, SIGSTOP) and went "
		       "on later");
}

/* Only a quick run has promised when it ends. */
static bool
has_time(const struct run *run, const struct round *round)
{
	double left_s = PLAN_QUICK_S - PLAN_FINISH_S -
			(clock_s() - run->began_s);
	double rounds = (double)(run->plan.rounds - round->number);

	if (!run->plan.quick || run->args.rounds)
		return true;
	return left_s >
	       (rounds + 1) * (round->seconds + round->settled.waited_s + 1);
}

enum bench_exit
run_guard_round(struct run *run, struct round *round,
		struct settled *ret_settled, bool *ret_redo, struct q2_err *err)
{
	unsigned long long number = round->number;
	const struct disk_rates r = rates(run);
	struct guard_window before = run->window;
	struct guard_verdict v;

	*ret_settled = run_settle(run);
	run->window = guard_look(&run->guard, &stop_requested);
	guard_round(&run->guard, &r, &before, &run->window, &v);
	judge_stop(run, &v);
	stamp(round, &v);
	*ret_redo = false;
	if (!v.contaminated || stop_requested)
		return BENCH_OK;
	/* Once: who is there still will be there a third time. */
	if (round->attempt < 2 &&
	    run->measured.redone < guard_redo_most(run->plan.rounds) &&
	    has_time(run, round)) {
		*ret_redo = true;
		/* For trials.jsonl. */
		(void)q2_fail(err, -EBUSY, "%s", v.why);
		progress_say(&run->progress,
			     "round %llu was disturbed and is done again: %s",
			     number, v.why);
		return BENCH_OK;
	}
	progress_say(&run->progress, "round %llu was disturbed: %s", number,
		     v.why);
	if (!run->args.strict_env)
		return BENCH_OK;
	(void)q2_fail(err, -EBUSY,
		      "--strict-env: round %llu was disturbed: %s; measure "
		      "when nothing else runs",
		      number, v.why);
	return BENCH_ENVIRONMENT;
}

/* ---- the end ----------------------------------------------------------- */

void
run_guard_end(struct run *run)
{
	guard_done(&run->guard);
}

json_t *
run_guard_json(const struct run *run)
{
	json_t *json = json_object();

	(void)json_object_set_new(json, "redone",
				  measured_json_int(run->measured.redone));
	(void)json_object_set_new(json, "disturbed",
				  measured_json_int(run->measured.disturbed));
	(void)json_object_set_new(json, "strict",
				  json_boolean(run->args.strict_env));
	return json;
}
