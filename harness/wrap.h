/* SPDX-License-Identifier: MIT */
/*
 * wrap.h - text for people, in lines that fit
 */
#ifndef HARNESS_WRAP_H
#define HARNESS_WRAP_H

#include <stdio.h>

#define WRAP_WIDTH 79 /* columns; a longer word has a line of its own */

/*
 * The words of text, with a blank between them, from column `at` on, where the
 * cursor stands; lines after the first begin at column indent.  The last line
 * is ended.
 */
void wrap_words(FILE *f, const char *text, unsigned at, unsigned indent);

/* head at column 2, text at column indent: beside it, or below it if head is
 * too long. */
void wrap_entry(FILE *f, const char *head, unsigned indent, const char *text);

#endif
