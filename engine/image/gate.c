/* SPDX-License-Identifier: MIT */
#include "engine/image/gate.h"

#include <assert.h>

void
gate_init(struct gate *g)
{
	*g = (struct gate){0};
	list_init(&g->waiting);
	co_mutex_init(&g->holder);
	co_queue_init(&g->drained);
}

void
gate_leave(struct gate *g)
{
	assert(g->running > 0);
	if (--g->running == 0 && g->raised)
		co_queue_wake_all(&g->drained);
}

void Q2_CO
gate_raise(struct gate *g)
{
	co_mutex_lock(&g->holder);
	g->raised = true;
	while (g->running)
		co_queue_wait(&g->drained);
}

void
gate_lower(struct gate *g, struct loop *loop)
{
	struct list *el;

	assert(g->raised && !g->running);
	g->raised = false;
	/* The next operation may raise it again before they run: then they
	 * come back, in the same order. */
	while ((el = list_pop(&g->waiting)))
		loop_defer(loop, container_of(el, struct loop_task, link));
	co_mutex_unlock(&g->holder);
}
