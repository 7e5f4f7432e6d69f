/* SPDX-License-Identifier: MIT */
#include "harness/table.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/cells.h"
#include "harness/color.h"

/* ---- numbers for people --------------------------------------------------- */

/* Three digits, of what is below 1000 after rounding. */
static void
three_digits(double v, const char *unit, char *text, size_t size)
{
	int after = v < 9.995 ? 2 : v < 99.95 ? 1 : 0;

	(void)snprintf(text, size, "%.*f%s", after, v, unit);
}

void
table_number(double v, char *text, size_t size)
{
	static const char *const units[] = {"", "k", "M", "G", "T"};
	size_t unit = 0;

	if (v >= 999.5 && v < 9999.5) {
		(void)snprintf(text, size, "%.0f", v);
		return;
	}
	while (v >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
		v /= 1000;
		unit++;
	}
	three_digits(v, units[unit], text, size);
}

enum time_unit {
	TIME_US,
	TIME_MS,
	TIME_S,
	TIME_MIN,
	TIME_H,
};

/* Of what is rounded to the digits that are shown. */
static enum time_unit
unit_of(double s)
{
	return s < 0.0009995 ? TIME_US
	       : s < 0.9995  ? TIME_MS
	       : s < 99.95   ? TIME_S
	       : s < 3599.5  ? TIME_MIN
			     : TIME_H;
}

static void
seconds_in(enum time_unit unit, double s, char *text, size_t size)
{
	switch (unit) {
	case TIME_US:
		(void)snprintf(text, size, "%.0f us", s * 1e6);
		return;
	case TIME_MS:
		(void)snprintf(text, size, "%.*f ms", s < 0.009995 ? 1 : 0,
			       s * 1e3);
		return;
	case TIME_S:
		three_digits(s, " s", text, size);
		return;
	case TIME_MIN:
		(void)snprintf(text, size, "%.0f min %02.0f s",
			       floor(round(s) / 60), fmod(round(s), 60));
		return;
	case TIME_H:
		(void)snprintf(text, size, "%.0f h %02.0f min",
			       floor(round(s / 60) / 60),
			       fmod(round(s / 60), 60));
		return;
	}
}

void
table_seconds(double s, char *text, size_t size)
{
	seconds_in(unit_of(s), s, text, size);
}

void
table_seconds_like(double like, double s, char *text, size_t size)
{
	seconds_in(unit_of(like), s, text, size);
}

void
table_bytes(double b, char *text, size_t size)
{
	static const char *const units[] = {" B",   " KiB", " MiB",
					    " GiB", " TiB", " PiB"};
	size_t unit = 0;

	while (b >= 1000 && unit + 1 < ARRAY_SIZE(units)) {
		b /= 1024;
		unit++;
	}
	if (b == floor(b))
		(void)snprintf(text, size, "%.0f%s", b, units[unit]);
	else
		three_digits(b, units[unit], text, size);
}

/* Percent of the reference: "0.4 %", "97 %", "23 x" where a percentage would
 * be long. */
static void
percent(double ratio, char *text, size_t size)
{
	if (ratio >= 9.995)
		(void)snprintf(text, size, "%.0f x", ratio);
	else
		(void)snprintf(text, size, "%.*f %%", ratio < 0.0995 ? 1 : 0,
			       100 * ratio);
}

static void
percent_range(double lo, double hi, char *text, size_t size)
{
	char a[16], b[16];

	percent(lo, a, sizeof(a));
	percent(hi, b, sizeof(b));
	/* Both ends in the unit of the greater one, which stands once. */
	if (a[strlen(a) - 1] == b[strlen(b) - 1])
		a[strlen(a) - 2] = '\0';
	else
		(void)snprintf(a, sizeof(a), "%.2g", lo);
	(void)snprintf(text, size, "%s..%s", a, b);
}

/* ---- what stands in the table ---------------------------------------------- */

enum kind {
	KIND_RATE,  /* requests a second */
	KIND_SPEED, /* MiB a second, where requests are large */
	KIND_TIME,
	KIND_BYTES,
};

struct column_of {
	const char *pass;
	enum kind kind;
	char head[32], unit[32];
	unsigned median_width, width;
};

/* One configuration in one pass. */
struct entry {
	char median[24], ratio[16], range[40];
	char mark; /* '\0': no verdict */
};

struct grid {
	const struct rows *cells;
	const char *baseline;
	const char **labels;
	size_t nlabels;
	struct column_of *columns;
	size_t ncolumns;
	struct entry *entries; /* by label, then column */
	unsigned label_width;
	const char *reference;
	uint64_t n_min, n_max;
	double margin; /* of the marks */
	bool marks, ranges;
	bool times; /* some ratio stands as "23 x" */
};

#define LARGE_REQUEST (256 * KiB)

static const char *
metric_of(enum kind kind)
{
	switch (kind) {
	case KIND_RATE:
		return "iops";
	case KIND_SPEED:
		return "bw_bytes_per_s";
	case KIND_TIME:
		return "duration_s";
	case KIND_BYTES:
		break;
	}
	return "alloc_bytes";
}

static void
format_value(enum kind kind, double v, char *text, size_t size)
{
	switch (kind) {
	case KIND_RATE:
		table_number(v, text, size);
		break;
	case KIND_SPEED:
		table_number(v / MiB, text, size);
		break;
	case KIND_TIME:
		table_seconds(v, text, size);
		break;
	case KIND_BYTES:
		table_bytes(v, text, size);
		break;
	}
}

static char
mark_of(const char *verdict)
{
	static const struct {
		const char *word;
		char mark;
	} marks[] = {
		{"improvement", '+'}, {"regression", '-'},  {"same", '='},
		{"minor", '~'},       {"cannot_tell", '?'},
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (strcmp(verdict, marks[i].word) == 0)
			return marks[i].mark;
	}
	return '\0';
}

/* Verdicts rank like with like: qcow2 against a qcow2 baseline. Without a
 * baseline they are against the reference. */
static const char *
verdict_shown(const struct grid *g, const struct record *cell)
{
	const struct record *base;

	if (!g->baseline)
		return record_text(cell, CELL_verdict);
	base = cells_find(g->cells, g->baseline, record_text(cell, CELL_pass),
			  record_text(cell, CELL_metric));
	if (!base || strcmp(record_text(base, CELL_image_format),
			    record_text(cell, CELL_image_format)) != 0)
		return "";
	return record_text(cell, CELL_baseline_verdict);
}

static void
fill_ratio(struct grid *g, const struct record *cell, struct entry *e)
{
	bool is_reference = strcmp(record_text(cell, CELL_label),
				   record_text(cell, CELL_reference_label)) ==
			    0;

	if (is_reference)
		(void)strcpy(e->ratio, "100 %");
	else if (record_has(cell, CELL_ratio_to_reference))
		percent(record_real(cell, CELL_ratio_to_reference), e->ratio,
			sizeof(e->ratio));
	if (record_has(cell, CELL_ratio_lo))
		percent_range(record_real(cell, CELL_ratio_lo),
			      record_real(cell, CELL_ratio_hi), e->range,
			      sizeof(e->range));
	if (record_has(cell, CELL_reference_label))
		g->reference = record_text(cell, CELL_reference_label);
}

static bool
is_in_times(const char *text)
{
	return text[0] && text[strlen(text) - 1] == 'x';
}

/* Of a value without a reference: in the value's unit, if it is a time. */
static void
fill_interval(enum kind kind, const struct record *cell, struct entry *e)
{
	double lo = record_real(cell, CELL_ci_lo);
	double hi = record_real(cell, CELL_ci_hi);
	double median = record_real(cell, CELL_median);
	char a[19], b[19];

	format_value(kind, lo, a, sizeof(a));
	format_value(kind, hi, b, sizeof(b));
	if (kind == KIND_TIME) {
		table_seconds_like(median, lo, a, sizeof(a));
		table_seconds_like(median, hi, b, sizeof(b));
	}
	(void)snprintf(e->range, sizeof(e->range), "%s..%s", a, b);
}

static void
fill_entry(struct grid *g, const struct column_of *col, const char *label,
	   struct entry *e)
{
	const struct record *cell = cells_find(g->cells, label, col->pass,
					       metric_of(col->kind));
	uint64_t n;

	if (!cell) {
		(void)strcpy(e->median, "-");
		return;
	}
	format_value(col->kind, record_real(cell, CELL_median), e->median,
		     sizeof(e->median));
	n = record_int(cell, CELL_n);
	if (record_has(cell, CELL_margin))
		g->margin = record_real(cell, CELL_margin);
	g->n_min = g->n_min ? min_u64(g->n_min, n) : n;
	g->n_max = max_u64(g->n_max, n);
	/* What a file takes is no matter of chance: its range would say that
	 * it is exactly itself. */
	if (col->kind == KIND_BYTES)
		return;
	fill_ratio(g, cell, e);
	if (!record_has(cell, CELL_reference_label) &&
	    record_has(cell, CELL_ci_lo))
		fill_interval(col->kind, cell, e);
	e->mark = mark_of(verdict_shown(g, cell));
	g->marks |= e->mark != '\0';
	g->ranges |= e->range[0] != '\0';
	g->times |= is_in_times(e->ratio) || is_in_times(e->range);
}

/* ---- which columns ---------------------------------------------------------- */

static bool
has_column(const struct grid *g, const char *pass, size_t *ret_at)
{
	for (size_t i = 0; i < g->ncolumns; i++) {
		*ret_at = i;
		if (g->columns[i].pass && strcmp(g->columns[i].pass, pass) == 0)
			return true;
	}
	return false;
}

static struct column_of *
insert_column(struct grid *g, size_t at)
{
	memmove(&g->columns[at + 1], &g->columns[at],
		(g->ncolumns - at) * sizeof(*g->columns));
	g->ncolumns++;
	g->columns[at] = (struct column_of){0};
	return &g->columns[at];
}

static void
describe_column(struct column_of *col, const struct record *cell)
{
	uint64_t bs = record_int(cell, CELL_bs_bytes);
	char bytes[16];

	col->pass = record_text(cell, CELL_pass);
	(void)snprintf(col->head, sizeof(col->head), "%s", col->pass);
	if (record_has(cell, CELL_rw)) {
		col->kind = bs >= LARGE_REQUEST ? KIND_SPEED : KIND_RATE;
		(void)strcpy(col->unit,
			     col->kind == KIND_SPEED ? "MiB/s" : "IOPS");
		return;
	}
	col->kind = KIND_TIME;
	table_bytes(record_real(cell, CELL_virtual_bytes), bytes,
		    sizeof(bytes));
	(void)snprintf(col->unit, sizeof(col->unit), "%s disk", bytes);
}

/* Passes in their order: one that is new stands after the one before it. */
static void
find_columns(struct grid *g)
{
	size_t at = 0, disk;

	g->columns = calloc(g->cells->n + 2, sizeof(*g->columns));
	if (!g->columns)
		abort();
	for (size_t i = 0; i < g->cells->n; i++) {
		const struct record *cell = g->cells->v[i];

		if (i == 0 ||
		    strcmp(record_text(cell, CELL_label),
			   record_text(g->cells->v[i - 1], CELL_label)) != 0)
			at = 0;
		if (has_column(g, record_text(cell, CELL_pass), &disk)) {
			at = disk + 1;
			continue;
		}
		describe_column(insert_column(g, at++), cell);
	}
	/* What the first creation has taken. */
	for (disk = 0; disk < g->ncolumns; disk++) {
		struct column_of *col = &g->columns[disk];
		const char *pass = col->pass;

		if (col->kind != KIND_TIME)
			continue;
		col = insert_column(g, disk + 1);
		col->pass = pass;
		col->kind = KIND_BYTES;
		(void)strcpy(col->head, "on disk");
		(void)snprintf(col->unit, sizeof(col->unit), "after %.20s",
			       pass);
		return;
	}
}

static unsigned
longer(unsigned width, const char *text)
{
	return strlen(text) > width ? (unsigned)strlen(text) : width;
}

static void
measure_column(const struct grid *g, size_t c)
{
	struct column_of *col = &g->columns[c];
	unsigned ratio = 0, range = 0, mark = 0;

	for (size_t l = 0; l < g->nlabels; l++) {
		const struct entry *e = &g->entries[l * g->ncolumns + c];

		col->median_width = longer(col->median_width, e->median);
		ratio = longer(ratio, e->ratio);
		range = longer(range, e->range);
		mark |= e->mark != '\0';
	}
	/* median, ratio, mark: and the interval below, under the ratio's end */
	col->width = col->median_width + (ratio ? ratio + 2 : 0);
	if (range > col->width)
		col->width = range;
	col->width = longer(longer(col->width, col->head), col->unit);
	col->width += 2 * mark;
}

static void
grid_init(struct grid *g, const struct rows *cells, const char *baseline)
{
	*g = (struct grid){.cells = cells, .baseline = baseline};
	g->labels = cells_labels_in_order(cells, &g->nlabels);
	find_columns(g);
	g->entries = calloc(g->nlabels * g->ncolumns + 1, sizeof(*g->entries));
	if (!g->entries)
		abort();
	for (size_t l = 0; l < g->nlabels; l++) {
		g->label_width = longer(g->label_width, g->labels[l]);
		for (size_t c = 0; c < g->ncolumns; c++)
			fill_entry(g, &g->columns[c], g->labels[l],
				   &g->entries[l * g->ncolumns + c]);
	}
	for (size_t c = 0; c < g->ncolumns; c++)
		measure_column(g, c);
}

static void
grid_done(struct grid *g)
{
	free(g->labels);
	free(g->columns);
	free(g->entries);
}

/* ---- printing ---------------------------------------------------------------- */

#define GAP 3u /* between columns */

/* A line is put together first: one that would end in blanks ends before
 * them. */
struct text_line {
	char text[1024];
	size_t n;
};

static void
put(struct text_line *line, const char *text, unsigned width, bool right)
{
	size_t room = sizeof(line->text) - line->n;
	int n = snprintf(line->text + line->n, room, right ? "%*s" : "%-*s",
			 (int)width, text);

	assert(n >= 0 && (size_t)n < room);
	line->n += (size_t)n;
}

static void
flush_line(FILE *f, struct text_line *line, bool dim)
{
	while (line->n && line->text[line->n - 1] == ' ')
		line->n--;
	line->text[line->n] = '\0';
	(void)fprintf(f, "%s%s%s\n", dim ? "\033[2m" : "", line->text,
		      dim ? "\033[0m" : "");
	line->n = 0;
}

static bool
column_has_marks(const struct grid *g, size_t c)
{
	for (size_t l = 0; l < g->nlabels; l++) {
		if (g->entries[l * g->ncolumns + c].mark)
			return true;
	}
	return false;
}

/* Head, unit or interval: right-aligned, left of the column of marks. */
static void
put_aligned(struct text_line *line, const struct grid *g, size_t c,
	    const char *text)
{
	unsigned mark = column_has_marks(g, c) ? 2 : 0;

	put(line, "", GAP, true);
	put(line, text, g->columns[c].width - mark, true);
	put(line, "", mark, true);
}

static void
put_entry(struct text_line *line, const struct grid *g, size_t c,
	  const struct entry *e)
{
	char text[64], mark[3] = {' ', e->mark, '\0'};

	if (e->ratio[0]) {
		unsigned mark_width = column_has_marks(g, c) ? 2 : 0;
		unsigned width = g->columns[c].width - mark_width;

		(void)snprintf(text, sizeof(text), "%*s%*s",
			       (int)g->columns[c].median_width, e->median,
			       (int)(width - g->columns[c].median_width),
			       e->ratio);
	} else {
		(void)snprintf(text, sizeof(text), "%s", e->median);
	}
	put_aligned(line, g, c, text);
	if (e->mark) {
		line->n -= 2;
		put(line, mark, 2, true);
	}
}

static void
print_block(FILE *f, const struct grid *g, size_t from, size_t to, bool color)
{
	struct text_line line = {.n = 0};

	put(&line, "", g->label_width, false);
	for (size_t c = from; c < to; c++)
		put_aligned(&line, g, c, g->columns[c].head);
	flush_line(f, &line, false);
	put(&line, "", g->label_width, false);
	for (size_t c = from; c < to; c++)
		put_aligned(&line, g, c, g->columns[c].unit);
	flush_line(f, &line, false);
	for (size_t l = 0; l < g->nlabels; l++) {
		const struct entry *e = &g->entries[l * g->ncolumns];
		bool ranges = false;

		put(&line, g->labels[l], g->label_width, false);
		for (size_t c = from; c < to; c++)
			put_entry(&line, g, c, &e[c]);
		flush_line(f, &line, false);
		put(&line, "", g->label_width, false);
		for (size_t c = from; c < to; c++) {
			put_aligned(&line, g, c, e[c].range);
			ranges |= e[c].range[0] != '\0';
		}
		if (ranges)
			flush_line(f, &line, color);
		line.n = 0;
	}
}

/* The intervals that stand in the table are those of the reference. */
static void
print_marks(FILE *f, const struct grid *g)
{
	const char *with = g->baseline    ? g->baseline
			   : g->reference ? g->reference
					  : "the reference";
	bool own = g->reference && strcmp(with, g->reference) != 0;

	(void)fprintf(f,
		      "Against %s%s: + better, - worse,%s= same (within %g %%),"
		      "%s~ differs, perhaps within %g %%, ? cannot tell.\n",
		      with, own ? ", by intervals of its own (cells.csv)" : "",
		      own ? "\n" : " ", 100 * g->margin, own ? " " : "\n",
		      100 * g->margin);
}

static void
print_legend(FILE *f, const struct grid *g)
{
	char n[32];

	if (g->n_min == g->n_max)
		(void)snprintf(n, sizeof(n), "%u", (unsigned)g->n_max);
	else
		(void)snprintf(n, sizeof(n), "%u to %u", (unsigned)g->n_min,
			       (unsigned)g->n_max);
	(void)fprintf(f, "Medians of %s round%s; ", n,
		      g->n_max == 1 ? "" : "s");
	(void)fprintf(f, g->ranges ? "below: 95 %% interval.\n"
				   : "no intervals from fewer than 6.\n");
	if (g->reference)
		(void)fprintf(f,
			      "%%%s: of %s in the same rounds,%snot the ratio "
			      "of the medians.\n",
			      g->times ? ", x (times)" : "", g->reference,
			      g->times ? "\n" : " ");
	(void)fprintf(f, "IOPS and MiB/s: higher is better. "
			 "Times and sizes: lower is better.\n");
	if (g->marks)
		print_marks(f, g);
}

void
table_print(FILE *f, const struct rows *cells, const struct table_opts *opts)
{
	unsigned wish = opts->width ? opts->width : TABLE_WIDTH;
	unsigned room = (unsigned)min_u64(wish, TABLE_WIDTH_MAX);
	struct grid g;

	if (cells->n == 0)
		return;
	grid_init(&g, cells, opts->baseline);
	for (size_t from = 0, to; from < g.ncolumns; from = to) {
		unsigned width = g.label_width + GAP + g.columns[from].width;

		for (to = from + 1; to < g.ncolumns; to++) {
			width += GAP + g.columns[to].width;
			if (width > room)
				break;
		}
		print_block(f, &g, from, to, opts->color);
		(void)fputc('\n', f);
	}
	print_legend(f, &g);
	grid_done(&g);
}

void
table_opts_for(FILE *f, const char *color, struct table_opts *ret)
{
	struct winsize size;

	*ret = (struct table_opts){
		.width = TABLE_WIDTH,
		.color = color_wanted(color, f),
	};
	if (ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		ret->width = (unsigned)min_u64(
			max_u64(size.ws_col, TABLE_WIDTH_MIN), TABLE_WIDTH_MAX);
}
