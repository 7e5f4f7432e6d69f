/* SPDX-License-Identifier: MIT */
/*
 * rounds.h - one round: every configuration once, all at the same time
 *
 * A child process for each configuration; all images of the round exist at
 * once, made in the order of a row of a Williams square.  Then pass after pass:
 * the children take turns (turns.h), each turn is drained and, where it wrote,
 * flushed in its own time, and who is not at work sleeps in read(2).  A pass
 * that is not cut into turns is done whole, one child after the other, in an
 * order in which over the rounds each comes first equally often.
 *
 * At the end of a pass all must have done the same operations, told by
 * stream_hash.
 */
#ifndef HARNESS_ROUNDS_H
#define HARNESS_ROUNDS_H

#include "harness/env.h"
#include "harness/exit.h"
#include "harness/hists.h"
#include "harness/plan.h"
#include "harness/settle.h"
#include "results/record.h"

/* What is the same in all rounds of a run. */
struct rounds {
	const struct plan *plan;
	const struct env *env;
	const char *program; /* child.h: CHILD_PROGRAM */
	const char *dir;     /* where images are made */
	char run_id[ID_SIZE], group_id[ID_SIZE];
	uint64_t session;        /* from 1: how often the run was taken up */
	const char *cache_asked; /* the plan's mode is what is used */
	/* Called before each pass; may be NULL. */
	void (*at_pass)(void *arg, const char *pass);
	void *arg;
};

/* New run_id, group_id of the plan, session 1. */
void rounds_init(struct rounds *r, const struct plan *plan,
		 const struct env *env, const char *dir);

struct round {
	uint64_t number; /* from 1; 0: warm-up */
	/* 2 and more: done again, because others disturbed it; 0 is 1. */
	unsigned attempt;
	/* Configurations, in order of creation: a row of rounds_order(). */
	unsigned order[SUITE_CONFIGS_MAX];
	unsigned n;
	struct settled settled; /* before the round */
	/* Results; after an error those of the passes that were finished. */
	struct rows trials, series;
	struct hists hists;
	double seconds;
	/* Of the machine, before and after, and what of the images is in the
	 * page cache; after an error it may lack parts, or be NULL. */
	json_t *state;
};

/* The order of creation of round `number` >= 1. */
void rounds_order(const struct plan *plan, uint64_t number, struct round *ret);

/*
 * Do it.  Images stay, for the caller to remove.  BENCH_TRIAL, BENCH_NOTHING
 * (different operations), BENCH_ENVIRONMENT (no space) or BENCH_INTERRUPTED,
 * with the reason, and no child is left behind.
 */
enum bench_exit round_run(const struct rounds *r, struct round *round,
			  struct q2_err *err);
void round_done(struct round *round);

/* Id of configuration `config` in round `number`: column trial_id. */
void rounds_trial_id(const struct rounds *r, size_t config, uint64_t number,
		     char id[ID_SIZE]);

#endif
