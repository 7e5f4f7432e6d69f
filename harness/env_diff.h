/* SPDX-License-Identifier: MIT */
/*
 * env_diff.h - what differs between two recorded environments
 *
 * Works on JSON, so that files of other versions of the program can be
 * compared: fields that only one of them knows are "not recorded" in the other.
 */
#ifndef HARNESS_ENV_DIFF_H
#define HARNESS_ENV_DIFF_H

#include <jansson.h>

#include "engine/base/err.h"
#include "harness/env_facts.h"

/*
 * The environment in a run folder, a run.json, or what `qcowbench env --json`
 * has printed.  The caller owns it.  -ENOENT, -EINVAL with a reason.
 */
int env_load(const char *path, json_t **ret, struct q2_err *err);

struct env_difference {
	char name[64]; /* cpu.model */
	enum env_class class;
	char a[ENV_VALUE], b[ENV_VALUE]; /* as people read it */
};

/* Calls found() for each, those that change performance first, then others,
 * then what varies from minute to minute.  Returns how many. */
size_t env_diff(const json_t *a, const json_t *b,
		void (*found)(void *arg, const struct env_difference *diff),
		void *arg);

/* 1, 0, or -1 if one of them does not say. */
int env_same_machine(const json_t *a, const json_t *b);
int env_same_fingerprint(const json_t *a, const json_t *b);

#endif
