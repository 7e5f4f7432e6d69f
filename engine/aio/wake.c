/* SPDX-License-Identifier: MIT */
#include "engine/aio/wake.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

void
wake_init(struct wake *w)
{
	pthread_condattr_t attr;

	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	w->set = false;
	w->fd = -1;
}

void
wake_done(struct wake *w)
{
	(void)pthread_cond_destroy(&w->cond);
	(void)pthread_mutex_destroy(&w->lock);
	if (w->fd >= 0)
		(void)close(w->fd);
}

void
wake_write(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void
wake_drain(int fd)
{
	uint64_t n;

	while (read(fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

void
wake_set(struct wake *w)
{
	(void)pthread_mutex_lock(&w->lock);
	if (!w->set) {
		w->set = true;
		(void)pthread_cond_signal(&w->cond);
		if (w->fd >= 0)
			wake_write(w->fd);
	}
	(void)pthread_mutex_unlock(&w->lock);
}

static struct timespec
deadline(int64_t timeout_ns)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += timeout_ns / 1000000000;
	ts.tv_nsec += timeout_ns % 1000000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	return ts;
}

void
wake_wait(struct wake *w, int64_t timeout_ns)
{
	struct timespec until = {0};
	int r = 0;

	if (timeout_ns > 0)
		until = deadline(timeout_ns);
	(void)pthread_mutex_lock(&w->lock);
	while (!w->set && timeout_ns != 0 && r == 0) {
		if (timeout_ns < 0)
			r = pthread_cond_wait(&w->cond, &w->lock);
		else
			r = pthread_cond_timedwait(&w->cond, &w->lock, &until);
	}
	if (w->set && w->fd >= 0)
		wake_drain(w->fd);
	w->set = false;
	(void)pthread_mutex_unlock(&w->lock);
}

int
wake_fd(struct wake *w)
{
	int r;

	(void)pthread_mutex_lock(&w->lock);
	if (w->fd < 0) {
		w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (w->fd < 0)
			w->fd = -errno;
		else if (w->set)
			wake_write(w->fd);
	}
	r = w->fd;
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

/* ---- eventfd only ------------------------------------------------------ */

int
wake_event_init(struct wake_event *e)
{
	atomic_init(&e->set, false);
	e->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return e->fd < 0 ? -errno : 0;
}

void
wake_event_done(struct wake_event *e)
{
	if (e->fd >= 0)
		(void)close(e->fd);
}

void
wake_event_set(struct wake_event *e)
{
	if (!atomic_exchange(&e->set, true))
		wake_write(e->fd);
}

void
wake_event_clear(struct wake_event *e)
{
	/* In this order: who sets it in between wakes nobody, but has left its
	 * work before, and we look for that next. */
	wake_drain(e->fd);
	atomic_store(&e->set, false);
}
