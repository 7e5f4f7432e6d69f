/* SPDX-License-Identifier: MIT */
#include "engine/co/sync.h"

#include <assert.h>

/* A waiter lives on its coroutine's stack. */
struct waiter {
	struct list link;
	struct co *co;
};

void
co_queue_init(struct co_queue *q)
{
	list_init(&q->waiters);
}

bool
co_queue_empty(const struct co_queue *q)
{
	return list_empty(&q->waiters);
}

void Q2_CO
co_queue_wait(struct co_queue *q)
{
	struct waiter w = {.co = co_self()};

	assert(w.co);
	list_append(&q->waiters, &w.link);
	co_park();
}

bool
co_queue_wake(struct co_queue *q)
{
	struct list *el = list_pop(&q->waiters);

	if (!el)
		return false;
	co_wake(container_of(el, struct waiter, link)->co);
	return true;
}

void
co_queue_wake_all(struct co_queue *q)
{
	while (co_queue_wake(q))
		;
}

void
co_mutex_init(struct co_mutex *m)
{
	m->held = false;
	co_queue_init(&m->queue);
}

void Q2_CO
co_mutex_lock(struct co_mutex *m)
{
	if (!m->held) {
		m->held = true;
		return;
	}
	/* unlock() leaves held set and so passes the lock to us. */
	co_queue_wait(&m->queue);
	assert(m->held);
}

void
co_mutex_unlock(struct co_mutex *m)
{
	assert(m->held);
	if (!co_queue_wake(&m->queue))
		m->held = false;
}

void
co_join_init(struct co_join *j)
{
	*j = (struct co_join){0};
}

void
co_join_add(struct co_join *j)
{
	j->running++;
}

void
co_join_end(struct co_join *j, int result)
{
	assert(j->running > 0);
	if (result < 0 && j->result == 0)
		j->result = result;
	if (--j->running == 0 && j->parent) {
		co_wake(j->parent);
		j->parent = NULL;
	}
}

int Q2_CO
co_join_wait(struct co_join *j)
{
	if (j->running > 0) {
		j->parent = co_self();
		co_park();
	}
	return j->result;
}
