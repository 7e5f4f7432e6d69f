/* SPDX-License-Identifier: MIT */
/*
 * host_state.h - machine and disk at one moment: before a round, and after it
 *
 * Counters that only go up and levels, as the kernel has them, so that a reader
 * of trials.jsonl can tell what else went on in a round whose numbers look odd.
 * Nothing is judged by them; guard.h judges, in idle windows.
 */
#ifndef HARNESS_HOST_STATE_H
#define HARNESS_HOST_STATE_H

#include <jansson.h>

#include "harness/disk_stat.h"

/*
 * An object with the members that docs/results-format.md lists; each is a
 * number, "absent" or "not permitted".  root: of /proc and /sys; "" but in
 * tests.  dir: on the file system of the images.
 */
json_t *host_state_json(const char *root, const struct disks *disks,
			const char *dir);

/* Bytes of a file that are in the page cache; -errno. */
int host_state_resident(const char *path, uint64_t *ret);

#endif
