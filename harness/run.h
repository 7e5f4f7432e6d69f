/* SPDX-License-Identifier: MIT */
/*
 * run.h - one run of a suite: its state, and the steps of verb_run.c
 *
 * verb_run.c prepares, run_resume.c takes up a run that was cut short,
 * run_measure.c works, run_json.c describes, run_finish.c writes and prints.
 */
#ifndef HARNESS_RUN_H
#define HARNESS_RUN_H

#include <limits.h>

#include "harness/measured.h"
#include "harness/output.h"
#include "harness/probe.h"
#include "harness/progress.h"
#include "harness/rounds.h"
#include "harness/run_args.h"
#include "harness/workdir.h"

/* A quick run is planned to take no longer, all in all. */
#define RUN_QUICK_S 165.0

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
	unsigned halvings;
	struct measured measured;
	json_t *asked; /* run.json as a run that is taken up had it, or NULL */
	uint64_t session;   /* from 1: how often it was taken up */
	bool began;         /* run.json tells of this run */
	double round_s;     /* that one has taken, with all around it */
	bool kept;          /* images of the last round stay */
	char dir[PATH_MAX]; /* args.dir from the root */
};

/* run_measure.c: probe and sizes; warm-up; all rounds. */
enum bench_exit run_size_up(struct run *run, struct q2_err *err);
enum bench_exit run_warm_up(struct run *run, struct settled *ret_settled,
			    struct q2_err *err);
enum bench_exit run_rounds(struct run *run, struct settled settled,
			   struct q2_err *err);

/*
 * run_resume.c: the plan of the run in args.resume, from its run.json, and the
 * rounds that it has; the folder is locked from here on.  Options that
 * contradict are refused.
 */
enum bench_exit run_resume(struct run *run, struct q2_err *err);
/* Is all as it was: backend, cache mode, environment?  The last is only said. */
enum bench_exit run_resume_compare(struct run *run, struct q2_err *err);
bool run_is_complete(const struct run *run);

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
