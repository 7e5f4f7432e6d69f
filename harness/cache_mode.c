/* SPDX-License-Identifier: MIT */
#include "harness/cache_mode.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What the descriptors are that are the file of *st. */
struct found {
	bool open, direct; /* one of them with O_DIRECT */
};

static struct found
look(const struct stat *st)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	struct found found = {false, false};

	while (dir && (entry = readdir(dir))) {
		int fd = (int)strtol(entry->d_name, NULL, 10);
		struct stat other;

		if (entry->d_name[0] == '.' || fd == dirfd(dir) ||
		    fstat(fd, &other) != 0 || other.st_dev != st->st_dev ||
		    other.st_ino != st->st_ino)
			continue;
		found.open = true;
		found.direct |= (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

/* The mode that differs from it in O_DIRECT alone. */
static enum q2_cache
other_of(enum q2_cache mode)
{
	switch (mode) {
	case Q2_CACHE_NONE:
		return Q2_CACHE_WRITEBACK;
	case Q2_CACHE_WRITEBACK:
	case Q2_CACHE_DEFAULT:
		return Q2_CACHE_NONE;
	case Q2_CACHE_DIRECTSYNC:
		return Q2_CACHE_WRITETHROUGH;
	case Q2_CACHE_WRITETHROUGH:
		return Q2_CACHE_DIRECTSYNC;
	case Q2_CACHE_UNSAFE:
		break;
	}
	return Q2_CACHE_NONE;
}

enum q2_cache
cache_mode_effective(const char *path, enum q2_cache asked)
{
	bool wants = asked == Q2_CACHE_NONE || asked == Q2_CACHE_DIRECTSYNC;
	struct found found;
	struct stat st;

	if (stat(path, &st) != 0)
		return asked;
	found = look(&st);
	return !found.open || found.direct == wants ? asked : other_of(asked);
}
