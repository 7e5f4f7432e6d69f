/* SPDX-License-Identifier: MIT */
/*
 * test_plots.c - plots of made-up runs: files, pictures, notices
 *
 * What they look like has to be seen (Q2_PLOTS=DIR keeps them); that they are
 * drawn, say what they must, without a warning and again by hand, is tested
 * here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/num.h"
#include "harness/cells.h"
#include "plots/plots.h"
#include "results/csv.h"
#include "tests/plot_runs.h"
#include "tests/trials.h"

static char dir[256];

static int
make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char plots[280];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%.200s/q2-plots.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(plots, sizeof(plots), "%s/plots", dir);
	return mkdir(plots, 0777);
}

static int
remove_dir(void **state)
{
	char command[300];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* Does the shell say yes, in the folder of plots? */
static bool
shell(const char *what)
{
	char command[2048];

	(void)snprintf(command, sizeof(command), "cd '%s/plots' && %s", dir,
		       what);
	return system(command) == 0;
}

/* Draw the run with that program. */
static void
draw_against(const char *baseline, const struct rows *trials,
	     const char *gnuplot, unsigned timeout_s, struct plots_result *ret)
{
	struct cells_opts named = {.reference = "raw-written",
				   .baseline = baseline};
	struct plots_opts opts = {
		.out = dir,
		.device = "ext4 on \"it's\" 100%d $HOME `date`, cache none",
		.gnuplot = gnuplot,
		.timeout_s = timeout_s,
	};
	struct rows cells = {0};
	struct q2_err err;

	cells_compute(trials, &named, &cells);
	assert_int_equal(plots_write(trials, &cells, &opts, ret, &err), 0);
	rows_done(&cells);
}

static void
draw_rows(const struct rows *trials, const char *gnuplot, unsigned timeout_s,
	  struct plots_result *ret)
{
	draw_against("qcow2-off", trials, gnuplot, timeout_s, ret);
}

static void
write_rows(const struct table *table, const struct rows *rows)
{
	char path[300];
	struct q2_err err;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, table->file);
	(void)remove(path);
	if (rows->n)
		assert_int_equal(csv_write_file(path, table, rows, &err), 0);
}

/* The run's files, and plots of them. */
static void
draw(const struct plot_run *run, const char *gnuplot, unsigned timeout_s,
     struct plots_result *ret)
{
	struct rows trials = {0}, series = {0}, hist = {0};

	(void)shell("rm -f *");
	run->make(&trials);
	plot_run_series(run, &trials, &series);
	plot_run_hist(run, &trials, &hist);
	write_rows(&table_series, &series);
	write_rows(&table_hist, &hist);
	draw_rows(&trials, gnuplot, timeout_s, ret);
	rows_done(&hist);
	rows_done(&series);
	rows_done(&trials);
}

/* ---- what a picture says --------------------------------------------------- */

static char *
read_file(const char *name)
{
	char path[300];
	char *text;
	FILE *f;
	long n;

	(void)snprintf(path, sizeof(path), "%s/plots/%s", dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	n = ftell(f);
	assert_true(n > 0);
	rewind(f);
	text = malloc((size_t)n + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)n, f), n);
	text[n] = '\0';
	(void)fclose(f);
	return text;
}

/* As it stands between two tags of an SVG. */
static void
escape(const char *text, char *out)
{
	for (; *text; text++) {
		const char *sign = *text == '&'   ? "&amp;"
				   : *text == '<' ? "&lt;"
						  : NULL;

		if (sign)
			out = stpcpy(out, sign);
		else if ((unsigned char)*text < ' ')
			*out++ = ' ';
		else
			*out++ = *text;
	}
	*out = '\0';
}

static void
assert_says(const char *name, const char *svg, const char *text)
{
	char escaped[1024];

	escape(text, escaped);
	if (!strstr(svg, escaped))
		fail_msg("%s.svg does not say: %s", name, text);
}

/* The label, or its two ends where it is too long. */
static void
assert_names(const char *name, const char *svg, const char *label)
{
	size_t n = strlen(label);
	char begin[25] = "";

	if (n < 60) {
		assert_says(name, svg, label);
		return;
	}
	(void)memcpy(begin, label, sizeof(begin) - 1);
	assert_says(name, svg, begin);
	assert_says(name, svg, label + n - 23);
}

/* Cairo takes four fifths of the time of a picture.  A light drawing has an SVG
 * in place of the PNG, by the same way through the script: size, font, output of
 * the second format. */
#define LIGHTER                                                          \
	"sed -i -e 's/\"pngcairo\"/\"svg\"/g' -e 's/pointscale 1.6 //' " \
	"style.gp"

static void
svg_size(const char *svg, unsigned *width, unsigned *height)
{
	const char *at = strstr(svg, "<svg");

	assert_non_null(at);
	at = strstr(at, "width=\"");
	assert_non_null(at);
	assert_int_equal(
		sscanf(at, "width=\"%u\" height=\"%u\"", width, height), 2);
}

/* Two pixels of the PNG for each of the SVG, which is 900 wide. */
static void
assert_sizes(const char *name, const char *svg, bool light)
{
	char file[64];
	char *png;
	const unsigned char *head;
	unsigned width, height, png_width, png_height;

	svg_size(svg, &width, &height);
	(void)snprintf(file, sizeof(file), "%s.png", name);
	png = read_file(file);
	head = (const unsigned char *)png;
	if (light) {
		svg_size(png, &png_width, &png_height);
	} else {
		assert_memory_equal(png + 1, "PNG", 3);
		png_width = head[18] << 8 | head[19];
		png_height = head[22] << 8 | head[23];
	}
	assert_int_equal(width, 900);
	assert_int_equal(png_width, 2 * width);
	assert_int_equal(png_height, 2 * height);
	free(png);
}

static const struct picture {
	const char *name, *title;
	bool first_write; /* of what has this pass */
	bool policies;    /* of those alone */
} pictures[] = {
	{"create", "What does creating an image cost? (lower is better)", false,
	 false},
	{"iops", "How fast is each configuration? (higher is better)", false,
	 false},
	{"latency",
	 "How long does a request take? (log scale, lower is better)", false,
	 false},
	{"progress",
	 "first-write: does the speed change on the way? (IOPS, higher is "
	 "better)",
	 true, false},
	{"break_even", "less time is better)", true, true},
};

static void
check_picture(const struct plot_run *run, const struct rows *trials,
	      const struct picture *picture, bool light)
{
	char file[64];
	char *svg;

	(void)snprintf(file, sizeof(file), "%s.svg", picture->name);
	svg = read_file(file);
	assert_non_null(strstr(svg, "</svg>"));
	/* of which some readers make nothing of the whole picture */
	assert_null(strstr(svg, "scale(0.00)"));
	assert_says(picture->name, svg, picture->title);
	assert_says(picture->name, svg, run->n);
	assert_says(picture->name, svg, "100%d $HOME `date`, cache none");
	assert_says(picture->name, svg,
		    record_bool(trials->v[0], TRIAL_modelled)
			    ? "modelled, not measured: ext4"
			    : "images of 640 MiB");
	for (size_t i = 0; i < trials->n; i++) {
		const struct record *t = trials->v[i];

		if (picture->first_write &&
		    strcmp(record_text(t, TRIAL_pass), "first-write") != 0)
			continue;
		if (picture->policies &&
		    strcmp(record_text(t, TRIAL_zero_policy), "range") != 0)
			continue;
		assert_names(picture->name, svg, record_text(t, TRIAL_label));
	}
	assert_sizes(picture->name, svg, light);
	free(svg);
}

static void
check_pictures(const struct plot_run *run, bool light)
{
	struct rows trials = {0};

	run->make(&trials);
	for (size_t i = 0; i < ARRAY_SIZE(pictures); i++) {
		if (run->draws & 1u << i)
			check_picture(run, &trials, &pictures[i], light);
	}
	rows_done(&trials);
	if (system("command -v xmllint >/dev/null") == 0)
		assert_true(shell("xmllint --noout *.svg"));
}

/* To be looked at: Q2_PLOTS=DIR test_plots. */
static void
keep_pictures(const struct plot_run *run)
{
	const char *keep = getenv("Q2_PLOTS");
	char command[600];

	if (!keep)
		return;
	(void)snprintf(command, sizeof(command),
		       "mkdir -p '%.200s/%s' && cp -r . '%.200s/%s/plots'",
		       keep, run->name, keep, run->name);
	assert_true(shell(command));
}

static bool
has_gnuplot(void)
{
	return system("command -v gnuplot >/dev/null") == 0;
}

/* Real PNG files: of a usual run, of the one with many signs and the largest
 * pictures, and of all that somebody wants to look at. */
static bool
is_light(const struct plot_run *run)
{
	return !getenv("Q2_PLOTS") && strcmp(run->name, "usual") != 0 &&
	       strcmp(run->name, "sixteen") != 0;
}

/* Every run is drawn, completely, and gnuplot has nothing to complain about. */
static void
test_all_runs_are_drawn(void **state)
{
	struct plots_result result;

	(void)state;
	if (!has_gnuplot()) {
		print_message("gnuplot is not installed\n");
		skip();
	}
	assert_true(shell("printf '#!/bin/sh\\nexec gnuplot \"$@\" "
			  "2>>../said\\n' >../listen && chmod +x ../listen"));
	assert_true(shell("cat >../light <<'EOF' && chmod +x ../light\n"
			  "#!/bin/sh\n" LIGHTER " && exec ../listen \"$@\"\n"
			  "EOF"));
	for (unsigned i = 0; i < plot_runs_n; i++) {
		const struct plot_run *run = &plot_runs[i];

		draw(run, is_light(run) ? "../light" : "../listen", 0, &result);
		keep_pictures(run);
		if (result.notice[0])
			fail_msg("%s: %s", run->name, result.notice);
		if (!shell("test ! -s ../said || { cat ../said; false; }"))
			fail_msg("%s: gnuplot said something", run->name);
		assert_int_equal(result.written,
				 2 * __builtin_popcount(run->draws));
		check_pictures(run, is_light(run));
	}
}

/* The folder has all it needs: its pictures can be drawn again in it. */
static void
test_pictures_are_drawn_again_by_hand(void **state)
{
	struct plots_result result;

	(void)state;
	if (!has_gnuplot()) {
		print_message("gnuplot is not installed\n");
		skip();
	}
	draw(&plot_runs[0], "/bin/true", 0, &result);
	assert_true(shell(
		LIGHTER
		" && rm ../*.csv && for f in create iops latency progress "
		"break_even; do "
		"$(sed -n '1s/^# To draw again, here: //p' $f.gp) 2>said && "
		"test ! -s said && test -s $f.png && test -s $f.svg || exit 1; "
		"done"));
}

/* An axis with 2500 and 7500 once said 2k and 8k. */
static void
test_steps_of_an_axis_are_what_they_say(void **state)
{
	struct plots_result result;

	(void)state;
	if (!has_gnuplot()) {
		print_message("gnuplot is not installed\n");
		skip();
	}
	draw(&plot_runs[0], "/bin/true", 0, &result);
	assert_true(shell("{ sed -n '/^step_text/,/[^\\]$/p' style.gp; echo '"
			  "print step_text(7500, 1e4), step_text(1500, 2000), "
			  "step_text(2.5e6, 4e6), step_text(500, 9000)'; } | "
			  "gnuplot 2>&1 | grep -qx '7.5k 1500 2.5M 500'"));
}

static void
test_csv_has_a_row_for_each_mark(void **state)
{
	struct plots_result result;

	(void)state;
	draw(&plot_runs[0], "/bin/true", 0, &result);
	assert_int_equal(result.written, 0);
	assert_string_equal(result.notice,
			    "no picture of create: gnuplot has drawn nothing");
	assert_true(shell("test $(wc -l <create.csv) = 9"));
	assert_true(shell("test $(wc -l <iops.csv) = 31"));
	assert_true(shell("test $(wc -l <rounds.csv) = 181"));
	/* 5 turns, each with a beginning and an end, of 6 configurations */
	assert_true(shell("test $(wc -l <progress.csv) = 61"));
	assert_true(
		shell("grep -q '^1,3,3,4,6,0.00.*,200704,create,qcow2-off$' "
		      "create.csv"));
	assert_true(shell("grep -q '^2,1,3,4,6,0.01.*,401408,create-disk,"
			  "qcow2-off$' create.csv"));
	assert_true(shell("grep -q '^5,1,1,6,18.*,MiB/s,seq-read,raw-sparse$' "
			  "iops.csv"));
}

static void
add_turn(struct rows *series, const struct record *trial, unsigned i,
	 double to_pct, double seconds, uint64_t ops)
{
	struct record *row = record_new(&table_series);

	record_set_text(row, SERIES_trial_id,
			record_text(trial, TRIAL_trial_id));
	record_set_text(row, SERIES_pass, "first-write");
	record_set_int(row, SERIES_interval, i);
	record_set_real(row, SERIES_interval_s, seconds);
	record_set_real(row, SERIES_progress_pct, to_pct);
	record_set_bool(row, SERIES_measured, true);
	record_set_int(row, SERIES_ops, ops);
	record_set_int(row, SERIES_bytes, ops * 4096);
	rows_add(series, row);
}

/* Two turns of 100 requests in one round, 1 s and 3 s; four of 50 and 1 s in
 * the other: a turn counts in each part that it reaches over. */
static void
test_progress_is_on_one_grid(void **state)
{
	struct world w = world_usual;
	struct rows trials = {0}, series = {0}, none = {0};
	struct plots_result result;

	(void)state;
	w.rounds = 2;
	for (unsigned c = 0; c < WORLD_CONFIGS; c++)
		w.first_write[c] = c == OFF;
	trials_make(&w, &trials);
	for (size_t i = 0; i < trials.n; i++) {
		struct record *t = trials.v[i];
		bool one = record_int(t, TRIAL_round) == 1;

		if (strcmp(record_text(t, TRIAL_pass), "first-write") != 0)
			continue;
		record_set_text(t, TRIAL_touch, "first");
		for (unsigned k = 1; k <= (one ? 2 : 4); k++)
			add_turn(&series, t, k, k * (one ? 50 : 25),
				 one && k == 2 ? 3 : 1, one ? 100 : 50);
	}
	write_rows(&table_series, &series);
	write_rows(&table_hist, &none);
	draw_rows(&trials, "/bin/true", 0, &result);
	assert_true(shell("printf '%s\\n' "
			  "place,progress_pct,n,min,median,max,unit,label "
			  "1,0,2,50,75,100,IOPS,qcow2-off "
			  "1,25,2,50,75,100,IOPS,qcow2-off "
			  "1,25,2,50,75,100,IOPS,qcow2-off "
			  "1,50,2,50,75,100,IOPS,qcow2-off >want && "
			  "head -5 progress.csv | diff want - >&2"));
	assert_true(shell("grep -q '^1,75,2,33[.]3[0-9]*,41[.]6[0-9]*,50,' "
			  "progress.csv && test $(wc -l <progress.csv) = 9"));
	rows_done(&series);
	rows_done(&trials);
}

/* Without a baseline nothing is ranked, and raw ranks nothing here. */
static void
test_break_even_is_against_the_baseline(void **state)
{
	static const struct {
		const char *baseline;
		const char *want;
	} rows[] = {
		{NULL, "test ! -e break_even.csv && test ! -e crossings.csv"},
		{"raw-written", "test ! -e break_even.csv"},
		{"qcow2-full",
		 "test -s break_even.csv && "
		 "grep -q ',qcow2-full,qcow2-off$' crossings.csv"},
		{"qcow2-off", "grep -q ',qcow2-off,qcow2-full$' crossings.csv"},
	};
	struct rows trials = {0};
	struct plots_result result;

	(void)state;
	plot_runs[0].make(&trials);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)shell("rm -f *");
		draw_against(rows[i].baseline, &trials, "/bin/true", 0,
			     &result);
		if (!shell(rows[i].want))
			fail_msg("baseline %s",
				 rows[i].baseline ? rows[i].baseline : "none");
	}
	rows_done(&trials);
}

static void
test_missing_gnuplot_is_a_notice(void **state)
{
	struct plots_result result;

	(void)state;
	assert_true(shell("echo old >create.png && echo old >latency.svg"));
	draw(&plot_runs[0], "no-such-gnuplot", 0, &result);
	assert_non_null(strstr(result.notice,
			       "no pictures: gnuplot is not installed ("));
	assert_int_equal(result.written, 0);
	assert_true(
		shell("for f in create iops latency progress break_even; do "
		      "test -s $f.gp && test -s $f.csv || exit 1; done && "
		      "test -s style.gp"));
	/* An old picture would stand beside other numbers. */
	assert_false(shell("ls *.png *.svg 2>/dev/null"));
}

static void
test_failing_gnuplot_is_a_notice(void **state)
{
	struct plots_result result;

	(void)state;
	draw(&plot_runs[0], "/bin/false", 0, &result);
	assert_string_equal(result.notice,
			    "no picture of create: gnuplot ended with status "
			    "1");
	/* one that never ends */
	assert_true(shell("printf '#!/bin/sh\\nexec sleep 60\\n' >../slow && "
			  "chmod +x ../slow"));
	draw(&plot_runs[0], "../slow", 1, &result);
	assert_string_equal(result.notice,
			    "no picture of create: gnuplot took more than 1 s");
}

/* A gnuplot that draws nothing but the ends of whole pictures, and then does
 * that. */
static void
make_painter(const char *path, const char *then)
{
	char command[1024];

	(void)snprintf(command, sizeof(command),
		       "cat >%s <<'EOF' && chmod +x %s\n"
		       "#!/bin/sh\n"
		       "printf 'IEND\\256B\\140\\202' >${2%%.gp}.png\n"
		       "echo '</svg>' >${2%%.gp}.svg\n"
		       "%s\nEOF\n",
		       path, path, then);
	assert_true(shell(command));
}

/* One bad script costs its own picture, whole and old, and no other. */
static void
test_one_failure_is_no_other(void **state)
{
	struct plots_result result;

	(void)state;
	make_painter("../fails", "test $2 != iops.gp || exit 3");
	draw(&plot_runs[0], "../fails", 0, &result);
	assert_string_equal(result.notice,
			    "no picture of iops: gnuplot ended with status 3");
	assert_int_equal(result.written, 8);
	assert_true(shell("test ! -e iops.png && test ! -e iops.svg"));
	assert_true(shell("test -s latency.png && test -s break_even.svg"));
}

/* gnuplot ends with status 0 when the disk gets full. */
static void
test_half_a_picture_is_none(void **state)
{
	static const char *const cuts[] = {
		"test $2 != iops.gp || truncate -s 7 iops.png",
		"test $2 != iops.gp || truncate -s 0 iops.png",
		"test $2 != iops.gp || truncate -s 5 iops.svg",
		"test $2 != iops.gp || truncate -s 0 iops.svg",
	};
	struct plots_result result;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		make_painter("../cuts", cuts[i]);
		draw(&plot_runs[0], "../cuts", 0, &result);
		assert_string_equal(result.notice,
				    "no picture of iops: gnuplot has not "
				    "written all of it; is the disk full?");
		assert_int_equal(result.written, 8);
		assert_true(shell("test ! -e iops.png && test ! -e iops.svg"));
		assert_true(shell("test -s latency.png"));
	}
}

static void
test_damaged_histogram_is_an_error(void **state)
{
	struct plots_opts opts = {.out = dir, .gnuplot = "/bin/true"};
	struct rows trials = {0}, cells = {0};
	struct plots_result result;
	struct q2_err err;

	(void)state;
	draw(&plot_runs[0], "/bin/true", 0, &result);
	assert_true(shell("sed -i '3s/submit/submit,1/' ../hist.csv"));
	plot_runs[0].make(&trials);
	assert_int_equal(plots_write(&trials, &cells, &opts, &result, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "hist.csv: line 3 has 13 fields, the "
					 "header 12"));
	assert_true(shell("rm ../hist.csv"));
	rows_done(&trials);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_runs_are_drawn),
		cmocka_unit_test(test_pictures_are_drawn_again_by_hand),
		cmocka_unit_test(test_steps_of_an_axis_are_what_they_say),
		cmocka_unit_test(test_csv_has_a_row_for_each_mark),
		cmocka_unit_test(test_progress_is_on_one_grid),
		cmocka_unit_test(test_break_even_is_against_the_baseline),
		cmocka_unit_test(test_missing_gnuplot_is_a_notice),
		cmocka_unit_test(test_failing_gnuplot_is_a_notice),
		cmocka_unit_test(test_one_failure_is_no_other),
		cmocka_unit_test(test_half_a_picture_is_none),
		cmocka_unit_test(test_damaged_histogram_is_an_error),
	};

	/* gnuplot wants a degree sign, which plain C has not. */
	(void)setenv("LC_ALL", "C.UTF-8", 1);
	return cmocka_run_group_tests_name("plots", tests, make_dir,
					   remove_dir);
}
