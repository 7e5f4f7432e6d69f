/* SPDX-License-Identifier: MIT */
/*
 * verb_show.c - one cell with everything resolved: its keys, what it leaves to
 * defaults, and its work
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/num.h"
#include "harness/probe_store.h"
#include "harness/run_args.h"
#include "harness/spec_keys.h"
#include "harness/trial_spec.h"
#include "harness/verb.h"
#include "results/id.h"

/* More than any disk has: nothing is made here. */
#define SPACE_ANY (UINT64_C(1) << 60)

struct show_args {
	struct run_args run;
	bool json;
};

static const struct option_spec show_options[] = {
	{"json", OPTION_FLAG, offsetof(struct show_args, json), NULL, NULL,
	 "as JSON"},
	/* run is the first member: the offsets are the same. */
	RUN_ARGS_COMMON,
};

#define NAME_SIZE 160 /* LABEL/PASS */

/* Where a cell was found. */
struct cell {
	/* All that were looked at, in case it is none. */
	char (*names)[NAME_SIZE];
	size_t nnames;

	struct plan plan;
	size_t config, pass;
	char id[ID_SIZE];
	double probe_age_s; /* negative: sizes as on a fast disk */
};

/* ---- finding it -------------------------------------------------------- */

static void
cell_id(const struct plan *plan, size_t config, size_t pass, char id[ID_SIZE])
{
	json_t *keys = trial_spec_keys(plan, config, &plan->passes[pass]);

	id_of_json(keys, id);
	json_decref(keys);
}

static void
keep_name(struct cell *cell)
{
	void *more = reallocarray(cell->names, cell->nnames + 1, NAME_SIZE);

	if (!more)
		abort();
	cell->names = more;
	(void)snprintf(cell->names[cell->nnames++], NAME_SIZE, "%.80s/%.70s",
		       cell->plan.configs[cell->config]->label,
		       cell->plan.passes[cell->pass].pass->name);
}

static const char *
name_at(const void *cell, size_t i)
{
	return ((const struct cell *)cell)->names[i];
}

/* "label/pass" or the id? */
static bool
is_called(const struct cell *cell, const char *name)
{
	const char *label = cell->plan.configs[cell->config]->label;
	const char *pass = cell->plan.passes[cell->pass].pass->name;
	size_t len = strlen(label);

	return strcmp(name, cell->id) == 0 ||
	       (strncmp(name, label, len) == 0 && name[len] == '/' &&
		strcmp(name + len + 1, pass) == 0);
}

static bool
find_in_plan(struct cell *cell, const char *name)
{
	for (size_t c = 0; c < cell->plan.nconfigs; c++) {
		for (size_t p = 0; p < cell->plan.npasses; p++) {
			if (!plan_does(&cell->plan, c, p))
				continue;
			cell->config = c;
			cell->pass = p;
			cell_id(&cell->plan, c, p, cell->id);
			if (is_called(cell, name))
				return true;
			keep_name(cell);
		}
	}
	return false;
}

/* One form of a group.  1: found, 0: not, or -EINVAL. */
static int
find_in_form(const struct run_args *args, const char *name, struct cell *cell,
	     struct q2_err *err)
{
	struct wishes wishes = run_args_wishes(args);
	struct probe probe = plan_fast_disk;
	int r;

	plan_init(&cell->plan, &wishes);
	if (!probe_store_get(args->dir, cell->plan.cache, &probe,
			     &cell->probe_age_s))
		cell->probe_age_s = -1;
	r = plan_sizes(&cell->plan, args->image_size, args->requests, &probe,
		       SPACE_ANY, err);
	return r < 0 ? r : find_in_plan(cell, name);
}

/* All groups, in the form that was asked for, else in both. */
static int
find_in_suite(struct run_args *args, const char *name, struct cell *cell,
	      struct q2_err *err)
{
	const struct suite *first = args->suite;
	bool asked = args->quick;
	int r = 0;

	for (int form = 0; form < 2 && r == 0; form++) {
		args->quick = asked || form == 1;
		args->suite = first;
		for (; args->suite && r == 0; args->suite = args->suite->next) {
			if (!args->quick || args->suite->quick)
				r = find_in_form(args, name, cell, err);
		}
	}
	args->quick = asked;
	args->suite = first;
	return r;
}

/* ---- showing it -------------------------------------------------------- */

static unsigned
where_of(const struct config *config)
{
	return spec_where_of(config->target, config->raw_state);
}

/* Keys of the configuration that are not in the id, and what holds then. */
static json_t *
defaults_json(const struct cell *cell, const json_t *keys)
{
	const struct config *config = cell->plan.configs[cell->config];
	json_t *json = json_object();

	for (size_t i = 0; i < spec_keys_count(); i++) {
		const struct spec_key *key = spec_keys_at(i);

		if (key->scope == SPEC_OF_CONFIG &&
		    (key->applies & where_of(config)) &&
		    !json_object_get(keys, key->name))
			(void)json_object_set_new(
				json, key->name,
				json_string(key->usual ? key->usual
						       : key->otherwise));
	}
	return json;
}

/* Bytes from place to place.  Bytes that are used again lie where they were
 * written, if requests are as large as then. */
static uint64_t
stride_of(const struct plan *plan, const struct plan_pass *pp)
{
	const struct stream_spec *own = &pp->stream;

	while (pp->touch >= 0 &&
	       plan->passes[pp->touch].stream.bs_bytes == own->bs_bytes) {
		pp = &plan->passes[pp->touch];
		own = &pp->stream;
	}
	return stream_stride(own);
}

static json_t *
work_json(const struct cell *cell)
{
	const struct plan_pass *pp = &cell->plan.passes[cell->pass];
	json_t *json = json_object();
	bool seq = pp->pass->order == STREAM_SEQ;
	uint64_t bytes;

	(void)json_object_set_new(json, "rounds",
				  json_integer((json_int_t)cell->plan.rounds));
	if (pp->pass->op != PASS_STREAM)
		return json;
	(void)json_object_set_new(
		json, "rw",
		json_string(pp->stream.write ? seq ? "write" : "randwrite"
			    : seq            ? "read"
					     : "randread"));
	bytes = pp->stream.ops * pp->stream.bs_bytes;
	(void)json_object_set_new(json, "bytes",
				  json_integer((json_int_t)bytes));
	(void)json_object_set_new(
		json, "stride",
		json_integer((json_int_t)stride_of(&cell->plan, pp)));
	(void)json_object_set_new(json, "turns",
				  json_integer((json_int_t)pp->cut.turns));
	(void)json_object_set_new(json, "slice_ops",
				  json_integer((json_int_t)pp->cut.slice_ops));
	return json;
}

static void
set_text(json_t *json, const char *key, const char *text)
{
	if (text)
		(void)json_object_set_new(json, key, json_string(text));
}

static json_t *
cell_json(const struct cell *cell)
{
	const struct plan *plan = &cell->plan;
	json_t *keys = trial_spec_keys(plan, cell->config,
				       &plan->passes[cell->pass]);
	json_t *json = json_object();

	set_text(json, "suite", plan->suite->name);
	set_text(json, "group", plan->suite->group);
	set_text(json, "form", plan->quick ? "quick" : "standard");
	set_text(json, "label", plan->configs[cell->config]->label);
	set_text(json, "pass", plan->passes[cell->pass].pass->name);
	set_text(json, "cell_id", cell->id);
	(void)json_object_set_new(json, "work", work_json(cell));
	(void)json_object_set_new(json, "defaults", defaults_json(cell, keys));
	(void)json_object_set_new(json, "keys", keys);
	return json;
}

static void
print_value(const char *key, const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY);

	printf("  %-20s %s\n", key,
	       json_is_string(value) ? json_string_value(value) : text);
	free(text);
}

static void
print_object(const char *title, json_t *json)
{
	printf("%s\n", title);
	for (void *it = json_object_iter(json); it;
	     it = json_object_iter_next(json, it))
		print_value(json_object_iter_key(it),
			    json_object_iter_value(it));
}

/* The id has 0 for a stride that was not said: people get what it stands for.
 * Only the text is changed; in JSON the keys are those of the id. */
static void
resolve_stride(json_t *json)
{
	json_t *keys = json_object_get(json, "keys");
	json_t *stride = json_object_get(keys, "stride");
	json_t *used = json_object_get(json_object_get(json, "work"), "stride");

	if (!stride || json_integer_value(stride) != 0)
		return;
	(void)json_object_set_new(keys, "stride",
				  json_sprintf("%" JSON_INTEGER_FORMAT
					       " (default)",
					       json_integer_value(used)));
}

static void
print_cell(const struct cell *cell)
{
	json_t *json = cell_json(cell);
	const char *key;
	json_t *value;

	resolve_stride(json);
	json_object_foreach(json, key, value)
	{
		if (json_is_string(value))
			printf("%-8s %s\n", key, json_string_value(value));
	}
	print_object("what makes it this cell (cell_id):",
		     json_object_get(json, "keys"));
	print_object("what it leaves to defaults:",
		     json_object_get(json, "defaults"));
	print_object("its work:", json_object_get(json, "work"));
	json_decref(json);
}

/* ---- the verb ---------------------------------------------------------- */

static int
find_anywhere(struct run_args *args, const char *name, struct cell *cell,
	      struct q2_err *err)
{
	int r = 0;

	if (args->suite)
		return find_in_suite(args, name, cell, err);
	for (size_t i = 0; i < suites_count() && r == 0; i++) {
		args->suite = suites_at(i);
		r = find_in_suite(args, name, cell, err);
	}
	return r;
}

static void
fail_unknown(const struct cell *cell, const char *name, struct q2_err *err)
{
	const char *near = options_nearest(name, cell->nnames, name_at, cell);

	if (near)
		(void)q2_fail(err, -EINVAL, "no cell '%s'; did you mean '%s'?",
			      name, near);
	else
		(void)q2_fail(err, -EINVAL,
			      "no cell '%s'; a cell is LABEL/PASS, such as "
			      "qcow2-off/read, or its id, which depends on the "
			      "sizes (--image-size, --requests)",
			      name);
}

static enum bench_exit
show(struct show_args *args, const char *name, struct q2_err *err)
{
	struct cell cell = {.names = NULL};
	json_t *json;
	int r = find_anywhere(&args->run, name, &cell, err);

	if (r == 0)
		fail_unknown(&cell, name, err);
	free(cell.names);
	if (r <= 0)
		return BENCH_USAGE;
	if (cell.probe_age_s < 0 && cell.plan.suite->probe_image)
		(void)fprintf(
			stderr,
			"qcowbench: the disk is not known: sizes are those "
			"of a fast one\n");
	if (!args->json) {
		print_cell(&cell);
		return BENCH_OK;
	}
	json = cell_json(&cell);
	(void)json_dumpf(json, stdout, JSON_INDENT(2));
	(void)fputc('\n', stdout);
	json_decref(json);
	return BENCH_OK;
}

static enum bench_exit
run_show(int argc, char **argv, struct q2_err *err)
{
	struct show_args args = {.run = {.dir = "."}};
	const char *words[2] = {NULL, NULL};
	enum bench_exit code = BENCH_USAGE;
	int n = options_parse(&verb_show.options, argc, argv, &args,
			      (struct operands){words, 2}, err);

	if (n == 0)
		(void)q2_fail(err, -EINVAL,
			      "which cell? LABEL/PASS, such as qcow2-off/read, "
			      "or its id");
	if (n == 1 && args.run.sets.n)
		(void)q2_fail(err, -EINVAL,
			      "--set is for a suite: name it after the cell");
	else if (n == 1 ||
		 (n == 2 && run_args_load(&args.run, words[1], NULL, err) == 0))
		code = show(&args, words[0], err);
	run_args_done(&args.run);
	return code;
}

const struct verb verb_show = {
	.name = "show",
	.operands = "CELL [SUITE]",
	.help = "one cell (LABEL/PASS, or its id) with everything resolved",
	.options = {show_options, ARRAY_SIZE(show_options)},
	.run = run_show,
};
