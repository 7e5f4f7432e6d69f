/* SPDX-License-Identifier: MIT */
/*
 * create.c - what does creating an image cost: time, and bytes on disk?
 *
 * A panel for each pass that creates: the images of the run, and a disk of the
 * user's size, which not every configuration is measured at.
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

/* A pass that creates, as a row of two panels. */
struct panel {
	const char *pass;
	const struct record *any; /* one of its cells */
	double most_s, most_bytes;
	double rows;
};

#define PANELS 4 /* create, create-disk, and what a suite may add */

struct create {
	const struct drawing *d;
	struct panel panels[PANELS];
	size_t n;
};

/* Closing, snapshots and the like have no stream either. */
static bool
is_creation(const struct record *cell)
{
	return !record_has(cell, CELL_rw) && is_metric(cell, "duration_s") &&
	       record_has(cell, CELL_median) &&
	       strncmp(record_text(cell, CELL_pass), "create", 6) == 0;
}

static void
find_panels(struct create *c)
{
	for (size_t i = 0; i < c->d->cells->n; i++) {
		const struct record *cell = c->d->cells->v[i];
		const char *pass = record_text(cell, CELL_pass);
		size_t p = 0;

		if (!is_creation(cell))
			continue;
		while (p < c->n && strcmp(c->panels[p].pass, pass) != 0)
			p++;
		if (p == c->n && p < PANELS)
			c->panels[c->n++] = (struct panel){.pass = pass,
							   .any = cell};
	}
}

static void
put_row(const struct create *c, FILE *f, struct panel *panel, size_t place)
{
	const char *label = c->d->labels.v[place - 1];
	const struct record *time = drawing_cell(c->d, label, panel->pass,
						 "duration_s");
	const struct record *space = drawing_cell(c->d, label, panel->pass,
						  "alloc_bytes");
	double bytes = space ? record_real(space, CELL_median) : NAN;

	if (!time || !record_has(time, CELL_median))
		return;
	panel->rows++;
	(void)fprintf(f, "%zu,%g,%zu,%u,%u,", (size_t)(panel - c->panels) + 1,
		      panel->rows, place, c->d->styles[place - 1],
		      (unsigned)record_int(time, CELL_n));
	put_number(f, record_real(time, CELL_median), ',');
	put_number(f, record_real(time, CELL_ci_lo), ',');
	put_number(f, record_real(time, CELL_ci_hi), ',');
	put_number(f, bytes, ',');
	put_field(f, panel->pass, ',');
	put_field(f, label, '\n');
	panel->most_s = fmax(panel->most_s,
			     fmax(record_real(time, CELL_median),
				  record_real(time, CELL_ci_hi)));
	panel->most_bytes = fmax(panel->most_bytes, bytes);
}

static int
write_csv(struct create *c, struct q2_err *err)
{
	FILE *f = put_start(c->d, "create.csv", err);

	if (!f)
		return err->code;
	(void)fputs("panel,row,place,style,n,median_s,lo_s,hi_s,bytes,pass,"
		    "label\n",
		    f);
	for (size_t p = 0; p < c->n; p++) {
		for (size_t k = 1; k <= c->d->labels.n; k++)
			put_row(c, f, &c->panels[p], k);
	}
	return put_finish(c->d, f, "create.csv", err);
}

/* In which row of its panel each configuration is; 0: in none. */
static void
put_row_of(const struct create *c, FILE *f)
{
	size_t n = c->d->labels.n;
	Q2_AUTO_FREE double *row_of = zeroed(c->n * n, sizeof(*row_of));

	for (size_t p = 0; p < c->n; p++) {
		double row = 0;

		for (size_t k = 0; k < n; k++) {
			const struct record *time = drawing_cell(
				c->d, c->d->labels.v[k], c->panels[p].pass,
				"duration_s");

			if (time && record_has(time, CELL_median))
				row_of[p * n + k] = ++row;
		}
	}
	put_values(f, "row_of", row_of, c->n * n);
}

static void
put_panels(const struct create *c, FILE *f)
{
	char texts[PANELS][BYTES_TEXT], counts[PANELS][COUNT_TEXT];
	const char *sizes[PANELS], *units[PANELS], *n[PANELS];
	double most_s[PANELS], most_bytes[PANELS], scales[PANELS], rows[PANELS];

	for (size_t p = 0; p < c->n; p++) {
		const struct panel *panel = &c->panels[p];

		bytes_text(record_real(panel->any, CELL_virtual_bytes),
			   texts[p]);
		count_text(c->d, panel->pass, counts[p]);
		sizes[p] = texts[p];
		n[p] = counts[p];
		rows[p] = panel->rows;
		/* An axis needs some length even where all are 0. */
		most_s[p] = panel->most_s > 0 ? panel->most_s : 1;
		most_bytes[p] = panel->most_bytes > 0 ? panel->most_bytes : 1;
		units[p] = bytes_unit(most_bytes[p], &scales[p]);
	}
	(void)fprintf(f, "panels = %zu\n", c->n);
	put_strings(f, "size", sizes, c->n);
	put_strings(f, "n", n, c->n);
	put_strings(f, "unit", units, c->n);
	put_values(f, "scale", scales, c->n);
	put_values(f, "rows", rows, c->n);
	put_values(f, "most_s", most_s, c->n);
	put_values(f, "most_bytes", most_bytes, c->n);
}

int
create_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err)
{
	struct create c = {.d = d};
	FILE *f;
	int r;

	find_panels(&c);
	*ret_drawn = c.n > 0;
	if (c.n == 0)
		return 0;
	r = write_csv(&c, err);
	if (r < 0)
		return r;
	f = put_start(d, "create.gp", err);
	if (!f)
		return err->code;
	put_head(d, f, "create.gp",
		 "What does creating an image cost? (lower is better)",
		 "Bars: medians of n rounds; black line: 95 % interval of the "
		 "median (from n = 6 on). A configuration that is not shown "
		 "was not measured at that size.");
	put_panels(&c, f);
	put_row_of(&c, f);
	(void)fprintf(f, "\n%s", script_create);
	return put_finish(d, f, "create.gp", err);
}
