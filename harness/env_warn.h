/* SPDX-License-Identifier: MIT */
/*
 * env_warn.h - what of an environment makes measuring unsafe, and the remedy
 */
#ifndef HARNESS_ENV_WARN_H
#define HARNESS_ENV_WARN_H

#include "harness/env_facts.h"

#define ENV_WARNINGS 16

struct env_warning {
	char what[160];
	char remedy[200];
};

/* Pure.  How many there are. */
size_t env_warnings(const struct env_facts *facts,
		    struct env_warning ret[ENV_WARNINGS]);

#endif
