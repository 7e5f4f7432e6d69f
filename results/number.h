/* SPDX-License-Identifier: MIT */
/*
 * number.h - doubles as text and back, the same in every locale
 *
 * The shortest decimal that reads back as the same double, so that files are
 * exact and still pleasant to read.  Used by record.c and id.c.
 */
#ifndef RESULTS_NUMBER_H
#define RESULTS_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

#define NUMBER_SIZE 32 /* any double, with '\0' */

/* value is finite. */
void number_format(double value, char text[NUMBER_SIZE]);

/* Plain decimal notation (no hex, inf, nan, blanks), all of text. */
bool number_parse(const char *text, double *ret_value);

#endif
