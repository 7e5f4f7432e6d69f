/* SPDX-License-Identifier: MIT */
/*
 * child.h - one `qcowbench trial` process, from the coordinator's side
 *
 * Lines of JSON over two pipes; the language is in trial.h.  A child that dies,
 * answers nonsense or answers an error is an error here, never a hang: the wait
 * for an answer ends with the child's end of the pipe, and with stop_fd().
 * child_end() reaps it in every case, so none is left behind.
 */
#ifndef HARNESS_CHILD_H
#define HARNESS_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

#include "engine/base/err.h"

struct child {
	const char *label; /* for messages; the caller's */
	pid_t pid;         /* 0: none */
	int to, from;      /* pipes */
	char *buf;         /* what has been read: of one answer at most */
	size_t used, room;
};

/* The program to run when nothing else is said: ourselves. */
#define CHILD_PROGRAM "/proc/self/exe"

/*
 * Start program with the word "trial", and hand it the spec.  Its stderr is
 * ours.  The child is its own process group: a Ctrl-C at the terminal reaches
 * the coordinator alone.  After an error there is nothing to end.
 */
int child_start(struct child *c, const char *program, const char *label,
		const json_t *spec, struct q2_err *err);

/* The answer to the spec itself: that it has been understood. */
int child_ready(struct child *c, struct q2_err *err);

/*
 * Send {"do": what} and wait for the answer, which belongs to the caller
 * (NULL: not wanted).  pass is sent too if it is not negative.  -EINTR: a
 * signal has come (stop.h), and the child is still at work; -EPIPE: it ended
 * early; -EPROTO: not an answer; else the error that the child has named.
 */
int child_ask(struct child *c, const char *what, int pass, json_t **ret_answer,
	      struct q2_err *err);

/* Ask it to leave, and wait until it has. */
int child_quit(struct child *c, struct q2_err *err);

/* Kill it if it is still there, wait for it, release all. */
void child_end(struct child *c);

#endif
