/* SPDX-License-Identifier: MIT */
#include "results/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
newfile_open(const char *path)
{
	int fd;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return fd < 0 ? -errno : fd;
}
