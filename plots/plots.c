/* SPDX-License-Identifier: MIT */
/*
 * plots.c - CSV and scripts for the plots of a run; see plots.h
 *
 * gnuplot cannot pivot, so each script gets a CSV with just its numbers.  The
 * few words that the script needs (caption, names of passes) stand at its top:
 * the folder is complete, and `gnuplot NAME.gp` in it draws again.
 */
#include "plots/plots.h"

#include <stdio.h>
#include <sys/stat.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "plots/drawing.h"
#include "plots/gnuplot.h"
#include "plots/put.h"
#include "plots/questions.h"
#include "plots/scripts.h"

static const struct question {
	const char *name;
	int (*write)(const struct drawing *d, bool *ret_drawn,
		     struct q2_err *err);
} questions[] = {
	{"create", create_write},         {"iops", iops_write},
	{"latency", latency_write},       {"progress", progress_write},
	{"break_even", break_even_write}, {"judged", judged_write},
};

static int
write_style(const struct drawing *d, struct q2_err *err)
{
	FILE *f = put_start(d, "style.gp", err);

	if (!f)
		return err->code;
	(void)fputs(script_style, f);
	return put_finish(d, f, "style.gp", err);
}

static int
write_and_draw(struct drawing *d, struct plots_result *ret, struct q2_err *err)
{
	bool drawn[ARRAY_SIZE(questions)] = {false}, go_on = true;
	int r = write_style(d, err);

	/* An old picture would stand beside other numbers. */
	for (size_t i = 0; i < ARRAY_SIZE(questions) && r == 0; i++)
		gnuplot_remove_pictures(d->dir, questions[i].name);
	/* All files first: they are there even if gnuplot hangs. */
	for (size_t i = 0; i < ARRAY_SIZE(questions) && r == 0; i++)
		r = questions[i].write(d, &drawn[i], err);
	for (size_t i = 0; i < ARRAY_SIZE(questions) && r == 0 && go_on; i++) {
		if (drawn[i])
			go_on = gnuplot_run(d->dir, questions[i].name, d->opts,
					    ret);
	}
	return r;
}

/* A link would lead out of the run's folder, which may be somebody else's. */
static int
make_folder(const char *path, struct q2_err *err)
{
	struct stat st;

	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return q2_fail(err, -errno, "cannot make %s: %s", path,
			       strerror(errno));
	if (lstat(path, &st) < 0)
		return q2_fail(err, -errno, "cannot make %s: %s", path,
			       strerror(errno));
	if (S_ISDIR(st.st_mode))
		return 0;
	return q2_fail(err, -ENOTDIR,
		       "%s is not a folder, or a link to one; remove it", path);
}

int
plots_write(const struct rows *trials, const struct rows *cells,
	    const struct plots_opts *opts, struct plots_result *ret,
	    struct q2_err *err)
{
	Q2_AUTO(drawing) d;
	struct q2_err own = {0};
	int r;

	err = err ? err : &own;
	*ret = (struct plots_result){0};
	drawing_init(&d, trials, cells, opts);
	(void)snprintf(d.dir, sizeof(d.dir), "%.4000s/plots", opts->out);
	r = make_folder(d.dir, err);
	return r < 0 ? r : write_and_draw(&d, ret, err);
}
