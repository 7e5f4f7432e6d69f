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

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "engine/base/err.h"

/* Open for appending, made if missing; a cut last line is removed. Returns a
 * descriptor, which the caller closes, or a negative errno. */
int jsonl_open(const char *path, struct q2_err *err);

/*
 * Write each element of the array as a line, all at once, and fsync once: after
 * an error none of them is in the file.  -ENOENT: somebody has removed the
 * file, and what is written into it is lost.
 */
int jsonl_append(int fd, const json_t *array, struct q2_err *err);

/* Longer lines are refused: the memory for one is the caller's risk.  A trial
 * has a few MiB. */
#define JSONL_LINE_MOST ((size_t)64 << 20)

/* Where lines go. Numbers count from 1; what line() returns below 0 ends the
 * reading. */
struct jsonl_sink {
	int (*line)(void *arg, unsigned long number, const json_t *json,
		    struct q2_err *err);
	void *arg;
};

/*
 * Hand out every whole line, one in memory at a time.  *ret_torn: a last line
 * without its end was there, and was left out.  Errors begin with "path:line:
 * "; -Q2_ECORRUPT where a line is not JSON, or has a member twice.
 */
int jsonl_each(const char *path, const struct jsonl_sink *sink, bool *ret_torn,
	       struct q2_err *err);

#endif
