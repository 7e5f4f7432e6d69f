/* SPDX-License-Identifier: MIT */
/*
 * trial_spec.h - what one trial has to do, as JSON between two processes
 *
 * The coordinator writes it, a child (`qcowbench trial`) reads it; both may be
 * different builds, so it has a schema number, unknown members are ignored, and
 * everything is resolved: no defaults, no shares, no words that need a table.
 */
#ifndef HARNESS_TRIAL_SPEC_H
#define HARNESS_TRIAL_SPEC_H

#include <jansson.h>

#include "engine/base/err.h"
#include "harness/plan.h"
#include "harness/targets/target.h"

#define TRIAL_SCHEMA 1

struct trial_pass {
	const char *name;
	enum pass_op op;
	int touch; /* index of an earlier pass, or -1 */
	uint32_t iodepth;
	uint64_t requests; /* fixed work asked for; 0: each place once */
	struct stream_spec stream; /* touch points into the same spec */
	struct turns_cut cut;
};

struct trial_spec {
	json_t *json; /* owns the strings */
	const char *label;
	const struct target *target;
	struct target_image image;
	const char *path;
	const char *aio; /* NULL: the best there is */
	uint64_t round;
	uint64_t disk_bytes; /* for PASS_CREATE_DISK */
	bool turns;          /* wait for turns; else all at once */
	struct trial_pass passes[SUITE_PASSES_MAX];
	size_t npasses;
};

/* For configuration `config` of the plan. */
json_t *trial_spec_json(const struct plan *plan, size_t config, uint64_t round,
			const char *path);

/* Takes a reference to json. Checks everything that is used. */
int trial_spec_parse(json_t *json, struct trial_spec *ret, struct q2_err *err);
void trial_spec_done(struct trial_spec *spec);

/* The keys of a configuration that change performance, without defaults; for
 * cell_id.  pass may be NULL: then only those of the image. */
json_t *trial_spec_keys(const struct plan *plan, size_t config,
			const struct plan_pass *pass);

#endif
