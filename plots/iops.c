/* SPDX-License-Identifier: MIT */
/*
 * iops.c - how fast is each configuration in each pass?
 *
 * A panel for each pass with a stream of operations: medians, intervals, and
 * every round as a dot.
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

struct iops {
	const struct drawing *d;
	struct words passes;
};

static void
iops_done(struct iops *q)
{
	words_done(&q->passes);
}

static void
find_passes(struct iops *q)
{
	for (size_t i = 0; i < q->d->cells->n; i++) {
		const struct record *cell = q->d->cells->v[i];

		if (is_speed(cell) && record_has(cell, CELL_median))
			(void)words_place(&q->passes,
					  record_text(cell, CELL_pass));
	}
}

/* The speed of a configuration in a pass, or NULL. */
static const struct record *
find_speed(const struct drawing *d, const char *label, const char *pass)
{
	const struct record *cell = drawing_cell(d, label, pass, "iops");

	if (cell && !is_speed(cell))
		cell = drawing_cell(d, label, pass, "bw_bytes_per_s");
	return cell;
}

/* Also of what was not measured, which the picture says. */
static void
put_row(const struct iops *q, FILE *f, size_t panel, size_t place)
{
	const char *label = q->d->labels.v[place - 1];
	const char *pass = q->passes.v[panel - 1];
	const struct record *cell = find_speed(q->d, label, pass);
	double scale = cell ? speed_scale(cell) : 1;

	(void)fprintf(f, "%zu,%zu,%u,%u,", panel, place,
		      q->d->styles[place - 1],
		      cell ? (unsigned)record_int(cell, CELL_n) : 0);
	put_number(f, cell ? record_real(cell, CELL_median) / scale : NAN, ',');
	put_number(f, cell ? record_real(cell, CELL_ci_lo) / scale : NAN, ',');
	put_number(f, cell ? record_real(cell, CELL_ci_hi) / scale : NAN, ',');
	(void)fprintf(f, "%s,", cell ? speed_unit(cell) : "");
	put_field(f, pass, ',');
	put_field(f, label, '\n');
}

static int
write_medians(const struct iops *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "iops.csv", err);

	if (!f)
		return err->code;
	(void)fputs("panel,place,style,n,median,lo,hi,unit,pass,label\n", f);
	for (size_t p = 1; p <= q->passes.n; p++) {
		for (size_t k = 1; k <= q->d->labels.n; k++)
			put_row(q, f, p, k);
	}
	return put_finish(q->d, f, "iops.csv", err);
}

static int
write_rounds(const struct iops *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "rounds.csv", err);

	if (!f)
		return err->code;
	(void)fputs("panel,place,round,value,pass\n", f);
	for (size_t i = 0; i < q->d->ncounted; i++) {
		const struct record *t = q->d->counted[i];
		bool large = is_large(record_int(t, TRIAL_bs_bytes));
		const char *pass = record_text(t, TRIAL_pass);
		size_t panel = words_find(&q->passes, pass);
		size_t place = words_find(&q->d->labels,
					  record_text(t, TRIAL_label));

		if (!record_has(t, TRIAL_iops) || !panel || !place)
			continue;
		(void)fprintf(f, "%zu,%zu,%llu,", panel, place,
			      (unsigned long long)record_int(t, TRIAL_round));
		put_number(f,
			   large ? record_real(t, TRIAL_bw_bytes_per_s) / MiB
				 : record_real(t, TRIAL_iops),
			   ',');
		put_field(f, pass, '\n');
	}
	return put_finish(q->d, f, "rounds.csv", err);
}

/* The greatest value of a pass, in its unit: what the axis has to hold. */
static double
most_of(const struct drawing *d, const char *pass, const char **ret_unit)
{
	double most = 0;

	*ret_unit = "";
	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];

		if (!is_speed(cell) ||
		    strcmp(record_text(cell, CELL_pass), pass) != 0)
			continue;
		*ret_unit = speed_unit(cell);
		most = fmax(most,
			    record_real(cell, CELL_max) / speed_scale(cell));
	}
	return most > 0 ? most : 1;
}

static void
put_passes(const struct iops *q, FILE *f)
{
	size_t n = q->passes.n;
	Q2_AUTO_FREE double *mosts = zeroed(n, sizeof(*mosts));
	Q2_AUTO_FREE const char **units = zeroed(n, sizeof(*units));
	Q2_AUTO_FREE const char **counts = zeroed(n, sizeof(*counts));
	Q2_AUTO_FREE char(*texts)[COUNT_TEXT] = zeroed(n, sizeof(*texts));

	for (size_t p = 0; p < n; p++) {
		mosts[p] = most_of(q->d, q->passes.v[p], &units[p]);
		count_text(q->d, q->passes.v[p], texts[p]);
		counts[p] = texts[p];
	}
	(void)fprintf(f, "panels = %zu\n", n);
	put_strings(f, "pass", q->passes.v, n);
	put_strings(f, "unit", units, n);
	put_strings(f, "n", counts, n);
	put_values(f, "most", mosts, n);
}

static int
write_script(const struct iops *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "iops.gp", err);

	if (!f)
		return err->code;
	put_head(q->d, f, "iops.gp",
		 "How fast is each configuration? (higher is better)",
		 "Coloured mark: median of n rounds; line through it: its 95 % "
		 "interval (from n = 6 on), not adjusted for the number of "
		 "comparisons; grey dots: the single rounds.");
	put_passes(q, f);
	(void)fprintf(f, "\n%s", script_iops);
	return put_finish(q->d, f, "iops.gp", err);
}

int
iops_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err)
{
	Q2_AUTO(iops) q = {.d = d};
	int r;

	find_passes(&q);
	*ret_drawn = q.passes.n > 0;
	if (!*ret_drawn)
		return 0;
	r = write_medians(&q, err);
	if (r == 0)
		r = write_rounds(&q, err);
	return r < 0 ? r : write_script(&q, err);
}
