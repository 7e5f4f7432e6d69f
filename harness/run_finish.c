/* SPDX-License-Identifier: MIT */
/*
 * run_finish.c - what a run leaves: files, table, sentence, plots
 */
#include <errno.h>
#include <stdio.h>

#include "harness/report.h"
#include "harness/run.h"

/* Talk that belongs to a table stands below it; to data, on stderr. */
static void
tell(struct run *run, enum report_format format, const char *text)
{
	if (format == REPORT_TABLE)
		printf("%s\n", text);
	else
		progress_say(&run->progress, "%s", text);
}

static enum bench_exit
draw(struct run *run, const struct report *report, enum report_format format,
     struct q2_err *err)
{
	struct plots_result plots = {0};
	char text[OUTPUT_PATH + 100];

	progress_draw(&run->progress, "drawing the plots");
	if (report_draw(report, run->out.path, &plots, err) < 0)
		return BENCH_ENVIRONMENT;
	progress_done(&run->progress);
	if (format == REPORT_TABLE)
		printf("\n");
	(void)snprintf(text, sizeof(text),
		       "results: %s/ (trials.csv, cells.csv, series.csv, "
		       "hist.csv, run.json%s)",
		       run->out.path, plots.written ? ", plots/" : "");
	tell(run, format, text);
	(void)snprintf(text, sizeof(text), "note: %s", plots.notice);
	if (plots.notice[0])
		progress_say(&run->progress, "%s", text);
	return BENCH_OK;
}

static const char *
state_of(enum bench_exit code)
{
	return code == BENCH_OK            ? "done"
	       : code == BENCH_INTERRUPTED ? "interrupted"
					   : "failed";
}

enum bench_exit
run_finish(struct run *run, enum bench_exit code, struct q2_err *err)
{
	enum report_format format = report_format_of(run->args.format);
	struct report report;
	struct q2_err why;
	int r;

	r = run_write_json(run, state_of(code), &why);
	report_init(&report, &run->measured);
	report.headless = run->args.is_next;
	report.color = run->args.color;
	if (r >= 0)
		r = report_write_csv(&report, run->out.path, &why);
	/* What was measured is shown, whether or not it could be written. */
	progress_done(&run->progress);
	if (format == REPORT_TABLE && run->args.is_next)
		printf("\n");
	report_print(&report, stdout, format);
	(void)fflush(stdout);
	if (r >= 0 && run->measured.of[MEASURED_SUITE].n > 0 &&
	    draw(run, &report, format, &why) != BENCH_OK)
		r = why.code;
	if ((r == -ENOSPC || r == -EDQUOT) &&
	    run->measured.of[MEASURED_SUITE].n > 0)
		progress_say(&run->progress,
			     "what was measured is kept: when there is room, "
			     "qcowbench report %s writes the files",
			     run->out.path);
	if (code == BENCH_OK) {
		code = r < 0 ? BENCH_ENVIRONMENT : report_exit(&report);
		/* Else the first failure is the reason. */
		if (r < 0)
			*err = why;
	}
	report_done(&report);
	return code;
}
