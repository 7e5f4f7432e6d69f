/* SPDX-License-Identifier: MIT */
/*
 * deny.c - run a command that may not use certain system calls
 *
 *	deny CALL=ERROR ... COMMAND [ARG ...]
 *
 * with CALL io_uring_setup, io_uring_register, io_setup or fallocate, and ERROR EPERM, ENOSYS or
 * EOPNOTSUPP.  Exits with 125 if that cannot be arranged, else as COMMAND.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/deny.h"

static int
error_of(const char *name)
{
	if (strcmp(name, "EPERM") == 0)
		return EPERM;
	if (strcmp(name, "ENOSYS") == 0)
		return ENOSYS;
	if (strcmp(name, "EOPNOTSUPP") == 0)
		return EOPNOTSUPP;
	errx(125, "unknown error '%s'", name);
}

int
main(int argc, char **argv)
{
	struct deny d = {0};
	int i;

	for (i = 1; i < argc && strchr(argv[i], '='); i++) {
		char *eq = strchr(argv[i], '=');

		*eq = '\0';
		if (deny_add(&d, argv[i], error_of(eq + 1)) < 0)
			errx(125, "cannot deny '%s'", argv[i]);
	}
	if (i == 1 || i == argc)
		errx(125, "usage: deny CALL=ERROR ... COMMAND [ARG ...]");
	if (deny_now(&d) < 0)
		err(125, "seccomp");
	(void)execvp(argv[i], argv + i);
	err(125, "%s", argv[i]);
}
