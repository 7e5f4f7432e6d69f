/* SPDX-License-Identifier: MIT */
/*
 * poison.c - fill devices with bytes 0xa5, which nobody wrote
 *
 *	poison DEVICE ...
 *
 * Only what holds something else is written: a test leaves most of a device as
 * it was, and reading costs a tenth of writing all of it again.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE 65536

static void
fill(const char *path, const char *poison)
{
	static char buf[PIECE];
	int fd = open(path, O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		err(1, "%s", path);
	for (off_t at = 0; (n = pread(fd, buf, PIECE, at)) > 0; at += n) {
		if (memcmp(buf, poison, (size_t)n) == 0)
			continue;
		if (pwrite(fd, poison, (size_t)n, at) != n)
			err(1, "%s: writing", path);
	}
	if (n < 0)
		err(1, "%s: reading", path);
	if (close(fd))
		err(1, "%s", path);
}

int
main(int argc, char **argv)
{
	static char poison[PIECE];

	memset(poison, 0xa5, sizeof(poison));
	for (int i = 1; i < argc; i++)
		fill(argv[i], poison);
	return 0;
}
