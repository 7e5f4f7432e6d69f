/* SPDX-License-Identifier: MIT */
/*
 * workers.h - a pool of threads for what blocks
 *
 * Threads start when there is work that no idle thread can take, up to a
 * limit, and stay until the pool ends.  Submitting and reaping belong to the
 * thread that made the pool.
 */
#ifndef Q2_AIO_WORKERS_H
#define Q2_AIO_WORKERS_H

#include <stdbool.h>

#include "engine/base/list.h"

/* One job; embedded in its owner, the pool's until done(). */
struct work {
	struct list link;
	void (*run)(struct work *work);  /* in a worker thread */
	void (*done)(struct work *work); /* in workers_reap() */
};

struct workers;

/* wake(arg) is called by a worker thread when a first job has finished since
 * the last reaping.  Returns NULL when there is no memory. */
struct workers *workers_new(unsigned max, void (*wake)(void *arg), void *arg);
/* Nothing may be running. */
void workers_free(struct workers *pool);

/* Never fails: if no thread can be started at all, the job runs here. */
void workers_submit(struct workers *pool, struct work *work);
/* Is there a processor for one more job, besides that of the pool's owner and
 * those of the jobs that were submitted and not reaped? */
bool workers_spare(const struct workers *pool);
/* Call done() of the finished jobs, in the order of finishing; returns how
 * many. */
unsigned workers_reap(struct workers *pool);

#endif
