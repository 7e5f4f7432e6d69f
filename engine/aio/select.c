/* SPDX-License-Identifier: MIT */
/*
 * select.c - which backend a loop gets
 *
 * By name, or the best that works: io_uring, libaio, threads.  Falling back
 * leaves one line in loop->notice.
 */
#include <stdio.h>
#include <string.h>

#include "engine/aio/backend.h"
#include "engine/base/err.h"
#include "engine/base/num.h"

#define DEPTH_DEFAULT 256

/* "memory" asks for nothing special. */
#define MEMORY_ALIGN 1

static struct aio_backend *
new_by_name(const char *name, unsigned depth, struct q2_err *err)
{
	(void)depth;
	if (strcmp(name, "threads") == 0)
		return backend_threads_new(err);
	if (strcmp(name, "memory") == 0)
		return backend_memory_new(MEMORY_ALIGN, err);
	(void)q2_fail(err, -EINVAL,
		      "unknown aio backend '%s'; there are threads and "
		      "memory",
		      name);
	return NULL;
}

static struct aio_backend *
new_best(unsigned depth, char *notice, size_t bytes, struct q2_err *err)
{
	static const char *const names[] = {"threads"};
	struct q2_err first = {0};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct q2_err why = {0};
		struct aio_backend *b = new_by_name(names[i], depth, &why);

		if (b) {
			if (i > 0)
				(void)snprintf(notice, bytes,
					       "using %s: %.200s", names[i],
					       first.text);
			return b;
		}
		if (i == 0)
			first = why;
		if (err)
			*err = why;
	}
	return NULL;
}

int
loop_new(const struct loop_opts *opts, struct loop **ret_loop,
	 struct q2_err *err)
{
	unsigned depth = opts && opts->depth ? opts->depth : DEPTH_DEFAULT;
	const char *name = opts ? opts->aio : NULL;
	char notice[sizeof((*ret_loop)->notice)] = "";
	struct q2_err why = {0};
	struct aio_backend *b;
	int r;

	b = name ? new_by_name(name, depth, &why)
		 : new_best(depth, notice, sizeof(notice), &why);
	if (!b) {
		if (err)
			*err = why;
		return why.code;
	}
	r = loop_new_backend(b, opts, ret_loop, err);
	if (r == 0)
		memcpy((*ret_loop)->notice, notice, sizeof(notice));
	return r;
}
