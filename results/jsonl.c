/* SPDX-License-Identifier: MIT */
#include "results/jsonl.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
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
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
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
	int fd = open(path,
		      O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
			      O_NONBLOCK,
		      0666);
	int r;

	if (fd < 0 && errno == ELOOP)
		return q2_fail(err, -ELOOP,
			       "%s is a link, which would lead to another "
			       "file; put the file itself there",
			       path);
	if (fd < 0)
		return q2_fail(err, -errno, "cannot open %s: %s", path,
			       strerror(errno));
	r = cut_torn_line(fd);
	if (r < 0) {
		(void)close(fd);
		return q2_fail(err, r, "%s: %s", path,
			       r == -EINVAL ? "not a plain file"
					    : strerror(-r));
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

/* All lines in one buffer; the caller frees it. NULL: not valid JSON. */
static char *
lines_of(const json_t *array, size_t *ret_size)
{
	char *text = NULL;
	bool good = true;
	FILE *f = open_memstream(&text, ret_size);

	if (!f)
		abort();
	for (size_t i = 0; i < json_array_size(array) && good; i++) {
		good = json_dumpf(json_array_get(array, i), f, JSON_COMPACT) ==
		       0;
		(void)fputc('\n', f);
	}
	if (fclose(f) != 0)
		abort();
	if (good)
		return text;
	free(text);
	return NULL;
}

int
jsonl_append(int fd, const json_t *array, struct q2_err *err)
{
	size_t size;
	Q2_AUTO_FREE char *text = lines_of(array, &size);
	struct stat st;
	int r;

	if (!text)
		return q2_fail(err, -EINVAL, "a record is not valid JSON");
	if (fstat(fd, &st) < 0)
		return q2_fail(err, -errno, "%s", strerror(errno));
	r = write_all(fd, text, size);
	if (r < 0) {
		/* No half line in the middle of the file when the disk has
		 * room again; if this fails too, the next jsonl_open() does
		 * it. */
		bool cut = ftruncate(fd, st.st_size) == 0;

		return q2_fail(err, r, "cannot append a record: %s%s",
			       strerror(-r),
			       cut ? "" : " (a cut line is left behind)");
	}
	if (fstat(fd, &st) == 0 && st.st_nlink == 0)
		return q2_fail(err, -ENOENT,
			       "the file was removed while it was written");
	return 0;
}

/* ---- reading ------------------------------------------------------------ */

struct text {
	char *v;
	size_t size, room;
};

static void
text_done(struct text *t)
{
	free(t->v);
}

static void
text_add(struct text *t, char c)
{
	if (t->size == t->room) {
		t->room = t->room ? 2 * t->room : 4096;
		t->v = realloc(t->v, t->room);
		if (!t->v)
			abort();
	}
	t->v[t->size++] = c;
}

/* A line without its end: 1; 0 at the end of the file, where a line without an
 * end is torn. -EFBIG: longer than JSONL_LINE_MOST. */
static int
next_line(FILE *f, struct text *line, bool *ret_torn)
{
	int c;

	line->size = 0;
	while ((c = getc_unlocked(f)) != EOF && c != '\n') {
		if (line->size == JSONL_LINE_MOST)
			return -EFBIG;
		text_add(line, (char)c);
	}
	if (ferror(f))
		return -EIO;
	if (c == EOF && line->size > 0)
		*ret_torn = true;
	return c == '\n';
}

static int
parse_line(const struct text *line, json_t **ret, struct q2_err *err)
{
	json_error_t why;

	*ret = json_loadb(line->size ? line->v : "", line->size,
			  JSON_REJECT_DUPLICATES, &why);
	if (*ret)
		return 0;
	return q2_fail(err, -Q2_ECORRUPT, "not JSON: %s (column %d)", why.text,
		       why.column);
}

static int
read_lines(FILE *f, const struct jsonl_sink *sink, unsigned long *number,
	   bool *ret_torn, struct q2_err *err)
{
	Q2_AUTO(text) line = {0};
	json_t *json;
	int r;

	for (*number = 1; (r = next_line(f, &line, ret_torn)) > 0;
	     (*number)++) {
		r = parse_line(&line, &json, err);
		if (r < 0)
			return r;
		r = sink->line(sink->arg, *number, json, err);
		json_decref(json);
		if (r < 0)
			return r;
	}
	if (r == -EFBIG)
		return q2_fail(err, r, "the line is longer than %zu MiB",
			       JSONL_LINE_MOST >> 20);
	return r < 0 ? q2_fail(err, r, "%s", strerror(-r)) : 0;
}

/* A pipe of that name would be waited for. */
static int
open_to_read(const char *path, FILE **ret_f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return -EINVAL;
	}
	*ret_f = fdopen(fd, "r");
	if (!*ret_f)
		abort();
	return 0;
}

int
jsonl_each(const char *path, const struct jsonl_sink *sink, bool *ret_torn,
	   struct q2_err *err)
{
	unsigned long number;
	FILE *f = NULL;
	int r = open_to_read(path, &f);

	*ret_torn = false;
	if (r < 0)
		return q2_fail(err, r, "cannot read %s: %s", path,
			       r == -EINVAL ? "not a plain file"
					    : strerror(-r));
	r = read_lines(f, sink, &number, ret_torn, err);
	(void)fclose(f);
	return r < 0 ? err_prefix(err, r, "%s:%lu", path, number) : 0;
}
