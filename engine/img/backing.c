/* SPDX-License-Identifier: MIT */
/* backing.c - names of backing files, as seen from here */
#include "engine/img/backing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *
backing_path(const char *image, const char *backing)
{
	const char *slash = strrchr(image, '/');
	size_t dir = slash ? (size_t)(slash - image) + 1 : 0;
	char *path;

	if (backing[0] == '/' || backing[strcspn(backing, ":/")] == ':')
		dir = 0;
	path = malloc(dir + strlen(backing) + 1);
	if (path) {
		memcpy(path, image, dir);
		strcpy(path + dir, backing);
	}
	return path;
}

bool
backing_is_same(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}
