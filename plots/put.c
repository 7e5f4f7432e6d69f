/* SPDX-License-Identifier: MIT */
/* put.c - write a plot's CSV, and the head of its script; see put.h */
#include "plots/put.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "plots/glyphs.h"
#include "results/csv.h"
#include "results/newfile.h"
#include "results/number.h"

/* Characters in one line of a text across the picture. */
#define LINE_CHARS 130

/* Longer labels are cut in the middle: both ends tell them apart. */
#define LABEL_CHARS 48
#define LABEL_SIZE  (4 * LABEL_CHARS + 8)

/* ---- files ----------------------------------------------------------------- */

FILE *
put_start(const struct drawing *d, const char *name, struct q2_err *err)
{
	char path[PATH_MAX + 32];
	FILE *f;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	fd = newfile_open(path);
	if (fd < 0) {
		(void)q2_fail(err, fd, "cannot write %s: %s", path,
			      strerror(-fd));
		return NULL;
	}
	f = fdopen(fd, "w");
	if (!f)
		abort();
	return f;
}

int
put_finish(const struct drawing *d, FILE *f, const char *name,
	   struct q2_err *err)
{
	int r = 0;

	errno = EIO; /* fflush() says nothing when an earlier write failed */
	if (fflush(f) != 0 || ferror(f))
		r = -errno;
	if (fclose(f) != 0 && r == 0)
		r = -errno;
	return r < 0 ? q2_fail(err, r, "cannot write %s/%s: %s", d->dir, name,
			       strerror(-r))
		     : 0;
}

/* ---- fields ---------------------------------------------------------------- */

void
put_number(FILE *f, double value, char end)
{
	char text[NUMBER_SIZE] = "";

	if (isfinite(value))
		number_format(value, text);
	(void)fprintf(f, "%s%c", text, end);
}

void
put_field(FILE *f, const char *text, char end)
{
	Q2_AUTO_FREE char *plain = strdup(text);

	if (!plain)
		abort();
	for (char *c = plain; *c; c++) {
		if ((unsigned char)*c < ' ')
			*c = ' ';
	}
	csv_write_field(f, plain);
	(void)fputc(end, f);
}

/* ---- texts of a script ----------------------------------------------------- */

static void
put_quoted(FILE *f, const char *text, size_t n)
{
	(void)fputc('\'', f);
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\'')
			(void)fputc('\'', f);
		(void)fputc((unsigned char)text[i] < ' ' ? ' ' : text[i], f);
	}
	(void)fputc('\'', f);
}

void
put_string(FILE *f, const char *name, const char *text)
{
	(void)fprintf(f, "%s = ", name);
	put_quoted(f, text, strlen(text));
	(void)fputc('\n', f);
}

static bool
is_start(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

/* Bytes of the next line: up to the last blank that fits, or up to the brim. */
static size_t
line_length(const char *text)
{
	size_t chars = 0, blank = 0, i = 0;

	for (; text[i] && text[i] != '\n'; i++) {
		if (is_start(text[i]) && chars++ == LINE_CHARS)
			return blank ? blank : i;
		if (text[i] == ' ')
			blank = i;
	}
	return i;
}

void
put_lines(FILE *f, const char *name, const char *text)
{
	unsigned lines = 0;

	(void)fprintf(f, "%s = ", name);
	do {
		size_t n = line_length(text);

		if (lines++)
			(void)fputs(" . \"\\n\" . \\\n\t", f);
		put_quoted(f, text, n);
		text += n;
		text += *text == '\n' || *text == ' ';
	} while (*text);
	(void)fprintf(f, "\n%s_lines = %u\n", name, lines);
}

void
put_value(FILE *f, const char *name, double value)
{
	char text[NUMBER_SIZE];

	number_format(value, text);
	/* Without a point gnuplot would divide as integers do. */
	(void)fprintf(f, "%s = %s%s\n", name, text,
		      strpbrk(text, ".e") ? "" : ".0");
}

void
put_strings(FILE *f, const char *name, const char *const *v, size_t n)
{
	(void)fprintf(f, "array %s[%zu] = [", name, n);
	for (size_t i = 0; i < n; i++) {
		(void)fputs(i ? ", " : "", f);
		put_quoted(f, v[i], strlen(v[i]));
	}
	(void)fputs("]\n", f);
}

void
put_values(FILE *f, const char *name, const double *v, size_t n)
{
	(void)fprintf(f, "array %s[%zu] = [", name, n);
	for (size_t i = 0; i < n; i++) {
		char text[NUMBER_SIZE];

		number_format(v[i], text);
		(void)fprintf(f, "%s%s", i ? ", " : "", text);
	}
	(void)fputs("]\n", f);
}

/* ---- configurations -------------------------------------------------------- */

static size_t
count_chars(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += is_start(*text);
	return n;
}

/* Characters from U+3000 on (Chinese, Japanese, Korean) are twice as wide. */
static size_t
count_columns(const char *text)
{
	size_t n = count_chars(text);

	for (; *text; text++)
		n += (unsigned char)*text >= 0xe3;
	return n;
}

/* Bytes of the first n characters. */
static size_t
prefix(const char *text, size_t n)
{
	size_t i = 0;

	for (; text[i]; i++) {
		if (is_start(text[i]) && n-- == 0)
			break;
	}
	return i;
}

static void
shorten(const char *label, char text[LABEL_SIZE])
{
	size_t chars = count_chars(label), half = LABEL_CHARS / 2;

	if (chars <= LABEL_CHARS)
		(void)snprintf(text, LABEL_SIZE, "%s", label);
	else
		(void)snprintf(text, LABEL_SIZE, "%.*s…%s",
			       (int)prefix(label, half), label,
			       label + prefix(label, chars - half + 1));
}

/* On an axis a percent sign begins a format. */
static void
double_percents(const char *text, char out[2 * LABEL_SIZE])
{
	for (; *text; text++) {
		if (*text == '%')
			*out++ = '%';
		*out++ = *text;
	}
	*out = '\0';
}

static void
put_labels(const struct drawing *d, FILE *f)
{
	size_t n = d->labels.n, widest = 1;
	Q2_AUTO_FREE char(*shown)[LABEL_SIZE] = zeroed(n, sizeof(*shown));
	Q2_AUTO_FREE char(*tics)[2 * LABEL_SIZE] = zeroed(n, sizeof(*tics));
	Q2_AUTO_FREE const char **v = zeroed(n, sizeof(*v));
	Q2_AUTO_FREE double *styles = zeroed(n, sizeof(*styles));

	for (size_t k = 0; k < n; k++) {
		shorten(d->labels.v[k], shown[k]);
		double_percents(shown[k], tics[k]);
		widest = max_u64(widest, count_columns(shown[k]));
		styles[k] = d->styles[k];
		v[k] = shown[k];
	}
	(void)fprintf(f, "configurations = %zu\nlabel_chars = %zu\n", n,
		      widest);
	put_strings(f, "labels", v, n);
	for (size_t k = 0; k < n; k++)
		v[k] = tics[k];
	put_strings(f, "tics", v, n);
	put_values(f, "styles", styles, n);
}

static bool
is_modelled(const struct drawing *d)
{
	return d->cells->n && record_bool(d->cells->v[0], CELL_modelled);
}

static void
put_glyphs(const struct drawing *d, FILE *f)
{
	char numbers[GLYPHS_NUMBERS], text[GLYPHS_TEXT];
	struct glyphs g;

	glyphs_find(d, &g);
	glyphs_numbers(&g, numbers);
	glyphs_text(&g, text);
	put_string(f, "unusual", numbers);
	put_string(f, "glyphs", text);
}

/* "images of 640 MiB", or from which size to which. */
static void
images_text(const struct drawing *d, char text[2 * BYTES_TEXT + 32])
{
	double least = INFINITY, most = 0;
	char from[BYTES_TEXT], to[BYTES_TEXT];

	text[0] = '\0';
	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];

		/* A disk that is only created says so itself. */
		if (!record_has(cell, CELL_rw))
			continue;
		least = fmin(least, record_real(cell, CELL_virtual_bytes));
		most = fmax(most, record_real(cell, CELL_virtual_bytes));
	}
	bytes_text(least, from);
	bytes_text(most, to);
	if (most > least)
		(void)snprintf(text, 2 * BYTES_TEXT + 32, "images of %s to %s",
			       from, to);
	else if (most > 0)
		(void)snprintf(text, 2 * BYTES_TEXT + 32, "images of %s", to);
}

void
put_head(const struct drawing *d, FILE *f, const char *name, const char *title,
	 const char *footnote)
{
	const char *device = d->opts->device ? d->opts->device : "";
	char caption[1024], images[2 * BYTES_TEXT + 32];

	images_text(d, images);
	(void)fprintf(f,
		      "# To draw again, here: gnuplot %s\n"
		      "if (GPVAL_VERSION < 5.2) print \"line 2: gnuplot 5.2 or "
		      "newer is needed\"; exit\n",
		      name);
	put_labels(d, f);
	put_glyphs(d, f);
	put_string(f, "title", title);
	(void)snprintf(caption, sizeof(caption), "%s%s%s%s",
		       is_modelled(d) ? "modelled, not measured: " : "", device,
		       device[0] && images[0] ? ", " : "", images);
	put_lines(f, "caption", caption);
	put_lines(f, "footnote", footnote);
}
