/* SPDX-License-Identifier: MIT */
/*
 * run_measure.c - probe, warm-up, rounds
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/clock.h"
#include "harness/plan_time.h"
#include "harness/probe_store.h"
#include "harness/run.h"
#include "harness/run_qemu.h"
#include "harness/stop.h"

/* Files are removed all at the same time; those of a round against the two of
 * the warm-up.  9.1 s became 10.5 s where the file system discards as it
 * frees. */
#define REMOVAL 1.25

/* The wall clock is disciplined all the time, by less than this. */
#define CLOCK_JUMP_S 2.0

/* ---- sizes ------------------------------------------------------------- */

static int
probe(struct run *run, uint64_t space, struct q2_err *err)
{
	char path[WORKDIR_PATH + 16];
	struct probe_opts opts = {
		.path = path,
		.aio = run->args.aio,
		.cache = run->plan.cache,
		.most_bytes = space / 2,
		.brief = run->args.image_size && run->args.requests,
	};
	int r;

	/* Nothing to know: the disk does nothing, at once. */
	if (!plan_has_files(&run->plan)) {
		run->probe = plan_fast_disk;
		return 0;
	}
	progress_draw(&run->progress, "probing the disk");
	(void)snprintf(path, sizeof(path), "%s/probe", run->work.path);
	r = probe_disk(&opts, &run->probe, err);
	if (r >= 0 && !opts.brief)
		probe_store_put(run->args.dir, run->plan.cache, &run->probe);
	return r;
}

static void
fail_length(const struct run *run, const struct config *c, int r,
	    uint64_t bytes, struct q2_err *err)
{
	unsigned long long mib = bytes / MiB;

	if (r == -EFBIG || r == -EINVAL)
		(void)q2_fail(err, r,
			      "%s: %s cannot hold a file of %llu MiB; name a "
			      "smaller --image-size",
			      c->label,
			      run->env.filesystem[0] ? run->env.filesystem
						     : "the file system",
			      mib);
	else
		(void)q2_fail(err, r,
			      "%s: cannot make a file of %llu MiB in %s: %s",
			      c->label, mib, run->work.path, strerror(-r));
}

/*
 * Can the file system hold files as long as they get?  A file of qcow2 without
 * preallocation is short, whatever its disk.
 */
static enum bench_exit
check_lengths(struct run *run, struct q2_err *err)
{
	struct plan *plan = &run->plan;

	for (size_t i = 0; i < plan->nconfigs; i++) {
		const struct config *c = plan->configs[i];
		uint64_t bytes = plan_config_bytes(plan, c);
		int r = 0;

		if (strcmp(c->target, "null") == 0 ||
		    (!c->raw_state && c->prealloc == Q2_PREALLOC_OFF))
			continue;
		r = probe_length(run->work.path, bytes);
		if (r == 0)
			continue;
		fail_length(run, c, r, bytes, err);
		return BENCH_ENVIRONMENT;
	}
	if (plan_has_files(plan) &&
	    probe_length(run->work.path, plan->disk_bytes) < 0)
		plan->disk_most = 1; /* nothing that has tables */
	return BENCH_OK;
}

static void
say_left_out(struct run *run)
{
	const struct config *config = plan_left_out(&run->plan);

	if (config)
		progress_say(&run->progress,
			     "note: %s is not made at the size that you want: "
			     "its file would be too large, or its tables take "
			     "too long in each round",
			     config->label);
}

static void
say_notes(struct run *run)
{
	char notes[PLAN_NOTES][PLAN_NOTE_SIZE];
	size_t n = plan_notes(&run->plan, run->args.requests, notes);

	for (size_t i = 0; i < n; i++)
		progress_say(&run->progress, "note: %s", notes[i]);
}

enum bench_exit
run_size_up(struct run *run, struct q2_err *err)
{
	enum bench_exit code;
	uint64_t space;
	int r;

	r = workdir_free_bytes(run->work.path, &space, err);
	if (r < 0)
		return BENCH_ENVIRONMENT;
	r = probe(run, space, err);
	if (r == -ENOSPC)
		return BENCH_ENVIRONMENT;
	if (r < 0)
		return BENCH_TRIAL;
	if (stop_requested) {
		(void)q2_fail(err, -EINTR, "interrupted");
		return BENCH_INTERRUPTED;
	}
	r = plan_sizes(&run->plan, run->args.image_size, run->args.requests,
		       &run->probe, space, err);
	if (r == -EINVAL)
		return BENCH_USAGE;
	if (r < 0)
		return BENCH_ENVIRONMENT;
	code = check_lengths(run, err);
	say_left_out(run);
	say_notes(run);
	return code;
}

/* How long it takes is part of what a round takes. */
static void
remove_images(struct run *run)
{
	run->removal_s = clock_s();
	workdir_empty(&run->work);
	run->removal_s = clock_s() - run->removal_s;
}

/* ---- warm-up ----------------------------------------------------------- */

static unsigned
config_index(const struct plan *plan, const char *label, unsigned otherwise)
{
	for (unsigned i = 0; label && i < plan->nconfigs; i++) {
		if (strcmp(plan->configs[i]->label, label) == 0)
			return i;
	}
	return otherwise;
}

/* The last one for which most is prepared, or the first, but for `but`. */
static unsigned
dearest_but(const struct plan *plan, unsigned but)
{
	unsigned at = but == 0 ? 1 : 0;

	for (unsigned i = 0; i < plan->nconfigs; i++) {
		uint64_t bytes = plan_prepare_bytes(plan, plan->configs[i]);

		if (i != but && bytes > 0 &&
		    bytes >= plan_prepare_bytes(plan, plan->configs[at]))
			at = i;
	}
	return at;
}

/* Two trials that together know what the others will take: one whose creation
 * writes the whole image, and one whose does not. */
static void
choose_warm_up(const struct plan *plan, struct round *round)
{
	unsigned a = config_index(plan, plan->suite->reference, 0);
	unsigned other = dearest_but(plan, a);
	unsigned b = config_index(plan, plan->suite->baseline, other);

	/* One configuration may be both; two trials of it would share a file. */
	if (b == a)
		b = other;
	*round = (struct round){.order = {a, b}, .n = 2};
	if (plan->nconfigs == 1)
		round->n = 1;
}

/* What a round of all configurations takes, and what of it does not depend on
 * the sizes. */
static double
predict(const struct plan *plan, const struct round *warm, double removal_s,
	double *ret_fixed_s)
{
	double create_s[2] = {0, 0}, disk_s = 0, work_s = 0, sum_s = 0;
	double n = (double)plan->nconfigs, round_s;
	bool all;

	for (size_t i = 0; i < warm->trials.n; i++) {
		const struct record *rec = warm->trials.v[i];
		double s = record_real(rec, TRIAL_duration_s);
		size_t pass = record_int(rec, TRIAL_pass_index) - 1;
		unsigned c = config_index(plan, record_text(rec, TRIAL_label),
					  0);

		/* What is filled before goes with the sizes, too. */
		if (record_has(rec, TRIAL_prepare_s)) {
			sum_s += record_real(rec, TRIAL_prepare_s);
			work_s += record_real(rec, TRIAL_prepare_s) / warm->n;
		}
		sum_s += s;
		switch (plan->passes[pass].pass->op) {
		case PASS_CREATE:
			all = plan_writes_all(plan->configs[c]);
			create_s[all] = s > create_s[all] ? s : create_s[all];
			break;
		case PASS_CREATE_DISK:
			disk_s = s;
			break;
		case PASS_CONVERT:
		case PASS_SNAPSHOT:
		case PASS_SNAPSHOT_DELETE:
		case PASS_STREAM:
			work_s += s / warm->n;
			break;
		}
	}
	*ret_fixed_s = plan_between_s(plan_has_files(plan)) +
		       (warm->seconds - sum_s) * n / warm->n;
	round_s = work_s * n + removal_s * REMOVAL;
	for (size_t c = 0; c < plan->nconfigs; c++) {
		round_s += create_s[plan_writes_all(plan->configs[c])];
		for (size_t p = 0; p < plan->npasses; p++) {
			if (plan->passes[p].pass->op == PASS_CREATE_DISK &&
			    plan_does(plan, c, p))
				*ret_fixed_s += disk_s;
		}
	}
	return round_s + *ret_fixed_s;
}

/* Smaller, so that the rest takes no longer than what is left; a round through
 * QEMU goes with each. */
static int
halve(struct run *run, double fixed_s, double qemu_s, struct q2_err *err)
{
	double left_s = PLAN_QUICK_S - PLAN_FINISH_S -
			(clock_s() - run->began_s);

	/* What has begun keeps its sizes. */
	if (!run->plan.quick || run->args.rounds || run->args.resume)
		return 0;
	run->halvings = plan_halvings(run->predicted_s + qemu_s, fixed_s,
				      run->plan.rounds, left_s);
	if (run->halvings == 0)
		return 0;
	run->predicted_s = fixed_s + (run->predicted_s - fixed_s) /
					     (double)(1U << run->halvings);
	run->removal_s /= (double)(1U << run->halvings);
	return plan_halve(&run->plan, run->halvings, !run->args.image_size,
			  !run->args.requests, err);
}

enum bench_exit
run_warm_up(struct run *run, struct settled *ret_settled, struct q2_err *err)
{
	enum bench_exit code;
	struct round round;
	double fixed_s;

	choose_warm_up(&run->plan, &round);
	progress_round(&run->progress, 0);
	code = round_run(&run->rounds, &round, err);
	remove_images(run);
	if (code == BENCH_OK) {
		progress_trials(&run->progress, &round.trials);
		run->warmup_s = round.seconds;
		run->predicted_s = predict(&run->plan, &round, run->removal_s,
					   &fixed_s);
		if (halve(run, fixed_s, run_qemu_round_s(run, &round.trials),
			  err) < 0)
			code = BENCH_USAGE;
	}
	*ret_settled = run_settle(run);
	run->progress.round_s = run->predicted_s;
	run->progress.after_s = PLAN_FINISH_S +
				run_qemu_left_s(run, &round.trials) /
					(double)(1U << run->halvings);
	round_done(&round);
	return code;
}

/* ---- rounds ------------------------------------------------------------ */

/* Append the round.  A full disk may have room when the images are gone: then
 * the round is kept, and the run ends all the same. */
static int
append_round(struct run *run, const struct output_lines *lines, bool *ret_kept,
	     struct q2_err *err)
{
	int r = output_round(&run->out, lines, err);
	struct q2_err again;

	*ret_kept = r >= 0;
	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	workdir_empty(&run->work);
	*ret_kept = output_round(&run->out, lines, &again) >= 0;
	return r;
}

static struct output_lines
lines_of(const struct run *run, enum measured_part part,
	 const struct round *round)
{
	return (struct output_lines){
		.round = round->number,
		.session = run->rounds.session,
		.trials = &round->trials,
		.series = &round->series,
		.hists = &round->hists,
		.seconds = round->seconds,
		.state = round->state,
		.part = measured_part_names[part],
	};
}

enum bench_exit
run_keep_round(struct run *run, enum measured_part part, struct round *round,
	       enum bench_exit code, struct q2_err *err)
{
	struct output_lines lines = lines_of(run, part, round);
	struct q2_err why;
	bool kept;
	int r;

	lines.partial = code != BENCH_OK;
	lines.why = err->text;
	r = append_round(run, &lines, &kept, code == BENCH_OK ? err : &why);
	if (code != BENCH_OK)
		return code;
	if (kept) {
		progress_trials(&run->progress, &round->trials);
		measured_add_round(&run->measured, part, &round->trials,
				   &round->series, &round->hists,
				   round->seconds);
	}
	return r < 0 ? BENCH_ENVIRONMENT : BENCH_OK;
}

/* Nobody sees the numbers of a disturbed round that is done again; they stay in
 * trials.jsonl, with the reason in err. */
static enum bench_exit
put_aside(struct run *run, struct round *round, struct q2_err *err)
{
	struct output_lines lines = lines_of(run, MEASURED_SUITE, round);
	struct q2_err why = *err;
	bool kept;
	int r;

	lines.partial = lines.redone = true;
	lines.why = why.text;
	r = append_round(run, &lines, &kept, err);
	run->measured.redone += kept;
	if (r < 0)
		return BENCH_ENVIRONMENT;
	*err = (struct q2_err){0}; /* no error of the run */
	return BENCH_OK;
}

/* Durations are of a clock that nobody sets; the user may still want to know
 * why two moments in the files lie oddly. */
static void
watch_clock(struct run *run, double *offset_s)
{
	double now_s = clock_wall_s() - clock_s();

	if (now_s - *offset_s > CLOCK_JUMP_S ||
	    *offset_s - now_s > CLOCK_JUMP_S)
		progress_say(&run->progress,
			     "note: the wall clock has moved by %+.0f s (it "
			     "was set, or the machine slept); durations are "
			     "not touched by that",
			     now_s - *offset_s);
	*offset_s = now_s;
}

static uint64_t
next_round(const struct run *run, uint64_t after)
{
	uint64_t i = after + 1;

	while (i <= run->plan.rounds &&
	       measured_has_round(&run->measured, MEASURED_SUITE, i))
		i++;
	return i;
}

bool
run_is_complete(const struct run *run)
{
	return next_round(run, 0) > run->plan.rounds;
}

/* Round i, again if it was disturbed; after it comes `next`. */
static enum bench_exit
do_round(struct run *run, uint64_t i, uint64_t next, struct settled *settled,
	 struct q2_err *err)
{
	enum bench_exit code = BENCH_OK;
	struct round round;
	bool redo = true;

	for (unsigned attempt = 1; redo && code == BENCH_OK; attempt++) {
		rounds_order(&run->plan, i, &round);
		round.attempt = attempt;
		round.settled = *settled;
		redo = false;
		progress_round(&run->progress, i);
		code = round_run(&run->rounds, &round, err);
		run->kept = next > run->plan.rounds && run->args.keep &&
			    code == BENCH_OK;
		if (!run->kept)
			remove_images(run);
		if (code == BENCH_OK)
			code = run_guard_round(run, &round, settled, &redo,
					       err);
		if (redo && run->kept)
			workdir_empty(&run->work);
		code = redo ? put_aside(run, &round, err)
			    : run_keep_round(run, MEASURED_SUITE, &round, code,
					     err);
		round_done(&round);
	}
	return code;
}

enum bench_exit
run_rounds(struct run *run, struct settled settled, struct q2_err *err)
{
	double began_s, offset_s = clock_wall_s() - clock_s();
	uint64_t i = next_round(run, 0), next, done = 0;
	uint64_t redone = run->measured.redone;
	enum bench_exit code = BENCH_OK;

	if (i > run->plan.rounds)
		return BENCH_OK;
	code = run_guard_begin(run, err);
	began_s = clock_s();
	run->progress.rounds = run->plan.rounds;
	for (; code == BENCH_OK && i <= run->plan.rounds; i = next) {
		next = next_round(run, i);
		code = do_round(run, i, next, &settled, err);
		watch_clock(run, &offset_s);
		if (code != BENCH_OK)
			break;
		done++;
		run->round_s = (clock_s() - began_s) /
			       (double)(done + run->measured.redone - redone);
		run->progress.round_s = run->round_s;
		run->progress.after_s =
			PLAN_FINISH_S +
			run_qemu_left_s(
				run, &run->measured.of[MEASURED_SUITE].trials);
	}
	run_guard_end(run);
	return code;
}
