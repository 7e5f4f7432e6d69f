/* SPDX-License-Identifier: MIT */
/*
 * latency.c - how long do single requests take, also the slow ones?
 *
 * A panel for each pass, a line for each configuration: quantiles of all
 * requests of all rounds, over the number of nines, -log10(1 - q).  Only
 * quantiles with at least ten requests above them are shown.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "plots/buckets.h"
#include "plots/each_row.h"
#include "plots/put.h"
#include "plots/questions.h"
#include "plots/scripts.h"

/* Fewer samples above it say nothing about a quantile. */
#define SAMPLES_ABOVE 10

struct panel {
	const char *pass;
	struct buckets *of; /* by place - 1 */
	uint64_t index;     /* of the pass in its trial */
	double lo_us, hi_us, nines;
	bool zero;            /* 0 has no place on a logarithmic axis */
	uint64_t least, most; /* requests of a configuration */
};

struct latency {
	const struct drawing *d;
	struct panel *panels;
	size_t n;
};

static void
latency_done(struct latency *q)
{
	for (size_t p = 0; p < q->n; p++) {
		for (size_t k = 0; k < q->d->labels.n; k++)
			buckets_done(&q->panels[p].of[k]);
		free(q->panels[p].of);
	}
	free(q->panels);
}

/* ---- reading hist.csv ------------------------------------------------------ */

static struct panel *
panel_of(struct latency *q, const char *pass)
{
	struct panel *panel;

	for (size_t p = 0; p < q->n; p++) {
		if (strcmp(q->panels[p].pass, pass) == 0)
			return &q->panels[p];
	}
	panel = reallocarray(q->panels, q->n + 1, sizeof(*panel));
	if (!panel)
		abort();
	q->panels = panel;
	panel = &q->panels[q->n++];
	*panel = (struct panel){
		.pass = pass,
		.of = zeroed(q->d->labels.n, sizeof(*panel->of)),
	};
	return panel;
}

static void
add_row(void *arg, const struct record *row)
{
	struct latency *q = arg;
	const struct record *trial = drawing_trial(
		q->d, record_text(row, HIST_trial_id),
		record_text(row, HIST_pass));
	struct bucket bucket = {
		.lo = record_int(row, HIST_bucket_lo_ns),
		.hi = record_int(row, HIST_bucket_hi_ns),
		.count = record_int(row, HIST_count),
	};
	size_t place;

	/* A flush is no request; a trial that does not count is not known. */
	if (!trial || strcmp(record_text(row, HIST_op), "flush") == 0 ||
	    bucket.count == 0 || bucket.hi <= bucket.lo)
		return;
	place = words_find(&q->d->labels, record_text(trial, TRIAL_label));
	if (place)
		buckets_add(&panel_of(q, record_text(trial, TRIAL_pass))
				     ->of[place - 1],
			    &bucket);
}

static int
compare_panels(const void *a, const void *b)
{
	const struct panel *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

/* In the order in which a trial does them. */
static void
sort_panels(struct latency *q)
{
	for (size_t p = 0; p < q->n; p++) {
		for (size_t i = 0; i < q->d->ncounted; i++) {
			const struct record *t = q->d->counted[i];

			if (strcmp(record_text(t, TRIAL_pass),
				   q->panels[p].pass) != 0)
				continue;
			q->panels[p].index = record_int(t, TRIAL_pass_index);
			break;
		}
	}
	qsort(q->panels, q->n, sizeof(*q->panels), compare_panels);
}

/* ---- quantiles ------------------------------------------------------------- */

/*
 * 1 - q = step / (20 decade), with decade = 1, 10, 100: exact, eight to a
 * decade.  50, 90, 99, 99.9 % are among them; these get a mark.
 */
static const unsigned steps[] = {20, 16, 12, 10, 8, 6, 4, 3};
#define DECADES 9

static bool
is_printable(uint64_t n, unsigned step, uint64_t decade)
{
	return (unsigned __int128)n * step >=
	       (unsigned __int128)SAMPLES_ABOVE * 20 * decade;
}

static void
put_quantile(FILE *f, struct panel *panel, size_t place, unsigned step,
	     uint64_t decade)
{
	const struct buckets *b = &panel->of[place - 1];
	uint64_t above = (uint64_t)((unsigned __int128)b->count * step /
				    ((unsigned __int128)20 * decade));
	double us = buckets_quantile(b, above) / 1000;
	double rest = (double)step / (20 * (double)decade);
	double nines = -log10(rest);
	bool named = step == 20 || (decade == 1 && step == 10);

	(void)fprintf(f, "%zu,%.5f,%d,", place, nines, named);
	put_number(f, us, ',');
	(void)fprintf(f, "%llu,%.10g,", (unsigned long long)b->count,
		      100 * (1 - rest));
	panel->nines = fmax(panel->nines, nines);
	if (us > 0)
		panel->lo_us = panel->lo_us > 0 ? fmin(panel->lo_us, us) : us;
	panel->hi_us = fmax(panel->hi_us, us);
	panel->zero |= us <= 0;
}

static void
put_line(const struct latency *q, FILE *f, size_t p, size_t place)
{
	struct panel *panel = &q->panels[p];
	struct buckets *b = &panel->of[place - 1];
	uint64_t decade = 1;

	buckets_merge(b);
	if (b->count == 0)
		return;
	panel->most = max_u64(panel->most, b->count);
	panel->least = panel->least ? min_u64(panel->least, b->count)
				    : b->count;
	for (unsigned i = 0; i < DECADES * ARRAY_SIZE(steps); i++) {
		unsigned step = steps[i % ARRAY_SIZE(steps)];

		if (step == steps[0] && i)
			decade *= 10;
		/* From the median on. */
		if (decade == 1 && step > 10)
			continue;
		if (!is_printable(b->count, step, decade))
			break;
		(void)fprintf(f, "%zu,", p + 1);
		put_quantile(f, panel, place, step, decade);
		put_field(f, panel->pass, ',');
		put_field(f, q->d->labels.v[place - 1], '\n');
	}
}

static int
write_csv(const struct latency *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "latency.csv", err);

	if (!f)
		return err->code;
	(void)fputs("panel,place,nines,named,latency_us,requests,quantile_pct,"
		    "pass,label\n",
		    f);
	for (size_t p = 0; p < q->n; p++) {
		for (size_t k = 1; k <= q->d->labels.n; k++)
			put_line(q, f, p, k);
	}
	return put_finish(q->d, f, "latency.csv", err);
}

/* ---- the script ------------------------------------------------------------ */

static void
requests_text(const struct panel *panel, char *text, size_t size)
{
	if (panel->least == panel->most)
		(void)snprintf(text, size, "%llu",
			       (unsigned long long)panel->most);
	else
		(void)snprintf(text, size, "%llu-%llu",
			       (unsigned long long)panel->least,
			       (unsigned long long)panel->most);
}

static void
put_panels(const struct latency *q, FILE *f)
{
	size_t n = q->n;
	Q2_AUTO_FREE char(*rounds)[COUNT_TEXT] = zeroed(n, sizeof(*rounds));
	Q2_AUTO_FREE char(*requests)[64] = zeroed(n, sizeof(*requests));
	Q2_AUTO_FREE const char **v = zeroed(n, sizeof(*v));
	Q2_AUTO_FREE double *x = zeroed(n, sizeof(*x));

	(void)fprintf(f, "panels = %zu\n", n);
	for (size_t p = 0; p < n; p++)
		v[p] = q->panels[p].pass;
	put_strings(f, "pass", v, n);
	for (size_t p = 0; p < n; p++) {
		count_text(q->d, q->panels[p].pass, rounds[p]);
		v[p] = rounds[p];
	}
	put_strings(f, "n", v, n);
	for (size_t p = 0; p < n; p++) {
		requests_text(&q->panels[p], requests[p], sizeof(requests[p]));
		v[p] = requests[p];
	}
	put_strings(f, "requests", v, n);
	for (size_t p = 0; p < n; p++)
		x[p] = q->panels[p].nines;
	put_values(f, "nines", x, n);
	for (size_t p = 0; p < n; p++)
		x[p] = q->panels[p].lo_us;
	put_values(f, "lo_us", x, n);
	for (size_t p = 0; p < n; p++)
		x[p] = q->panels[p].hi_us;
	put_values(f, "hi_us", x, n);
}

static int
write_script(const struct latency *q, struct q2_err *err)
{
	FILE *f = put_start(q->d, "latency.gp", err);
	char footnote[512];
	bool zero = false;

	if (!f)
		return err->code;
	for (size_t p = 0; p < q->n; p++)
		zero |= q->panels[p].zero;
	(void)snprintf(footnote, sizeof(footnote),
		       "Quantiles of all requests of n rounds together, within "
		       "0.4 %%; no intervals. A line ends where fewer than %d "
		       "requests are slower. Each panel has its own "
		       "logarithmic axis of time. Without flushes.%s",
		       SAMPLES_ABOVE,
		       zero ? " 0 is drawn at the lower edge." : "");
	put_head(q->d, f, "latency.gp",
		 "How long does a request take? (log scale, lower is better)",
		 footnote);
	put_panels(q, f);
	(void)fprintf(f, "\n%s", script_latency);
	return put_finish(q->d, f, "latency.gp", err);
}

int
latency_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err)
{
	Q2_AUTO(latency) q = {.d = d};
	int r = each_row(d, &table_hist, add_row, &q, err);

	*ret_drawn = r == 0 && q.n > 0;
	if (!*ret_drawn)
		return r;
	sort_panels(&q);
	r = write_csv(&q, err);
	return r < 0 ? r : write_script(&q, err);
}
