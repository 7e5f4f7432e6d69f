/* SPDX-License-Identifier: MIT */
/* plot_runs.c - made-up run folders for tests of the plots; see plot_runs.h */
#include "tests/plot_runs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "harness/stats/hist.h"
#include "tests/trials.h"

/* ---- trials ---------------------------------------------------------------- */

static const char *
touch_of(const char *pass)
{
	if (strcmp(pass, "first-write") == 0 || strcmp(pass, "seq-write") == 0)
		return "first";
	return strcmp(pass, "seq-read") == 0 ? "seq-write" : "first-write";
}

/* What trials_make() leaves out, and creation of a disk of 64 GiB. */
static void
complete(struct rows *trials)
{
	size_t n = trials->n;

	for (size_t i = 0; i < n; i++) {
		struct record *t = trials->v[i], *disk;
		const char *label = record_text(t, TRIAL_label);

		if (record_has(t, TRIAL_rw)) {
			record_set_text(t, TRIAL_touch,
					touch_of(record_text(t, TRIAL_pass)));
			continue;
		}
		if (strcmp(label, "qcow2-off") != 0 &&
		    strcmp(label, "qcow2-metadata") != 0)
			continue;
		disk = record_copy(t);
		record_set_text(disk, TRIAL_pass, "create-disk");
		record_set_text(disk, TRIAL_cell_id, label + 3);
		record_set_int(disk, TRIAL_virtual_bytes, 64 * GiB);
		record_set_int(disk, TRIAL_alloc_bytes,
			       record_int(t, TRIAL_alloc_bytes) * 2);
		record_set_real(disk, TRIAL_duration_s,
				record_real(t, TRIAL_duration_s) * 5);
		rows_add(trials, disk);
	}
}

static void
make_usual(struct rows *trials)
{
	trials_make(&world_usual, trials);
	complete(trials);
}

static void
make_two_rounds(struct rows *trials)
{
	struct world w = world_usual;

	w.rounds = 2;
	w.first_write[OWN_OFF] = 1;
	w.create_s[OWN_OFF] = 0.001;
	trials_make(&w, trials);
	complete(trials);
}

static void
make_one_round(struct rows *trials)
{
	struct world w = world_usual;

	w.rounds = 1;
	trials_make(&w, trials);
	complete(trials);
}

static void
make_one_configuration(struct rows *trials)
{
	struct world w = world_usual;

	for (unsigned c = 0; c < WORLD_CONFIGS; c++)
		w.first_write[c] = c == OFF;
	trials_make(&w, trials);
	complete(trials);
}

/* No noise, and all configurations alike in every pass. */
static void
make_equal(struct rows *trials)
{
	struct world w = world_usual;

	w.noise = w.round_noise = 0;
	w.modelled = true;
	w.filesystem = NULL;
	w.medium = "model";
	for (unsigned c = 0; c < WORLD_CONFIGS; c++) {
		w.first_write[c] = 1;
		w.create_s[c] = 0.5;
	}
	trials_make(&w, trials);
	complete(trials);
	for (size_t i = 0; i < trials->n; i++)
		record_set_int(trials->v[i], TRIAL_alloc_bytes, 640 * MiB);
}

/* Times of 0 have no speed: both are 0 or not there. */
static void
make_zeros(struct rows *trials)
{
	make_usual(trials);
	for (size_t i = 0; i < trials->n; i++) {
		struct record *t = trials->v[i];

		record_set_real(t, TRIAL_duration_s, 0);
		record_set_int(t, TRIAL_alloc_bytes, 0);
		if (!record_has(t, TRIAL_rw))
			continue;
		record_set_real(t, TRIAL_iops, 0);
		record_set_real(t, TRIAL_bw_bytes_per_s, 0);
	}
}

/* Fields that are empty, trials that failed, passes that some lack, and a
 * round that was redone after something had disturbed it. */
static void
make_gaps(struct rows *trials)
{
	struct rows all = {0};

	make_usual(&all);
	for (size_t i = 0; i < all.n; i++) {
		struct record *t = all.v[i];
		const char *label = record_text(t, TRIAL_label);
		const char *pass = record_text(t, TRIAL_pass);
		bool first = record_int(t, TRIAL_round) == 1;

		if (strcmp(label, "qcow2-full") == 0 &&
		    strcmp(pass, "create") != 0)
			continue;
		if (strcmp(label, "qcow2-falloc") == 0 &&
		    strcmp(pass, "rewrite") == 0)
			continue;
		t = record_copy(t);
		if (strcmp(label, "raw-sparse") == 0)
			record_clear(t, TRIAL_alloc_bytes);
		if (strcmp(label, "raw-written") == 0 &&
		    strcmp(pass, "seq-read") == 0) {
			record_clear(t, TRIAL_iops);
			record_clear(t, TRIAL_bw_bytes_per_s);
			record_clear(t, TRIAL_duration_s);
		}
		if (strcmp(label, "qcow2-off") == 0 && first &&
		    strcmp(pass, "read") == 0)
			record_set_text(t, TRIAL_error, "pulled out");
		rows_add(trials, t);
		if (record_int(t, TRIAL_round) != 6)
			continue;
		t = record_copy(t);
		record_set_int(t, TRIAL_attempt, 2);
		record_set_text(t, TRIAL_trial_id, label);
		rows_add(trials, t);
	}
	rows_done(&all);
}

/* Names that a careless script would take for something else. */
static const char *const nasty[] = {
	"cluster_size=2m,extended_l2=on",
	"100%d %s 50%",
	"it's \"quoted\" \\n back\\slash",
	"<b>&amp;</b> {/Symbol a}^2_x @a",
	"größe–Ω–µs, €",
	"日本語のラベル",
	"$HOME `date` #comment",
	"a-very-long-label-of-more-than-sixty-characters-cluster=2m-cache=1",
	"a-very-long-label-of-more-than-sixty-characters-cluster=2m-cache=32",
	"two  spaces",
	"-",
	"11",
	"NaN",
	"tab\tand\nline",
	"x",
	"qcow2-off",
};

static void
make_sixteen(struct rows *trials)
{
	struct rows one = {0};

	make_one_configuration(&one);
	for (size_t k = 0; k < ARRAY_SIZE(nasty); k++) {
		for (size_t i = 0; i < one.n; i++) {
			struct record *t = record_copy(one.v[i]);
			double factor = 1 + 0.1 * (double)k;
			char id[32];

			(void)snprintf(id, sizeof(id), "%zu-%.8s", k,
				       record_text(t, TRIAL_trial_id));
			record_set_text(t, TRIAL_trial_id, id);
			(void)snprintf(id, sizeof(id), "%zu-%.8s", k,
				       record_text(t, TRIAL_pass));
			record_set_text(t, TRIAL_cell_id, id);
			record_set_text(t, TRIAL_label, nasty[k]);
			record_set_real(t, TRIAL_duration_s,
					record_real(t, TRIAL_duration_s) /
						factor);
			record_set_real(t, TRIAL_iops,
					record_real(t, TRIAL_iops) * factor);
			record_set_real(t, TRIAL_bw_bytes_per_s,
					record_real(t, TRIAL_bw_bytes_per_s) *
						factor);
			rows_add(trials, t);
		}
	}
	rows_done(&one);
}

const struct plot_run plot_runs[] = {
	{"usual", DRAWS_ALL, "n = 6", make_usual, 8192, false, false, 5},
	{"two-rounds", DRAWS_ALL, "n = 2", make_two_rounds, 300, false, false,
	 200},
	{"one-round", DRAWS_ALL, "n = 1", make_one_round, 20, false, false, 1},
	{"one-configuration", DRAWS_ALL & ~DRAWS_BREAK_EVEN, "n = 6",
	 make_one_configuration, 500, false, false, 7},
	{"equal", DRAWS_ALL, "n = 6", make_equal, 1000, false, true, 4},
	{"zeros", DRAWS_CREATE | DRAWS_IOPS | DRAWS_LATENCY, "n = 6",
	 make_zeros, 1000, true, true, 4},
	{"gaps", DRAWS_ALL, "n = 6", make_gaps, 400, true, false, 6},
	{"sixteen", DRAWS_ALL, "n = 6", make_sixteen, 300, false, false, 20},
	{"nothing-else", DRAWS_CREATE | DRAWS_IOPS | DRAWS_BREAK_EVEN, "n = 6",
	 make_usual, 0, false, false, 0},
};

const unsigned plot_runs_n = ARRAY_SIZE(plot_runs);

/* ---- series and histograms ------------------------------------------------- */

static void
add_turn(const struct plot_run *run, const struct record *t, unsigned i,
	 struct rows *series)
{
	struct record *row = record_new(&table_series);
	struct rng rng = {.state = i + 100 * record_int(t, TRIAL_round)};
	double part = 1.0 / run->turns, s = record_real(t, TRIAL_duration_s);

	record_set_int(row, SERIES_session, 1);
	record_set_text(row, SERIES_trial_id, record_text(t, TRIAL_trial_id));
	record_set_text(row, SERIES_cell_id, record_text(t, TRIAL_cell_id));
	record_set_text(row, SERIES_label, record_text(t, TRIAL_label));
	record_set_text(row, SERIES_pass, record_text(t, TRIAL_pass));
	record_set_int(row, SERIES_round, record_int(t, TRIAL_round));
	record_set_int(row, SERIES_interval, i + 1);
	record_set_real(row, SERIES_t_s, s * part * (i + 1));
	record_set_real(row, SERIES_interval_s,
			run->equal_latency
				? s * part
				: s * part * exp(0.1 * world_noise(&rng)));
	record_set_real(row, SERIES_progress_pct, 100 * part * (i + 1));
	record_set_bool(row, SERIES_measured, true);
	record_set_int(row, SERIES_ops,
		       (uint64_t)(part * record_real(t, TRIAL_ops)));
	record_set_int(row, SERIES_bytes,
		       (uint64_t)(part * record_real(t, TRIAL_bytes)));
	rows_add(series, row);
}

void
plot_run_series(const struct plot_run *run, const struct rows *trials,
		struct rows *series)
{
	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];

		for (unsigned k = 0; record_has(t, TRIAL_rw) && k < run->turns;
		     k++) {
			if (record_has(t, TRIAL_duration_s))
				add_turn(run, t, k, series);
		}
	}
}

static void
put_buckets(const struct record *t, const struct hist *h, struct rows *rows)
{
	uint64_t first, last;

	for (unsigned b = 0; b < HIST_BUCKETS; b++) {
		struct record *row;

		if (!h->buckets[b])
			continue;
		row = record_new(&table_hist);
		hist_bounds(b, &first, &last);
		record_set_int(row, HIST_session, 1);
		record_set_text(row, HIST_trial_id,
				record_text(t, TRIAL_trial_id));
		record_set_text(row, HIST_cell_id,
				record_text(t, TRIAL_cell_id));
		record_set_text(row, HIST_label, record_text(t, TRIAL_label));
		record_set_text(row, HIST_pass, record_text(t, TRIAL_pass));
		record_set_int(row, HIST_round, record_int(t, TRIAL_round));
		record_set_text(row, HIST_op,
				strstr(record_text(t, TRIAL_rw), "read")
					? "read"
					: "write");
		record_set_text(row, HIST_lat_from, "submit");
		record_set_int(row, HIST_bucket_lo_ns, first);
		record_set_int(row, HIST_bucket_hi_ns, last + 1);
		record_set_int(row, HIST_count, h->buckets[b]);
		rows_add(rows, row);
	}
}

void
plot_run_hist(const struct plot_run *run, const struct rows *trials,
	      struct rows *rows)
{
	static struct hist h;
	struct rng rng = {.state = 7};

	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];
		/* Of a request, in ns. */
		double middle = 1e9 * record_real(t, TRIAL_iodepth) /
				record_real(t, TRIAL_iops);

		if (!record_has(t, TRIAL_rw) || !run->samples)
			continue;
		hist_init(&h);
		for (unsigned k = 0; k < run->samples; k++) {
			double ns = run->equal_latency
					    ? 250000
					    : middle * exp(0.6 *
							   world_noise(&rng));

			if (!isfinite(ns) ||
			    (run->zero_latency &&
			     (run->equal_latency || k % 3 == 0)))
				ns = 0;
			hist_add(&h, (uint64_t)ns);
		}
		put_buckets(t, &h, rows);
	}
}
