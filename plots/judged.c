/* SPDX-License-Identifier: MIT */
/*
 * judged.c - what a suite judges: a panel for each pass and metric
 *
 * With a key that is swept, its values are the axis, in their order and at equal
 * distances: they are what stands behind the last - of a label (of a pass, where
 * passes have the key), and what stands before it is the line (the panel).
 * Without one, a bar for each configuration.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "plots/put.h"
#include "plots/questions.h"
#include "plots/scripts.h"

#define PANELS 32
#define NAME   128

/* Pass (or what passes have in common) and metric. */
struct panel {
	char pass[NAME];
	const char *metric;
	double most, least; /* of medians and their intervals; least above 0 */
	const char *any_pass;
};

struct judged_plot {
	const struct drawing *d;
	struct panel panels[PANELS];
	size_t n;
	struct words lines, places;
	/* Texts that words point at. */
	char (*texts)[NAME];
	size_t ntexts;
};

static void
judged_plot_done(struct judged_plot *q)
{
	words_done(&q->lines);
	words_done(&q->places);
	free(q->texts);
}

/* ---- names --------------------------------------------------------------- */

/* Where the value begins: behind the last -, or at the end. */
static const char *
value_in(const char *label)
{
	const char *dash = strrchr(label, '-');

	return dash && dash != label ? dash + 1 : label + strlen(label);
}

static const char *
keep(struct judged_plot *q, const char *text, size_t len)
{
	char *to = q->texts[q->ntexts++];

	(void)snprintf(to, NAME, "%.*s", (int)min_u64(len, NAME - 1), text);
	return to;
}

/* The word before the value, without its -. */
static const char *
stem_of(struct judged_plot *q, const char *label)
{
	const char *value = value_in(label);
	size_t len = (size_t)(value - label);

	return keep(q, label, *value ? len - 1 : len);
}

/* Which line, or bar, and where on the axis. */
static const char *
line_of(struct judged_plot *q, const struct record *cell)
{
	const char *label = record_text(cell, CELL_label);

	return q->d->opts->sweep && !q->d->opts->by_pass ? stem_of(q, label)
							 : label;
}

static const char *
place_of(struct judged_plot *q, const struct record *cell)
{
	const char *label = record_text(cell, CELL_label);
	const char *pass = record_text(cell, CELL_pass);
	const char *value;

	if (!q->d->opts->sweep)
		return label;
	value = value_in(q->d->opts->by_pass ? pass : label);
	return *value ? keep(q, value, strlen(value)) : "-";
}

static const char *
panel_name(struct judged_plot *q, const char *pass)
{
	return q->d->opts->by_pass ? stem_of(q, pass) : pass;
}

static size_t
panel_of(const struct judged_plot *q, const char *name, const char *metric)
{
	size_t p = 0;

	while (p < q->n && (strcmp(q->panels[p].pass, name) != 0 ||
			    strcmp(q->panels[p].metric, metric) != 0))
		p++;
	return p;
}

/* ---- what there is ------------------------------------------------------- */

static const struct plots_judged *
judged_by(const struct judged_plot *q, const struct record *cell)
{
	const struct plots_opts *opts = q->d->opts;

	for (size_t i = 0; i < opts->njudged; i++) {
		if (strcmp(opts->judged[i].pass,
			   record_text(cell, CELL_pass)) == 0 &&
		    is_metric(cell, opts->judged[i].metric))
			return &opts->judged[i];
	}
	return NULL;
}

static void
widen(struct panel *panel, const struct record *cell)
{
	double median = record_real(cell, CELL_median), lo = median;

	if (record_has(cell, CELL_ci_lo)) {
		lo = record_real(cell, CELL_ci_lo);
		panel->most = fmax(panel->most, record_real(cell, CELL_ci_hi));
	}
	panel->most = fmax(panel->most, median);
	if (lo > 0)
		panel->least = fmin(panel->least, lo);
}

static void
add_cell(struct judged_plot *q, const struct record *cell)
{
	const struct plots_judged *judged = judged_by(q, cell);
	const char *name;
	size_t p;

	if (!judged || !record_has(cell, CELL_median))
		return;
	name = panel_name(q, judged->pass);
	p = panel_of(q, name, judged->metric);
	if (p == PANELS)
		return;
	if (p == q->n) {
		q->panels[q->n++] = (struct panel){.metric = judged->metric,
						   .least = INFINITY,
						   .any_pass = judged->pass};
		(void)snprintf(q->panels[p].pass, NAME, "%s", name);
	}
	widen(&q->panels[p], cell);
	(void)words_place(&q->lines, line_of(q, cell));
	(void)words_place(&q->places, place_of(q, cell));
}

/* "512", "64k", "2m". */
static bool
number_of(const char *text, double *ret)
{
	static const char units[] = "kmgt";
	const char *unit;
	char *end;

	*ret = strtod(text, &end);
	if (end == text)
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit)
		*ret *= pow(1024, (double)(unit - units + 1));
	return unit ? end[1] == '\0' : *end == '\0';
}

static int
compare_places(const void *a, const void *b)
{
	double x = 0, y = 0;

	(void)number_of(*(const char *const *)a, &x);
	(void)number_of(*(const char *const *)b, &y);
	return (x > y) - (x < y);
}

/* Numbers ascend; words stand as they come. */
static void
order_places(struct judged_plot *q)
{
	double ignored;

	for (size_t i = 0; i < q->places.n; i++) {
		if (!number_of(q->places.v[i], &ignored))
			return;
	}
	if (q->places.n)
		qsort(q->places.v, q->places.n, sizeof(*q->places.v),
		      compare_places);
}

/* In the order in which the suite names them. */
static int
compare_panels(const void *a, const void *b, void *arg)
{
	const struct plots_opts *opts = arg;
	const struct panel *v[2] = {a, b};
	size_t at[2] = {0, 0};

	for (int k = 0; k < 2; k++) {
		while (at[k] < opts->njudged &&
		       (strcmp(opts->judged[at[k]].pass, v[k]->any_pass) != 0 ||
			strcmp(opts->judged[at[k]].metric, v[k]->metric) != 0))
			at[k]++;
	}
	return (at[0] > at[1]) - (at[0] < at[1]);
}

static void
find_panels(struct judged_plot *q)
{
	q->texts = zeroed(3 * q->d->cells->n, sizeof(*q->texts));
	for (size_t i = 0; i < q->d->cells->n; i++)
		add_cell(q, q->d->cells->v[i]);
	order_places(q);
	qsort_r(q->panels, q->n, sizeof(q->panels[0]), compare_panels,
		(void *)(uintptr_t)q->d->opts);
}

/* ---- units --------------------------------------------------------------- */

static const struct kind {
	const char *metric, *text;
} kinds[] = {
	{"iops", "requests per second"},
	{"bw_bytes_per_s", "MiB/s"},
	{"duration_s", "time"},
	{"open_s", "time to open"},
	{"alloc_bytes", "space on disk"},
	{"file_bytes", "length of the file"},
	{"rss_peak_bytes", "memory of the process"},
	{"cpu_s_per_gib", "processor time per GiB"},
	{"read_amp", "bytes read per byte"},
	{"write_amp", "bytes written per byte"},
};

static const char *
text_of(const char *metric)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].metric, metric) == 0)
			return kinds[i].text;
	}
	return metric;
}

static const char *
unit_of_cell(const struct drawing *d, const char *metric)
{
	for (size_t i = 0; i < d->cells->n; i++) {
		if (is_metric(d->cells->v[i], metric))
			return record_text(d->cells->v[i], CELL_unit);
	}
	return "";
}

/* What the axis says, and what its numbers are divided by. */
static void
axis_of(const struct drawing *d, const struct panel *panel, double *ret_scale,
	char text[NAME])
{
	const char *what = text_of(panel->metric);
	const char *unit = unit_of_cell(d, panel->metric);
	const char *shown = "";

	*ret_scale = 1;
	if (strcmp(unit, "bytes/s") == 0) {
		*ret_scale = MiB;
	} else if (strcmp(unit, "bytes") == 0) {
		shown = bytes_unit(panel->most, ret_scale);
	} else if (strcmp(unit, "s") == 0) {
		*ret_scale = panel->most < 1e-3 ? 1e-6
			     : panel->most < 1  ? 1e-3
						: 1;
		shown = *ret_scale == 1      ? "s"
			: *ret_scale == 1e-3 ? "ms"
					     : "µs";
	} else if (strcmp(unit, "us") == 0) {
		shown = "µs";
	}
	(void)snprintf(text, NAME, "%s%s%s", what, *shown ? ", " : "", shown);
}

/* ---- files --------------------------------------------------------------- */

/* Styles that differ in colour, mark and dash. */
static unsigned
style_of(size_t line)
{
	static const unsigned styles[] = {4, 7, 6, 9, 8, 5, 3, 12, 11, 14};

	return styles[(line - 1) % ARRAY_SIZE(styles)];
}

/* If the cell is of that panel and line. */
static void
put_row(struct judged_plot *q, FILE *f, size_t p, const char *line,
	const struct record *cell)
{
	const struct plots_judged *judged = judged_by(q, cell);
	bool interval = record_has(cell, CELL_ci_lo);

	q->ntexts = 0;
	if (!judged || !record_has(cell, CELL_median) ||
	    panel_of(q, panel_name(q, judged->pass), judged->metric) != p ||
	    strcmp(line_of(q, cell), line) != 0)
		return;
	(void)fprintf(f, "%zu,%zu,%zu,%u,", p + 1, words_find(&q->lines, line),
		      words_find(&q->places, place_of(q, cell)),
		      (unsigned)record_int(cell, CELL_n));
	put_number(f, record_real(cell, CELL_median), ',');
	put_number(f, interval ? record_real(cell, CELL_ci_lo) : NAN, ',');
	put_number(f, interval ? record_real(cell, CELL_ci_hi) : NAN, ',');
	put_field(f, record_text(cell, CELL_metric), ',');
	put_field(f, record_text(cell, CELL_pass), ',');
	put_field(f, record_text(cell, CELL_label), '\n');
}

/* A line is drawn through rows that stand together. */
static int
write_csv(struct judged_plot *q, struct q2_err *err)
{
	Q2_AUTO_FREE char(*scratch)[NAME] = zeroed(4, sizeof(*scratch));
	FILE *f = put_start(q->d, "judged.csv", err);
	char(*texts)[NAME] = q->texts;

	if (!f)
		return err->code;
	(void)fputs("panel,line,place,n,median,lo,hi,metric,pass,label\n", f);
	/* The words of lines and places stay in their texts. */
	q->texts = scratch;
	for (size_t p = 0; p < q->n; p++) {
		for (size_t l = 0; l < q->lines.n; l++) {
			for (size_t i = 0; i < q->d->cells->n; i++)
				put_row(q, f, p, q->lines.v[l],
					q->d->cells->v[i]);
		}
	}
	q->texts = texts;
	return put_finish(q->d, f, "judged.csv", err);
}

static void
put_panels(const struct judged_plot *q, FILE *f)
{
	char titles[PANELS][NAME], axes[PANELS][NAME],
		counts[PANELS][COUNT_TEXT];
	const char *pass[PANELS], *axis[PANELS], *n[PANELS];
	double scale[PANELS], most[PANELS], least[PANELS];

	for (size_t p = 0; p < q->n; p++) {
		const struct panel *panel = &q->panels[p];

		axis_of(q->d, panel, &scale[p], axes[p]);
		count_text(q->d, panel->any_pass, counts[p]);
		(void)snprintf(titles[p], NAME, "%s", panel->pass);
		pass[p] = titles[p];
		axis[p] = axes[p];
		n[p] = counts[p];
		most[p] = panel->most > 0 ? panel->most / scale[p] : 1;
		least[p] = isfinite(panel->least) ? panel->least / scale[p]
						  : most[p];
	}
	(void)fprintf(f, "panels = %zu\n", q->n);
	put_strings(f, "pass", pass, q->n);
	put_strings(f, "axis", axis, q->n);
	put_strings(f, "n", n, q->n);
	put_values(f, "scale", scale, q->n);
	put_values(f, "most", most, q->n);
	put_values(f, "least", least, q->n);
}

/* The legend is one of lines, not of configurations. */
static void
put_lines_of(const struct judged_plot *q, FILE *f)
{
	size_t n = q->lines.n, widest = 1;
	Q2_AUTO_FREE double *styles = zeroed(n, sizeof(*styles));

	for (size_t k = 0; k < n; k++) {
		styles[k] = style_of(k + 1);
		widest = max_u64(widest, strlen(q->lines.v[k]));
	}
	(void)fprintf(f, "configurations = %zu\nlabel_chars = %zu\n", n,
		      widest);
	put_strings(f, "labels", q->lines.v, n);
	put_strings(f, "tics", q->lines.v, n);
	put_values(f, "styles", styles, n);
	(void)fprintf(f, "places = %zu\n", q->places.n);
	put_strings(f, "place", q->places.v, q->places.n);
	put_string(f, "sweep", q->d->opts->sweep ? q->d->opts->sweep : "");
}

static int
write_script(const struct judged_plot *q, struct q2_err *err)
{
	const char *question = q->d->opts->question;
	FILE *f = put_start(q->d, "judged.gp", err);

	if (!f)
		return err->code;
	put_head(
		q->d, f, "judged.gp",
		question && *question ? question : "What is judged",
		"Medians of n rounds; thin lines through them: 95 % intervals (from "
		"n = 6 on). Axes begin at 0, but where values differ by more "
		"than a factor of 12 they are logarithmic and say so.");
	put_panels(q, f);
	put_lines_of(q, f);
	(void)fprintf(f, "\n%s", script_judged);
	return put_finish(q->d, f, "judged.gp", err);
}

int
judged_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err)
{
	Q2_AUTO(judged_plot) q = {.d = d};
	int r;

	find_panels(&q);
	*ret_drawn = q.n > 0;
	if (!*ret_drawn)
		return 0;
	r = write_csv(&q, err);
	return r < 0 ? r : write_script(&q, err);
}
