/* SPDX-License-Identifier: MIT */
/* own.c - run a subcommand of qcowimg within the test */
#include "tests/interop/own.h"

#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

int
own_run(int (*command)(int argc, char **argv), const struct words *w,
	unsigned slot)
{
	char *argv[SPAWN_WORDS]; /* which getopt permutes */
	int out, kept[2], status;
	char name[16];

	(void)snprintf(name, sizeof(name), "out.%u", slot);
	memcpy(argv, w->word, sizeof(argv));
	out = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(out >= 0);
	for (int fd = 1; fd <= 2; fd++) {
		(void)fflush(fd == 1 ? stdout : stderr);
		kept[fd - 1] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		assert_true(kept[fd - 1] >= 0);
		assert_int_equal(dup2(out, fd), fd);
	}
	optind = 0; /* glibc: start anew */
	status = command((int)w->n, argv);
	for (int fd = 1; fd <= 2; fd++) {
		(void)fflush(fd == 1 ? stdout : stderr);
		assert_int_equal(dup2(kept[fd - 1], fd), fd);
		(void)close(kept[fd - 1]);
	}
	(void)close(out);
	return status;
}
