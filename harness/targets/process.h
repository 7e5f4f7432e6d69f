/* SPDX-License-Identifier: MIT */
/*
 * process.h - other programs: run to their end, or as a server of ours
 *
 * A program that we have started never outlives us: the kernel kills it when
 * our process ends, however that happens.  What it prints goes into a file in
 * memory and becomes part of the error message.  Programs are found in PATH.
 */
#ifndef HARNESS_TARGETS_PROCESS_H
#define HARNESS_TARGETS_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

#include "harness/targets/disk.h"

struct server {
	pid_t pid;        /* 0: it has ended */
	int output;       /* file with its stdout and stderr */
	const char *name; /* argv[0]; the caller's */
	/* Who reaches it through a disk (qemu.c): how that is closed. */
	int (*leave)(struct disk *disk, struct q2_err *err);
};

/*
 * Start argv.  listen_fd, if not negative, is handed on as a listening socket,
 * by the protocol of systemd's socket activation.  -ENOENT: no such program.
 * The caller ends it with server_wait() or server_kill().
 */
int server_start(struct server *server, char *const argv[], int listen_fd,
		 struct q2_err *err);

/* Wait until it ends by itself; -EPIPE and what it printed, if it ends badly. */
int server_wait(struct server *server, struct q2_err *err);

void server_kill(struct server *server);

/* Put what has become of it and what it printed behind the text of err: a
 * failure of a connection seldom knows the reason, the server does. */
void server_explain(struct server *server, struct q2_err *err);

/* Run argv to its end; the first bytes of what it prints go to text, which may
 * be NULL.  -ENOENT: no such program; -EPIPE: it failed, and how. */
int process_run(char *const argv[], char *text, size_t size,
		struct q2_err *err);

#endif
