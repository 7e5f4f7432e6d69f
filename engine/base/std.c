/* SPDX-License-Identifier: MIT */
#include "engine/base/std.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

void
std_guard(void)
{
	/* The lowest free number is taken each time. */
	for (;;) {
		int fd = open("/dev/null", O_WRONLY);

		if (fd == STDIN_FILENO)
			continue;
		if (fd == STDOUT_FILENO || fd == STDERR_FILENO) {
			int other = open("/dev/null", O_RDONLY);

			/* The wrong way round for this one. */
			(void)dup2(other, fd);
			(void)close(other);
			continue;
		}
		if (fd > STDERR_FILENO)
			(void)close(fd);
		return;
	}
}

void
std_allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}
