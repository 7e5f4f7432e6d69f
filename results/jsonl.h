/* SPDX-License-Identifier: MIT */
/*
 * jsonl.h - append-only files of JSON, one object a line: trials.jsonl
 *
 * The truth of a run.  What jsonl_append() has returned for is on the disk;
 * a line that a crash has cut is recognised by its missing newline and is
 * ignored by the reader and cut off by the next writer.
 */
#ifndef RESULTS_JSONL_H
#define RESULTS_JSONL_H

#include <jansson.h>

#include "engine/base/err.h"

/* Open for appending, made if missing; a cut last line is removed. Returns a
 * descriptor, which the caller closes, or a negative errno. */
int jsonl_open(const char *path, struct q2_err *err);

/* Write json as one line and fsync. */
int jsonl_append(int fd, const json_t *json, struct q2_err *err);

/* All whole lines, as a JSON array (json_decref it). */
int jsonl_read(const char *path, json_t **ret_array, struct q2_err *err);

#endif
