/* SPDX-License-Identifier: MIT */
/*
 * source.h - what a whole-image operation reads from: extents as far as they
 * go, and holes of the host file as zeros
 */
#ifndef Q2_MANAGE_SOURCE_H
#define Q2_MANAGE_SOURCE_H

#include "engine/co/co.h"
#include "engine/image/image.h"
#include "engine/image/request.h"

/* An image that is read from front to back. */
struct source {
	struct image *img;
	/* Bytes of a host file that are known to be in one state: a file
	 * without holes is asked once. */
	const struct aio_file *host_file;
	uint64_t host, host_end;
	bool host_is_data;
	struct q2_extent ext; /* the last one found */
};

void source_init(struct source *s, struct image *img);

/*
 * The extent at off, at most up to the image's end; it may be longer than what
 * q2_map() says.  ext.zero is set for what is data in the tables and a hole in
 * the file, if look_at_host.
 */
int Q2_CO source_map(struct source *s, uint64_t off, bool look_at_host,
		     struct q2_extent *ret_ext);

/* ---- requests from coroutines ------------------------------------------ */

/* A request that a coroutine has started and will wait for. */
struct started {
	struct q2_req rq;
	struct co *waiter;
	bool ended;
};

/* Start st->rq, whose op, off, len, iov and flags are set. */
void Q2_CO started_submit(struct started *st, struct image *img);
/* Its result, when it is there. */
int Q2_CO started_wait(struct started *st);

/* Read all of it. */
int Q2_CO source_read(struct image *img, void *buf, uint64_t len, uint64_t off);

#endif
