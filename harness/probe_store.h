/* SPDX-License-Identifier: MIT */
/*
 * probe_store.h - what probes have found out, kept for `plan`
 *
 * $XDG_CACHE_HOME/qcowbench/probes.json (or ~/.cache/qcowbench/): one entry for
 * each file system and cache mode, the oldest ones given up.  A cache: what
 * cannot be read or written is as good as not there.  Written by `run` and
 * `plan --probe`.
 */
#ifndef HARNESS_PROBE_STORE_H
#define HARNESS_PROBE_STORE_H

#include <stdbool.h>

#include "harness/plan.h"

#define PROBE_STORE_MAX 64

/* How old it is in seconds, if there is one. */
bool probe_store_get(const char *dir, enum q2_cache cache, struct probe *ret,
		     double *ret_age_s);

void probe_store_put(const char *dir, enum q2_cache cache,
		     const struct probe *probe);

#endif
