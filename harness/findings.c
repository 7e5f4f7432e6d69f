/* SPDX-License-Identifier: MIT */
#include "harness/findings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/cells.h"
#include "harness/exit.h"
#include "harness/wrap.h"

/* More than anyone waits for. */
#define ROUNDS_MANY 100

static void *
must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* ---- verdicts ------------------------------------------------------------ */

static bool
verdict_from(const char *word, enum verdict *ret)
{
	for (int v = VERDICT_REGRESSION; v <= VERDICT_CANNOT_TELL; v++) {
		*ret = (enum verdict)v;
		if (strcmp(verdict_word(*ret), word) == 0)
			return true;
	}
	return false;
}

/* On which side of the margin is it?  At least twice the rounds there were. */
static size_t
rounds_needed(const struct record *cell)
{
	double margin = record_real(cell, CELL_margin);
	double log_ratio = fabs(
		log(record_real(cell, CELL_ratio_to_reference)));
	double diff = fabs(log_ratio - log1p(margin));
	size_t n = verdict_rounds_for(record_real(cell, CELL_sd_log),
				      fmax(diff, 1e-6));

	return max_u64(n, 2 * record_int(cell, CELL_n));
}

static void
add(struct findings_of *of, const struct record *cell)
{
	struct finding f = {.cell = cell};

	if (!verdict_from(record_text(cell, CELL_verdict), &f.verdict))
		return;
	if (f.verdict == VERDICT_CANNOT_TELL)
		f.rounds_needed = rounds_needed(cell);
	of->v = must(reallocarray(of->v, of->n + 1, sizeof(*of->v)));
	of->v[of->n++] = f;
}

/* ---- words --------------------------------------------------------------- */

static const char *
metric_text(const char *metric)
{
	static const struct {
		const char *metric, *text;
	} texts[] = {
		{"iops", "requests per second"},
		{"bw_bytes_per_s", "bytes per second"},
		{"duration_s", "time"},
		{"open_s", "time to open"},
		{"close_s", "time to close"},
		{"alloc_bytes", "bytes on disk"},
		{"file_bytes", "length of the file"},
		{"metadata_bytes", "bytes of tables"},
		{"rss_peak_bytes", "memory"},
		{"cpu_s_per_gib", "processor time per GiB"},
		{"lat_p50_us", "median latency"},
		{"lat_p99_us", "99th percentile of latency"},
		{"write_amp", "bytes written per byte"},
		{"read_amp", "bytes read per byte"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(texts[i].metric, metric) == 0)
			return texts[i].text;
	}
	return metric;
}

/* From twice on, a factor is easier to read than a percentage. */
#define TWICE 2.0

/* One interval is in one unit. */
static void
change(double ratio, bool in_times, char *text, size_t size)
{
	double percent = 100 * (ratio - 1);
	int after = fabs(percent) < 9.95 || percent < -98.95 ? 1 : 0;

	if (in_times)
		(void)snprintf(text, size, "%.*f times",
			       ratio < 0.995  ? 2
			       : ratio < 9.95 ? 1
					      : 0,
			       ratio);
	else if (fabs(percent) < 0.05)
		(void)snprintf(text, size, "+0%%");
	else
		(void)snprintf(text, size, "%+.*f%%", after, percent);
}

/* "depth-5 (-18%, -25% to -12%)" */
static void
put_one(FILE *f, const struct finding *found)
{
	const struct record *cell = found->cell;
	double least = record_real(cell, CELL_ratio_lo);
	double most = record_real(cell, CELL_ratio_hi);
	bool in_times = most >= TWICE;
	char at[32], lo[32], hi[32];

	change(record_real(cell, CELL_ratio_to_reference), in_times, at,
	       sizeof(at));
	change(least, in_times, lo, sizeof(lo));
	change(most, in_times, hi, sizeof(hi));
	(void)fprintf(f, "%s (%s", record_text(cell, CELL_label), at);
	/* "1.7 to 2.2 times" */
	if (strcmp(lo, hi) != 0)
		(void)fprintf(f, ", %.*s to %s",
			      (int)(in_times ? strcspn(lo, " ") : strlen(lo)),
			      lo, hi);
	if (found->rounds_needed > ROUNDS_MANY)
		(void)fprintf(f, "; it would take more than %d rounds",
			      ROUNDS_MANY);
	else if (found->rounds_needed)
		(void)fprintf(f, "; about %zu rounds would tell",
			      found->rounds_needed);
	(void)fputc(')', f);
}

struct words {
	enum verdict verdict;
	char text[96];
};
#define WORDS 5

/* "better than plain:", or, where the reference stands above, "better:" */
static void
words_of(const char *reference, double margin, struct words ret[WORDS])
{
	const char *than = reference ? " than " : "";
	double percent = 100 * margin;

	reference = reference ? reference : "";
	for (size_t i = 0; i < WORDS; i++)
		ret[i].verdict = (enum verdict[WORDS]){
			VERDICT_IMPROVEMENT, VERDICT_REGRESSION, VERDICT_SAME,
			VERDICT_MINOR, VERDICT_CANNOT_TELL}[i];
	(void)snprintf(ret[0].text, sizeof(ret[0].text), "better%s%s:", than,
		       reference);
	(void)snprintf(ret[1].text, sizeof(ret[1].text), "worse%s%s:", than,
		       reference);
	(void)snprintf(ret[2].text, sizeof(ret[2].text),
		       "the same within %g%%:", percent);
	(void)snprintf(ret[3].text, sizeof(ret[3].text),
		       "different, but perhaps by less than %g%%:", percent);
	(void)snprintf(ret[4].text, sizeof(ret[4].text), "cannot tell:");
}

/* "better: depth-5 (...) and depth-10 (...)"; false, and nothing, if it is of
 * none. */
static bool
put_class(FILE *f, const struct findings_of *of, const struct words *words,
	  const char *before)
{
	size_t n = 0, done = 0;

	for (size_t i = 0; i < of->n; i++)
		n += of->v[i].verdict == words->verdict;
	if (n == 0)
		return false;
	(void)fprintf(f, "%s%s ", before, words->text);
	for (size_t i = 0; i < of->n; i++) {
		if (of->v[i].verdict != words->verdict)
			continue;
		if (done)
			(void)fputs(done + 1 == n ? " and " : ", ", f);
		put_one(f, &of->v[i]);
		done++;
	}
	return true;
}

static void
write_sentence(struct findings_of *of, const char *reference, double margin)
{
	struct words all[WORDS];
	bool any = false;
	size_t size;
	FILE *f = must(open_memstream(&of->sentence, &size));

	words_of(reference, margin, all);
	(void)fprintf(f, "%s, %s: ", of->pass, metric_text(of->metric));
	for (size_t i = 0; i < WORDS; i++)
		any |= put_class(f, of, &all[i], any ? "; " : "");
	(void)fputs(any ? "." : "nothing to compare.", f);
	(void)fclose(f);
}

/* The same in lines: a heading, and a line for each verdict. */
static void
print_lines(FILE *f, const struct findings_of *of, const char *reference,
	    double margin)
{
	struct words all[WORDS];

	words_of(NULL, margin, all);
	(void)fprintf(f, "%s, %s, against %s:\n", of->pass,
		      metric_text(of->metric), reference);
	for (size_t i = 0; i < WORDS; i++) {
		char *line = NULL;
		size_t size;
		FILE *text = must(open_memstream(&line, &size));
		bool any = put_class(text, of, &all[i], "");

		(void)fclose(text);
		if (any) {
			(void)fputs("  ", f);
			wrap_words(f, line, 2, 6);
		}
		free(line);
	}
}

/* ---- in sum ----------------------------------------------------------------- */

/* In how much that is judged is this configuration better, or worse? */
static void
count(const struct findings *f, const char *label, size_t *ret_better,
      size_t *ret_worse)
{
	*ret_better = *ret_worse = 0;
	for (size_t i = 0; i < f->n; i++) {
		for (size_t k = 0; k < f->of[i].n; k++) {
			const struct finding *one = &f->of[i].v[k];

			if (strcmp(record_text(one->cell, CELL_label), label) !=
			    0)
				continue;
			*ret_better += one->verdict == VERDICT_IMPROVEMENT;
			*ret_worse += one->verdict == VERDICT_REGRESSION;
		}
	}
}

/* What can be taken without a loss, whoever weighs one metric more than
 * another. */
static void
write_sum(struct findings *f, const struct rows *cells)
{
	size_t n = 0, nlabels, better, worse, size;
	const char **labels = cells_labels_in_order(cells, &nlabels);
	FILE *text = must(open_memstream(&f->sum, &size));

	for (size_t i = 0; i < nlabels; i++) {
		count(f, labels[i], &better, &worse);
		if (better && !worse)
			(void)fprintf(text, "%s%s",
				      n++ ? ", "
					  : "In sum, better in something and "
					    "worse in nothing that is judged: ",
				      labels[i]);
	}
	if (n == 0)
		(void)fprintf(text,
			      "In sum, nothing is better than %s in something "
			      "and worse in nothing that is judged",
			      f->reference);
	(void)fputs(".", text);
	(void)fclose(text);
	free(labels);
}

/* ---- notes --------------------------------------------------------------- */

static void
add_notes(struct findings *f, const struct rows *cells)
{
	static const char *const memory[] = {"tmpfs", "ramfs", "overlay",
					     "overlayfs"};
	const char *fs = cells->n ? record_text(cells->v[0], CELL_filesystem)
				  : "";
	bool judged = false, told = false;

	for (size_t i = 0; i < f->n; i++) {
		for (size_t k = 0; k < f->of[i].n; k++) {
			judged = true;
			told |= f->of[i].v[k].verdict != VERDICT_CANNOT_TELL;
		}
	}
	if (!judged)
		f->notes[f->nnotes++] =
			"No verdicts: they take 6 whole rounds. run --resume "
			"goes on with a run that was stopped; --rounds 6 "
			"makes more.";
	for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
		if (strcmp(fs, memory[i]) == 0)
			f->notes[f->nnotes++] =
				"This was measured in memory: of processor "
				"time it tells, of a disk nothing; name a "
				"folder on one with --dir.";
	}
	f->exit_code = told ? BENCH_OK : BENCH_INCONCLUSIVE;
}

/* ---- all ----------------------------------------------------------------- */

static const char *
text_at(const json_t *pair, const char *key)
{
	const char *text = json_string_value(json_object_get(pair, key));

	return text ? text : "";
}

void
findings_of_cells(const struct rows *cells, const json_t *judge,
		  const char *reference, struct findings *ret)
{
	json_t *pair;
	size_t i;

	*ret = (struct findings){.reference = reference ? reference : "",
				 .margin = 0.05};
	ret->of = must(calloc(json_array_size(judge) + 1, sizeof(*ret->of)));
	json_array_foreach(judge, i, pair)
	{
		struct findings_of *of = &ret->of[ret->n++];

		of->pass = text_at(pair, "pass");
		of->metric = text_at(pair, "metric");
		for (size_t c = 0; c < cells->n; c++) {
			const struct record *cell = cells->v[c];

			if (strcmp(record_text(cell, CELL_pass), of->pass) ==
				    0 &&
			    strcmp(record_text(cell, CELL_metric),
				   of->metric) == 0)
				add(of, cell);
			if (record_has(cell, CELL_margin))
				ret->margin = record_real(cell, CELL_margin);
		}
		write_sentence(of, ret->reference, ret->margin);
	}
	write_sum(ret, cells);
	add_notes(ret, cells);
}

void
findings_done(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->of[i].v);
		free(f->of[i].sentence);
	}
	free(f->of);
	free(f->sum);
	*f = (struct findings){0};
}

void
findings_print(const struct findings *f, FILE *out)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->of[i].n)
			print_lines(out, &f->of[i], f->reference, f->margin);
	}
	if (f->exit_code == BENCH_OK)
		wrap_words(out, f->sum, 0, 2);
	for (size_t i = 0; i < f->nnotes; i++)
		wrap_words(out, f->notes[i], 0, 0);
}

static json_t *
verdict_json(const struct finding *found)
{
	const struct record *cell = found->cell;
	json_t *json = json_object();

	(void)json_object_set_new(json, "label",
				  json_string(record_text(cell, CELL_label)));
	(void)json_object_set_new(json, "verdict",
				  json_string(verdict_word(found->verdict)));
	(void)json_object_set_new(
		json, "ratio",
		json_real(record_real(cell, CELL_ratio_to_reference)));
	(void)json_object_set_new(json, "lo",
				  json_real(record_real(cell, CELL_ratio_lo)));
	(void)json_object_set_new(json, "hi",
				  json_real(record_real(cell, CELL_ratio_hi)));
	if (found->rounds_needed)
		(void)json_object_set_new(
			json, "rounds_needed",
			json_integer((json_int_t)found->rounds_needed));
	return json;
}

json_t *
findings_json(const struct findings *f)
{
	json_t *array = json_array();

	for (size_t i = 0; i < f->n; i++) {
		const struct findings_of *of = &f->of[i];
		json_t *json = json_object(), *verdicts = json_array();

		(void)json_object_set_new(json, "pass", json_string(of->pass));
		(void)json_object_set_new(json, "metric",
					  json_string(of->metric));
		(void)json_object_set_new(json, "sentence",
					  json_string(of->sentence));
		for (size_t k = 0; k < of->n; k++)
			(void)json_array_append_new(verdicts,
						    verdict_json(&of->v[k]));
		(void)json_object_set_new(json, "verdicts", verdicts);
		(void)json_array_append_new(array, json);
	}
	return array;
}
