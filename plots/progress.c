/* SPDX-License-Identifier: MIT */
/*
 * progress.c - does the speed of first writes change on the way?
 *
 * A panel for each configuration: the speed in each part of the pass, as the
 * median over the rounds and the band from the slowest to the fastest one.
 *
 * The turns of series.csv (or windows of about a second) need not be the same
 * in all rounds, so they are put on one grid of progress; a turn that reaches
 * over several parts counts in each by its share.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "plots/each_row.h"
#include "plots/put.h"
#include "plots/questions.h"
#include "plots/scripts.h"

/* More parts than this cannot be told apart in a panel. */
#define PARTS_MAX 60

struct turn {
	size_t place;
	const struct record *trial;
	uint64_t interval;
	double to_pct, seconds, work; /* work: requests, or MiB */
};

struct progress {
	const struct drawing *d;
	const char *pass;
	bool large; /* MiB/s instead of IOPS */
	struct turn *turns;
	size_t n, room;
	size_t parts;
	double most;
};

static void
progress_done(struct progress *q)
{
	free(q->turns);
}

/* ---- reading series.csv ---------------------------------------------------- */

static void
add_row(void *arg, const struct record *row)
{
	struct progress *q = arg;
	const struct record *trial;
	double bytes = record_real(row, SERIES_bytes);

	if (strcmp(record_text(row, SERIES_pass), q->pass) != 0 ||
	    !record_bool(row, SERIES_measured) ||
	    !record_has(row, SERIES_progress_pct) ||
	    !(record_real(row, SERIES_interval_s) > 0))
		return;
	trial = drawing_trial(q->d, record_text(row, SERIES_trial_id), q->pass);
	if (!trial)
		return;
	q->large = is_large(record_int(trial, TRIAL_bs_bytes));
	if (q->n == q->room) {
		q->room = q->room ? 2 * q->room : 256;
		q->turns = reallocarray(q->turns, q->room, sizeof(*q->turns));
		if (!q->turns)
			abort();
	}
	q->turns[q->n] = (struct turn){
		.place = words_find(&q->d->labels,
				    record_text(trial, TRIAL_label)),
		.trial = trial,
		.interval = record_int(row, SERIES_interval),
		.to_pct = record_real(row, SERIES_progress_pct),
		.seconds = record_real(row, SERIES_interval_s),
		.work = q->large ? bytes / MiB : record_real(row, SERIES_ops),
	};
	q->n += q->turns[q->n].place > 0;
}

static int
compare_turns(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	if (x->trial != y->trial)
		return (uintptr_t)x->trial < (uintptr_t)y->trial ? -1 : 1;
	return (x->interval > y->interval) - (x->interval < y->interval);
}

/* The turns of one trial, from i on. */
static size_t
trial_end(const struct progress *q, size_t i)
{
	size_t end = i;

	while (end < q->n && q->turns[end].trial == q->turns[i].trial)
		end++;
	return end;
}

static void
choose_parts(struct progress *q)
{
	for (size_t i = 0; i < q->n; i = trial_end(q, i))
		q->parts = max_u64(q->parts, trial_end(q, i) - i);
	q->parts = min_u64(q->parts, PARTS_MAX);
}

/* ---- the grid -------------------------------------------------------------- */

/* Speed of one trial between two points of its progress; NAN: no turn there. */
static double
speed_between(const struct turn *turns, size_t n, double from, double to)
{
	double work = 0, seconds = 0, at = 0;

	for (size_t i = 0; i < n; i++) {
		double length = turns[i].to_pct - at;
		double common = fmin(to, turns[i].to_pct) - fmax(from, at);

		at = turns[i].to_pct;
		/* Rounding of the shares is not a turn. */
		if (length <= 0 || common <= 1e-6)
			continue;
		work += turns[i].work * common / length;
		seconds += turns[i].seconds * common / length;
	}
	return seconds > 0 ? work / seconds : NAN;
}

/* The end of the turns of one configuration, from i on. */
static size_t
place_end(const struct progress *q, size_t i)
{
	size_t end = i;

	while (end < q->n && q->turns[end].place == q->turns[i].place)
		end++;
	return end;
}

/* Speeds of all trials among the turns from i to end in a part. */
static size_t
speeds_in(const struct progress *q, size_t i, size_t end, size_t part,
	  double *speeds)
{
	double width = 100.0 / (double)q->parts;
	size_t n = 0, next;

	for (; i < end; i = next) {
		next = trial_end(q, i);
		speeds[n] = speed_between(&q->turns[i], next - i,
					  width * (double)part,
					  width * (double)(part + 1));
		n += isfinite(speeds[n]);
	}
	return n;
}

/* A part is a step: a row at its beginning and one at its end. */
static void
put_part(struct progress *q, FILE *f, size_t i, size_t end, size_t part,
	 double *speeds)
{
	size_t n = speeds_in(q, i, end, part, speeds);
	size_t place = q->turns[i].place;
	double median;

	if (n == 0)
		return;
	median = median_of(speeds, n); /* and sorts */
	for (size_t edge = part; edge <= part + 1; edge++) {
		(void)fprintf(f, "%zu,", place);
		put_number(f, 100.0 * (double)edge / (double)q->parts, ',');
		(void)fprintf(f, "%zu,", n);
		put_number(f, speeds[0], ',');
		put_number(f, median, ',');
		put_number(f, speeds[n - 1], ',');
		(void)fprintf(f, "%s,", q->large ? "MiB/s" : "IOPS");
		put_field(f, q->d->labels.v[place - 1], '\n');
	}
	q->most = fmax(q->most, speeds[n - 1]);
}

static int
write_csv(struct progress *q, struct q2_err *err)
{
	Q2_AUTO_FREE double *speeds = zeroed(q->n, sizeof(*speeds));
	FILE *f = put_start(q->d, "progress.csv", err);
	size_t end;

	if (!f)
		return err->code;
	(void)fputs("place,progress_pct,n,min,median,max,unit,label\n", f);
	for (size_t i = 0; i < q->n; i = end) {
		end = place_end(q, i);
		for (size_t part = 0; part < q->parts; part++)
			put_part(q, f, i, end, part, speeds);
	}
	return put_finish(q->d, f, "progress.csv", err);
}

/* ---- the script ------------------------------------------------------------ */

/* Place of the configuration that is 100 % in tables; 0: there is none. */
static size_t
reference_place(const struct drawing *d)
{
	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];

		if (record_has(cell, CELL_reference_label))
			return words_find(
				&d->labels,
				record_text(cell, CELL_reference_label));
	}
	return 0;
}

/* The configurations that have turns, in order of place. */
static void
put_places(const struct progress *q, FILE *f)
{
	Q2_AUTO_FREE double *places = zeroed(q->n, sizeof(*places));
	size_t n = 0;

	for (size_t i = 0; i < q->n; i = place_end(q, i))
		places[n++] = (double)q->turns[i].place;
	(void)fprintf(f, "panels = %zu\n", n);
	put_values(f, "places", places, n);
}

static int
write_script(const struct progress *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "progress.gp", err);
	size_t reference = reference_place(q->d);
	char title[160], n[COUNT_TEXT], footnote[512];
	const char *unit = q->large ? "MiB/s" : "IOPS";

	if (!f)
		return err->code;
	count_text(q->d, q->pass, n);
	(void)snprintf(title, sizeof(title),
		       "%.60s: does the speed change on the way? (%s, higher "
		       "is better)",
		       q->pass, unit);
	(void)snprintf(footnote, sizeof(footnote),
		       "Line: median of n = %s rounds; band: from the slowest "
		       "to the fastest round, which is no confidence interval. "
		       "Turns of the pass, each with its flush.%s%.100s%s",
		       n, reference ? " Grey line: median of " : "",
		       reference ? q->d->labels.v[reference - 1] : "",
		       reference ? "." : "");
	put_head(q->d, f, "progress.gp", title, footnote);
	put_places(q, f);
	put_string(f, "unit", unit);
	put_value(f, "most", q->most > 0 ? q->most : 1);
	(void)fprintf(f, "reference = %zu\n\n%s", reference, script_progress);
	return put_finish(q->d, f, "progress.gp", err);
}

int
progress_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err)
{
	Q2_AUTO(progress) q = {.d = d, .pass = first_write_pass(d)};
	int r = 0;

	if (q.pass)
		r = each_row(d, &table_series, add_row, &q, err);
	*ret_drawn = r == 0 && q.n > 0;
	if (!*ret_drawn)
		return r;
	qsort(q.turns, q.n, sizeof(*q.turns), compare_turns);
	choose_parts(&q);
	r = write_csv(&q, err);
	return r < 0 ? r : write_script(&q, err);
}
