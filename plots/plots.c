/* SPDX-License-Identifier: MIT */
/*
 * plots.c - CSV and scripts for the plots of a run; see plots.h
 *
 * gnuplot cannot pivot, so each script gets a CSV with just its numbers.  The
 * few words that the script needs (caption, names of passes) stand at its top:
 * the folder is complete, and `gnuplot NAME.gp` in it draws again.
 */
#include "plots/plots.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "plots/gnuplot.h"
#include "plots/scripts.h"
#include "results/csv.h"
#include "results/number.h"

/* Distinct words in order of appearance; borrowed. */
struct words {
	const char *v[64];
	size_t n;
};

static size_t
words_place(struct words *words, const char *word)
{
	size_t i = 0;

	while (i < words->n && strcmp(words->v[i], word) != 0)
		i++;
	if (i == words->n && i < ARRAY_SIZE(words->v))
		words->v[words->n++] = word;
	return i + 1;
}

struct drawing {
	const struct rows *trials, *cells;
	const struct plots_opts *opts;
	char dir[PATH_MAX];
	struct words labels;
};

/* ---- what a cell is drawn as ------------------------------------------------ */

/* From this size of requests on, bytes say more than their number. */
#define LARGE_REQUEST (256 * KiB)

static bool
is_large(const struct record *cell)
{
	return record_int(cell, CELL_bs_bytes) >= LARGE_REQUEST;
}

static bool
is_metric(const struct record *cell, const char *name)
{
	return strcmp(record_text(cell, CELL_metric), name) == 0;
}

/* A speed: one metric for each cell with a stream of operations. */
static bool
is_speed(const struct record *cell)
{
	return record_has(cell, CELL_rw) &&
	       is_metric(cell, is_large(cell) ? "bw_bytes_per_s" : "iops");
}

static const char *
speed_unit(const struct record *cell)
{
	return is_large(cell) ? "MiB/s" : "IOPS";
}

/* Styles of style.gp: the same configuration looks the same everywhere. */
static unsigned
style_of(const struct record *cell, size_t place)
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
	const char *label = record_text(cell, CELL_label);

	if (strncmp(label, "own", 3) == 0)
		return 8;
	/* Labels of their own choosing: equal states would look equal. */
	if (strcmp(label, "raw-a") == 0 || strcmp(label, "raw-b") == 0)
		return 9 + (unsigned)(place - 1) % 4;
	for (size_t i = raw ? 0 : 3; i < (raw ? 3 : ARRAY_SIZE(states)); i++) {
		if (strcmp(state, states[i].state) == 0)
			return states[i].style;
	}
	return 9 + (unsigned)(place - 1) % 4;
}

/* ---- writing files ------------------------------------------------------------ */

static FILE *
start_file(const struct drawing *d, const char *name, struct q2_err *err)
{
	char path[PATH_MAX + 32];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	f = fopen(path, "we");
	if (!f)
		(void)q2_fail(err, -errno, "cannot write %s: %s", path,
			      strerror(errno));
	return f;
}

static int
finish_file(const struct drawing *d, FILE *f, const char *name,
	    struct q2_err *err)
{
	int bad = ferror(f);

	if (fclose(f) == 0 && !bad)
		return 0;
	return q2_fail(err, -EIO, "cannot write %s/%s", d->dir, name);
}

/* A number, or nothing where there is none; then what ends the field. */
static void
put_number(FILE *f, double value, char end)
{
	char text[NUMBER_SIZE] = "";

	if (isfinite(value))
		number_format(value, text);
	(void)fprintf(f, "%s%c", text, end);
}

/* Text in quotes in which gnuplot takes nothing for a sign. */
static void
put_quoted(FILE *f, const char *text)
{
	(void)fputc('\'', f);
	for (; *text; text++) {
		if (*text == '\'')
			(void)fputc('\'', f);
		if ((unsigned char)*text >= ' ')
			(void)fputc(*text, f);
	}
	(void)fputc('\'', f);
}

static void
put_string(FILE *f, const char *name, const char *text)
{
	(void)fprintf(f, "%s = ", name);
	put_quoted(f, text);
	(void)fputc('\n', f);
}

static void
put_head(const struct drawing *d, FILE *f, const char *name)
{
	(void)fprintf(f,
		      "# To draw again, here: gnuplot %s\n"
		      "configurations = %zu\n",
		      name, d->labels.n);
	put_string(f, "caption", d->opts->device ? d->opts->device : "");
	(void)fputs("set ytics (", f);
	for (size_t k = 0; k < d->labels.n; k++) {
		(void)fputs(k ? ", " : "", f);
		put_quoted(f, d->labels.v[k]);
		(void)fprintf(f, " %zu", k + 1);
	}
	(void)fputs(")\n", f);
}

static int
write_style(const struct drawing *d, struct q2_err *err)
{
	FILE *f = start_file(d, "style.gp", err);

	if (!f)
		return err->code;
	(void)fputs(script_style, f);
	return finish_file(d, f, "style.gp", err);
}

/* ---- create --------------------------------------------------------------------- */

/* The first pass without a stream of operations, which is the creation; NULL
 * if there is none. */
static const char *
create_pass(const struct drawing *d)
{
	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];

		if (!record_has(cell, CELL_rw) && is_metric(cell, "duration_s"))
			return record_text(cell, CELL_pass);
	}
	return NULL;
}

static const struct record *
find_cell(const struct drawing *d, const char *label, const char *pass,
	  const char *metric)
{
	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];

		if (strcmp(record_text(cell, CELL_label), label) == 0 &&
		    strcmp(record_text(cell, CELL_pass), pass) == 0 &&
		    is_metric(cell, metric))
			return cell;
	}
	return NULL;
}

/* Powers of 1024 that give an axis numbers below 1000. */
static const char *
axis_unit(double most, double *ret_scale)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB",
					    "TiB"};
	size_t i = 0;

	*ret_scale = 1;
	for (; most / *ret_scale >= 2000 && i + 1 < ARRAY_SIZE(units); i++)
		*ret_scale *= 1024;
	return units[i];
}

static void
put_create_rows(const struct drawing *d, FILE *f, const char *pass,
		double *most_s, double *most_bytes)
{
	(void)fputs("place,label,style,n,median_s,lo_s,hi_s,bytes\n", f);
	for (size_t k = 0; k < d->labels.n; k++) {
		const struct record *time = find_cell(d, d->labels.v[k], pass,
						      "duration_s");
		const struct record *space = find_cell(d, d->labels.v[k], pass,
						       "alloc_bytes");

		if (!time)
			continue;
		(void)fprintf(f, "%zu,", k + 1);
		csv_write_field(f, d->labels.v[k]);
		(void)fprintf(f, ",%u,%u,", style_of(time, k + 1),
			      (unsigned)record_int(time, CELL_n));
		put_number(f, record_real(time, CELL_median), ',');
		put_number(f, record_real(time, CELL_ci_lo), ',');
		put_number(f, record_real(time, CELL_ci_hi), ',');
		put_number(f, space ? record_real(space, CELL_median) : NAN,
			   '\n');
		*most_s = fmax(*most_s, record_real(time, CELL_max));
		if (space)
			*most_bytes = fmax(*most_bytes,
					   record_real(space, CELL_median));
	}
}

/* "6", or "5 to 6" where some trial has failed. */
static void
count_text(const struct drawing *d, const char *pass, char *text, size_t size)
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
		(void)snprintf(text, size, "%u", (unsigned)most);
	else
		(void)snprintf(text, size, "%u-%u", (unsigned)least,
			       (unsigned)most);
}

static void
put_size(const struct drawing *d, FILE *f, const char *pass)
{
	const struct record *cell = NULL;
	const char *unit;
	char text[64];
	double scale;

	for (size_t k = 0; k < d->labels.n && !cell; k++)
		cell = find_cell(d, d->labels.v[k], pass, "duration_s");
	unit = axis_unit(record_real(cell, CELL_virtual_bytes), &scale);
	(void)snprintf(text, sizeof(text), "%g %s",
		       record_real(cell, CELL_virtual_bytes) / scale, unit);
	put_string(f, "size", text);
}

static int
write_create(const struct drawing *d, const char *pass, struct q2_err *err)
{
	FILE *f = start_file(d, "create.csv", err);
	double most_s = 0, most_bytes = 0, scale;
	const char *unit;
	char n[32];
	int r;

	if (!f)
		return err->code;
	put_create_rows(d, f, pass, &most_s, &most_bytes);
	r = finish_file(d, f, "create.csv", err);
	if (r < 0)
		return r;
	f = start_file(d, "create.gp", err);
	if (!f)
		return err->code;
	put_head(d, f, "create.gp");
	count_text(d, pass, n, sizeof(n));
	put_string(f, "n", n);
	put_size(d, f, pass);
	unit = axis_unit(most_bytes, &scale);
	put_string(f, "unit", unit);
	/* An axis needs some length even where all are 0. */
	(void)fputs("most_s = ", f);
	put_number(f, most_s > 0 ? most_s : 1, '\n');
	(void)fputs("most_bytes = ", f);
	put_number(f, most_bytes > 0 ? most_bytes : 1, '\n');
	(void)fprintf(f, "scale = %.1f\n\n%s", scale, script_create);
	return finish_file(d, f, "create.gp", err);
}

/* ---- iops ------------------------------------------------------------------------ */

/* Was the round redone after this trial? */
static bool
is_superseded(const struct rows *trials, const struct record *trial)
{
	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];

		if (record_int(t, TRIAL_round) ==
			    record_int(trial, TRIAL_round) &&
		    record_int(t, TRIAL_session) ==
			    record_int(trial, TRIAL_session) &&
		    record_int(t, TRIAL_attempt) >
			    record_int(trial, TRIAL_attempt))
			return true;
	}
	return false;
}

static int
write_rounds(struct drawing *d, struct q2_err *err)
{
	FILE *f = start_file(d, "rounds.csv", err);

	if (!f)
		return err->code;
	(void)fputs("pass,place,round,value\n", f);
	for (size_t i = 0; i < d->trials->n; i++) {
		const struct record *t = d->trials->v[i];
		bool large = record_int(t, TRIAL_bs_bytes) >= LARGE_REQUEST;

		if (!record_has(t, TRIAL_iops) || record_has(t, TRIAL_error) ||
		    is_superseded(d->trials, t))
			continue;
		csv_write_field(f, record_text(t, TRIAL_pass));
		(void)fprintf(
			f, ",%zu,%u,",
			words_place(&d->labels, record_text(t, TRIAL_label)),
			(unsigned)record_int(t, TRIAL_round));
		put_number(f,
			   large ? record_real(t, TRIAL_bw_bytes_per_s) / MiB
				 : record_real(t, TRIAL_iops),
			   '\n');
	}
	return finish_file(d, f, "rounds.csv", err);
}

static int
write_iops_csv(struct drawing *d, struct q2_err *err)
{
	FILE *f = start_file(d, "iops.csv", err);

	if (!f)
		return err->code;
	(void)fputs("pass,unit,place,label,style,n,median,lo,hi\n", f);
	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];
		double scale = is_large(cell) ? MiB : 1;
		size_t place;

		if (!is_speed(cell))
			continue;
		place = words_place(&d->labels, record_text(cell, CELL_label));
		csv_write_field(f, record_text(cell, CELL_pass));
		(void)fprintf(f, ",%s,%zu,", speed_unit(cell), place);
		csv_write_field(f, record_text(cell, CELL_label));
		(void)fprintf(f, ",%u,%u,", style_of(cell, place),
			      (unsigned)record_int(cell, CELL_n));
		put_number(f, record_real(cell, CELL_median) / scale, ',');
		put_number(f, record_real(cell, CELL_ci_lo) / scale, ',');
		put_number(f, record_real(cell, CELL_ci_hi) / scale, '\n');
	}
	return finish_file(d, f, "iops.csv", err);
}

/* The greatest value of a pass, in its unit: what the axis has to hold. */
static double
most_of(const struct drawing *d, const char *pass)
{
	double most = 0;

	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];

		if (is_speed(cell) &&
		    strcmp(record_text(cell, CELL_pass), pass) == 0)
			most = fmax(most,
				    record_real(cell, CELL_max) /
					    (is_large(cell) ? (double)MiB : 1));
	}
	return most > 0 ? most : 1;
}

/* Passes, units, numbers of trials and axes as lists of words. */
static size_t
put_passes(const struct drawing *d, FILE *f)
{
	struct words passes = {.n = 0};
	char units[512] = "", counts[2560] = "", names[4096] = "", n[32];
	char mosts[64 * NUMBER_SIZE + 64] = "", most[NUMBER_SIZE];

	for (size_t i = 0; i < d->cells->n; i++) {
		const struct record *cell = d->cells->v[i];
		const char *pass = record_text(cell, CELL_pass);
		size_t before = passes.n;

		if (!is_speed(cell) || strlen(names) + strlen(pass) > 4000)
			continue;
		(void)words_place(&passes, pass);
		if (passes.n == before)
			continue;
		count_text(d, pass, n, sizeof(n));
		(void)strcat(strcat(names, pass), " ");
		(void)strcat(strcat(units, speed_unit(cell)), " ");
		(void)strcat(strcat(counts, n), " ");
		number_format(most_of(d, pass), most);
		(void)strcat(strcat(mosts, most), " ");
	}
	(void)fprintf(f, "passes = %zu\n", passes.n);
	put_string(f, "pass_names", names);
	put_string(f, "units", units);
	put_string(f, "counts", counts);
	put_string(f, "mosts", mosts);
	return passes.n;
}

static int
write_iops(struct drawing *d, struct q2_err *err)
{
	FILE *f;
	int r;

	r = write_iops_csv(d, err);
	if (r == 0)
		r = write_rounds(d, err);
	if (r < 0)
		return r;
	f = start_file(d, "iops.gp", err);
	if (!f)
		return err->code;
	put_head(d, f, "iops.gp");
	(void)put_passes(d, f);
	(void)fprintf(f, "\n%s", script_iops);
	return finish_file(d, f, "iops.gp", err);
}

/* ---- all of it --------------------------------------------------------------------- */

static bool
has_speeds(const struct drawing *d)
{
	for (size_t i = 0; i < d->cells->n; i++) {
		if (is_speed(d->cells->v[i]))
			return true;
	}
	return false;
}

int
plots_write(const struct rows *trials, const struct rows *cells,
	    const struct plots_opts *opts, struct plots_result *ret,
	    struct q2_err *err)
{
	struct drawing d = {.trials = trials, .cells = cells, .opts = opts};
	const char *pass = NULL;
	struct q2_err own = {0};
	int r;

	err = err ? err : &own;
	*ret = (struct plots_result){0};
	for (size_t i = 0; i < cells->n; i++)
		(void)words_place(&d.labels,
				  record_text(cells->v[i], CELL_label));
	(void)snprintf(d.dir, sizeof(d.dir), "%.4000s/plots", opts->out);
	if (mkdir(d.dir, 0777) < 0 && errno != EEXIST)
		return q2_fail(err, -errno, "cannot make %s: %s", d.dir,
			       strerror(errno));
	pass = create_pass(&d);
	r = write_style(&d, err);
	if (r == 0 && pass)
		r = write_create(&d, pass, err);
	if (r == 0 && has_speeds(&d))
		r = write_iops(&d, err);
	if (r < 0)
		return r;
	if (pass)
		gnuplot_run(d.dir, "create", opts, ret);
	if (has_speeds(&d) && !ret->notice[0])
		gnuplot_run(d.dir, "iops", opts, ret);
	return 0;
}
