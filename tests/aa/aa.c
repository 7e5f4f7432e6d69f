/* SPDX-License-Identifier: MIT */
/*
 * aa.c - is what is equal measured as equal?  Two experiments on a real disk
 *
 *	aa turns [--rounds N]	raw against raw, in turns and in whole passes,
 *				round by round on the same disk: standard
 *				deviation and bias of the paired log-ratios
 *	aa labels [--runs N]	runs of six equal raw files under six labels:
 *				how many find a pair that differs
 *
 * Started by `make test-turns` and `make test-aa`; docs/statistics.md says what
 * they have shown.  Status 1: labels found more than one run in twenty.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/cells.h"
#include "harness/clock.h"
#include "harness/options.h"
#include "harness/stats/verdict.h"
#include "tests/aa/session.h"

#define MARGIN 0.05

struct args {
	const char *dir, *program;
	uint64_t rounds, runs, seed, image_size, requests;
};

#define ARG(field) offsetof(struct args, field)
static const struct option_spec arg_options[] = {
	{"dir", OPTION_TEXT, ARG(dir), "DIR", NULL, "a folder on the disk"},
	{"program", OPTION_TEXT, ARG(program), "FILE", NULL, "qcowbench"},
	{"rounds", OPTION_COUNT, ARG(rounds), "N", NULL,
	 "turns: rounds of each design"},
	{"runs", OPTION_COUNT, ARG(runs), "N", NULL, "labels: runs"},
	{"seed", OPTION_NUMBER, ARG(seed), "N", NULL, "of the first run"},
	{"image-size", OPTION_SIZE, ARG(image_size), "N", NULL,
	 "size of the images"},
	{"requests", OPTION_COUNT, ARG(requests), "N", NULL,
	 "requests of a random pass"},
};

static void
print_disk(const struct session *s, const struct plan *plan)
{
	char caption[256];

	env_caption(&s->env, caption, sizeof(caption));
	printf("%s, kernel %s, %llu processors\n", caption,
	       facts_get(&s->env.facts, ENV_kernel_release),
	       (unsigned long long)facts_get_int(&s->env.facts,
						 ENV_cpu_threads));
	printf("probe: %.0f random 4k writes/s, %.0f MiB/s; images of %llu "
	       "MiB, %llu requests, seed %llu\n",
	       s->probe.iops, s->probe.bytes_per_s / (double)MiB,
	       (unsigned long long)(plan->image_bytes / MiB),
	       (unsigned long long)plan->requests,
	       (unsigned long long)plan->seed);
	(void)fflush(stdout);
}

/* Logs of durations of b over a, by round. */
static bool
compare(const struct rows *trials, const char *a, const char *b,
	const char *pass, struct rank_shift *ret)
{
	struct cells_pair pair = {a, b, pass, TRIAL_duration_s};
	Q2_AUTO_FREE double *base = calloc(RANK_MAX, sizeof(*base));
	Q2_AUTO_FREE double *other = calloc(RANK_MAX, sizeof(*other));
	size_t n;

	if (!base || !other)
		abort();
	n = cells_pairs(trials, &pair, base, other, RANK_MAX);
	if (n)
		rank_ratio_of(base, other, n, ret);
	return n > 0;
}

static double
percent(double log_ratio)
{
	return 100 * expm1(log_ratio);
}

/* ---- turns against whole passes ---------------------------------------- */

/* Made second over made first, whatever the label. */
static void
by_creation(const struct rows *trials, const char *pass, struct rank_shift *ret)
{
	double *first = calloc(trials->n + 1, sizeof(*first));
	double *second = calloc(trials->n + 1, sizeof(*second));
	size_t n[2] = {0, 0};

	if (!first || !second)
		abort();
	/* Trials are in order of round. */
	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];

		if (strcmp(record_text(t, TRIAL_pass), pass) != 0)
			continue;
		if (record_int(t, TRIAL_create_order) == 1)
			first[n[0]++] = record_real(t, TRIAL_duration_s);
		else
			second[n[1]++] = record_real(t, TRIAL_duration_s);
	}
	rank_ratio_of(first, second, min_u64(n[0], n[1]), ret);
	free(first);
	free(second);
}

static void
print_shift(const char *pass, const char *design, uint64_t turns,
	    const struct rank_shift *d, const struct rank_shift *place)
{
	printf("%-12s %-6s %5llu %4zu %6.1f %%  %+6.1f %%", pass, design,
	       (unsigned long long)turns, d->n, 100 * d->sd, percent(d->hl));
	if (d->has_interval)
		printf("  %+6.1f .. %+5.1f %%", percent(d->lo), percent(d->hi));
	else
		printf("  %17s", "-");
	printf("  %+6.1f %%", percent(place->hl));
	if (place->has_interval)
		printf("  %+6.1f .. %+5.1f %%", percent(place->lo),
		       percent(place->hi));
	printf("\n");
}

static void
print_design(const struct design *d, size_t p, const char *name, double *ret_sd)
{
	const struct plan_pass *pp = &d->plan.passes[p];
	struct rank_shift shift = {0}, place = {0};

	if (!compare(&d->trials, "raw-a", "raw-b", pp->pass->name, &shift))
		abort();
	by_creation(&d->trials, pp->pass->name, &place);
	print_shift(pp->pass->name, name, pp->cut.turns, &shift, &place);
	*ret_sd = shift.sd;
}

static void
print_turns(const struct design *in_turns, const struct design *whole)
{
	double sd_turns, sd_whole;

	printf("\npass         design turns    n  sd of ln   bias b/a      95 %% "
	       "interval  second/first made\n");
	for (size_t p = 0; p < in_turns->plan.npasses; p++) {
		if (in_turns->plan.passes[p].pass->op != PASS_STREAM)
			continue;
		print_design(in_turns, p, "turns", &sd_turns);
		print_design(whole, p, "whole", &sd_whole);
		printf("%-12s whole passes have %.1f times the standard "
		       "deviation\n",
		       "", sd_whole / sd_turns);
	}
}

/* T W W T, T W W T, ...: neither is always the first on a rested disk. */
static int
turns(struct session *s, const struct args *args)
{
	struct design designs[2]; /* turns, whole */
	double began_s = clock_s();

	design_init(s, &designs[0], "aa", 0, s->opts.seed);
	design_init(s, &designs[1], "aa", 1, s->opts.seed);
	print_disk(s, &designs[0].plan);
	for (unsigned i = 0; i < 2; i++)
		design_round(s, &designs[i], 0);
	for (uint64_t round = 1; round <= args->rounds; round++) {
		unsigned first = (round - 1) & 1;

		design_round(s, &designs[first], round);
		design_round(s, &designs[!first], round);
		(void)fprintf(stderr, "round %llu/%llu, %.0f s\n",
			      (unsigned long long)round,
			      (unsigned long long)args->rounds,
			      clock_s() - began_s);
	}
	print_turns(&designs[0], &designs[1]);
	printf("\n%llu rounds of each in %.0f s\n",
	       (unsigned long long)args->rounds, clock_s() - began_s);
	design_done(&designs[0]);
	design_done(&designs[1]);
	return 0;
}

/* ---- six labels -------------------------------------------------------- */

/* Of one pass over all runs. */
struct tally {
	size_t pairs, decisive, nonzero; /* nonzero: interval without 0 */
	double sum_var;
};

/* Pairs of one pass that a run calls better or worse. */
static size_t
judge_pass(const struct design *d, size_t p, struct tally *tally)
{
	const struct plan *plan = &d->plan;
	const char *pass = plan->passes[p].pass->name;
	struct rank_shift shift;
	size_t decisive = 0;
	enum verdict v;

	for (size_t a = 0; a < plan->nconfigs; a++) {
		for (size_t b = a + 1; b < plan->nconfigs; b++) {
			const char *la = plan->configs[a]->label;
			const char *lb = plan->configs[b]->label;

			if (!compare(&d->trials, la, lb, pass, &shift))
				abort();
			v = verdict_of_shift(&shift, MARGIN, true);
			tally->pairs++;
			tally->sum_var += shift.sd * shift.sd;
			tally->nonzero += shift.lo > 0 || shift.hi < 0;
			if (v != VERDICT_IMPROVEMENT && v != VERDICT_REGRESSION)
				continue;
			decisive++;
			printf("  %s, %s against %s: %+.1f %% (%+.1f .. "
			       "%+.1f)\n",
			       pass, lb, la, percent(shift.hl),
			       percent(shift.lo), percent(shift.hi));
		}
	}
	tally->decisive += decisive;
	return decisive;
}

/*
 * Decisive pairs to expect of equal files with normal noise: the interval of
 * six rounds reaches from the least log-ratio to the greatest, so all six must
 * lie beyond the margin on the same side.
 */
static double
expected(size_t pairs, double sd)
{
	double beyond = 0.5 * erfc(log1p(MARGIN) / sd / sqrt(2));

	return (double)pairs * 2 * pow(beyond, 6);
}

static void
print_tallies(const struct plan *plan, const struct tally *tallies)
{
	printf("\npass         pairs  decisive  expected  interval without 0   "
	       "sd of ln\n");
	for (size_t p = 0; p < plan->npasses; p++) {
		const struct tally *t = &tallies[p];
		double sd = sqrt(t->sum_var / (double)t->pairs);

		printf("%-12s %5zu  %8zu  %8.3f  %8zu (%.1f %%)  %9.1f %%%s\n",
		       plan->passes[p].pass->name, t->pairs, t->decisive,
		       expected(t->pairs, sd), t->nonzero,
		       100.0 * (double)t->nonzero / (double)t->pairs, 100 * sd,
		       plan->passes[p].pass->op == PASS_STREAM
			       ? ""
			       : "   (one piece: not counted)");
	}
}

/* A run of six rounds; true if no pair of a pass in turns differs. */
static bool
one_run(struct session *s, uint64_t seed, struct tally *tallies,
	struct plan *ret_plan)
{
	struct design d;
	size_t found = 0;

	design_init(s, &d, "aa6", 0, seed);
	if (tallies[0].pairs == 0)
		print_disk(s, &d.plan);
	design_round(s, &d, 0);
	for (uint64_t round = 1; round <= d.plan.rounds; round++)
		design_round(s, &d, round);
	for (size_t p = 0; p < d.plan.npasses; p++) {
		size_t decisive = judge_pass(&d, p, &tallies[p]);

		if (d.plan.passes[p].pass->op == PASS_STREAM)
			found += decisive;
	}
	*ret_plan = d.plan;
	design_done(&d);
	return found == 0;
}

static int
labels(struct session *s, const struct args *args)
{
	struct tally tallies[SUITE_PASSES_MAX] = {{0}};
	uint64_t clean = 0;
	struct plan plan = {0};

	for (uint64_t run = 1; run <= args->runs; run++) {
		double began_s = clock_s();
		bool is_clean = one_run(s, s->opts.seed + run - 1, tallies,
					&plan);

		clean += is_clean;
		printf("run %llu: %s (%.0f s)\n", (unsigned long long)run,
		       is_clean ? "no pair differs" : "a pair differs",
		       clock_s() - began_s);
		(void)fflush(stdout);
	}
	print_tallies(&plan, tallies);
	printf("\n%llu of %llu runs in which no pair is decisive (outside "
	       "+-%g %%)\n",
	       (unsigned long long)clean, (unsigned long long)args->runs,
	       100 * MARGIN);
	return (args->runs - clean) * 20 > args->runs;
}

/* ---- the program ------------------------------------------------------- */

int
main(int argc, char **argv)
{
	static const struct options options = {arg_options,
					       ARRAY_SIZE(arg_options)};
	struct args args = {.dir = ".",
			    .program = "build/release/qcowbench",
			    .rounds = 16,
			    .runs = 1,
			    .seed = 1};
	int (*what)(struct session *, const struct args *) = NULL;
	struct session s;
	const char *word = NULL;
	struct q2_err err;
	int rc;

	if (options_parse(&options, argc - 1, argv + 1, &args,
			  (struct operands){&word, 1}, &err) < 0) {
		(void)fprintf(stderr, "aa: %s\n", err.text);
		return BENCH_USAGE;
	}
	if (word && strcmp(word, "turns") == 0)
		what = turns;
	else if (word && strcmp(word, "labels") == 0)
		what = labels;
	if (!what) {
		(void)fprintf(stderr, "usage: aa turns|labels [OPTION...]\n");
		options_help(&options, stderr);
		return BENCH_USAGE;
	}
	session_begin(&s, &(struct session_opts){
				  .dir = args.dir,
				  .program = args.program,
				  .seed = args.seed,
				  .image_size = args.image_size,
				  .requests = args.requests,
				  /* A run in a minute. */
				  .half = what == labels && !args.image_size,
			  });
	rc = what(&s, &args);
	session_end(&s);
	return rc;
}
