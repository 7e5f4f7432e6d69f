/* SPDX-License-Identifier: MIT */
/*
 * env.h - what machine, disk and file system a run stands on
 *
 * Read once, without privileges, writing nothing.  Each field of env_fields.def
 * is a value, absent, or not permitted.  The fingerprint is over the fields that
 * change performance: numbers of different fingerprints are not compared.
 *
 * Names of hosts, groups, volumes and what is mounted, serial numbers and UUIDs
 * are not recorded; the machine is a salted hash of its machine-id.
 */
#ifndef HARNESS_ENV_H
#define HARNESS_ENV_H

#include <stdbool.h>

#include <jansson.h>

#include "engine/base/err.h"
#include "harness/disk_stat.h"
#include "harness/env_facts.h"
#include "results/id.h"

struct env {
	struct env_facts facts;
	struct disks disks; /* below dir */
	char machine[ID_SIZE];
	char fingerprint[ID_SIZE];
	/* What records and captions want, from the facts; "" if not known. */
	const char *filesystem, *mount_options, *device, *medium;
};

/* Describe the machine and the file system that holds dir.  *env must not be
 * copied afterwards. */
int env_read(struct env *env, const char *dir, struct q2_err *err);

/* For run.json; the caller owns the object. */
json_t *env_json(const struct env *env);

/* "ext4 on vda1 (virtual)": one phrase for captions. */
void env_caption(const struct env *env, char *text, size_t size);

#endif
