/* SPDX-License-Identifier: MIT */
#include "results/csv.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "results/newfile.h"

/* ---- writing ------------------------------------------------------------ */

void
csv_write_field(FILE *f, const char *text)
{
	if (!text[strcspn(text, ",\"\r\n")]) {
		(void)fputs(text, f);
		return;
	}
	(void)fputc('"', f);
	for (; *text; text++) {
		if (*text == '"')
			(void)fputc('"', f);
		(void)fputc(*text, f);
	}
	(void)fputc('"', f);
}

void
csv_write_header(FILE *f, const struct table *table)
{
	for (size_t i = 0; i < table->ncolumns; i++) {
		if (i)
			(void)fputc(',', f);
		csv_write_field(f, table->columns[i].name);
	}
	(void)fputc('\n', f);
}

void
csv_write_record(FILE *f, const struct record *rec)
{
	const struct table *table = record_table(rec);
	char number[64];

	for (size_t i = 0; i < table->ncolumns; i++) {
		enum column_type type = table->columns[i].type;

		if (i)
			(void)fputc(',', f);
		if (type == COLUMN_TEXT || type == COLUMN_ENUM) {
			csv_write_field(f, record_text(rec, (int)i));
		} else {
			(void)record_format(rec, (int)i, number,
					    sizeof(number));
			(void)fputs(number, f);
		}
	}
	(void)fputc('\n', f);
}

/* Make a rename in path's folder last. */
static int
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	int fd, r;

	(void)snprintf(dir, sizeof(dir), "%.*s",
		       slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	/* Some file systems cannot sync a folder. */
	return r == -EINVAL ? 0 : r;
}

int
csv_begin(struct csv_out *out, const char *path, const struct table *table,
	  struct q2_err *err)
{
	int fd;

	*out = (struct csv_out){.path = path};
	if (asprintf(&out->tmp, "%s.tmp", path) < 0)
		abort();
	fd = newfile_open(out->tmp);
	if (fd < 0) {
		(void)q2_fail(err, fd, "cannot write %s: %s", out->tmp,
			      strerror(-fd));
		free(out->tmp);
		return fd;
	}
	out->f = fdopen(fd, "w");
	if (!out->f)
		abort();
	csv_write_header(out->f, table);
	return 0;
}

int
csv_end(struct csv_out *out, struct q2_err *err)
{
	int r = 0;

	errno = EIO; /* fflush() says nothing when an earlier write failed */
	if (fflush(out->f) != 0 || ferror(out->f) || fsync(fileno(out->f)) < 0)
		r = -errno;
	if (fclose(out->f) != 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(out->tmp, out->path) < 0)
		r = -errno;
	if (r == 0)
		r = sync_folder(out->path);
	if (r < 0) {
		(void)unlink(out->tmp);
		r = q2_fail(err, r, "cannot write %s: %s", out->path,
			    strerror(-r));
	}
	free(out->tmp);
	return r;
}

int
csv_write_file(const char *path, const struct table *table,
	       const struct rows *rows, struct q2_err *err)
{
	struct csv_out out;
	int r = csv_begin(&out, path, table, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < rows->n; i++)
		csv_write_record(out.f, rows->v[i]);
	return csv_end(&out, err);
}

/* ---- reading ------------------------------------------------------------ */

static int
append(struct csv_line *line, size_t *at, char c)
{
	if (*at == CSV_LINE_MOST)
		return -EFBIG;
	if (*at == line->size) {
		size_t size = line->size ? 2 * line->size : 1024;
		char *buf = realloc(line->buf, size);

		if (!buf)
			abort();
		line->buf = buf;
		line->size = size;
	}
	line->buf[(*at)++] = c;
	return 0;
}

/* buf now stays where it is: find the fields in it. */
static void
point_at_fields(struct csv_line *line)
{
	char *at = line->buf;

	if (line->n > line->room) {
		char **fields = reallocarray(line->fields, line->n,
					     sizeof(char *));

		if (!fields)
			abort();
		line->fields = fields;
		line->room = line->n;
	}
	for (size_t i = 0; i < line->n; i++) {
		line->fields[i] = at;
		at += strlen(at) + 1;
	}
}

/* A place in the file; `next` is the number of the line that comes next. */
struct reader {
	FILE *f;
	struct csv_line *line;
	size_t at;
	unsigned long next;
};

static int
next_char(struct reader *rd)
{
	int c = getc(rd->f);

	if (c == '\n')
		rd->next++;
	return c;
}

/* After the opening quote: up to what follows the closing one, which is
 * returned, or a negative errno below EOF. */
#define CSV_BAD (-1000)

static int
too_long(const struct reader *rd, struct q2_err *err)
{
	(void)q2_fail(err, -EINVAL, "line %lu is longer than %d MiB",
		      rd->line->number, CSV_LINE_MOST >> 20);
	return CSV_BAD;
}

static int
read_quoted(struct reader *rd, struct q2_err *err)
{
	for (;;) {
		int c = next_char(rd);

		if (c == '"') {
			c = next_char(rd);
			if (c != '"')
				return c;
		}
		if (c == EOF || c == '\0') {
			(void)q2_fail(err, -EINVAL,
				      "line %lu: a quoted field has no end",
				      rd->line->number);
			return CSV_BAD;
		}
		if (append(rd->line, &rd->at, (char)c) < 0)
			return too_long(rd, err);
	}
}

/* One field; returns the character that ended it: ',', '\n' or EOF. */
static int
read_field(struct reader *rd, int c, struct q2_err *err)
{
	if (c == '"') {
		c = read_quoted(rd, err);
		if (c == CSV_BAD)
			return c;
		if (c == '\r')
			c = next_char(rd);
		if (c == ',' || c == '\n' || c == EOF)
			goto end;
		(void)q2_fail(err, -EINVAL,
			      "line %lu: text after a quoted field",
			      rd->line->number);
		return CSV_BAD;
	}
	for (; c != ',' && c != '\n' && c != EOF; c = next_char(rd)) {
		if (c == '"' || c == '\0') {
			(void)q2_fail(
				err, -EINVAL, "line %lu: a %s inside a field",
				rd->line->number, c ? "quote" : "zero byte");
			return CSV_BAD;
		}
		if (append(rd->line, &rd->at, (char)c) < 0)
			return too_long(rd, err);
	}
	if (c != ',' && rd->at && rd->line->buf[rd->at - 1] == '\r')
		rd->at--;
end:
	if (append(rd->line, &rd->at, '\0') < 0)
		return too_long(rd, err);
	rd->line->n++;
	return c;
}

int
csv_read_line(FILE *f, struct csv_line *line, struct q2_err *err)
{
	struct reader rd = {.f = f, .line = line, .next = line->next + 1};
	int c = next_char(&rd);

	line->number = line->next + 1;
	line->n = 0;
	if (c == EOF && !ferror(f))
		return 0;
	do {
		if (line->n)
			c = next_char(&rd);
		c = read_field(&rd, c, err);
	} while (c == ',');
	if (c == CSV_BAD)
		return -EINVAL;
	if (ferror(f))
		return q2_fail(err, -EIO, "line %lu cannot be read",
			       line->number);
	line->next = rd.next - 1;
	point_at_fields(line);
	return 1;
}

void
csv_line_done(struct csv_line *line)
{
	free(line->buf);
	free(line->fields);
	*line = (struct csv_line){0};
}

/* Which column each field of the header is; -1: none that we know. */
static int *
match_header(const struct table *table, const struct csv_line *line)
{
	int *cols = calloc(line->n, sizeof(*cols));

	if (!cols)
		abort();
	for (size_t i = 0; i < line->n; i++) {
		const char *name = line->fields[i];

		/* Spreadsheets put a byte order mark first. */
		if (i == 0 && strncmp(name, "\xef\xbb\xbf", 3) == 0)
			name += 3;
		cols[i] = column_find(table, name);
	}
	return cols;
}

static int
read_row(const struct table *table, const struct csv_line *line,
	 const int *cols, struct rows *rows, struct q2_err *err)
{
	struct record *rec = record_new(table);
	int r = 0;

	for (size_t i = 0; i < line->n && r == 0; i++) {
		if (cols[i] >= 0)
			r = record_parse(rec, cols[i], line->fields[i], err);
	}
	if (r < 0) {
		record_free(rec);
		return err_prefix(err, r, "line %lu", line->number);
	}
	rows_add(rows, rec);
	return 0;
}

static int
read_table(FILE *f, const struct table *table, struct rows *rows,
	   struct q2_err *err)
{
	Q2_AUTO(csv_line) line = {0};
	Q2_AUTO_FREE int *cols = NULL;
	size_t ncols;
	int r = csv_read_line(f, &line, err);

	if (r <= 0)
		return r < 0 ? r : q2_fail(err, -EINVAL, "no header line");
	cols = match_header(table, &line);
	ncols = line.n;
	if (cols[0] < 0 && ncols == 1)
		return q2_fail(err, -EINVAL, "this is no header of %s",
			       table->file);
	while ((r = csv_read_line(f, &line, err)) > 0) {
		if (line.n == 1 && !line.fields[0][0])
			continue;
		if (line.n != ncols)
			return q2_fail(err, -EINVAL,
				       "line %lu has %zu fields, the header "
				       "%zu",
				       line.number, line.n, ncols);
		r = read_row(table, &line, cols, rows, err);
		if (r < 0)
			break;
	}
	return r;
}

int
csv_read_file(const char *path, const struct table *table, struct rows *rows,
	      struct q2_err *err)
{
	FILE *f = fopen(path, "re");
	int r;

	if (!f)
		return q2_fail(err, -errno, "cannot read %s: %s", path,
			       strerror(errno));
	r = read_table(f, table, rows, err);
	(void)fclose(f);
	return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}
