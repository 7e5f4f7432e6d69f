/* SPDX-License-Identifier: MIT */
/*
 * workdir.h - the folder of its own that a run's images live in
 *
 * qcowbench makes and removes files nowhere else.  The folder is new, named
 * qcowbench-work-XXXXXX, and holds a marker file with the id of the process
 * that owns it and the moment when that process began (a number alone may
 * belong to somebody else by now).  The owner keeps the marker locked, which
 * tells of him where his number does not: in another container, or on another
 * machine that shares the directory.  A folder whose owner is gone is left over
 * from a run that was killed: it is named to the user, never removed unasked.
 */
#ifndef HARNESS_WORKDIR_H
#define HARNESS_WORKDIR_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"

#define WORKDIR_PREFIX "qcowbench-work-"
#define WORKDIR_MARKER "qcowbench.owner"
#define WORKDIR_PATH   1024

struct workdir {
	char path[WORKDIR_PATH]; /* "" when there is none */
	int marker;              /* locked while there is one */
};

/* Is dir a folder in which files can be made?  Says what is wrong: -ENOENT,
 * -ENOTDIR, -EACCES, -EROFS. */
int workdir_check(const char *dir, struct q2_err *err);

int workdir_make(struct workdir *work, const char *dir, struct q2_err *err);

/* Remove all files in it but the marker. */
void workdir_empty(const struct workdir *work);

/* Remove it with all that is in it; keep: only the marker.  Does nothing the
 * second time. */
void workdir_done(struct workdir *work, bool keep);

/* Calls found() for every folder in dir that a dead run has left; how many. */
size_t workdir_stale(const char *dir,
		     void (*found)(void *arg, const char *path), void *arg);

/* Remove such a folder with its files, the marker last, so that one that is
 * removed by half is still known.  -EBUSY: its owner is not gone, or it has no
 * marker; -ENOTEMPTY: there are folders in it, which are not ours. */
int workdir_remove_stale(const char *path, struct q2_err *err);

/* Bytes that an unprivileged user may still write there. */
int workdir_free_bytes(const char *dir, uint64_t *ret_bytes,
		       struct q2_err *err);

#endif
