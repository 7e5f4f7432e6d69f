/* SPDX-License-Identifier: MIT */
/*
 * sync.h - waiting for each other: queue, mutex, counter
 *
 * Coroutines of one scheduler only; no threads, so no atomics.
 */
#ifndef Q2_CO_SYNC_H
#define Q2_CO_SYNC_H

#include "engine/co/co.h"

/* First come, first woken. */
struct co_queue {
	struct list waiters;
};

void co_queue_init(struct co_queue *q);
bool co_queue_empty(const struct co_queue *q);
/* Park until woken.  The condition must be tested again after it. */
void Q2_CO co_queue_wait(struct co_queue *q);
/* Wake the first; false if nobody waited. */
bool co_queue_wake(struct co_queue *q);
void co_queue_wake_all(struct co_queue *q);

/* Fair: the lock is handed to the first waiter. */
struct co_mutex {
	bool held;
	struct co_queue queue;
};

void co_mutex_init(struct co_mutex *m);
void Q2_CO co_mutex_lock(struct co_mutex *m);
void co_mutex_unlock(struct co_mutex *m);

/* A join: the parent adds children, each child ends, the parent waits. */
struct co_join {
	unsigned running;
	int result; /* the first error of a child, else 0 */
	struct co *parent;
};

void co_join_init(struct co_join *j);
void co_join_add(struct co_join *j);
void co_join_end(struct co_join *j, int result);
/* Returns the first error. */
int Q2_CO co_join_wait(struct co_join *j);

#endif
