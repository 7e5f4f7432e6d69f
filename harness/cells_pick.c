/* SPDX-License-Identifier: MIT */
/*
 * cells_pick.c - which trials count, and how they pair; see cells_pick.h
 */
#include "harness/cells_pick.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/cells.h"

/* ---- order of labels ----------------------------------------------------- */

void *
pick_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

static bool
is_one_of(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

/* The same for rows of trials and of cells: their names are equal. */
static const char *
text_of(const struct record *rec, const char *column)
{
	return record_text(rec, column_find(record_table(rec), column));
}

/* From cheap to dear, so that neighbours in a table are comparable. */
static int
place_of(const struct record *rec)
{
	static const char *const states[] = {"sparse", "off",     "metadata",
					     "falloc", "written", "full"};
	bool raw = strcmp(text_of(rec, "image_format"), "raw") == 0;
	const char *state = text_of(rec, raw ? "raw_state" : "preallocation");
	int place = raw ? 0 : 100;

	/* A way of writing that is ours alone comes last. */
	if (is_one_of(text_of(rec, "zero_policy"), "hole", "write"))
		place += 100;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (strcmp(state, states[i]) == 0)
			place += (int)i + 1;
	}
	return place;
}

/* Insert each label once, behind all whose place is not greater. */
static const char **
labels_by(const struct rows *rows, int (*place)(const struct record *rec),
	  size_t *ret_n)
{
	const char **labels = pick_alloc(rows->n, sizeof(*labels));
	Q2_AUTO_FREE int *places = pick_alloc(rows->n, sizeof(*places));
	size_t n = 0, at;

	for (size_t i = 0; i < rows->n; i++) {
		const char *label = text_of(rows->v[i], "label");
		int own = place(rows->v[i]);

		for (at = 0; at < n && strcmp(labels[at], label) != 0; at++)
			;
		if (at < n)
			continue;
		while (at > 0 && places[at - 1] > own) {
			labels[at] = labels[at - 1];
			places[at] = places[at - 1];
			at--;
		}
		labels[at] = label;
		places[at] = own;
		n++;
	}
	*ret_n = n;
	return labels;
}

static int
place_any(const struct record *rec)
{
	(void)rec;
	return 0;
}

const char **
cells_labels(const struct rows *rows, size_t *ret_n)
{
	return labels_by(rows, place_of, ret_n);
}

const char **
cells_labels_in_order(const struct rows *cells, size_t *ret_n)
{
	return labels_by(cells, place_any, ret_n);
}

/* ---- the trials that count ------------------------------------------------ */

int
pick_compare(const struct record *a, const struct record *b, int col)
{
	uint64_t x = record_int(a, col), y = record_int(b, col);

	return (x > y) - (x < y);
}

/* Of one round?  A run that was taken up again has several sessions and one
 * seed: its rounds are one series.  A session that confirms another has a seed
 * of its own. */
static int
compare_round(const struct record *a, const struct record *b)
{
	int c = strcmp(record_text(a, TRIAL_group_id),
		       record_text(b, TRIAL_group_id));

	if (c == 0)
		c = pick_compare(a, b, TRIAL_seed);
	return c ? c : pick_compare(a, b, TRIAL_round);
}

/* By round, and in it the last attempt first. */
static int
compare_trials(const void *a, const void *b)
{
	const struct record *x = *(const struct record *const *)a;
	const struct record *y = *(const struct record *const *)b;
	int c = compare_round(x, y);

	return c ? c : -pick_compare(x, y, TRIAL_attempt);
}

void
trials_done(struct trials *t)
{
	free(t->v);
}

/* Leave out the attempts that were superseded. */
struct trials
trials_that_count(const struct rows *rows)
{
	struct trials t = {.v = pick_alloc(rows->n, sizeof(*t.v))};
	const struct record *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i++)
		t.v[i] = rows->v[i];
	qsort(t.v, rows->n, sizeof(*t.v), compare_trials);
	for (size_t i = 0; i < rows->n; i++) {
		if (!first || compare_round(first, t.v[i]) != 0)
			first = t.v[i];
		if (pick_compare(first, t.v[i], TRIAL_attempt) == 0)
			t.v[n++] = t.v[i];
	}
	t.n = n;
	return t;
}

bool
pick_same(const struct record *a, const struct record *b, int col)
{
	return strcmp(record_text(a, col), record_text(b, col)) == 0;
}

bool
pick_is_cell(const struct record *trial, const char *label, const char *pass)
{
	return strcmp(record_text(trial, TRIAL_label), label) == 0 &&
	       strcmp(record_text(trial, TRIAL_pass), pass) == 0;
}

void
values_done(struct values *values)
{
	free(values->trial);
	free(values->v);
}

/* False if the trial has no such value. */
static bool
value_of(const struct record *trial, int col, double *ret)
{
	if (col != CELLS_CPU) {
		*ret = record_real(trial, col);
		return record_has(trial, col);
	}
	if (!record_has(trial, TRIAL_cpu_user_s) ||
	    record_int(trial, TRIAL_bytes) == 0)
		return false;
	*ret = (record_real(trial, TRIAL_cpu_user_s) +
		record_real(trial, TRIAL_cpu_sys_s)) *
	       (double)GiB / (double)record_int(trial, TRIAL_bytes);
	return true;
}

/* like: a trial of the cell's group, seed and arm, or NULL for all. */
struct values
values_of(const struct trials *t, const struct record *like, const char *label,
	  const char *pass, int col)
{
	struct values values = {
		.trial = pick_alloc(t->n, sizeof(*values.trial)),
		.v = pick_alloc(t->n, sizeof(*values.v)),
	};

	for (size_t i = 0; i < t->n; i++) {
		const struct record *rec = t->v[i];
		double v;

		if (!pick_is_cell(rec, label, pass) ||
		    record_has(rec, TRIAL_error))
			continue;
		if (like && (!pick_same(rec, like, TRIAL_group_id) ||
			     !pick_same(rec, like, TRIAL_arm) ||
			     pick_compare(rec, like, TRIAL_seed) != 0))
			continue;
		if (!value_of(rec, col, &v))
			continue;
		values.trial[values.n] = rec;
		values.v[values.n++] = v;
	}
	return values;
}

/* Values of the rounds that both have; the arrays have room for max. */
size_t
values_pair(const struct values *base, const struct values *other, double *b,
	    double *o, size_t max)
{
	size_t i = 0, j = 0, n = 0;

	while (i < base->n && j < other->n && n < max) {
		int c = compare_round(base->trial[i], other->trial[j]);

		if (c == 0) {
			b[n] = base->v[i];
			o[n++] = other->v[j];
		}
		i += c <= 0;
		j += c >= 0;
	}
	return n;
}

size_t
cells_pairs(const struct rows *trials, const struct cells_pair *pair,
	    double *base, double *other, size_t max)
{
	Q2_AUTO(trials) t = trials_that_count(trials);
	Q2_AUTO(values)
	b = values_of(&t, NULL, pair->base, pair->pass, pair->col);
	Q2_AUTO(values)
	o = values_of(&t, NULL, pair->other, pair->pass, pair->col);

	return values_pair(&b, &o, base, other, max);
}

/* How many of the labels of the pass have it in the round that begins at i,
 * and where the round ends. */
static size_t
labels_in_round(const struct trials *t, size_t i, const char *pass,
		size_t *ret_end)
{
	size_t n = 0, end = i;

	for (; end < t->n && compare_round(t->v[i], t->v[end]) == 0; end++) {
		const char *label = record_text(t->v[end], TRIAL_label);
		bool seen = false;

		if (!pick_is_cell(t->v[end], label, pass) ||
		    record_has(t->v[end], TRIAL_error))
			continue;
		for (size_t k = i; k < end; k++)
			seen |= pick_is_cell(t->v[k], label, pass) &&
				!record_has(t->v[k], TRIAL_error);
		n += !seen;
	}
	*ret_end = end;
	return n;
}

size_t
cells_whole_rounds(const struct rows *trials, const char *pass)
{
	Q2_AUTO(trials) t = trials_that_count(trials);
	Q2_AUTO_FREE const char **labels = NULL;
	size_t nlabels, all = 0, whole = 0;

	labels = cells_labels(trials, &nlabels);
	for (size_t k = 0; k < nlabels; k++) {
		bool has = false;

		for (size_t i = 0; i < t.n && !has; i++)
			has = pick_is_cell(t.v[i], labels[k], pass);
		all += has;
	}
	for (size_t i = 0, end; i < t.n; i = end)
		whole += labels_in_round(&t, i, pass, &end) == all && all > 0;
	return whole;
}
