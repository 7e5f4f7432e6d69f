/* SPDX-License-Identifier: MIT */
#include "harness/plan.h"

#include <assert.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"

#define IMAGE_LEAST    (80 * MiB)
#define IMAGE_MOST     (1280 * MiB)
#define IMAGE_S        0.9
#define REQUESTS_LEAST 128
#define REQUESTS_MOST  16384
#define REQUESTS_S     0.45
#define DISK_DEFAULT   (64 * GiB)

/* Besides what the probe tells: a process and a file for each trial, and the
 * wait for an idle disk before each round. */
#define TRIAL_S  0.1
#define SETTLE_S 0.5

/* A tenth more than computed, and what a file system needs to breathe. */
#define SPACE_SPARE (64 * MiB)

const char *const plan_cache_names[] = {
	"none", "writeback", "writethrough", "directsync", "unsafe", NULL};

static const enum q2_cache cache_modes[] = {
	Q2_CACHE_NONE, Q2_CACHE_WRITEBACK, Q2_CACHE_WRITETHROUGH,
	Q2_CACHE_DIRECTSYNC, Q2_CACHE_UNSAFE};

const char *
plan_cache_name(enum q2_cache cache)
{
	for (size_t i = 0; i < ARRAY_SIZE(cache_modes); i++) {
		if (cache_modes[i] == cache)
			return plan_cache_names[i];
	}
	return NULL;
}

enum q2_cache
plan_cache_mode(const char *name)
{
	for (size_t i = 0; name && plan_cache_names[i]; i++) {
		if (strcmp(plan_cache_names[i], name) == 0)
			return cache_modes[i];
	}
	return Q2_CACHE_NONE;
}

const char *
plan_prealloc_name(enum q2_prealloc prealloc)
{
	static const char *const names[] = {"off", "metadata", "falloc",
					    "full"};

	return names[prealloc];
}

const char *
plan_zero_name(enum q2_zero zero)
{
	static const char *const names[] = {"default", "hole", "range",
					    "write"};

	return names[zero];
}

static int
pass_index(const struct plan *plan, const char *name)
{
	for (size_t i = 0; name && i < plan->npasses; i++) {
		if (strcmp(plan->passes[i].pass->name, name) == 0)
			return (int)i;
	}
	return -1;
}

void
plan_set_cache(struct plan *plan, enum q2_cache cache)
{
	plan->cache = cache;
	/* Writeback of buffered files would fall into a neighbour's turn. */
	plan->sliced = cache == Q2_CACHE_NONE || cache == Q2_CACHE_DIRECTSYNC;
}

void
plan_init(struct plan *plan, const struct wishes *wishes)
{
	const struct suite *suite = wishes->suite;

	*plan = (struct plan){
		.suite = suite,
		.quick = wishes->quick,
		.seed = wishes->seed,
		.disk_bytes = wishes->disk_bytes ? wishes->disk_bytes
						 : DISK_DEFAULT,
		.aio = wishes->aio,
		.cache = plan_cache_mode(wishes->cache),
	};
	plan->rounds = wishes->rounds  ? wishes->rounds
		       : wishes->quick ? suite->quick_rounds
				       : suite->rounds;
	plan_set_cache(plan, plan->cache);
	for (size_t i = 0; i < suite->nconfigs; i++) {
		if (!plan->quick || !suite->configs[i].not_quick)
			plan->configs[plan->nconfigs++] = &suite->configs[i];
	}
	for (size_t i = 0; i < suite->npasses; i++) {
		const struct pass *pass = &suite->passes[i];

		if (plan->quick && pass->not_quick)
			continue;
		plan->passes[plan->npasses++] = (struct plan_pass){
			.pass = pass, .touch = pass_index(plan, pass->touch)};
	}
	assert(plan->nconfigs <= TURNS_MAX);
}

/* A share of an image of whole MiB, in whole MiB. */
static uint64_t
percent(uint64_t bytes, unsigned share)
{
	return bytes / MiB * share / 100 * MiB;
}

/* Where the pass works, and how often. */
static void
resolve_stream(struct plan *plan, struct plan_pass *pp)
{
	const struct pass *pass = pp->pass;
	bool quick = plan->quick && pass->quick_share;
	unsigned from = quick ? pass->quick_from : pass->area_from;
	unsigned share = quick ? pass->quick_share : pass->area_share;

	pp->stream = (struct stream_spec){
		.order = pass->order,
		.write = pass->write,
		.bs_bytes = pass->bs_bytes,
		.area_off = percent(plan->image_bytes, from),
		.area_bytes = percent(plan->image_bytes, share),
		.ops = pass->requests ? plan->requests : 0,
	};
	/* Random places are one to a stride, as many as there are. */
	if (pass->requests)
		pp->stream.ops = min_u64(plan->requests,
					 pp->stream.area_bytes /
						 STREAM_STRIDE_DEFAULT);
	if (pp->touch >= 0 &&
	    plan->passes[pp->touch].stream.bs_bytes != pass->bs_bytes)
		pp->stream.ops = 0;
}

static int
resolve_pass(struct plan *plan, size_t i, struct q2_err *err)
{
	struct plan_pass *pp = &plan->passes[i];
	struct stream_spec specs[SUITE_PASSES_MAX];
	struct stream stream;
	double rate;
	int r;

	if (pp->pass->op != PASS_STREAM) {
		pp->cut = (struct turns_cut){.turns = 1};
		return 0;
	}
	resolve_stream(plan, pp);
	plan_streams(plan, 1, specs);
	r = stream_init(&stream, &specs[i], err);
	if (r < 0)
		return err_prefix(
			err, r, "pass %s of a %llu MiB image", pp->pass->name,
			(unsigned long long)(plan->image_bytes / MiB));
	pp->stream.ops = stream_ops(&stream);
	rate = min_u64(pp->pass->bs_bytes, 64 * KiB) == pp->pass->bs_bytes &&
			       pp->pass->order != STREAM_SEQ
		       ? plan->ops_per_s
		       : plan->bytes_per_s / pp->pass->bs_bytes;
	pp->cut = turns_cut(pp->stream.ops, plan->sliced ? rate : 0,
			    PLAN_TURN_S, 2 * (uint64_t)pp->pass->iodepth);
	return 0;
}

int
plan_resolve(struct plan *plan, uint64_t image_bytes, uint64_t requests,
	     struct q2_err *err)
{
	int r;

	if (image_bytes < 16 * MiB)
		return q2_fail(
			err, -EINVAL,
			"an image of %llu bytes is too small to measure; "
			"the least is 16m",
			(unsigned long long)image_bytes);
	plan->image_bytes = align_down(image_bytes, MiB);
	plan->requests = requests;
	for (size_t i = 0; i < plan->npasses; i++) {
		r = resolve_pass(plan, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

void
plan_streams(const struct plan *plan, uint64_t round,
	     struct stream_spec specs[SUITE_PASSES_MAX])
{
	uint64_t seed = rng_derive(plan->seed, round);

	for (size_t i = 0; i < plan->npasses; i++) {
		specs[i] = plan->passes[i].stream;
		specs[i].seed = rng_derive(seed, i);
		if (plan->passes[i].touch >= 0)
			specs[i].touch = &specs[plan->passes[i].touch];
	}
}

bool
plan_does(const struct plan *plan, size_t config, size_t pass)
{
	const struct config *c = plan->configs[config];
	enum pass_op op = plan->passes[pass].pass->op;

	if (op != PASS_CREATE_DISK)
		return true;
	/* What would fill the user's size is not made: too long, too much. */
	return strcmp(c->target, "qcow2") == 0 && !c->takes_all &&
	       c->zero == Q2_ZERO_RANGE;
}

uint64_t
plan_space(const struct plan *plan, uint64_t image_bytes, uint64_t requests)
{
	uint64_t sum = 0, touched = 0;

	for (size_t i = 0; i < plan->npasses; i++) {
		const struct pass *pass = plan->passes[i].pass;
		bool quick = plan->quick && pass->quick_share;

		if (pass->op != PASS_STREAM || !pass->write || pass->touch)
			continue;
		if (pass->requests)
			touched += requests * STREAM_STRIDE_DEFAULT;
		else
			touched += percent(image_bytes,
					   quick ? pass->quick_share
						 : pass->area_share);
	}
	for (size_t i = 0; i < plan->nconfigs; i++) {
		if (strcmp(plan->configs[i]->target, "null") == 0)
			continue;
		sum += plan->configs[i]->takes_all
			       ? image_bytes
			       : min_u64(image_bytes, touched);
	}
	return sum ? sum + sum / 10 + SPACE_SPARE : 0;
}

bool
plan_has_files(const struct plan *plan)
{
	for (size_t i = 0; i < plan->nconfigs; i++) {
		if (strcmp(plan->configs[i]->target, "null") != 0)
			return true;
	}
	return false;
}

bool
plan_writes_all(const struct config *config)
{
	if (config->raw_state)
		return strcmp(config->raw_state, "written") == 0;
	return config->prealloc == Q2_PREALLOC_FULL;
}

static double
pass_seconds(const struct plan_pass *pp, const struct probe *probe)
{
	double bytes = (double)pp->stream.ops * pp->stream.bs_bytes;

	if (pp->pass->order == STREAM_SEQ)
		return bytes / probe->bytes_per_s;
	/* Neither more requests nor more bytes than the disk can do. */
	return (double)pp->stream.ops / probe->iops +
	       (pp->stream.bs_bytes > 16 * KiB ? bytes / probe->bytes_per_s
					       : 0);
}

struct plan_cost
plan_cost(const struct plan *plan, const struct probe *probe)
{
	struct plan_cost cost = {
		.trials = plan->nconfigs * plan->rounds,
		.space = plan_space(plan, plan->image_bytes, plan->requests),
		.round_s = SETTLE_S,
	};
	uint64_t round_bytes = 0;
	bool files = plan_has_files(plan);

	for (size_t c = 0; c < plan->nconfigs; c++) {
		cost.round_s += TRIAL_S;
		for (size_t p = 0; p < plan->npasses; p++) {
			const struct plan_pass *pp = &plan->passes[p];

			if (!plan_does(plan, c, p))
				continue;
			cost.cells++;
			if (pp->pass->op == PASS_STREAM && pp->stream.write)
				round_bytes += pp->stream.ops *
					       pp->stream.bs_bytes;
			if (pp->pass->op == PASS_STREAM) {
				cost.round_s += pass_seconds(pp, probe);
			} else if (pp->pass->op == PASS_CREATE &&
				   plan_writes_all(plan->configs[c])) {
				round_bytes += plan->image_bytes;
				cost.round_s += (double)plan->image_bytes /
						probe->bytes_per_s;
			}
		}
	}
	/* Two warm-up trials go before the rounds. */
	cost.seconds = cost.round_s *
		       ((double)plan->rounds + 2.0 / (double)plan->nconfigs);
	cost.written = files ? round_bytes * (plan->rounds + 1) : 0;
	return cost;
}

uint64_t
plan_quick_image(const struct probe *probe, const struct plan *plan,
		 uint64_t space)
{
	uint64_t requests = plan_quick_requests(probe);
	uint64_t bytes = IMAGE_MOST;

	while (bytes > IMAGE_LEAST &&
	       ((double)bytes / probe->bytes_per_s > IMAGE_S ||
		plan_space(plan, bytes, requests) > space))
		bytes /= 2;
	return bytes;
}

uint64_t
plan_quick_requests(const struct probe *probe)
{
	uint64_t n = REQUESTS_MOST;

	while (n > REQUESTS_LEAST && (double)n / probe->iops > REQUESTS_S)
		n /= 2;
	return n;
}

const struct probe plan_slow_disk = {.iops = 280, .bytes_per_s = 90e6};
const struct probe plan_fast_disk = {.iops = 1e5, .bytes_per_s = 2e9};

int
plan_sizes(struct plan *plan, uint64_t image_bytes, uint64_t requests,
	   const struct probe *probe, uint64_t space, struct q2_err *err)
{
	const struct suite *suite = plan->suite;
	uint64_t need;
	int r;

	plan->ops_per_s = probe->iops;
	plan->bytes_per_s = probe->bytes_per_s;
	if (!requests)
		requests = plan->quick ? plan_quick_requests(probe)
				       : suite->requests;
	if (!image_bytes) {
		image_bytes = plan->quick ? plan_quick_image(probe, plan, space)
					  : suite->image_bytes;
		/* What is larger than the user's disk says nothing of it. */
		image_bytes = min_u64(image_bytes, plan->disk_bytes);
	}
	r = plan_resolve(plan, image_bytes, requests, err);
	if (r < 0)
		return r;
	need = plan_space(plan, plan->image_bytes, plan->requests);
	if (need > space)
		return q2_fail(err, -ENOSPC,
			       "the images of a round need %llu MiB and there "
			       "are %llu MiB free; %s",
			       (unsigned long long)div_up(need, MiB),
			       (unsigned long long)(space / MiB),
			       plan->quick ? "name another disk with --dir"
					   : "try --quick, or a smaller "
					     "--image-size, or another disk "
					     "with --dir");
	return 0;
}

unsigned
plan_halvings(double round_s, double fixed_s, uint64_t rounds, double budget_s)
{
	unsigned n = 0;

	while (n < 3 && (double)rounds * round_s > budget_s) {
		round_s = fixed_s + (round_s - fixed_s) / 2;
		n++;
	}
	return n;
}
