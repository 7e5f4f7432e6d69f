/* SPDX-License-Identifier: MIT */
/*
 * co.h - stackful coroutines: three verbs and a scheduler's ready list
 *
 * A coroutine runs until it parks or ends; between two parks nothing else of
 * its thread runs, which is the locking rule of the whole engine.  Waking only
 * puts it on the ready list; co_run_ready() runs it later.  A coroutine is
 * never destroyed while parked: it always runs to its end, so scope-bound
 * release works in it.
 *
 * A function marked Q2_CO may park: call it from a coroutine only.
 *
 * Stacks are CO_STACK_BYTES of address space with a guard page, faulted on
 * use, and pooled: starting a coroutine in steady state allocates nothing.
 */
#ifndef Q2_CO_CO_H
#define Q2_CO_CO_H

#include <stdbool.h>

#include "engine/base/list.h"

#define Q2_CO
#define CO_STACK_BYTES (256 * 1024)

struct co;
typedef void co_fn(void *arg);

/* One per thread; all its coroutines run on that thread. */
struct co_sched {
	struct list ready; /* woken, not yet resumed */
	struct list idle;  /* finished, stack kept for reuse */
	unsigned n_idle;
	unsigned n_live; /* started and not finished */
};

void co_sched_init(struct co_sched *s);
/* All coroutines must have finished. */
void co_sched_done(struct co_sched *s);

/*
 * Start fn(arg) in a new coroutine and run it until it first parks.  May be
 * called from a coroutine.  Returns 0, or -ENOMEM when there is no stack.
 */
int co_start(struct co_sched *s, co_fn *fn, void *arg);

/* The running coroutine, or NULL on the thread's own stack. */
struct co *co_self(void);

/* Stop until somebody calls co_wake(co_self()).  A wake that comes before the
 * park is an error: nothing else runs in between, so it cannot happen. */
void Q2_CO co_park(void);

/* Put a parked coroutine on the ready list.  Exactly one wake per park. */
void co_wake(struct co *co);

/* Let the other ready coroutines run first. */
void Q2_CO co_reschedule(void);

/* Resume ready coroutines until there are none.  Returns how many times one
 * was resumed.  Not from a coroutine. */
unsigned co_run_ready(struct co_sched *s);

#endif
