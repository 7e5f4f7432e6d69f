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
/* More only waits in another queue. */
#define DEPTH_MAX 4096

/* "memory" asks for nothing special. */
#define MEMORY_ALIGN 1

static struct aio_backend *
new_threads(unsigned depth, struct q2_err *err)
{
	(void)depth;
	return backend_threads_new(err);
}

static struct aio_backend *
new_memory(unsigned depth, struct q2_err *err)
{
	(void)depth;
	return backend_memory_new(MEMORY_ALIGN, err);
}

/* The best first. */
static const struct {
	const char *name;
	struct aio_backend *(*make)(unsigned depth, struct q2_err *err);
	bool by_default;
} backends[] = {
	{"io_uring", backend_uring_new, true},
	{"libaio", backend_libaio_new, true},
	{"threads", new_threads, true},
	{"memory", new_memory, false},
};

static struct aio_backend *
new_by_name(const char *name, unsigned depth, struct q2_err *err)
{
	struct q2_err why = {0};

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		struct aio_backend *b;

		if (strcmp(name, backends[i].name) != 0)
			continue;
		b = backends[i].make(depth, &why);
		if (!b)
			(void)q2_fail(err, why.code,
				      "aio '%s' cannot be had: %.600s; use "
				      "'threads', or leave the choice to us",
				      name, why.text);
		return b;
	}
	(void)q2_fail(err, -EINVAL,
		      "unknown aio '%.100s'; there are io_uring, libaio, "
		      "threads and memory",
		      name);
	return NULL;
}

static struct aio_backend *
new_best(unsigned depth, char *notice, size_t bytes, struct q2_err *err)
{
	struct q2_err first = {0};

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		struct q2_err why = {0};
		struct aio_backend *b;

		if (!backends[i].by_default)
			continue;
		b = backends[i].make(depth, &why);
		if (b) {
			if (i > 0)
				(void)snprintf(notice, bytes,
					       "using %s: %.200s",
					       backends[i].name, first.text);
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

	depth = (unsigned)min_u64(depth, DEPTH_MAX);
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
