/* SPDX-License-Identifier: MIT */
#include "harness/plan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"

#define DISK_DEFAULT (64 * GiB)

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

enum q2_cache
plan_config_cache(const struct plan *plan, const struct config *config)
{
	return config->cache != Q2_CACHE_DEFAULT ? config->cache : plan->cache;
}

const char *
plan_config_aio(const struct plan *plan, const struct config *config)
{
	return config->aio ? config->aio : plan->aio;
}

uint64_t
plan_config_bytes(const struct plan *plan, const struct config *config)
{
	return config->image_bytes ? config->image_bytes : plan->image_bytes;
}

bool
plan_config_has_file(const struct config *config)
{
	return strcmp(config->target, "null") != 0 &&
	       strcmp(config->target, "nbd") != 0;
}

/* By our engine or by QEMU's. */
static bool
is_qcow2(const struct config *config)
{
	return strcmp(config->target, "qcow2") == 0 ||
	       (strcmp(config->target, "qemu") == 0 && !config->raw_state);
}

/* As the image of a configuration is made, of that size. */
static struct q2_create_opts
create_opts(const struct config *config, uint64_t bytes)
{
	return (struct q2_create_opts){
		.size = sizeof(struct q2_create_opts),
		.driver = is_qcow2(config) ? "qcow2" : "raw",
		.virtual_size = bytes,
		.cluster_size = config->cluster_size,
		.preallocation = config->prealloc,
		.extended_l2 = config->extended_l2,
		.compat = config->compat,
		.refcount_bits = config->refcount_bits,
		.lazy_refcounts = config->lazy_refcounts,
	};
}

void
plan_set_cache(struct plan *plan, enum q2_cache cache)
{
	plan->cache = cache;
	plan->sliced = true;
	/* Writeback of buffered files would fall into a neighbour's turn. */
	for (size_t i = 0; i < plan->nconfigs; i++) {
		enum q2_cache mode = plan_config_cache(plan, plan->configs[i]);

		plan->sliced &= mode == Q2_CACHE_NONE ||
				mode == Q2_CACHE_DIRECTSYNC;
	}
}

/* The user's word, then the suite's. */
static enum q2_cache
wished_cache(const struct wishes *wishes, const struct suite *suite)
{
	if (wishes->cache)
		return plan_cache_mode(wishes->cache);
	return suite->cache != Q2_CACHE_DEFAULT ? suite->cache : Q2_CACHE_NONE;
}

void
plan_init(struct plan *plan, const struct wishes *wishes)
{
	const struct suite *suite = wishes->quick ? wishes->suite->quick
						  : wishes->suite;

	assert(suite);
	*plan = (struct plan){
		.suite = suite,
		.quick = wishes->quick,
		.rounds = wishes->rounds ? wishes->rounds : suite->rounds,
		.seed = wishes->seed,
		.disk_bytes = wishes->disk_bytes ? wishes->disk_bytes
						 : DISK_DEFAULT,
		.slices = wishes->slices,
		.disk_wished = wishes->disk_bytes > 0,
		.aio = wishes->aio ? wishes->aio : suite->aio,
		.nconfigs = suite->nconfigs,
		.npasses = suite->npasses,
	};
	for (size_t i = 0; i < suite->nconfigs; i++)
		plan->configs[i] = &suite->configs[i];
	for (size_t i = 0; i < suite->npasses; i++) {
		const struct pass *pass = &suite->passes[i];

		plan->passes[i].pass = pass;
		plan->passes[i].touch = pass_index(plan, pass->touch);
	}
	plan_set_cache(plan, wished_cache(wishes, suite));
	assert(plan->nconfigs <= TURNS_MAX);
}

/* A share of an image of whole MiB, in whole MiB; or bytes as they are. */
static uint64_t
share_bytes(const struct share *share, uint64_t image_bytes)
{
	return share->percent ? image_bytes / MiB * share->n / 100 * MiB
			      : share->n;
}

/* Distance of the places of a pass. */
static uint64_t
pass_stride(const struct pass *pass)
{
	const struct stream_spec stream = {
		.order = pass->order,
		.bs_bytes = pass->bs_bytes,
		.stride_bytes = pass->stride_bytes,
	};

	return stream_stride(&stream);
}

/* How many requests are asked for, where the plan has settled on `requests`;
 * 0: each place once. */
static uint64_t
pass_requests(const struct plan *plan, const struct pass *pass,
	      uint64_t requests)
{
	double share;

	if (!pass->scaled)
		return pass->requests;
	share = (double)pass->requests / (double)plan->suite->requests;
	return max_u64((uint64_t)((double)requests * share), 1);
}

/* Where the pass works, and how often. */
static void
resolve_stream(struct plan *plan, struct plan_pass *pp)
{
	const struct pass *pass = pp->pass;

	pp->stream = (struct stream_spec){
		.order = pass->order,
		.place = pass->place,
		.write = pass->write,
		.bs_bytes = pass->bs_bytes,
		.stride_bytes = pass->stride_bytes,
		.area_off = share_bytes(&pass->area_off, plan->image_bytes),
		.area_bytes = share_bytes(&pass->area_size, plan->image_bytes),
		.ops = pass_requests(plan, pass, plan->requests),
	};
	pp->wished_ops = pp->stream.ops;
	if (pp->touch >= 0) {
		const struct stream_spec *of = &plan->passes[pp->touch].stream;

		/* All that was touched, unless less is asked for. */
		if (pp->stream.ops > of->ops && of->bs_bytes == pass->bs_bytes)
			pp->stream.ops = of->ops;
		/* Of another size: places of its own in that area. */
		if (pp->stream.ops && of->bs_bytes != pass->bs_bytes)
			pp->stream.ops = min_u64(pp->stream.ops,
						 of->area_bytes /
							 pass_stride(pass));
	} else if (pp->stream.ops) {
		/* One to a place, as many as there are. */
		pp->stream.ops = min_u64(pp->stream.ops,
					 pp->stream.area_bytes /
						 pass_stride(pass));
	}
}

/* The area is within the image, and no pass has worked there that should not
 * have. */
static int
check_area(const struct plan *plan, size_t i, struct q2_err *err)
{
	const struct stream_spec *own = &plan->passes[i].stream;
	const char *name = plan->passes[i].pass->name;

	if (plan->passes[i].touch >= 0)
		return 0;
	if (own->area_bytes > plan->image_bytes ||
	    own->area_off > plan->image_bytes - own->area_bytes)
		return q2_fail(err, -EINVAL,
			       "pass %s ends beyond an image of %llu MiB; make "
			       "its offset= and size= smaller",
			       name,
			       (unsigned long long)(plan->image_bytes / MiB));
	for (size_t j = 0; j < i; j++) {
		const struct plan_pass *other = &plan->passes[j];

		if (other->pass->op == PASS_STREAM && other->touch < 0 &&
		    stream_areas_overlap(&other->stream, own))
			return q2_fail(err, -EINVAL,
				       "pass %s is no first touch: it works "
				       "where %s has written",
				       name, other->pass->name);
	}
	return 0;
}

/* A pass that is cut by hand, or by what the disk does in a turn. */
static struct turns_cut
cut_pass(const struct plan *plan, const struct plan_pass *pp)
{
	const struct pass *pass = pp->pass;
	bool small = pass->bs_bytes <= 64 * KiB && pass->order != STREAM_SEQ;
	double rate = small ? plan->ops_per_s
			    : plan->bytes_per_s / pass->bs_bytes;
	uint64_t ops = pp->stream.ops;

	if (pass->slices) {
		uint64_t slice_ops = div_up(ops, pass->slices);

		return (struct turns_cut){.turns = div_up(ops, slice_ops),
					  .slice_ops = slice_ops};
	}
	return turns_cut(ops, plan->sliced ? rate : 0, PLAN_TURN_S,
			 2 * (uint64_t)pass->iodepth);
}

static int
resolve_pass(struct plan *plan, size_t i, struct q2_err *err)
{
	struct plan_pass *pp = &plan->passes[i];
	struct stream_spec specs[SUITE_PASSES_MAX];
	struct stream stream;
	int r;

	if (pp->pass->op != PASS_STREAM) {
		pp->cut = (struct turns_cut){.turns = 1};
		return 0;
	}
	resolve_stream(plan, pp);
	r = check_area(plan, i, err);
	if (r < 0)
		return r;
	plan_streams(plan, 1, specs);
	r = stream_init(&stream, &specs[i], err);
	if (r < 0)
		return err_prefix(
			err, r, "pass %s of a %llu MiB image", pp->pass->name,
			(unsigned long long)(plan->image_bytes / MiB));
	pp->stream.ops = stream_ops(&stream);
	if (plan->slices)
		pp->cut = turns_cut_into(pp->stream.ops, plan->slices);
	else
		pp->cut = cut_pass(plan, pp);
	return 0;
}

int
plan_resolve(struct plan *plan, uint64_t image_bytes, uint64_t requests,
	     struct q2_err *err)
{
	int r;

	if (image_bytes < PLAN_IMAGE_SMALLEST)
		return q2_fail(
			err, -EINVAL,
			"an image of %llu bytes is too small to measure; "
			"the least is %um",
			(unsigned long long)image_bytes,
			(unsigned)(PLAN_IMAGE_SMALLEST / MiB));
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

uint64_t
plan_metadata_bytes(const struct config *config, uint64_t virtual_bytes)
{
	struct q2_create_opts opts = create_opts(config, virtual_bytes);
	struct q2_measure measure;
	struct q2_err ignored;

	/* Of what holds all data, all of it would be measured. */
	opts.preallocation = Q2_PREALLOC_METADATA;
	if (!is_qcow2(config) ||
	    q2_measure(&opts, NULL, &measure, &ignored) < 0)
		return 0;
	return measure.required;
}

/* What makes a disk of the user's size beside the image. */
static bool
makes_disk(const struct config *c)
{
	/* What would fill it is not made: too long, too much. */
	return is_qcow2(c) && !c->takes_all &&
	       (c->zero == Q2_ZERO_RANGE || strcmp(c->target, "qemu") == 0);
}

static bool
disk_is_too_large(const struct plan *plan, const struct config *c)
{
	return plan->disk_most && c->prealloc == Q2_PREALLOC_METADATA &&
	       plan_metadata_bytes(c, plan->disk_bytes) > plan->disk_most;
}

bool
plan_does(const struct plan *plan, size_t config, size_t pass)
{
	const struct config *c = plan->configs[config];
	enum pass_op op = plan->passes[pass].pass->op;

	if (op == PASS_CREATE_DISK)
		return makes_disk(c) && !disk_is_too_large(plan, c);
	/* There is nothing to make. */
	return op == PASS_STREAM || plan_config_has_file(c);
}

const struct config *
plan_left_out(const struct plan *plan)
{
	for (size_t p = 0; p < plan->npasses; p++) {
		for (size_t c = 0; c < plan->nconfigs; c++) {
			if (plan->passes[p].pass->op == PASS_CREATE_DISK &&
			    makes_disk(plan->configs[c]) &&
			    disk_is_too_large(plan, plan->configs[c]))
				return plan->configs[c];
		}
	}
	return NULL;
}

unsigned
plan_count(const struct plan *plan, enum pass_op op)
{
	unsigned n = 0;

	for (size_t i = 0; i < plan->npasses; i++)
		n += plan->passes[i].pass->op == op;
	return n;
}

/* What a request leaves allocated: the clusters that it lies in, or the whole
 * of its stride, if that is less. */
static uint64_t
request_space(const struct pass *pass, uint32_t cluster_size)
{
	uint64_t unit = max_u64(cluster_size, 4 * KiB);
	uint64_t bytes = align_up(pass->bs_bytes, unit);

	/* It may begin within a cluster. */
	if (pass->bs_bytes > unit || unit % pass->bs_bytes)
		bytes += unit;
	return min_u64(max_u64(pass_stride(pass), cluster_size), bytes);
}

/* Of the files below the image, and of what is converted. */
static uint64_t
other_space(const struct plan *plan, const struct config *config,
	    uint64_t bytes)
{
	uint64_t layer = 8 * (uint64_t)max_u64(config->cluster_size, 4 * KiB);
	uint64_t sum = config->chain_depth * layer;

	if (config->fill && config->chain_depth)
		sum += bytes + plan_metadata_bytes(config, bytes);
	return plan_count(plan, PASS_CONVERT) ? sum + bytes : sum;
}

/* Bytes of its files after all passes. */
static uint64_t
config_space(const struct plan *plan, const struct config *config,
	     uint64_t image_bytes, uint64_t requests)
{
	uint64_t touched = 0, area, each, bytes;
	unsigned generations;
	bool all;

	for (size_t i = 0; i < plan->npasses; i++) {
		const struct pass *pass = plan->passes[i].pass;
		uint64_t ops = pass_requests(plan, pass, requests);

		if (pass->op != PASS_STREAM || !pass->write || pass->touch)
			continue;
		area = share_bytes(&pass->area_size, image_bytes);
		each = request_space(pass, config->cluster_size);
		if (ops && !mul_overflows(ops, each, &bytes))
			area = min_u64(area, bytes);
		touched += area;
	}
	bytes = config->image_bytes ? config->image_bytes : image_bytes;
	touched = min_u64(bytes, touched);
	all = config->takes_all || plan_count(plan, PASS_CONVERT);
	/* A write after a snapshot is to another cluster. */
	generations = (config->snapshots > 0) + plan_count(plan, PASS_SNAPSHOT);
	return plan_metadata_bytes(config, bytes) +
	       other_space(plan, config, bytes) + (all ? bytes : touched) +
	       generations * touched;
}

uint64_t
plan_space(const struct plan *plan, uint64_t image_bytes, uint64_t requests)
{
	uint64_t sum = 0, disk = 0;

	for (size_t i = 0; i < plan->nconfigs; i++) {
		const struct config *c = plan->configs[i];

		if (plan_config_has_file(c))
			sum += config_space(plan, c, image_bytes, requests);
		/* One at a time, and removed at once. */
		for (size_t p = 0; p < plan->npasses; p++) {
			if (plan->passes[p].pass->op == PASS_CREATE_DISK &&
			    c->prealloc == Q2_PREALLOC_METADATA &&
			    plan_does(plan, i, p))
				disk = max_u64(disk,
					       plan_metadata_bytes(
						       c, plan->disk_bytes));
		}
	}
	sum += disk;
	return sum ? sum + sum / 10 + SPACE_SPARE : 0;
}

unsigned
plan_compressible(const struct plan *plan)
{
	for (size_t i = 0; i < plan->npasses; i++) {
		if (plan->passes[i].pass->op == PASS_CONVERT)
			return plan->passes[i].pass->compressible;
	}
	return 0;
}

uint64_t
plan_prepare_bytes(const struct plan *plan, const struct config *config)
{
	bool prepares = config->fill || plan_count(plan, PASS_CONVERT);

	return prepares ? plan_config_bytes(plan, config) : 0;
}

bool
plan_has_files(const struct plan *plan)
{
	for (size_t i = 0; i < plan->nconfigs; i++) {
		if (plan_config_has_file(plan->configs[i]))
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

/* What making an image, or one of the user's size, writes. */
static uint64_t
creation_bytes(const struct plan *plan, const struct config *config,
	       enum pass_op op)
{
	if (op == PASS_SNAPSHOT || op == PASS_SNAPSHOT_DELETE)
		return 0;
	if (op == PASS_CONVERT ||
	    (op == PASS_CREATE && plan_writes_all(config)))
		return plan_config_bytes(plan, config);
	if (config->prealloc == Q2_PREALLOC_OFF)
		return 0;
	return plan_metadata_bytes(config,
				   op == PASS_CREATE_DISK
					   ? plan->disk_bytes
					   : plan_config_bytes(plan, config));
}

double
plan_cell_s(const struct plan *plan, size_t config, size_t pass,
	    const struct probe *probe)
{
	const struct plan_pass *pp = &plan->passes[pass];

	if (!plan_does(plan, config, pass))
		return 0;
	if (pp->pass->op == PASS_STREAM)
		return pass_seconds(pp, probe);
	return (double)creation_bytes(plan, plan->configs[config],
				      pp->pass->op) /
	       probe->bytes_per_s;
}

struct plan_cost
plan_cost(const struct plan *plan)
{
	struct plan_cost cost = {
		.trials = plan->nconfigs * plan->rounds,
		.space = plan_space(plan, plan->image_bytes, plan->requests),
	};
	uint64_t round_bytes = 0;

	for (size_t c = 0; c < plan->nconfigs; c++) {
		round_bytes += plan_prepare_bytes(plan, plan->configs[c]);
		for (size_t p = 0; p < plan->npasses; p++) {
			const struct plan_pass *pp = &plan->passes[p];

			if (!plan_does(plan, c, p))
				continue;
			cost.cells++;
			if (pp->pass->op != PASS_STREAM)
				round_bytes += creation_bytes(
					plan, plan->configs[c], pp->pass->op);
			else if (pp->stream.write &&
				 strcmp(plan->configs[c]->target, "null") != 0)
				round_bytes += pp->stream.ops *
					       pp->stream.bs_bytes;
		}
	}
	/* Two warm-up trials go before the rounds. */
	cost.written = round_bytes * (plan->rounds + 1);
	return cost;
}

int
plan_check_images(const struct plan *plan, struct q2_err *err)
{
	int r = 0;

	for (size_t c = 0; c < plan->nconfigs && r >= 0; c++) {
		const struct config *config = plan->configs[c];
		uint64_t bytes = plan_config_bytes(plan, config);
		struct q2_create_opts opts = create_opts(config, bytes);
		struct q2_measure ignored;

		if (bytes < plan->image_bytes)
			return q2_fail(
				err, -EINVAL,
				"%s: image_size is less than the %llu "
				"MiB that all work in",
				config->label,
				(unsigned long long)(plan->image_bytes / MiB));
		if (!is_qcow2(config))
			continue;
		r = q2_measure(&opts, NULL, &ignored, err);
		if (r < 0)
			return err_prefix(err, -EINVAL, "%s, --image-size %llu",
					  config->label,
					  (unsigned long long)bytes);
		opts.virtual_size = plan->disk_bytes;
		if (makes_disk(config))
			r = q2_measure(&opts, NULL, &ignored, err);
		if (r < 0)
			r = err_prefix(err, -EINVAL, "%s, --size %llu",
				       config->label,
				       (unsigned long long)plan->disk_bytes);
	}
	return r;
}
