/* SPDX-License-Identifier: MIT */
/*
 * msg.h - what qcowimg prints: results on stdout, talk on stderr
 *
 * Every message begins with the name of the role: "qcowimg", or "qemu-img" and
 * "qemu-io" when the program was called so.  Functions that report an error
 * return 1, the exit status of most failures, so that failing is one line.
 */
#ifndef Q2_IMG_MSG_H
#define Q2_IMG_MSG_H

#include <stdbool.h>

#include "engine/q2.h"

enum msg_role {
	ROLE_QCOWIMG,
	ROLE_QEMU_IMG,
	ROLE_QEMU_IO
};

void msg_set_role(enum msg_role role);
enum msg_role msg_role(void);
/* The name that messages begin with. */
const char *msg_name(void);

/* To stdout.  Failures show at the end, in msg_end(). */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "NAME: TEXT\n" to stderr; returns 1. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * The same about an error of the engine: "NAME: TEXT: REASON"; returns 1.  For
 * people, as opposed to callers of qemu-img, it is one line that ends with a
 * remedy if there is one.
 */
int complain_why(const struct q2_err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The same without a TEXT of our own. */
int complain_err(const struct q2_err *err);

/* The same, and where to find help; returns 1. */
int complain_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A line to stderr without a name before it. */
void talk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same without the newline: the end of some of QEMU's messages. */
void hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "NAME: note: TEXT\n", but not in QEMU's roles, whose callers expect QEMU's
 * lines only. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Write out what was said so far: somebody waits for it. */
int msg_flush(void);

/* Write out what was said.  Returns status, or 1 after a complaint if stdout
 * could not take it. */
int msg_end(int status);

#endif
