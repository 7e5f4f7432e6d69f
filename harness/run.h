/* SPDX-License-Identifier: MIT */
/*
 * run.h - one run of a suite: its state, and the steps of verb_run.c
 *
 * verb_run.c prepares, run_resume.c takes up a run that was cut short,
 * run_measure.c works, run_guard.c watches out for others, run_qemu.c asks QEMU
 * too, run_json.c describes, run_finish.c writes and prints.
 */
#ifndef HARNESS_RUN_H
#define HARNESS_RUN_H

#include <limits.h>

#include "harness/guard.h"
#include "harness/measured.h"
#include "harness/output.h"
#include "harness/probe.h"
#include "harness/progress.h"
#include "harness/rounds.h"
#include "harness/run_args.h"
#include "harness/targets/target.h"
#include "harness/workdir.h"

/* The rounds through QEMU (run_qemu.h). */
struct run_qemu {
	bool wanted;
	char version[TARGET_VERSION]; /* "QEMU 7.2.22" */
	char why_not[1024];           /* why there are none, or not all; "" */
	bool no_time; /* that is why: one that is taken up may do them */
};

struct run {
	struct run_args args;
	struct plan plan;
	struct env env;
	struct workdir work;
	struct output out;
	struct rounds rounds;
	struct progress progress;
	struct probe probe;
	double began_s;    /* clock_s() */
	double began_at_s; /* wall clock; of the first session */
	double earlier_s;  /* that earlier sessions took */
	char aio[32];      /* in use */
	char notice[1024]; /* what could not be had, or "" */
	const char *cache_asked;
	double warmup_s, predicted_s; /* a round, by the warm-up */
	double removal_s; /* of the images of a round, the last time */
	unsigned halvings;
	struct measured measured;
	json_t *asked; /* run.json as a run that is taken up had it, or NULL */
	uint64_t session; /* from 1: how often it was taken up */
	bool began;       /* run.json tells of this run */
	double round_s;   /* that one has taken, with all around it */
	struct run_qemu qemu;
	bool kept; /* images of the last round stay */
	struct guard guard;
	struct guard_window window; /* the last one, before the next round */
	unsigned continued;         /* stop_continued() at that time */
	char dir[PATH_MAX];         /* args.dir from the root */
};

/* run_measure.c: probe and sizes; warm-up; all rounds. */
enum bench_exit run_size_up(struct run *run, struct q2_err *err);
enum bench_exit run_warm_up(struct run *run, struct settled *ret_settled,
			    struct q2_err *err);
enum bench_exit run_rounds(struct run *run, struct settled settled,
			   struct q2_err *err);
/* Are all rounds of the suite whole? */
bool run_is_complete(const struct run *run);
/* Keep what a round that has ended with this code has left, in trials.jsonl
 * and, if it is whole, in run->measured. */
enum bench_exit run_keep_round(struct run *run, enum measured_part part,
			       struct round *round, enum bench_exit code,
			       struct q2_err *err);

/*
 * run_guard.c.  Warn of what the environment is, or refuse it (--strict-env);
 * the first window, after the warm-up; settle and look after a round: its rows
 * get the columns of the guard, and *ret_redo says that it is to be done again,
 * and why; how it was, for run.json.
 */
enum bench_exit run_guard_environment(struct run *run, struct q2_err *err);
enum bench_exit run_guard_begin(struct run *run, struct q2_err *err);
enum bench_exit run_guard_round(struct run *run, struct round *round,
				struct settled *ret_settled, bool *ret_redo,
				struct q2_err *err);
void run_guard_end(struct run *run);
struct settled run_settle(const struct run *run);
json_t *run_guard_json(const struct run *run);

/*
 * run_resume.c: the plan of the run in args.resume, from its run.json, and the
 * rounds that it has; the folder is locked from here on.  Options that
 * contradict are refused.
 */
enum bench_exit run_resume(struct run *run, struct q2_err *err);
/* ... and has it nothing left to measure? */
bool run_is_over(const struct run *run);
/* Is all as it was: backend, cache mode, environment?  The last is only said,
 * unless --strict-env. */
enum bench_exit run_resume_compare(struct run *run, struct q2_err *err);

/* run_json.c: the plan as it is in run.json; run.json itself, which goes to the
 * output folder and becomes measured.run. */
json_t *run_plan_json(const struct plan *plan);
int run_write_json(struct run *run, const char *state, struct q2_err *err);

/*
 * run_finish.c: CSV files, table, sentence, plots, of the rounds that are
 * whole.  Returns code, or how writing failed, or what the sentence says.
 */
enum bench_exit run_finish(struct run *run, enum bench_exit code,
			   struct q2_err *err);

#endif
