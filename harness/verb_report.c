/* SPDX-License-Identifier: MIT */
/*
 * verb_report.c - make again what follows from a run's trials.jsonl
 *
 * For a folder whose run was killed, for files that were lost or were made by
 * an older version, and to look at a run while it is at work.
 */
#include <inttypes.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/color.h"
#include "harness/output.h"
#include "harness/report.h"
#include "harness/verb.h"

struct report_args {
	const char *format, *color;
};

static const struct option_spec report_options[] = {
	{"format", OPTION_WORD, offsetof(struct report_args, format), "X",
	 report_formats,
	 "print this to stdout; json and csv write no files (default table)"},
	COLOR_OPTION(offsetof(struct report_args, color)),
};

/* run.json tells what is whole now, and that nobody is at work. */
static int
update_run(const struct output *out, struct measured *m, struct q2_err *err)
{
	const char *state = measured_text(m->run, "state");
	const json_t *rounds = json_object_get(m->run, "rounds_done");
	bool running = strcmp(state, "running") == 0;
	json_t *guards;

	if (!running &&
	    (uint64_t)json_integer_value(rounds) == m->of[MEASURED_SUITE].n)
		return 0;
	if (running)
		(void)json_object_set_new(m->run, "state",
					  json_string("interrupted"));
	guards = json_object_get(m->run, "guards");
	(void)json_object_set_new(guards, "redone",
				  measured_json_int(m->redone));
	(void)json_object_set_new(guards, "disturbed",
				  measured_json_int(m->disturbed));
	(void)json_object_set_new(m->run, "rounds_done",
				  measured_json_int(m->of[MEASURED_SUITE].n));
	return output_run_json(out, m->run, err);
}

static void
say_what_is_missing(const struct measured *m, const char *out)
{
	uint64_t want = measured_int(json_object_get(m->run, "plan"), "rounds");
	bool running = strcmp(measured_text(m->run, "state"), "running") == 0;

	if (m->torn)
		(void)fprintf(stderr,
			      "note: the last line of %s/trials.jsonl was cut "
			      "and is left out\n",
			      out);
	if (m->of[MEASURED_SUITE].n < want)
		(void)fprintf(stderr,
			      "note: %" PRIu64 " of %" PRIu64
			      " rounds are whole; to go on%s: qcowbench run "
			      "--resume %s\n",
			      m->of[MEASURED_SUITE].n, want,
			      running ? ", if nobody is at work" : "", out);
}

static int
write_files(const struct output *out, struct measured *m,
	    const struct report *report, struct q2_err *err)
{
	struct plots_result plots = {0};
	int r = update_run(out, m, err);

	if (r >= 0)
		r = report_write_csv(report, out->path, err);
	if (r >= 0 && m->of[MEASURED_SUITE].n > 0)
		r = report_draw(report, out->path, &plots, err);
	if (r >= 0 && plots.notice[0])
		(void)fprintf(stderr, "note: %s\n", plots.notice);
	return r;
}

static enum bench_exit
make_report(const char *path, const struct output *out,
	    enum report_format format, const char *color, struct q2_err *err)
{
	enum bench_exit code;
	struct measured m;
	struct report report;
	int r = measured_load(&m, path, err);

	if (r < 0) {
		measured_done(&m);
		return r == -EBADE ? BENCH_NOTHING : BENCH_USAGE;
	}
	report_init(&report, &m);
	report.color = color;
	say_what_is_missing(&m, path);
	code = report_exit(&report);
	if (code == BENCH_NOTHING)
		(void)q2_fail(err, -ENODATA, "%s: no round is whole", path);
	if (format == REPORT_TABLE && write_files(out, &m, &report, err) < 0)
		code = BENCH_ENVIRONMENT;
	report_print(&report, stdout, format);
	report_done(&report);
	measured_done(&m);
	return code;
}

/* What to do where nothing can be written, behind the reason. */
static enum bench_exit
not_opened(const char *path, int r, struct q2_err *err)
{
	size_t n = strlen(err->text);

	if (r == -ENOENT || r == -EBUSY || r == -ENAMETOOLONG)
		return BENCH_USAGE;
	if (r == -EROFS || r == -EACCES || r == -EPERM)
		(void)snprintf(err->text + n, sizeof(err->text) - n,
			       "; with --format json or csv nothing is "
			       "written, and a copy has it all: cp -r %s COPY",
			       path);
	return BENCH_ENVIRONMENT;
}

static enum bench_exit
run_report(int argc, char **argv, struct q2_err *err)
{
	struct output out = {.jsonl = -1, .lock = -1};
	struct report_args args = {0};
	const char *path = NULL;
	enum report_format format;
	enum bench_exit code;
	int r;

	r = options_parse(&verb_report.options, argc, argv, &args,
			  (struct operands){&path, 1}, err);
	if (r < 0)
		return BENCH_USAGE;
	if (!path) {
		(void)q2_fail(err, -EINVAL,
			      "which run? Name the folder that it has left");
		return BENCH_USAGE;
	}
	format = report_format_of(args.format);
	r = format == REPORT_TABLE ? output_open(&out, path, false, err)
				   : output_check(path, err);
	if (r < 0)
		code = not_opened(path, r, err);
	else
		code = make_report(path, &out, format, args.color, err);
	output_done(&out);
	return code;
}

const struct verb verb_report = {
	.name = "report",
	.operands = "OUT",
	.help = "make CSV, plots, table and sentence again from a run's folder",
	.options = {report_options, ARRAY_SIZE(report_options)},
	.more = "Everything is made from OUT/run.json and OUT/trials.jsonl; "
		"other files there\n"
		"are written anew.  With --format json or csv nothing is "
		"written, and the run\n"
		"may still be at work.\n\n"
		"  qcowbench report OUT --format json | jq .advice.sentence\n",
	.run = run_report,
};
