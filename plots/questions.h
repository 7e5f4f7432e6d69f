/* SPDX-License-Identifier: MIT */
/*
 * questions.h - one picture for each question: its CSV and its script
 *
 * Each writes NAME.csv and NAME.gp into the drawing's folder, if the run has
 * anything to draw there, and says so in *ret_drawn.  Returns 0, or why a file
 * could not be written.
 */
#ifndef PLOTS_QUESTIONS_H
#define PLOTS_QUESTIONS_H

#include "plots/drawing.h"

/* What does creating an image cost? */
int create_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err);
/* How fast is each configuration in each pass? */
int iops_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err);
/* How long do single requests take? */
int latency_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err);
/* Does the speed of first writes change on the way? */
int progress_write(const struct drawing *d, bool *ret_drawn,
		   struct q2_err *err);
/* After how much written data has a policy paid for its creation? */
int break_even_write(const struct drawing *d, bool *ret_drawn,
		     struct q2_err *err);
/* What the suite is about: what it judges, over the key that it sweeps. */
int judged_write(const struct drawing *d, bool *ret_drawn, struct q2_err *err);

#endif
