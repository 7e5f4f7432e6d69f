/* SPDX-License-Identifier: MIT */
/*
 * env.h - what machine, disk and file system a run stands on
 *
 * Read once, without privileges.  A field that is not there, or may not be
 * read, is left out rather than guessed.  The fingerprint is over the fields
 * that change performance: numbers of different fingerprints are not compared.
 */
#ifndef HARNESS_ENV_H
#define HARNESS_ENV_H

#include <stdbool.h>
#include <sys/types.h>

#include <jansson.h>

#include "engine/base/err.h"
#include "results/id.h"

struct env {
	char kernel[256];
	char cpu[96];
	unsigned cpus;
	char filesystem[32];     /* "" if not known */
	char mount_options[256]; /* those that matter; "" for none */
	char mount_point[256];
	char source[256];  /* what is mounted */
	char device[64];   /* block device such as vda1; "" for none */
	char medium[16];   /* hdd, ssd, nvme, ram, network, virtual; "" */
	char dev_stat[96]; /* /sys/dev/block/8:1/stat; "" for none */
	char machine[ID_SIZE];
	char fingerprint[ID_SIZE];
};

/* Describe the machine and the file system that holds dir. */
int env_read(struct env *env, const char *dir, struct q2_err *err);

/* For run.json; the caller owns the object. */
json_t *env_json(const struct env *env);

/* "ext4 on vda1 (virtual)": one phrase for captions. */
void env_caption(const struct env *env, char *text, size_t size);

/* Pure parts, for tests. */

/* Does a line of /proc/self/mountinfo describe device dev? Then its mount
 * point, type, source and options are put into env. */
bool env_parse_mount(const char *line, dev_t dev, struct env *env);

#endif
