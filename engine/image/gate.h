/* SPDX-License-Identifier: MIT */
/*
 * gate.h - requests of the guest against operations on the whole image (I2)
 *
 * An operation that changes what every request relies on (the size, the L1
 * table, where snapshots begin) raises the gate: requests that arrive from
 * then on wait, those that are running end, then the operation has the image
 * for itself.  A request looks at one word.
 */
#ifndef Q2_IMAGE_GATE_H
#define Q2_IMAGE_GATE_H

#include "engine/aio/aio.h"

struct gate {
	bool raised;
	unsigned running;       /* requests that passed and have not ended */
	struct list waiting;    /* tasks of those that did not */
	struct co_mutex holder; /* one operation at a time */
	struct co_queue drained;
};

void gate_init(struct gate *g);

/* A request wants to start: false, and task is called by the loop when it may
 * try again, if the gate is raised. */
static inline bool
gate_enter(struct gate *g, struct loop_task *task)
{
	if (__builtin_expect(g->raised, 0)) {
		list_append(&g->waiting, &task->link);
		return false;
	}
	g->running++;
	return true;
}

/* A request that has entered has ended. */
void gate_leave(struct gate *g);

/* Have the image for oneself: waits for other operations and for all requests
 * that are running.  Not while one of them waits for the caller. */
void Q2_CO gate_raise(struct gate *g);
/* Let the requests go on. */
void gate_lower(struct gate *g, struct loop *loop);

#endif
