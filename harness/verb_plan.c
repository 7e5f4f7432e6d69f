/* SPDX-License-Identifier: MIT */
/*
 * verb_plan.c - what a run would do, how long, and how much space it takes
 *
 * Without --probe nothing is written: then sizes that the disk decides are
 * shown for a slow disk and for a fast one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/env.h"
#include "harness/probe.h"
#include "harness/run_args.h"
#include "harness/table.h"
#include "harness/verb.h"
#include "harness/workdir.h"

static const struct option_spec plan_options[] = {
	{"probe", OPTION_FLAG, RUN_ARG(probe), NULL, NULL,
	 "write to the disk for four seconds, to know it"},
	RUN_ARGS_COMMON,
};

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

static int
print_form(struct plan *plan, const struct run_args *args,
	   const struct probe *probe, uint64_t space, struct q2_err *err)
{
	char image[16], need[16], written[16], seconds[32];
	struct plan_cost cost;
	int r;

	r = plan_sizes(plan, args->image_size, args->requests, probe, space,
		       err);
	if (r < 0)
		return r;
	cost = plan_cost(plan, probe);
	table_bytes((double)plan->image_bytes, image, sizeof(image));
	table_bytes((double)cost.space, need, sizeof(need));
	table_bytes((double)cost.written, written, sizeof(written));
	table_seconds(cost.seconds, seconds, sizeof(seconds));
	printf("images: %s each; %s of space at once; %s written in all\n",
	       image, need, written);
	print_passes(plan);
	printf("%zu cells, %" PRIu64 " rounds, %" PRIu64 " trials: about %s\n",
	       cost.cells, plan->rounds, cost.trials, seconds);
	if (plan->suite->advice)
		printf("then, where qemu-nbd is installed: 6 rounds of the two "
		       "best through QEMU, beside raw (--no-qemu)\n");
	return 0;
}

static int
probed(struct plan *plan, const struct run_args *args, uint64_t space,
       struct q2_err *err)
{
	struct probe_opts opts = {.aio = args->aio,
				  .cache = plan->cache,
				  .most_bytes = space / 2};
	char path[WORKDIR_PATH + 16], speed[16], iops[16];
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
	table_bytes(probe.bytes_per_s, speed, sizeof(speed));
	table_number(probe.iops, iops, sizeof(iops));
	printf("disk: %s/s in sequence, %s random writes of 4 KiB per second "
	       "(%.1f s of probing)\n",
	       speed, iops, probe.duration_s);
	return print_form(plan, args, &probe, space, err);
}

static int
print_plan(struct plan *plan, const struct run_args *args, uint64_t space,
	   struct q2_err *err)
{
	int r;

	printf("%s%s: %s\n", plan->suite->name, plan->quick ? ", quick" : "",
	       plan->suite->question);
	printf("configurations:");
	for (size_t i = 0; i < plan->nconfigs; i++)
		printf("%s %s", i ? "," : "", plan->configs[i]->label);
	printf("\n");
	if (args->probe)
		return probed(plan, args, space, err);
	printf("\nOn a slow disk:\n");
	r = print_form(plan, args, &plan_slow_disk, space, err);
	if (r < 0)
		return r;
	printf("\nOn a fast disk:\n");
	return print_form(plan, args, &plan_fast_disk, space, err);
}

static enum bench_exit
run_plan(int argc, char **argv, struct q2_err *err)
{
	struct run_args args;
	struct wishes wishes;
	struct plan plan;
	uint64_t space;
	int r;

	if (run_args_parse(&verb_plan.options, argc, argv, &args, err) < 0)
		return BENCH_USAGE;
	r = workdir_check(args.dir, err);
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? BENCH_USAGE
						     : BENCH_ENVIRONMENT;
	if (workdir_free_bytes(args.dir, &space, err) < 0)
		return BENCH_ENVIRONMENT;
	wishes = run_args_wishes(&args);
	plan_init(&plan, &wishes);
	r = print_plan(&plan, &args, space, err);
	if (r == -EINVAL)
		return BENCH_USAGE;
	return r < 0 ? BENCH_ENVIRONMENT : BENCH_OK;
}

const struct verb verb_plan = {
	.name = "plan",
	.operands = "SUITE",
	.help = "what a run would do: cells, bytes, seconds; writes nothing",
	.options = {plan_options, ARRAY_SIZE(plan_options)},
	.run = run_plan,
};
