/* SPDX-License-Identifier: MIT */
#include "harness/trial_spec.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"

static const char *const op_names[] = {"create",   "create-disk",     "convert",
				       "snapshot", "snapshot-delete", "stream",
				       NULL};
static const char *const fill_names[] = {"none", "seq", "rand", NULL};
static const char *const encryption_names[] = {"none", "aes", "luks", NULL};
static const char *const codec_names[] = {"zlib", "zstd", NULL};
static const char *const order_names[] = {"once", "uniform", "seq", NULL};
static const char *const prealloc_names[] = {"off", "metadata", "falloc",
					     "full", NULL};
static const char *const zero_names[] = {"default", "hole", "range", "write",
					 NULL};
static const char *const detect_names[] = {"off", "on", "unmap", NULL};
static const char *const place_names[] = {"random", "start", "middle", NULL};
static const char *const state_names[] = {"sparse", "falloc", "written", NULL};

/* ---- writing ----------------------------------------------------------- */

static void
set_int(json_t *json, const char *key, uint64_t value)
{
	(void)json_object_set_new(json, key, json_integer((json_int_t)value));
}

static void
set_text(json_t *json, const char *key, const char *text)
{
	(void)json_object_set_new(json, key, json_string(text));
}

/* JSON's integers end at 2^63; seeds do not. */
static void
set_hex(json_t *json, const char *key, uint64_t value)
{
	char text[20];

	(void)snprintf(text, sizeof(text), "%016" PRIx64, value);
	set_text(json, key, text);
}

static json_t *
pass_json(const struct plan_pass *pp, const struct stream_spec *stream)
{
	json_t *json = json_object();

	set_text(json, "name", pp->pass->name);
	set_text(json, "op", op_names[pp->pass->op]);
	if (pp->pass->op != PASS_STREAM)
		return json;
	set_text(json, "order", order_names[stream->order]);
	(void)json_object_set_new(json, "write", json_boolean(stream->write));
	set_int(json, "bs", stream->bs_bytes);
	set_int(json, "iodepth", pp->pass->iodepth);
	set_int(json, "area_off", stream->area_off);
	set_int(json, "area_bytes", stream->area_bytes);
	set_int(json, "stride", stream->stride_bytes);
	if (stream->place != STREAM_PLACE_RANDOM)
		set_text(json, "place", place_names[stream->place]);
	set_int(json, "ops", stream->ops);
	set_hex(json, "seed", stream->seed);
	if (pp->touch >= 0)
		set_int(json, "touch", (uint64_t)pp->touch);
	set_int(json, "turns", pp->cut.turns);
	set_int(json, "slice_ops", pp->cut.slice_ops);
	return json;
}

/* What is said beyond the first keys is left out where it is the default, so
 * that a new key keeps old ids. */
static void
set_positive(json_t *json, const char *key, uint64_t value)
{
	if (value)
		set_int(json, key, value);
}

static void
set_true(json_t *json, const char *key, bool value)
{
	if (value)
		(void)json_object_set_new(json, key, json_true());
}

static void
set_qcow2(json_t *json, const struct config *config)
{
	set_text(json, "preallocation", prealloc_names[config->prealloc]);
	set_text(json, "zero", zero_names[config->zero]);
	set_int(json, "cluster_size", config->cluster_size);
	set_true(json, "extended_l2", config->extended_l2);
	set_positive(json, "compat", config->compat);
	set_positive(json, "refcount_bits", config->refcount_bits);
	set_true(json, "lazy_refcounts", config->lazy_refcounts);
	set_positive(json, "l2_cache_size", config->l2_cache_size);
	set_positive(json, "l2_cache_entry_size", config->l2_cache_entry_size);
	set_positive(json, "refcount_cache_size", config->refcount_cache_size);
	if (config->cache_clean_interval)
		set_int(json, "cache_clean_interval",
			config->cache_clean_interval == UINT_MAX
				? 0
				: config->cache_clean_interval);
}

static void
set_content(json_t *json, const struct config *config)
{
	if (config->fill)
		set_text(json, "fill", fill_names[config->fill]);
	set_positive(json, "chain_depth", config->chain_depth);
	set_positive(json, "snapshots", config->snapshots);
	if (config->encryption)
		set_text(json, "encryption", config->encryption);
	set_positive(json, "iter_time", config->iter_time);
	set_true(json, "compress", config->compress);
	if (config->zstd)
		set_text(json, "compression_type", "zstd");
}

static void
set_image(json_t *json, const struct plan *plan, const struct config *config)
{
	const char *aio = plan_config_aio(plan, config);

	set_text(json, "target", config->target);
	set_int(json, "image_size", plan_config_bytes(plan, config));
	if (config->raw_state)
		set_text(json, "state", config->raw_state);
	if (config->cluster_size)
		set_qcow2(json, config);
	set_content(json, config);
	set_positive(json, "buffer_compress_percentage",
		     plan_compressible(plan));
	if (config->uri) {
		set_text(json, "uri", config->uri);
		(void)json_object_set_new(json, "overwrite",
					  json_boolean(config->overwrite));
	}
	set_text(json, "cache",
		 plan_cache_name(plan_config_cache(plan, config)));
	if (aio)
		set_text(json, "aio", aio);
	if (config->unmap)
		set_text(json, "discard", "unmap");
	if (config->detect_zeroes != Q2_DETECT_OFF)
		set_text(json, "detect_zeroes",
			 detect_names[config->detect_zeroes]);
}

json_t *
trial_spec_json(const struct plan *plan, size_t config, uint64_t round,
		const char *path)
{
	struct stream_spec streams[SUITE_PASSES_MAX];
	json_t *json = json_object(), *passes = json_array();

	plan_streams(plan, round, streams);
	set_int(json, "schema", TRIAL_SCHEMA);
	set_text(json, "label", plan->configs[config]->label);
	set_image(json, plan, plan->configs[config]);
	set_text(json, "path", path);
	set_int(json, "round", round);
	set_int(json, "disk_size", plan->disk_bytes);
	(void)json_object_set_new(json, "turns", json_true());
	for (size_t i = 0; i < plan->npasses; i++)
		(void)json_array_append_new(
			passes, pass_json(&plan->passes[i], &streams[i]));
	(void)json_object_set_new(json, "passes", passes);
	return json;
}

/* The pass whose bytes are used again, and where these lie. */
static void
set_touched(json_t *work, const struct plan_pass *touched)
{
	set_text(work, "touch", touched->pass->name);
	set_positive(work, "touch_stride", touched->stream.stride_bytes);
	if (touched->stream.place != STREAM_PLACE_RANDOM)
		set_text(work, "touch_place",
			 place_names[touched->stream.place]);
}

json_t *
trial_spec_keys(const struct plan *plan, size_t config,
		const struct plan_pass *pass)
{
	json_t *json = json_object();
	json_t *work;

	set_image(json, plan, plan->configs[config]);
	/* What a server does with its file is not known here. */
	if (plan->configs[config]->uri) {
		(void)json_object_del(json, "cache");
		(void)json_object_del(json, "aio");
	}
	if (!pass)
		return json;
	work = pass_json(pass, &pass->stream);
	/* What does not change the work, and what is said by another key. */
	(void)json_object_del(work, "name");
	(void)json_object_del(work, "seed");
	(void)json_object_del(work, "turns");
	(void)json_object_del(work, "slice_ops");
	if (pass->touch >= 0)
		set_touched(work, &plan->passes[pass->touch]);
	if (pass->pass->op == PASS_CREATE_DISK)
		set_int(json, "image_size", plan->disk_bytes);
	(void)json_object_update(json, work);
	json_decref(work);
	return json;
}

/* ---- reading ----------------------------------------------------------- */

struct reader {
	const json_t *json;
	struct q2_err *err;
	int code; /* 0, or the first error */
};

static uint64_t
get_int(struct reader *r, const char *key, uint64_t least, uint64_t most)
{
	json_t *v = json_object_get(r->json, key);

	if (r->code == 0 && (!json_is_integer(v) || json_integer_value(v) < 0 ||
			     (uint64_t)json_integer_value(v) < least ||
			     (uint64_t)json_integer_value(v) > most))
		r->code = q2_fail(r->err, -EINVAL,
				  "%s must be a number from %" PRIu64
				  " to %" PRIu64,
				  key, least, most);
	return r->code < 0 ? least : (uint64_t)json_integer_value(v);
}

static const char *
get_text(struct reader *r, const char *key)
{
	const char *text = json_string_value(json_object_get(r->json, key));

	if (r->code == 0 && (!text || !*text))
		r->code = q2_fail(r->err, -EINVAL, "%s must be a text", key);
	return text ? text : "";
}

static uint64_t
get_hex(struct reader *r, const char *key)
{
	const char *text = get_text(r, key);
	char *end;
	uint64_t v = strtoull(text, &end, 16);

	if (r->code == 0 && *end)
		r->code = q2_fail(r->err, -EINVAL,
				  "%s must be hexadecimal, not '%s'", key,
				  text);
	return v;
}

static unsigned
get_word(struct reader *r, const char *key, const char *const *words)
{
	const char *text = get_text(r, key);

	for (unsigned i = 0; r->code == 0 && words[i]; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
	}
	if (r->code == 0)
		r->code = q2_fail(r->err, -EINVAL, "%s: '%s' is not known", key,
				  text);
	return 0;
}

/* What may be left out. */
static bool
has(const struct reader *r, const char *key)
{
	return json_object_get(r->json, key);
}

static uint64_t
get_int_or_0(struct reader *r, const char *key, uint64_t most)
{
	return has(r, key) ? get_int(r, key, 0, most) : 0;
}

static unsigned
get_word_or_0(struct reader *r, const char *key, const char *const *words)
{
	return has(r, key) ? get_word(r, key, words) : 0;
}

static bool
get_true(struct reader *r, const char *key)
{
	return json_is_true(json_object_get(r->json, key));
}

static void
read_pass(struct reader *r, struct trial_spec *spec, size_t i)
{
	struct trial_pass *pass = &spec->passes[i];
	struct stream stream;

	pass->name = get_text(r, "name");
	pass->op = (enum pass_op)get_word(r, "op", op_names);
	pass->touch = -1;
	pass->cut = (struct turns_cut){.turns = 1};
	if (pass->op != PASS_STREAM || r->code < 0)
		return;
	pass->stream = (struct stream_spec){
		.order = (enum stream_order)get_word(r, "order", order_names),
		.place = (enum stream_place)get_word_or_0(r, "place",
							  place_names),
		.write = get_true(r, "write"),
		.bs_bytes = (uint32_t)get_int(r, "bs", 512, 64 * MiB),
		.stride_bytes = get_int(r, "stride", 0, GiB),
		.area_off = get_int(r, "area_off", 0, INT64_MAX),
		.area_bytes = get_int(r, "area_bytes", 0, INT64_MAX),
		.ops = get_int(r, "ops", 0, INT64_MAX),
		.seed = get_hex(r, "seed"),
	};
	pass->requests = pass->stream.ops;
	pass->iodepth = (uint32_t)get_int(r, "iodepth", 1, 1024);
	pass->cut.turns = get_int(r, "turns", 1, INT64_MAX);
	pass->cut.slice_ops = get_int(r, "slice_ops", 1, INT64_MAX);
	if (json_object_get(r->json, "touch") && r->code == 0) {
		if (i > 0)
			pass->touch = (int)get_int(r, "touch", 0, i - 1);
		pass->stream.touch =
			pass->touch < 0 ? NULL
					: &spec->passes[pass->touch].stream;
	}
	/* Every size and area is judged by those who use it. */
	if (r->code == 0)
		r->code = stream_init(&stream, &pass->stream, r->err);
	if (r->code < 0)
		r->code = err_prefix(r->err, r->code, "pass %zu", i + 1);
}

static void
read_qcow2(struct reader *r, struct target_image *image)
{
	image->prealloc = (enum q2_prealloc)get_word(r, "preallocation",
						     prealloc_names);
	image->zero = (enum q2_zero)get_word(r, "zero", zero_names);
	image->cluster_size = (uint32_t)get_int(r, "cluster_size", 512,
						2 * MiB);
	image->extended_l2 = get_true(r, "extended_l2");
	image->compat = (unsigned)get_int_or_0(r, "compat", 3);
	image->refcount_bits = (unsigned)get_int_or_0(r, "refcount_bits", 64);
	image->lazy_refcounts = get_true(r, "lazy_refcounts");
	image->l2_cache_size = get_int_or_0(r, "l2_cache_size", INT64_MAX);
	image->l2_cache_entry_size = get_int_or_0(r, "l2_cache_entry_size",
						  2 * MiB);
	image->refcount_cache_size = get_int_or_0(r, "refcount_cache_size",
						  INT64_MAX);
	if (!has(r, "cache_clean_interval"))
		return;
	image->cache_clean_interval = (unsigned)get_int(
		r, "cache_clean_interval", 0, INT32_MAX);
	if (image->cache_clean_interval == 0)
		image->cache_clean_interval = UINT_MAX;
}

static void
read_content(struct reader *r, struct target_image *image)
{
	unsigned encryption = get_word_or_0(r, "encryption", encryption_names);

	image->fill = (enum fill)get_word_or_0(r, "fill", fill_names);
	image->chain_depth = (unsigned)get_int_or_0(r, "chain_depth", 1000);
	image->snapshots = (unsigned)get_int_or_0(r, "snapshots", 1000);
	image->encryption = encryption ? encryption_names[encryption] : NULL;
	image->iter_time = (unsigned)get_int_or_0(r, "iter_time", 60000);
	image->compress = get_true(r, "compress");
	image->zstd = get_word_or_0(r, "compression_type", codec_names);
}

static void
read_image(struct reader *r, struct trial_spec *spec)
{
	static const char *const discards[] = {"ignore", "unmap", NULL};
	const char *name = get_text(r, "target");

	spec->target = target_find(name);
	if (r->code == 0 && !spec->target)
		r->code = q2_fail(r->err, -EINVAL, "target '%s' is not known",
				  name);
	spec->image.virtual_bytes = get_int(r, "image_size", 512, INT64_MAX);
	if (spec->target == &target_raw ||
	    (spec->target == &target_qemu && json_object_get(r->json, "state")))
		spec->image.raw_state =
			state_names[get_word(r, "state", state_names)];
	else if (spec->target == &target_qcow2 || spec->target == &target_qemu)
		read_qcow2(r, &spec->image);
	if (spec->target == &target_qcow2)
		read_content(r, &spec->image);
	spec->image.compressible = (unsigned)get_int_or_0(
		r, "buffer_compress_percentage", 99);
	if (spec->target == &target_nbd)
		spec->image.uri = get_text(r, "uri");
	spec->image.overwrite = json_is_true(
		json_object_get(r->json, "overwrite"));
	spec->image.cache = (enum q2_cache)(
		get_word(r, "cache", plan_cache_names) + Q2_CACHE_NONE);
	spec->image.unmap = get_word_or_0(r, "discard", discards);
	spec->image.detect_zeroes = (enum q2_detect_zeroes)get_word_or_0(
		r, "detect_zeroes", detect_names);
}

/* Not every target can do every pass. */
static int
check_ops(const struct trial_spec *spec, struct q2_err *err)
{
	bool converts = spec->target == &target_qcow2 ||
			spec->target == &target_raw;

	for (size_t i = 0; i < spec->npasses; i++) {
		const struct trial_pass *p = &spec->passes[i];
		bool can = p->op == PASS_CONVERT ? converts
			   : p->op == PASS_SNAPSHOT ||
					   p->op == PASS_SNAPSHOT_DELETE
				   ? spec->target == &target_qcow2
				   : true;

		if (!can)
			return q2_fail(err, -EINVAL,
				       "pass %s: op %s is not for target %s",
				       p->name, op_names[p->op],
				       spec->target->name);
	}
	return 0;
}

/* A server's export is not of our making. */
static int
check_overwrite(const struct trial_spec *spec, struct q2_err *err)
{
	for (size_t i = 0; i < spec->npasses; i++) {
		const struct trial_pass *p = &spec->passes[i];

		if (spec->target != &target_nbd)
			break;
		if (p->op == PASS_STREAM && p->stream.write &&
		    !spec->image.overwrite)
			return q2_fail(err, -EINVAL,
				       "pass %s would overwrite what is in %s; "
				       "if that may be lost, say so: overwrite",
				       p->name, spec->image.uri);
	}
	return 0;
}

int
trial_spec_parse(json_t *json, struct trial_spec *ret, struct q2_err *err)
{
	struct reader r = {.json = json, .err = err};
	json_t *passes = json_object_get(json, "passes");
	uint64_t schema = get_int(&r, "schema", 1, INT32_MAX);

	*ret = (struct trial_spec){0};
	if (r.code == 0 && schema != TRIAL_SCHEMA)
		return q2_fail(err, -EINVAL,
			       "schema %" PRIu64 " is not known; this is for "
			       "schema %d",
			       schema, TRIAL_SCHEMA);
	ret->label = get_text(&r, "label");
	read_image(&r, ret);
	ret->path = get_text(&r, "path");
	ret->round = get_int(&r, "round", 0, INT32_MAX);
	ret->disk_bytes = get_int(&r, "disk_size", 512, INT64_MAX);
	ret->aio = json_string_value(json_object_get(json, "aio"));
	ret->turns = json_is_true(json_object_get(json, "turns"));
	ret->npasses = json_array_size(passes);
	if (r.code == 0 &&
	    (ret->npasses == 0 || ret->npasses > SUITE_PASSES_MAX))
		return q2_fail(err, -EINVAL, "passes must be 1 to %d, not %zu",
			       SUITE_PASSES_MAX, ret->npasses);
	for (size_t i = 0; r.code == 0 && i < ret->npasses; i++) {
		r.json = json_array_get(passes, i);
		read_pass(&r, ret, i);
	}
	if (r.code == 0)
		r.code = check_ops(ret, err);
	if (r.code == 0)
		r.code = check_overwrite(ret, err);
	if (r.code < 0)
		return r.code;
	ret->json = json_incref(json);
	return 0;
}

void
trial_spec_done(struct trial_spec *spec)
{
	json_decref(spec->json);
	spec->json = NULL;
}
