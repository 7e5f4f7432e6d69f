/* SPDX-License-Identifier: MIT */
/*
 * stop.h - Ctrl-C and its kin as a flag and a descriptor
 *
 * After stop_install(), SIGINT, SIGTERM and SIGHUP no longer end the process:
 * they set the flag and make the descriptor readable, for good.  Whoever waits
 * polls the descriptor too, so no signal is missed between a test of the flag
 * and a wait.  SIGPIPE is ignored: a child that has died shows as EPIPE.
 */
#ifndef HARNESS_STOP_H
#define HARNESS_STOP_H

#include <stdbool.h>

#include "engine/base/err.h"

int stop_install(struct q2_err *err);

/* Set once a signal has come. */
extern volatile bool stop_requested;

/* How often the process was stopped (Ctrl-Z, SIGSTOP) and has gone on. */
unsigned stop_continued(void);

/* Readable once a signal has come; -1 before stop_install(). */
int stop_fd(void);

/*
 * SIGUSR1 asks how far the work is: from stop_install() on it makes
 * stop_status_fd() readable.  Whoever waits polls that too, and calls
 * stop_tell_status(), which calls what stop_on_status() was given, if a signal
 * has come since.
 */
void stop_on_status(void (*tell)(void *arg), void *arg);
int stop_status_fd(void);
void stop_tell_status(void);

#endif
