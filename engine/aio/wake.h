/* SPDX-License-Identifier: MIT */
/*
 * wake.h - one thread sleeps, others wake it
 *
 * struct wake: a flag under a mutex, and a descriptor for those who sleep in
 * poll(2); it is made when first asked for.
 * struct wake_event: an eventfd, for those who sleep in the kernel's own
 * queues.
 */
#ifndef Q2_AIO_WAKE_H
#define Q2_AIO_WAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct wake {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool set;
	int fd; /* -1 until wake_fd() */
};

void wake_init(struct wake *w);
void wake_done(struct wake *w);

/* From any thread. */
void wake_set(struct wake *w);
/* Sleep until it is set or timeout_ns has passed (0: do not sleep, negative:
 * no limit), and clear it. */
void wake_wait(struct wake *w, int64_t timeout_ns);
/* A descriptor that polls readable while it is set, or negative errno. */
int wake_fd(struct wake *w);

struct wake_event {
	int fd;
	atomic_bool set; /* spares a second writer the system call */
};

/* 0 or negative errno. */
int wake_event_init(struct wake_event *e);
void wake_event_done(struct wake_event *e);

/* From any thread: make fd readable. */
void wake_event_set(struct wake_event *e);
/* By the one who has seen that fd is readable, before looking for what the
 * others have left. */
void wake_event_clear(struct wake_event *e);

/* Make an eventfd readable, from any thread; unreadable. */
void wake_write(int fd);
void wake_drain(int fd);

#endif
