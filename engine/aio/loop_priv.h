/* SPDX-License-Identifier: MIT */
/*
 * loop_priv.h - what loop.c, file.c and align.c share, and nobody else sees
 */
#ifndef Q2_AIO_LOOP_PRIV_H
#define Q2_AIO_LOOP_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/aio/aio.h"

/*
 * Bounce buffers, kept for reuse: two sizes, so that steady state allocates
 * nothing.  A buffer on the free list holds its own link.
 */
#define BOUNCE_SMALL (64 * 1024)
#define BOUNCE_BIG   (1024 * 1024)

struct bounce {
	struct list small, big;
	unsigned n_small, n_big;
};

void bounce_init(struct bounce *b);
void bounce_done(struct bounce *b);
/* bytes <= BOUNCE_BIG.  NULL when there is no memory. */
void *bounce_get(struct bounce *b, size_t bytes);
void bounce_put(struct bounce *b, void *buf, size_t bytes);

/* op has ended before it went to the backend. */
void aio_end(struct aio_op *op, int r);

struct loop_priv {
	pthread_mutex_t lock; /* of posted */
	struct list posted;
	atomic_bool any_posted;
	bool eager;      /* somebody sleeps on loop_fd() */
	bool any_inline; /* a file with inline_io was opened */
	char name[32];   /* of the backend, with "-inline" */
	struct bounce bounce;
};

#endif
