/* SPDX-License-Identifier: MIT */
/* drawing.c - what the plots of one run share; see drawing.h */
#include "plots/drawing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"

static void *
grow(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n ? n : 1, size);
	if (!p)
		abort();
	return p;
}

void *
zeroed(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

/* ---- words ----------------------------------------------------------------- */

size_t
words_find(const struct words *words, const char *word)
{
	for (size_t i = 0; i < words->n; i++) {
		if (strcmp(words->v[i], word) == 0)
			return i + 1;
	}
	return 0;
}

size_t
words_place(struct words *words, const char *word)
{
	size_t place = words_find(words, word);

	if (place)
		return place;
	if (words->n == words->room) {
		words->room = words->room ? 2 * words->room : 16;
		words->v = grow(words->v, words->room, sizeof(*words->v));
	}
	words->v[words->n] = word;
	return ++words->n;
}

void
words_done(struct words *words)
{
	free(words->v);
	*words = (struct words){0};
}

/* ---- styles ---------------------------------------------------------------- */

/* Styles of style.gp: what is usual has its own, anything else the next. */
#define STYLE_OWN    8
#define STYLE_OTHERS 9
#define STYLES       24

static unsigned
usual_style(const struct record *cell)
{
	static const struct {
		const char *state;
		unsigned style;
	} states[] = {{"sparse", 1}, {"falloc", 2},   {"written", 3},
		      {"off", 4},    {"metadata", 5}, {"falloc", 6},
		      {"full", 7}};
	bool raw = strcmp(record_text(cell, CELL_image_format), "raw") == 0;
	const char *state = record_text(cell, raw ? CELL_raw_state
						  : CELL_preallocation);

	if (strcmp(record_text(cell, CELL_zero_policy), "hole") == 0)
		return STYLE_OWN;
	for (size_t i = raw ? 0 : 3; i < (raw ? 3 : ARRAY_SIZE(states)); i++) {
		if (strcmp(state, states[i].state) == 0)
			return states[i].style;
	}
	return STYLE_OTHERS;
}

static bool
is_taken(const struct drawing *d, size_t before, unsigned style)
{
	for (size_t k = 0; k < before; k++) {
		if (d->styles[k] == style)
			return true;
	}
	return false;
}

/* No two alike while there are enough. */
static void
choose_styles(struct drawing *d)
{
	size_t k = 0;

	d->styles = grow(NULL, d->cells->n, sizeof(*d->styles));
	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];
		size_t place = words_place(&d->labels,
					   record_text(cell, CELL_label));
		unsigned style;

		if (place <= k)
			continue;
		style = usual_style(cell);
		for (unsigned s = STYLE_OTHERS;
		     s <= STYLES && is_taken(d, k, style); s++)
			style = s;
		if (is_taken(d, k, style))
			style = STYLE_OTHERS +
				(unsigned)k % (STYLES - STYLE_OTHERS + 1);
		d->styles[k++] = style;
	}
}

/* ---- trials ---------------------------------------------------------------- */

static int
compare_ints(const struct record *a, const struct record *b, int col)
{
	uint64_t x = record_int(a, col), y = record_int(b, col);

	return (x > y) - (x < y);
}

/* By group, session and round; in it the last attempt first. */
static int
compare_rounds(const void *a, const void *b)
{
	const struct record *x = *(const struct record *const *)a;
	const struct record *y = *(const struct record *const *)b;
	int c = strcmp(record_text(x, TRIAL_group_id),
		       record_text(y, TRIAL_group_id));

	c = c ? c : compare_ints(x, y, TRIAL_session);
	c = c ? c : compare_ints(x, y, TRIAL_round);
	return c ? c : compare_ints(y, x, TRIAL_attempt);
}

static int
compare_ids(const struct record *trial, const char *id, const char *pass)
{
	int c = strcmp(record_text(trial, TRIAL_trial_id), id);

	return c ? c : strcmp(record_text(trial, TRIAL_pass), pass);
}

static int
compare_trials(const void *a, const void *b)
{
	const struct record *x = *(const struct record *const *)a;
	const struct record *y = *(const struct record *const *)b;

	return compare_ids(x, record_text(y, TRIAL_trial_id),
			   record_text(y, TRIAL_pass));
}

static bool
is_same_round(const struct record *a, const struct record *b)
{
	return strcmp(record_text(a, TRIAL_group_id),
		      record_text(b, TRIAL_group_id)) == 0 &&
	       compare_ints(a, b, TRIAL_session) == 0 &&
	       compare_ints(a, b, TRIAL_round) == 0;
}

/* Without attempts that were redone, and without failures. */
static void
count_trials(struct drawing *d)
{
	const struct record **v = grow(NULL, d->trials->n, sizeof(*v));
	const struct record *last = NULL;

	memcpy(v, d->trials->v, d->trials->n * sizeof(*v));
	qsort(v, d->trials->n, sizeof(*v), compare_rounds);
	for (size_t i = 0; i < d->trials->n; i++) {
		if (!last || !is_same_round(last, v[i]))
			last = v[i];
		if (compare_ints(last, v[i], TRIAL_attempt) == 0 &&
		    !record_has(v[i], TRIAL_error))
			v[d->ncounted++] = v[i];
	}
	qsort(v, d->ncounted, sizeof(*v), compare_trials);
	d->counted = v;
}

const struct record *
drawing_trial(const struct drawing *d, const char *id, const char *pass)
{
	size_t from = 0, to = d->ncounted;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int c = compare_ids(d->counted[mid], id, pass);

		if (c == 0)
			return d->counted[mid];
		if (c < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

/* ---- passes ---------------------------------------------------------------- */

static bool
is_text(const struct record *trial, int col, const char *text)
{
	return strcmp(record_text(trial, col), text) == 0;
}

/* The pass of least index that writes, and touches what touch says. */
static const char *
find_pass(const struct drawing *d, const char *touch)
{
	const struct record *best = NULL;

	for (size_t i = 0; i < d->ncounted; i++) {
		const struct record *t = d->counted[i];

		if ((is_text(t, TRIAL_rw, "write") ||
		     is_text(t, TRIAL_rw, "randwrite")) &&
		    is_text(t, TRIAL_touch, touch) &&
		    (!best || compare_ints(t, best, TRIAL_pass_index) < 0))
			best = t;
	}
	return best ? record_text(best, TRIAL_pass) : NULL;
}

const char *
first_write_pass(const struct drawing *d)
{
	return find_pass(d, "first");
}

const char *
rewrite_pass(const struct drawing *d, const char *first)
{
	return find_pass(d, first);
}

/* ---- cells ----------------------------------------------------------------- */

/* From this size of requests on, bytes say more than their number. */
#define LARGE_REQUEST (256 * KiB)

bool
is_large(uint64_t bs_bytes)
{
	return bs_bytes >= LARGE_REQUEST;
}

bool
is_metric(const struct record *cell, const char *name)
{
	return strcmp(record_text(cell, CELL_metric), name) == 0;
}

bool
is_speed(const struct record *cell)
{
	bool large = is_large(record_int(cell, CELL_bs_bytes));

	return record_has(cell, CELL_rw) &&
	       is_metric(cell, large ? "bw_bytes_per_s" : "iops");
}

double
speed_scale(const struct record *cell)
{
	return is_large(record_int(cell, CELL_bs_bytes)) ? (double)MiB : 1;
}

const char *
speed_unit(const struct record *cell)
{
	return is_large(record_int(cell, CELL_bs_bytes)) ? "MiB/s" : "IOPS";
}

const struct record *
drawing_cell(const struct drawing *d, const char *label, const char *pass,
	     const char *metric)
{
	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];

		if (is_metric(cell, metric) &&
		    strcmp(record_text(cell, CELL_pass), pass) == 0 &&
		    strcmp(record_text(cell, CELL_label), label) == 0)
			return cell;
	}
	return NULL;
}

void
count_text(const struct drawing *d, const char *pass, char text[COUNT_TEXT])
{
	uint64_t least = UINT64_MAX, most = 0;

	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];

		if (strcmp(record_text(cell, CELL_pass), pass) != 0 ||
		    !is_metric(cell, "duration_s"))
			continue;
		least = min_u64(least, record_int(cell, CELL_n));
		most = max_u64(most, record_int(cell, CELL_n));
	}
	if (least >= most)
		(void)snprintf(text, COUNT_TEXT, "%llu",
			       (unsigned long long)most);
	else
		(void)snprintf(text, COUNT_TEXT, "%llu-%llu",
			       (unsigned long long)least,
			       (unsigned long long)most);
}

/* ---- numbers --------------------------------------------------------------- */

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
median_of(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare_doubles);
	return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

/* The first unit that leaves a number below most. */
static const char *
unit_below(double bytes, double most, double *ret_scale)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB",
					    "TiB"};
	size_t i = 0;

	*ret_scale = 1;
	for (; bytes / *ret_scale >= most && i + 1 < ARRAY_SIZE(units); i++)
		*ret_scale *= 1024;
	return units[i];
}

const char *
bytes_unit(double most, double *ret_scale)
{
	return unit_below(most, 2000, ret_scale);
}

void
bytes_text(double bytes, char text[BYTES_TEXT])
{
	double scale;
	const char *unit = bytes_unit(bytes, &scale);

	(void)snprintf(text, BYTES_TEXT, "%.4g %s", bytes / scale, unit);
}

void
bytes_about(double bytes, char text[BYTES_TEXT])
{
	double scale;
	const char *unit = unit_below(bytes, 999.5, &scale);

	(void)snprintf(text, BYTES_TEXT, "%.3g %s", bytes / scale, unit);
}

/* ---- life ------------------------------------------------------------------ */

void
drawing_init(struct drawing *d, const struct rows *trials,
	     const struct rows *cells, const struct plots_opts *opts)
{
	*d = (struct drawing){.trials = trials, .cells = cells, .opts = opts};
	choose_styles(d);
	count_trials(d);
}

void
drawing_done(struct drawing *d)
{
	words_done(&d->labels);
	free(d->styles);
	free(d->counted);
}
