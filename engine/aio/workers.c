/* SPDX-License-Identifier: MIT */
#include "engine/aio/workers.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct list jobs;
	struct list finished;
	unsigned waiting; /* jobs in the list */
	unsigned idle;    /* threads waiting for one */
	unsigned n, max;
	unsigned running;    /* submitted, not reaped; its owner's alone */
	unsigned processors; /* besides the owner's */
	bool stop;
	atomic_bool any_finished; /* spares workers_reap() the lock */
	void (*wake)(void *arg);
	void *arg;
	pthread_t threads[];
};

struct workers *
workers_new(unsigned max, void (*wake)(void *arg), void *arg)
{
	struct workers *pool;

	assert(max > 0);
	pool = calloc(1, sizeof(*pool) + max * sizeof(pool->threads[0]));
	if (!pool)
		return NULL;
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_cond_init(&pool->cond, NULL);
	list_init(&pool->jobs);
	list_init(&pool->finished);
	atomic_init(&pool->any_finished, false);
	pool->max = max;
	pool->processors = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	pool->wake = wake;
	pool->arg = arg;
	return pool;
}

void
workers_free(struct workers *pool)
{
	if (!pool)
		return;
	(void)pthread_mutex_lock(&pool->lock);
	assert(list_empty(&pool->jobs));
	pool->stop = true;
	(void)pthread_cond_broadcast(&pool->cond);
	(void)pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n; i++)
		(void)pthread_join(pool->threads[i], NULL);
	assert(list_empty(&pool->finished));
	(void)pthread_cond_destroy(&pool->cond);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* The next job, or NULL when the pool ends.  Called with the lock held. */
static struct work *
next_job(struct workers *pool)
{
	while (list_empty(&pool->jobs) && !pool->stop) {
		pool->idle++;
		(void)pthread_cond_wait(&pool->cond, &pool->lock);
		pool->idle--;
	}
	if (list_empty(&pool->jobs))
		return NULL;
	pool->waiting--;
	return container_of(list_pop(&pool->jobs), struct work, link);
}

static void *
worker(void *arg)
{
	struct workers *pool = arg;
	struct work *work;

	(void)pthread_mutex_lock(&pool->lock);
	while ((work = next_job(pool))) {
		bool first;

		(void)pthread_mutex_unlock(&pool->lock);
		work->run(work);
		(void)pthread_mutex_lock(&pool->lock);
		first = list_empty(&pool->finished);
		list_append(&pool->finished, &work->link);
		if (first) {
			atomic_store(&pool->any_finished, true);
			pool->wake(pool->arg);
		}
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Signals are for the program's own threads. */
static bool
start_thread(struct workers *pool)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&pool->threads[pool->n], NULL, worker, pool);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		pool->n++;
	return r == 0;
}

void
workers_submit(struct workers *pool, struct work *work)
{
	bool here = false;

	pool->running++;
	(void)pthread_mutex_lock(&pool->lock);
	if (pool->waiting >= pool->idle && pool->n < pool->max &&
	    !start_thread(pool) && pool->n == 0)
		here = true;
	if (!here) {
		list_append(&pool->jobs, &work->link);
		pool->waiting++;
		(void)pthread_cond_signal(&pool->cond);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	if (!here)
		return;

	work->run(work);
	list_append(&pool->finished, &work->link);
	atomic_store(&pool->any_finished, true);
	pool->wake(pool->arg);
}

bool
workers_spare(const struct workers *pool)
{
	return pool->running < pool->processors;
}

unsigned
workers_reap(struct workers *pool)
{
	struct list got, *el;
	unsigned n = 0;

	if (!atomic_load(&pool->any_finished))
		return 0;
	list_init(&got);
	(void)pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->any_finished, false);
	list_splice(&got, &pool->finished);
	(void)pthread_mutex_unlock(&pool->lock);
	while ((el = list_pop(&got))) {
		struct work *work = container_of(el, struct work, link);

		pool->running--;
		work->done(work);
		n++;
	}
	return n;
}
