/* SPDX-License-Identifier: MIT */
/*
 * run.h - one run of a suite: its state, and the steps of verb_run.c
 *
 * verb_run.c prepares, run_measure.c works, run_guard.c watches out for others,
 * run_finish.c writes and prints.
 */
#ifndef HARNESS_RUN_H
#define HARNESS_RUN_H

#include "harness/guard.h"
#include "harness/output.h"
#include "harness/probe.h"
#include "harness/progress.h"
#include "harness/rounds.h"
#include "harness/run_args.h"
#include "harness/targets/target.h"
#include "harness/workdir.h"

/* A quick run is planned to take no longer, all in all. */
#define RUN_QUICK_S 165.0
/* Of it, results and plots at the end. */
#define RUN_FINISH_S 5.0

/* The rounds through QEMU (run_qemu.h). */
struct run_qemu {
	bool wanted;
	char version[TARGET_VERSION]; /* "QEMU 7.2.22" */
	char why_not[1024];           /* why there are none, or not all; "" */
	struct rows trials;
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
	double began_at_s; /* wall clock */
	char aio[32];      /* in use */
	char notice[1024]; /* what could not be had, or "" */
	const char *cache_asked;
	double warmup_s, predicted_s; /* a round, by the warm-up */
	unsigned halvings;
	/* Of the rounds that are whole. */
	struct rows trials, series;
	uint64_t rounds_done;
	double round_s; /* that one has taken, with all around it */
	struct run_qemu qemu;
	bool kept; /* images of the last round stay */
	struct guard guard;
	struct guard_window window; /* the last one, before the next round */
	uint64_t redone, disturbed; /* rounds; disturbed ones that were kept */
};

/* run_measure.c: probe and sizes; warm-up; all rounds. */
enum bench_exit run_size_up(struct run *run, struct q2_err *err);
enum bench_exit run_warm_up(struct run *run, struct settled *ret_settled,
			    struct q2_err *err);
enum bench_exit run_rounds(struct run *run, struct settled settled,
			   struct q2_err *err);

/*
 * run_guard.c.  Warn of what the environment is, or refuse it (--strict-env);
 * the first window, after the warm-up; settle and look after a round: its rows
 * get the columns of the guard, and *ret_redo says that it is to be done again;
 * how it was, for the end of the output and for run.json.
 */
enum bench_exit run_guard_environment(struct run *run, struct q2_err *err);
enum bench_exit run_guard_begin(struct run *run, struct q2_err *err);
enum bench_exit run_guard_round(struct run *run, struct round *round,
				struct settled *ret_settled, bool *ret_redo,
				struct q2_err *err);
void run_guard_end(struct run *run);
struct settled run_settle(const struct run *run);
bool run_guard_summary(const struct run *run, char *text, size_t size);
json_t *run_guard_json(const struct run *run);

/*
 * run_finish.c: run.json; CSV files, table, sentence, plots, of the rounds
 * that are whole.  Returns code, or how writing failed, or what the sentence
 * says.
 */
int run_write_json(const struct run *run, const char *state,
		   struct q2_err *err);
enum bench_exit run_finish(struct run *run, enum bench_exit code,
			   struct q2_err *err);

#endif
