/* SPDX-License-Identifier: MIT */
/*
 * put.h - write a plot's CSV, and the head of its script
 *
 * The head holds what a script cannot get from its CSV: words, and how many
 * panels there are.  Texts are quoted so that gnuplot takes nothing in them for
 * a sign.  In a CSV texts come last in their row, and scripts read numbers only.
 */
#ifndef PLOTS_PUT_H
#define PLOTS_PUT_H

#include <stdio.h>

#include "plots/drawing.h"

/* NAME in OUT/plots; NULL with a reason. */
FILE *put_start(const struct drawing *d, const char *name, struct q2_err *err);
int put_finish(const struct drawing *d, FILE *f, const char *name,
	       struct q2_err *err);

/* A number, or nothing where it is not finite; then what ends the field. */
void put_number(FILE *f, double value, char end);
/* A text field, without control characters; then what ends it. */
void put_field(FILE *f, const char *text, char end);

/* name = 'text' */
void put_string(FILE *f, const char *name, const char *text);
/* The same, broken into lines that fit the picture, and NAME_lines. */
void put_lines(FILE *f, const char *name, const char *text);
void put_value(FILE *f, const char *name, double value);
/* array name[n] = [...]; n > 0 */
void put_strings(FILE *f, const char *name, const char *const *v, size_t n);
void put_values(FILE *f, const char *name, const double *v, size_t n);

/*
 * The start of a script: how to draw again, the configurations with their
 * labels (cut in the middle where they are long), tics (the same for an axis)
 * and styles, the title, the caption with the device, the footnote.
 */
void put_head(const struct drawing *d, FILE *f, const char *name,
	      const char *title, const char *footnote);

#endif
