/* SPDX-License-Identifier: MIT */
/*
 * verb_plan.c - what a run would do, how long, and how much space it takes
 *
 * Without --probe nothing is written: then the sizes that the disk decides
 * follow from what an earlier probe has found out, or are shown for a slow disk
 * and for a fast one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/clock.h"
#include "harness/env.h"
#include "harness/plan_time.h"
#include "harness/probe.h"
#include "harness/probe_store.h"
#include "harness/run_args.h"
#include "harness/table.h"
#include "harness/targets/qemu.h"
#include "harness/verb.h"
#include "harness/workdir.h"

/* More than any disk has. */
#define SPACE_ANY (UINT64_C(1) << 60)

static const struct option_spec plan_options[] = {
	{"probe", OPTION_FLAG, RUN_ARG(probe), NULL, NULL,
	 "write to the disk for four seconds, to know it"},
	{"disk", OPTION_WORD, RUN_ARG(disk), "X", plan_disk_names,
	 "plan for an assumed disk of that kind, with room for all, not for "
	 "that of DIR"},
	RUN_ARGS_COMMON,
};

/* ---- one form ---------------------------------------------------------- */

static const char *
op_text(enum pass_op op)
{
	return op == PASS_CONVERT    ? "convert a raw file full of data"
	       : op == PASS_SNAPSHOT ? "take an internal snapshot"
				     : "delete that snapshot";
}

static void
print_passes(const struct plan *plan)
{
	printf("passes:\n");
	for (size_t i = 0; i < plan->npasses; i++) {
		const struct plan_pass *pp = &plan->passes[i];
		char size[16], bs[16];

		printf("  %-12s", pp->pass->name);
		table_bytes((double)plan->disk_bytes, size, sizeof(size));
		table_bytes(pp->pass->bs_bytes, bs, sizeof(bs));
		if (pp->pass->op == PASS_CREATE)
			printf(" make the image\n");
		else if (pp->pass->op == PASS_CREATE_DISK)
			printf(" make and remove an image of %s (off and "
			       "metadata only)\n",
			       size);
		else if (pp->pass->op != PASS_STREAM)
			printf(" %s\n", op_text(pp->pass->op));
		else
			printf(" %" PRIu64 " %s of %s, depth %u, in %" PRIu64
			       " turn%s%s%s\n",
			       pp->stream.ops,
			       pp->stream.write ? "writes" : "reads", bs,
			       pp->pass->iodepth, pp->cut.turns,
			       pp->cut.turns == 1 ? "" : "s",
			       pp->touch >= 0 ? ", of the bytes of " : "",
			       pp->touch >= 0 ? pp->pass->touch : "");
	}
}

/* Seconds of one trial, in a column of the pass's width. */
static void
print_cell(const struct plan *plan, size_t c, size_t p,
	   const struct probe *probe)
{
	int width = (int)max_u64(strlen(plan->passes[p].pass->name), 6);
	double s = plan_cell_s(plan, c, p, probe);
	char text[32] = "-";

	if (plan_does(plan, c, p))
		(void)snprintf(text, sizeof(text), s < 100 ? "%.2f" : "%.0f",
			       s);
	printf("  %*s", width, text);
}

static void
print_table(const struct plan *plan, const struct probe *probe)
{
	int width = 0;

	for (size_t c = 0; c < plan->nconfigs; c++)
		width = (int)max_u64((uint64_t)width,
				     strlen(plan->configs[c]->label));
	printf("seconds of each trial, as far as the disk's speed tells:\n");
	printf("  %-*s", width, "");
	for (size_t p = 0; p < plan->npasses; p++)
		printf("  %*s", 6, plan->passes[p].pass->name);
	printf("\n");
	for (size_t c = 0; c < plan->nconfigs; c++) {
		printf("  %-*s", width, plan->configs[c]->label);
		for (size_t p = 0; p < plan->npasses; p++)
			print_cell(plan, c, p, probe);
		printf("\n");
	}
}

static void
print_left_out(const struct plan *plan)
{
	const struct config *config = plan_left_out(plan);
	char bytes[16];

	if (!config)
		return;
	table_bytes((double)plan_metadata_bytes(config, plan->disk_bytes),
		    bytes, sizeof(bytes));
	printf("note: %s is not made at the size that you want: its tables "
	       "alone are %s, in each round; name a smaller --size to have it "
	       "measured\n",
	       config->label, bytes);
}

static void
print_notes(const struct plan *plan, const struct run_args *args)
{
	char notes[PLAN_NOTES][PLAN_NOTE_SIZE];
	size_t n = plan_notes(plan, args->requests, notes);

	for (size_t i = 0; i < n; i++)
		printf("note: %s\n", notes[i]);
}

/* What the time consists of. */
static void
print_parts(const struct plan *plan, const struct plan_time *t)
{
	char probe[32], warm_up[32], round[32], qemu[32], finish[32];

	table_seconds(t->probe_s, probe, sizeof(probe));
	table_seconds(t->warm_up_s, warm_up, sizeof(warm_up));
	table_seconds(t->round_s, round, sizeof(round));
	table_seconds(t->qemu_s, qemu, sizeof(qemu));
	table_seconds(t->finish_s, finish, sizeof(finish));
	printf("of it: ");
	if (t->probe_s > 0)
		printf("probe %s, ", probe);
	printf("warm-up %s, %" PRIu64 " x %s with settling and guards, ",
	       warm_up, plan->rounds, round);
	if (t->qemu_s > 0)
		printf("through QEMU %s, ", qemu);
	printf("results %s\n", finish);
}

static void
print_sums(const struct plan *plan, const struct plan_cost *cost,
	   const struct plan_time *t)
{
	time_t end = time(NULL) + (time_t)t->seconds;
	char seconds[32], when[32] = "";
	struct tm tm;

	table_seconds(t->seconds, seconds, sizeof(seconds));
	if (localtime_r(&end, &tm))
		(void)strftime(when, sizeof(when),
			       t->seconds < 43200 ? "%H:%M" : "%Y-%m-%d %H:%M",
			       &tm);
	printf("%zu cells, %" PRIu64 " round%s, %" PRIu64
	       " trial%s: about %s; begun now, it ends at %s\n",
	       cost->cells, plan->rounds, plan->rounds == 1 ? "" : "s",
	       cost->trials, cost->trials == 1 ? "" : "s", seconds, when);
	print_parts(plan, t);
	if (plan->suite->advice && plan->rounds >= PLAN_QEMU_ROUNDS)
		printf("through QEMU: %d rounds of the two best, beside raw%s\n",
		       PLAN_QEMU_ROUNDS,
		       t->qemu_s > 0 ? " (run --no-qemu leaves them out)"
				     : ", if qemu-nbd is installed; here it is "
				       "not");
	if (!plan->suite->reference && plan->nconfigs > 1)
		printf("note: no reference, so no ratios and no verdicts; "
		       "'reference = %s' in [suite] would make it 100 %%\n",
		       plan->configs[0]->label);
	if (plan->rounds < 6)
		printf("note: fewer than 6 rounds give medians and no "
		       "verdict\n");
}

/* As a quick run does after its warm-up. */
static int
halve(struct plan *plan, const struct run_args *args,
      const struct plan_time *time, struct q2_err *err)
{
	if (time->halvings == 0)
		return 0;
	printf("note: image and requests are halved, %u time%s, to be over in "
	       "%.0f s; the warm-up will know better\n",
	       time->halvings, time->halvings == 1 ? "" : "s", PLAN_QUICK_S);
	return plan_halve(plan, time->halvings, !args->image_size,
			  !args->requests, err);
}

/* A form that does not fit is shown all the same: -ENOSPC. */
static int
print_form(struct plan *plan, const struct run_args *args,
	   const struct probe *probe, uint64_t space, struct q2_err *err)
{
	char image[16], need[16], written[16], version[TARGET_VERSION];
	struct q2_err ignored;
	struct plan_cost cost;
	struct plan_time t;
	int r, halved;

	r = plan_sizes(plan, args->image_size, args->requests, probe, space,
		       err);
	if (r < 0 && r != -ENOSPC)
		return r;
	t = plan_time(plan, probe, qemu_check(version, &ignored) == 0,
		      !args->rounds);
	halved = halve(plan, args, &t, err);
	if (halved < 0)
		return halved;
	cost = plan_cost(plan);
	table_bytes((double)plan->image_bytes, image, sizeof(image));
	table_bytes((double)cost.space, need, sizeof(need));
	table_bytes((double)cost.written, written, sizeof(written));
	printf("images: %s each; %s of space at once; %s written in all\n",
	       image, need, written);
	print_passes(plan);
	print_table(plan, probe);
	print_left_out(plan);
	print_notes(plan, args);
	print_sums(plan, &cost, &t);
	return r;
}

/* ---- which disk -------------------------------------------------------- */

static void
print_disk(const struct probe *probe)
{
	char speed[16], iops[16];

	table_bytes(probe->bytes_per_s, speed, sizeof(speed));
	table_number(probe->iops, iops, sizeof(iops));
	printf("disk: %s/s in sequence, %s random writes of 4 KiB per second",
	       speed, iops);
}

static int
probed(struct plan *plan, const struct run_args *args, uint64_t space,
       struct q2_err *err)
{
	struct probe_opts opts = {.aio = args->aio,
				  .cache = plan->cache,
				  .most_bytes = space / 2};
	char path[WORKDIR_PATH + 16];
	struct workdir work;
	struct probe probe;
	int r;

	r = workdir_make(&work, args->dir, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/probe", work.path);
	opts.path = path;
	r = probe_disk(&opts, &probe, err);
	workdir_done(&work, false);
	if (r < 0)
		return r;
	probe_store_put(args->dir, plan->cache, &probe);
	print_disk(&probe);
	printf(" (%.1f s of probing)\n", probe.duration_s);
	return print_form(plan, args, &probe, space, err);
}

/* By what an earlier probe has found out, or for two kinds of disk. */
static int
unprobed(struct plan *plan, const struct run_args *args, uint64_t space,
	 struct q2_err *err)
{
	struct q2_err second = {0};
	struct probe probe;
	double age_s;
	char age[32];
	int r;

	if (probe_store_get(args->dir, plan->cache, &probe, &age_s)) {
		table_seconds(age_s, age, sizeof(age));
		print_disk(&probe);
		printf(" (probed %s ago; --probe looks again)\n", age);
		return print_form(plan, args, &probe, space, err);
	}
	if (!plan_has_files(plan))
		return print_form(plan, args, &plan_fast_disk, space, err);
	printf("the disk is not known; --probe looks at it\n");
	printf("\nOn a slow disk:\n");
	r = print_form(plan, args, &plan_slow_disk, space, err);
	if (r < 0 && r != -ENOSPC)
		return r;
	printf("\nOn a fast disk:\n");
	if (print_form(plan, args, &plan_fast_disk, space,
		       r < 0 ? &second : err) < 0 &&
	    r == 0)
		r = err->code;
	return r;
}

/* Anywhere, so that such plans can be compared. */
static int
assumed(struct plan *plan, const struct run_args *args, struct q2_err *err)
{
	const struct probe *probe = plan_disk(args->disk);

	print_disk(probe);
	printf(" (assumed: %s)\n", args->disk);
	return print_form(plan, args, probe, SPACE_ANY, err);
}

/* ---- the verb ---------------------------------------------------------- */

static int
print_plan(struct plan *plan, const struct run_args *args, uint64_t space,
	   struct q2_err *err)
{
	printf("%s%s%s%s: %s\n", plan->suite->name,
	       plan->suite->group ? ", " : "",
	       plan->suite->group ? plan->suite->group : "",
	       plan->quick ? ", quick" : "", plan->suite->question);
	printf("configurations:");
	for (size_t i = 0; i < plan->nconfigs; i++)
		printf("%s %s", i ? "," : "", plan->configs[i]->label);
	printf("\n");
	if (args->disk)
		return assumed(plan, args, err);
	return args->probe ? probed(plan, args, space, err)
			   : unprobed(plan, args, space, err);
}

static enum bench_exit
plan_groups(struct run_args *args, struct q2_err *err)
{
	struct q2_err one;
	uint64_t space;
	int r, worst = 0;

	if (args->disk && args->probe) {
		(void)q2_fail(err, -EINVAL,
			      "--probe looks at a disk, and --disk assumes "
			      "one; leave out one of them");
		return BENCH_USAGE;
	}
	r = workdir_check(args->dir, err);
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? BENCH_USAGE
						     : BENCH_ENVIRONMENT;
	if (workdir_free_bytes(args->dir, &space, err) < 0)
		return BENCH_ENVIRONMENT;
	for (; args->suite; args->suite = args->suite->next) {
		struct wishes wishes = run_args_wishes(args);
		struct plan plan;

		plan_init(&plan, &wishes);
		one = (struct q2_err){0};
		r = print_plan(&plan, args, space, &one);
		if (r < 0 && worst == 0) {
			worst = r;
			*err = one;
		}
		/* What is known now need not be looked at again. */
		args->probe = false;
		if (args->suite->next)
			printf("\n");
	}
	if (worst == -EINVAL)
		return BENCH_USAGE;
	return worst < 0 ? BENCH_ENVIRONMENT : BENCH_OK;
}

static enum bench_exit
run_plan(int argc, char **argv, struct q2_err *err)
{
	enum bench_exit code = BENCH_USAGE;
	struct run_args args;

	if (run_args_parse(&verb_plan.options, argc, argv, &args, err) == 0)
		code = plan_groups(&args, err);
	run_args_done(&args);
	return code;
}

const struct verb verb_plan = {
	.name = "plan",
	.operands = "SUITE",
	.help = "what a run would do: cells, bytes, seconds; without --probe it "
		"writes nothing",
	.options = {plan_options, ARRAY_SIZE(plan_options)},
	.run = run_plan,
};
