/* SPDX-License-Identifier: MIT */
/*
 * wake.h - one thread sleeps, others wake it
 *
 * A flag under a mutex, and a descriptor for those who sleep in poll(2); it
 * is made when first asked for.
 */
#ifndef Q2_AIO_WAKE_H
#define Q2_AIO_WAKE_H

#include <pthread.h>
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

#endif
