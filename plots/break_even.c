/* SPDX-License-Identifier: MIT */
/*
 * break_even.c - after how much written data has a policy paid for its
 * creation?
 *
 * A line for each policy: creation of the disk, then first writes, then, when
 * each place has been written once, rewrites.  Far more data than the run has
 * written: the picture says from where on it is extrapolated, and in how many
 * of the single rounds the lines cross where.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "plots/break_even.h"
#include "plots/put.h"
#include "plots/questions.h"

#define CREATE_DISK "create-disk"

/* Points of a line: on a logarithmic axis a straight line is none. */
#define POINTS 160

/* A disk that has been rewritten so often is what it will stay. */
#define LIMIT_KNEES 10

static void
break_even_done(struct break_even *q)
{
	free(q->policies);
}

/* ---- what there is to compare ---------------------------------------------- */

static const struct record *
duration(const struct break_even *q, size_t place, const char *pass)
{
	return pass ? drawing_cell(q->d, q->d->labels.v[place - 1], pass,
				   "duration_s")
		    : NULL;
}

static double
median_in(const struct break_even *q, size_t place, const char *pass)
{
	const struct record *cell = duration(q, place, pass);

	return cell ? record_real(cell, CELL_median) : NAN;
}

/* Policies write in the same way, and differ in how the image was made. */
static bool
is_policy(const struct break_even *q, const struct record *cell)
{
	return strcmp(record_text(cell, CELL_image_format), "qcow2") == 0 &&
	       (!q->base ||
		strcmp(record_text(cell, CELL_zero_policy),
		       record_text(q->base, CELL_zero_policy)) == 0);
}

/* That of the suite.  Without one nothing is ranked, here no more than in the
 * table. */
static void
find_baseline(struct break_even *q)
{
	for (size_t i = 0; i < q->d->cells->n; i++) {
		const char *label = record_text(q->d->cells->v[i],
						CELL_baseline_label);
		size_t place = words_find(&q->d->labels, label);
		const struct record *cell = place ? duration(q, place, q->first)
						  : NULL;

		if (cell && is_policy(q, cell)) {
			q->baseline = place;
			q->base = cell;
			return;
		}
	}
}

static const struct record *
any_trial(const struct break_even *q, size_t place, const char *pass)
{
	for (size_t i = 0; i < q->d->ncounted; i++) {
		const struct record *t = q->d->counted[i];

		if (strcmp(record_text(t, TRIAL_pass), pass) == 0 &&
		    (!place || strcmp(record_text(t, TRIAL_label),
				      q->d->labels.v[place - 1]) == 0))
			return t;
	}
	return NULL;
}

/* Sizes, which are the same for all; false if there is nothing to draw. */
static bool
find_sizes(struct break_even *q)
{
	const struct record *trial = any_trial(q, q->baseline, q->first);
	const struct record *disk = any_trial(q, 0, CREATE_DISK);

	if (!trial)
		return false;
	q->image_bytes = record_real(trial, TRIAL_virtual_bytes);
	q->disk_bytes = disk ? record_real(disk, TRIAL_virtual_bytes)
			     : q->image_bytes;
	q->measured = record_real(trial, TRIAL_bytes);
	q->bs = record_real(trial, TRIAL_bs_bytes);
	q->stride = record_has(trial, TRIAL_stride_bytes)
			    ? record_real(trial, TRIAL_stride_bytes)
			    : q->bs;
	q->knee = floor(q->disk_bytes / q->stride) * q->bs;
	q->again = rewrite_pass(q->d, q->first);
	q->limit = q->again ? LIMIT_KNEES * q->knee : q->knee;
	return q->measured > 0 && q->knee > 0;
}

/* ---- lines ----------------------------------------------------------------- */

/* Seconds of the creation of the user's disk: measured, or in proportion. */
static double
create_of(const struct break_even *q, double disk_s, double image_s)
{
	return isfinite(disk_s) ? disk_s
				: image_s * q->disk_bytes / q->image_bytes;
}

static void
add_policy(struct break_even *q, size_t place)
{
	struct policy *p = &q->policies[q->n];
	double disk_s = median_in(q, place, CREATE_DISK);
	double first_s = median_in(q, place, q->first);
	double again_s = median_in(q, place, q->again);

	*p = (struct policy){
		.place = place,
		.cost.create_s = create_of(q, disk_s,
					   median_in(q, place, "create")),
		.cost.first = first_s / q->measured,
		.cost.again = again_s / q->measured,
		.computed = !isfinite(disk_s) &&
			    q->disk_bytes != q->image_bytes,
		.crossing = INFINITY,
		.lo = INFINITY,
		.hi = -INFINITY,
	};
	if (isfinite(p->cost.create_s) && first_s > 0)
		q->n++;
}

static void
find_policies(struct break_even *q)
{
	q->policies = zeroed(q->d->labels.n, sizeof(*q->policies));
	for (size_t k = 1; k <= q->d->labels.n; k++) {
		const struct record *cell = duration(q, k, q->first);

		if (cell && is_policy(q, cell))
			add_policy(q, k);
	}
}

const struct policy *
break_even_baseline(const struct break_even *q)
{
	for (size_t i = 0; i < q->n; i++) {
		if (q->policies[i].place == q->baseline)
			return &q->policies[i];
	}
	return NULL;
}

/* ---- single rounds --------------------------------------------------------- */

static const struct record *
trial_like(const struct break_even *q, const struct record *like, size_t place,
	   const char *pass)
{
	for (size_t i = 0; pass && i < q->d->ncounted; i++) {
		const struct record *t = q->d->counted[i];

		if (record_int(t, TRIAL_round) ==
			    record_int(like, TRIAL_round) &&
		    record_int(t, TRIAL_session) ==
			    record_int(like, TRIAL_session) &&
		    strcmp(record_text(t, TRIAL_pass), pass) == 0 &&
		    strcmp(record_text(t, TRIAL_label),
			   q->d->labels.v[place - 1]) == 0)
			return t;
	}
	return NULL;
}

static double
duration_like(const struct break_even *q, const struct record *like,
	      size_t place, const char *pass)
{
	const struct record *t = trial_like(q, like, place, pass);

	return t ? record_real(t, TRIAL_duration_s) : NAN;
}

/* The line of one round: that of the trial `like`. */
static struct cost
cost_like(const struct break_even *q, const struct record *like, size_t place)
{
	return (struct cost){
		.create_s = create_of(
			q, duration_like(q, like, place, CREATE_DISK),
			duration_like(q, like, place, "create")),
		.first = duration_like(q, like, place, q->first) / q->measured,
		.again = duration_like(q, like, place, q->again) / q->measured,
	};
}

static void
cross_in_rounds(const struct break_even *q, struct policy *p)
{
	for (size_t i = 0; i < q->d->ncounted; i++) {
		const struct record *t = q->d->counted[i];
		struct cost own, base;
		double x;

		if (strcmp(record_text(t, TRIAL_pass), q->first) != 0 ||
		    strcmp(record_text(t, TRIAL_label),
			   q->d->labels.v[p->place - 1]) != 0)
			continue;
		own = cost_like(q, t, p->place);
		base = cost_like(q, t, q->baseline);
		if (isnan(cost_at(&own, q->knee, q->knee) +
			  cost_at(&base, q->knee, q->knee)))
			continue;
		p->rounds++;
		x = cost_crossing(&own, &base, q->knee, q->limit);
		if (!isfinite(x))
			continue;
		p->crossed++;
		p->lo = fmin(p->lo, x);
		p->hi = fmax(p->hi, x);
	}
}

/* Crossings, and from them how far the axes reach. */
static void
find_crossings(struct break_even *q)
{
	const struct policy *base = break_even_baseline(q);
	bool beyond = false;

	q->from = q->measured / 32;
	for (size_t i = 0; i < q->n && base; i++) {
		struct policy *p = &q->policies[i];

		if (p == base)
			continue;
		p->crossing = cost_crossing(&p->cost, &base->cost, q->knee,
					    q->limit);
		cross_in_rounds(q, p);
		if (!isfinite(p->crossing))
			continue;
		/* That of the medians can lie beside all of the rounds'. */
		p->lo = fmin(p->lo, p->crossing);
		p->hi = fmax(p->hi, p->crossing);
		q->from = fmin(q->from, p->crossing / 4);
		beyond |= p->crossing > q->knee;
	}
	q->from = fmax(q->from, 1);
	q->to = !q->again ? q->knee : beyond ? q->limit : 2 * q->knee;
	q->to = fmax(q->to, 2 * q->measured);
	q->least = INFINITY;
	for (size_t i = 0; i < q->n; i++) {
		const struct cost *c = &q->policies[i].cost;

		q->least = fmin(q->least, cost_at(c, q->knee, q->from));
		q->most = fmax(q->most, cost_at(c, q->knee, q->to));
	}
}

/* ---- CSV ------------------------------------------------------------------- */

static int
write_lines(const struct break_even *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "break_even.csv", err);

	if (!f)
		return err->code;
	(void)fputs("place,written_bytes,time_s,extrapolated,label\n", f);
	for (size_t i = 0; i < q->n; i++) {
		const struct policy *p = &q->policies[i];

		for (unsigned k = 0; k <= POINTS; k++) {
			double x = q->from *
				   pow(q->to / q->from, (double)k / POINTS);

			(void)fprintf(f, "%zu,", p->place);
			put_number(f, x, ',');
			put_number(f, cost_at(&p->cost, q->knee, x), ',');
			(void)fprintf(f, "%d,", x > q->measured);
			put_field(f, q->d->labels.v[p->place - 1], '\n');
		}
	}
	return put_finish(q->d, f, "break_even.csv", err);
}

static int
write_crossings(const struct break_even *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "crossings.csv", err);

	if (!f)
		return err->code;
	(void)fputs("place,create_s,create_computed,first_write_s_per_gib,"
		    "rewrite_s_per_gib,crossing_bytes,crossing_s,"
		    "min_bytes,max_bytes,rounds,crossed,baseline,label\n",
		    f);
	for (size_t i = 0; i < q->n; i++) {
		const struct policy *p = &q->policies[i];

		(void)fprintf(f, "%zu,", p->place);
		put_number(f, p->cost.create_s, ',');
		(void)fprintf(f, "%d,", p->computed);
		put_number(f, p->cost.first * GiB, ',');
		put_number(f, q->again ? p->cost.again * GiB : NAN, ',');
		put_number(f, p->crossing, ',');
		put_number(f,
			   isfinite(p->crossing)
				   ? cost_at(&p->cost, q->knee, p->crossing)
				   : NAN,
			   ',');
		put_number(f, p->lo, ',');
		put_number(f, p->hi, ',');
		(void)fprintf(f, "%zu,%zu,", p->rounds, p->crossed);
		put_field(f, q->d->labels.v[q->baseline - 1], ',');
		put_field(f, q->d->labels.v[p->place - 1], '\n');
	}
	return put_finish(q->d, f, "crossings.csv", err);
}

/* ---- the picture ----------------------------------------------------------- */

int
break_even_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err)
{
	Q2_AUTO(break_even) q = {.d = d, .first = first_write_pass(d)};
	int r;

	*ret_drawn = false;
	if (!q.first)
		return 0;
	find_baseline(&q);
	if (!q.base || !find_sizes(&q))
		return 0;
	find_policies(&q);
	find_crossings(&q);
	/* One line alone is no comparison. */
	*ret_drawn = q.n > 1;
	if (!*ret_drawn)
		return 0;
	r = write_lines(&q, err);
	if (r == 0)
		r = write_crossings(&q, err);
	return r < 0 ? r : break_even_script(&q, err);
}
