/* SPDX-License-Identifier: MIT */
#include "harness/cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/cells_pick.h"

/* ---- metrics ------------------------------------------------------------- */

/* The columns of trials.csv that are results, and which way is better. */
static const struct metric {
	int col;
	enum cells_better better;
	bool counter; /* does not vary where nothing depends on timing */
} metrics[] = {
#define TIME(name)                               \
	{                                        \
		TRIAL_##name, CELLS_LOWER, false \
	}
#define RATE(name)                                \
	{                                         \
		TRIAL_##name, CELLS_HIGHER, false \
	}
#define COST(name)                              \
	{                                       \
		TRIAL_##name, CELLS_LOWER, true \
	}
#define COUNT(name)                            \
	{                                      \
		TRIAL_##name, CELLS_NONE, true \
	}
	TIME(duration_s),
	TIME(flush_s),
	TIME(prepare_s),
	TIME(open_s),
	TIME(close_s),
	{TRIAL_stall_share, CELLS_NONE, false},
	RATE(iops),
	RATE(bw_bytes_per_s),
	TIME(lat_min_us),
	TIME(lat_mean_us),
	TIME(lat_p50_us),
	TIME(lat_p90_us),
	TIME(lat_p99_us),
	TIME(lat_p999_us),
	TIME(lat_p9999_us),
	TIME(lat_max_us),
	TIME(service_p50_us),
	TIME(service_p99_us),
	COST(host_reads),
	COST(host_writes),
	COST(host_discards),
	COST(host_zeroes),
	COST(fdatasyncs),
	COST(syscalls),
	COST(sqes),
	COST(host_read_bytes),
	COST(host_read_data_bytes),
	COST(host_read_l1_bytes),
	COST(host_read_l2_bytes),
	COST(host_read_refcount_bytes),
	COST(host_read_header_bytes),
	COST(host_read_cow_bytes),
	COST(host_write_bytes),
	COST(host_write_data_bytes),
	COST(host_write_l1_bytes),
	COST(host_write_l2_bytes),
	COST(host_write_refcount_bytes),
	COST(host_write_header_bytes),
	COST(host_write_cow_bytes),
	COST(host_discard_bytes),
	COST(host_zero_bytes),
	COST(read_amp),
	COST(write_amp),
	COUNT(l2_lookups),
	COUNT(l2_hits),
	COST(l2_misses),
	COST(l2_evictions),
	COUNT(refcount_hits),
	COST(refcount_misses),
	COST(refcount_evictions),
	COUNT(clusters_alloc),
	COUNT(clusters_freed),
	COUNT(compressed_bytes),
	COUNT(encrypted_bytes),
	COST(file_bytes),
	COST(alloc_bytes),
	COST(metadata_bytes),
	COST(extents),
	COST(fragmented_pct),
	TIME(cpu_user_s),
	TIME(cpu_sys_s),
	TIME(instructions),
	TIME(rss_peak_bytes),
	{CELLS_CPU, CELLS_LOWER, false},
#undef TIME
#undef RATE
#undef COST
#undef COUNT
};

enum cells_better
cells_better(int trial_col)
{
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
		if (metrics[i].col == trial_col)
			return metrics[i].better;
	}
	return CELLS_NONE;
}

static const char *
metric_name(int col)
{
	return col == CELLS_CPU ? "cpu_s_per_gib"
				: table_trials.columns[col].name;
}

static const char *
metric_unit(int col)
{
	return col == CELLS_CPU ? "s" : table_trials.columns[col].unit;
}

enum cells_better
cells_metric_better(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
		if (strcmp(metric_name(metrics[i].col), name) == 0)
			return metrics[i].better;
	}
	return CELLS_NONE;
}

size_t
cells_metrics(void)
{
	return ARRAY_SIZE(metrics);
}

const char *
cells_metric_at(size_t i)
{
	return metric_name(metrics[i].col);
}

static const char *
better_word(enum cells_better better)
{
	switch (better) {
	case CELLS_HIGHER:
		return "higher";
	case CELLS_LOWER:
		return "lower";
	case CELLS_NONE:
		break;
	}
	return "none";
}

/* ---- cells ---------------------------------------------------------------- */

struct cell {
	const struct cells_opts *opts;
	const struct trials *trials;
	const struct record *first; /* its first trial */
	const char *label, *pass;
	double margin;
	size_t flagged;
};

/* Columns that are equal in all trials of a cell, copied by name. */
static void
copy_factors(struct record *rec, const struct record *trial)
{
	static const struct {
		int cell, trial;
	} effective[] = {
		{CELL_aio, TRIAL_aio_effective},
		{CELL_cache_mode, TRIAL_cache_mode_effective},
	};
	char text[1024];
	struct q2_err err;

	for (int to = CELL_session; to <= CELL_iodepth; to++) {
		const struct column *c = &table_cells.columns[to];
		int from = column_find(&table_trials, c->name);

		for (size_t i = 0; i < ARRAY_SIZE(effective); i++) {
			if (effective[i].cell == to)
				from = effective[i].trial;
		}
		if (from < 0 || to == CELL_label || to == CELL_pass)
			continue;
		if (record_format(trial, from, text, sizeof(text)) <
		    (int)sizeof(text))
			(void)record_parse(rec, to, text, &err);
	}
}

static void
set_estimate(struct record *rec, const struct values *values)
{
	struct rank_median m;

	rank_median_of(values->v, values->n, &m);
	record_set_int(rec, CELL_n, m.n);
	record_set_real(rec, CELL_median, m.median);
	record_set_real(rec, CELL_min, m.min);
	record_set_real(rec, CELL_max, m.max);
	if (m.n >= 2)
		record_set_real(rec, CELL_mad, m.mad);
	if (m.has_interval) {
		record_set_real(rec, CELL_ci_lo, m.lo);
		record_set_real(rec, CELL_ci_hi, m.hi);
	}
}

/* Log-ratios of the cell to another label in the same pass; false if there are
 * no pairs, or a value of 0, which has no ratio. */
static bool
ratio_to(const struct cell *cell, const struct values *own, const char *label,
	 int col, struct rank_shift *ret)
{
	Q2_AUTO(values)
	base = values_of(cell->trials, cell->first, label, cell->pass, col);
	Q2_AUTO_FREE double *b = pick_alloc(own->n, sizeof(*b));
	Q2_AUTO_FREE double *o = pick_alloc(own->n, sizeof(*o));
	size_t n = values_pair(&base, own, b, o, min_u64(own->n, RANK_MAX));

	for (size_t i = 0; i < n; i++) {
		if (b[i] <= 0 || o[i] <= 0)
			return false;
	}
	if (n)
		rank_ratio_of(b, o, n, ret);
	return n > 0;
}

/* Where one comparison goes; -1: no such column. */
struct ratio_columns {
	int ratio, lo, hi, verdict;
};

static void
set_ratio(struct record *rec, const struct ratio_columns *to,
	  const struct rank_shift *shift, double margin,
	  enum cells_better better)
{
	record_set_real(rec, to->ratio, exp(shift->hl));
	if (!shift->has_interval)
		return;
	record_set_real(rec, to->lo, exp(shift->lo));
	record_set_real(rec, to->hi, exp(shift->hi));
	if (to->verdict < 0 || better == CELLS_NONE)
		return;
	record_set_real(rec, CELL_margin, margin);
	record_set_text(rec, to->verdict,
			verdict_word(verdict_of_shift(shift, margin,
						      better == CELLS_LOWER)));
}

static bool
has_trials(const struct cell *cell, const char *label,
	   const struct record **ret_trial)
{
	for (size_t i = 0; i < cell->trials->n; i++) {
		*ret_trial = cell->trials->v[i];
		if (pick_is_cell(*ret_trial, label, cell->pass) &&
		    pick_same(*ret_trial, cell->first, TRIAL_group_id))
			return true;
	}
	return false;
}

static void
set_reference(struct record *rec, const struct cell *cell,
	      const struct values *own, const struct metric *metric)
{
	static const struct ratio_columns columns = {
		CELL_ratio_to_reference, CELL_ratio_lo, CELL_ratio_hi,
		CELL_verdict};
	const char *label = cell->opts->reference;
	const struct record *trial;
	struct rank_shift shift;

	if (!label || !has_trials(cell, label, &trial))
		return;
	record_set_text(rec, CELL_reference_label, label);
	record_set_text(rec, CELL_reference_cell,
			record_text(trial, TRIAL_cell_id));
	if (strcmp(label, cell->label) == 0 ||
	    !ratio_to(cell, own, label, metric->col, &shift))
		return;
	set_ratio(rec, &columns, &shift, cell->margin, metric->better);
	record_set_bool(rec, CELL_paired, true);
	if (shift.n >= 2)
		record_set_real(rec, CELL_sd_log, shift.sd);
	if (shift.has_interval)
		record_set_real(rec, CELL_mde,
				verdict_mde(shift.n, shift.sd, cell->margin));
}

static void
set_baseline(struct record *rec, const struct cell *cell,
	     const struct values *own, const struct metric *metric)
{
	static const struct ratio_columns columns = {
		CELL_ratio_to_baseline, CELL_baseline_ratio_lo,
		CELL_baseline_ratio_hi, CELL_baseline_verdict};
	const char *label = cell->opts->baseline;
	const struct record *trial;
	struct rank_shift shift;

	if (!label || !has_trials(cell, label, &trial))
		return;
	record_set_text(rec, CELL_baseline_label, label);
	if (strcmp(label, cell->label) != 0 &&
	    ratio_to(cell, own, label, metric->col, &shift))
		set_ratio(rec, &columns, &shift, cell->margin, metric->better);
}

static void
set_contrast(struct record *rec, const struct cell *cell,
	     const struct values *own, const struct metric *metric)
{
	static const struct ratio_columns columns = {
		CELL_ratio_to_contrast, CELL_contrast_ratio_lo,
		CELL_contrast_ratio_hi, -1};
	const struct record *trial;
	const char *label = NULL;
	struct rank_shift shift;

	for (size_t i = 0; i < cell->opts->ncontrasts; i++) {
		if (strcmp(cell->opts->contrasts[i].label, cell->label) == 0)
			label = cell->opts->contrasts[i].raw;
	}
	if (!label || !has_trials(cell, label, &trial))
		return;
	record_set_text(rec, CELL_contrast_label, label);
	if (ratio_to(cell, own, label, metric->col, &shift))
		set_ratio(rec, &columns, &shift, cell->margin, metric->better);
}

static void
add_row(struct rows *cells, const struct cell *cell,
	const struct metric *metric, const char *flags)
{
	Q2_AUTO(values)
	own = values_of(cell->trials, cell->first, cell->label, cell->pass,
			metric->col);
	struct record *rec;

	if (own.n == 0)
		return;
	rec = record_new(&table_cells);
	copy_factors(rec, cell->first);
	record_set_text(rec, CELL_label, cell->label);
	record_set_text(rec, CELL_pass, cell->pass);
	record_set_text(rec, CELL_metric, metric_name(metric->col));
	record_set_text(rec, CELL_unit, metric_unit(metric->col));
	record_set_text(rec, CELL_better, better_word(metric->better));
	record_set_bool(rec, CELL_exact,
			metric->counter &&
				record_bool(cell->first, TRIAL_modelled));
	record_set_bool(rec, CELL_gating, false);
	record_set_int(rec, CELL_n_flagged, cell->flagged);
	record_set_text(rec, CELL_flags, flags);
	set_estimate(rec, &own);
	set_reference(rec, cell, &own, metric);
	set_baseline(rec, cell, &own, metric);
	set_contrast(rec, cell, &own, metric);
	rows_add(cells, rec);
}

/* Same group, seed, arm, label and pass? */
static bool
same_cell(const struct record *a, const struct record *b)
{
	return pick_same(a, b, TRIAL_label) && pick_same(a, b, TRIAL_pass) &&
	       pick_same(a, b, TRIAL_group_id) && pick_same(a, b, TRIAL_arm) &&
	       pick_compare(a, b, TRIAL_seed) == 0;
}

/* Count the flagged trials of the cell and collect their words in rec. */
static size_t
collect_flags(const struct cell *cell, struct record *rec)
{
	size_t flagged = 0;
	char text[256], *save;

	for (size_t i = 0; i < cell->trials->n; i++) {
		const struct record *trial = cell->trials->v[i];

		if (!same_cell(trial, cell->first))
			continue;
		flagged += record_has(trial, TRIAL_flags) ||
			   record_has(trial, TRIAL_error);
		if (record_has(trial, TRIAL_error))
			record_add_flag(rec, CELL_flags, "error");
		(void)record_format(trial, TRIAL_flags, text, sizeof(text));
		for (char *word = strtok_r(text, "+", &save); word;
		     word = strtok_r(NULL, "+", &save))
			record_add_flag(rec, CELL_flags, word);
	}
	return flagged;
}

static void
add_cell(struct rows *cells, struct cell *cell)
{
	struct record *words = record_new(&table_cells);

	cell->label = record_text(cell->first, TRIAL_label);
	cell->pass = record_text(cell->first, TRIAL_pass);
	cell->flagged = collect_flags(cell, words);
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++)
		add_row(cells, cell, &metrics[i],
			record_text(words, CELL_flags));
	record_free(words);
}

/* First trials of the cells of one label, by group, seed, arm and pass. */
static int
compare_firsts(const void *a, const void *b)
{
	const struct record *x = *(const struct record *const *)a;
	const struct record *y = *(const struct record *const *)b;
	int c = strcmp(record_text(x, TRIAL_group_id),
		       record_text(y, TRIAL_group_id));

	if (c == 0)
		c = pick_compare(x, y, TRIAL_seed);
	if (c == 0)
		c = strcmp(record_text(x, TRIAL_arm),
			   record_text(y, TRIAL_arm));
	return c ? c : pick_compare(x, y, TRIAL_pass_index);
}

static size_t
find_firsts(const struct trials *t, const char *label,
	    const struct record **firsts)
{
	size_t n = 0, k;

	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(record_text(t->v[i], TRIAL_label), label) != 0)
			continue;
		for (k = 0; k < n && !same_cell(firsts[k], t->v[i]); k++)
			;
		if (k == n)
			firsts[n++] = t->v[i];
	}
	qsort(firsts, n, sizeof(*firsts), compare_firsts);
	return n;
}

/* Bring those that the plan has to the front, in its order. */
static void
order_labels(const char **labels, size_t n, const struct cells_opts *opts)
{
	size_t done = 0, at;

	for (size_t k = 0; k < opts->nlabels; k++) {
		const char *label;

		for (at = done;
		     at < n && strcmp(labels[at], opts->labels[k]) != 0; at++)
			;
		if (at == n)
			continue;
		label = labels[at];
		memmove(&labels[done + 1], &labels[done],
			(at - done) * sizeof(*labels));
		labels[done++] = label;
	}
}

void
cells_compute(const struct rows *trials, const struct cells_opts *opts,
	      struct rows *cells)
{
	Q2_AUTO(trials) t = trials_that_count(trials);
	Q2_AUTO_FREE const struct record **firsts = pick_alloc(trials->n,
							       sizeof(*firsts));
	Q2_AUTO_FREE const char **labels = NULL;
	size_t nlabels;

	labels = cells_labels(trials, &nlabels);
	order_labels(labels, nlabels, opts);
	for (size_t k = 0; k < nlabels; k++) {
		size_t n = find_firsts(&t, labels[k], firsts);

		for (size_t i = 0; i < n; i++) {
			struct cell cell = {
				.opts = opts,
				.trials = &t,
				.first = firsts[i],
				.margin = opts->margin > 0 ? opts->margin
							   : 0.05,
			};

			add_cell(cells, &cell);
		}
	}
}

const struct record *
cells_find(const struct rows *cells, const char *label, const char *pass,
	   const char *metric)
{
	for (size_t i = 0; i < cells->n; i++) {
		const struct record *rec = cells->v[i];

		if (strcmp(record_text(rec, CELL_label), label) == 0 &&
		    strcmp(record_text(rec, CELL_pass), pass) == 0 &&
		    strcmp(record_text(rec, CELL_metric), metric) == 0)
			return rec;
	}
	return NULL;
}
