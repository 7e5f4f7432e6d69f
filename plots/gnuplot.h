/* SPDX-License-Identifier: MIT */
/*
 * gnuplot.h - run gnuplot on a script, with a limit of time; for plots.c
 */
#ifndef PLOTS_GNUPLOT_H
#define PLOTS_GNUPLOT_H

#include "plots/plots.h"

/* PNG and SVG of that name in dir, if they are there. */
void gnuplot_remove_pictures(const char *dir, const char *name);

/*
 * Run NAME.gp in dir, where no picture of that name is.  Adds the pictures that came out to ret->written; what
 * went wrong goes into ret->notice, unless something is there already, and then
 * half a picture is not left.
 * False if further scripts need not be tried: gnuplot is missing, or hangs.
 */
bool gnuplot_run(const char *dir, const char *name,
		 const struct plots_opts *opts, struct plots_result *ret);

#endif
