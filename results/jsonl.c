/* SPDX-License-Identifier: MIT */
#include "results/jsonl.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"

/* Where the last whole line ends: 0 if there is none. */
static off_t
whole_lines_end(int fd, off_t size)
{
	char buf[4096];

	while (size > 0) {
		off_t from = size > (off_t)sizeof(buf)
				     ? size - (off_t)sizeof(buf)
				     : 0;
		ssize_t n = pread(fd, buf, (size_t)(size - from), from);
		const char *last;

		if (n < 0)
			return -errno;
		last = memrchr(buf, '\n', (size_t)n);
		if (last)
			return from + (last - buf) + 1;
		size = from;
	}
	return 0;
}

static int
cut_torn_line(int fd)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st) < 0)
		return -errno;
	end = whole_lines_end(fd, st.st_size);
	if (end < 0)
		return (int)end;
	if (end < st.st_size && (ftruncate(fd, end) < 0 || fsync(fd) < 0))
		return -errno;
	return 0;
}

/* A new file is on the disk when its folder is. */
static void
sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	int fd;

	(void)snprintf(dir, sizeof(dir), "%.*s",
		       slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd);
	(void)close(fd);
}

int
jsonl_open(const char *path, struct q2_err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	int r;

	if (fd < 0)
		return q2_fail(err, -errno, "cannot open %s: %s", path,
			       strerror(errno));
	r = cut_torn_line(fd);
	if (r < 0) {
		(void)close(fd);
		return q2_fail(err, r, "%s: %s", path, strerror(-r));
	}
	sync_folder_of(path);
	return fd;
}

static int
write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			size -= (size_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int
jsonl_append(int fd, const json_t *json, struct q2_err *err)
{
	Q2_AUTO_FREE char *text = json_dumps(json, JSON_COMPACT);
	struct stat st;
	size_t size;
	int r;

	if (!text)
		return q2_fail(err, -EINVAL, "a record is not valid JSON");
	if (fstat(fd, &st) < 0)
		return q2_fail(err, -errno, "%s", strerror(errno));
	size = strlen(text);
	text[size] = '\n'; /* in the place of the '\0' */
	r = write_all(fd, text, size + 1);
	if (r == 0)
		return 0;
	/* No half line in the middle of the file when the disk has room
	 * again; if this fails too, the next jsonl_open() does it. */
	if (ftruncate(fd, st.st_size) < 0)
		return q2_fail(err, r,
			       "cannot append a record: %s (a cut "
			       "line is left behind)",
			       strerror(-r));
	return q2_fail(err, r, "cannot append a record: %s", strerror(-r));
}

static int
read_lines(FILE *f, json_t *array, struct q2_err *err)
{
	Q2_AUTO_FREE char *line = NULL;
	size_t room = 0;
	json_error_t why;
	ssize_t n;

	for (unsigned long number = 1; (n = getline(&line, &room, f)) > 0;
	     number++) {
		json_t *json;

		if (line[n - 1] != '\n')
			return 0;
		json = json_loadb(line, (size_t)n, 0, &why);
		if (!json)
			return q2_fail(err, -Q2_ECORRUPT, "line %lu: %s",
				       number, why.text);
		if (json_array_append_new(array, json) < 0)
			abort();
	}
	return ferror(f) ? q2_fail(err, -EIO, "%s", strerror(EIO)) : 0;
}

int
jsonl_read(const char *path, json_t **ret_array, struct q2_err *err)
{
	FILE *f = fopen(path, "re");
	json_t *array;
	int r;

	if (!f)
		return q2_fail(err, -errno, "cannot read %s: %s", path,
			       strerror(errno));
	array = json_array();
	r = read_lines(f, array, err);
	(void)fclose(f);
	if (r < 0) {
		json_decref(array);
		return err_prefix(err, r, "%s", path);
	}
	*ret_array = array;
	return 0;
}
