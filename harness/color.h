/* SPDX-License-Identifier: MIT */
/*
 * color.h - the option --color, for verbs that print tables
 */
#ifndef HARNESS_COLOR_H
#define HARNESS_COLOR_H

#include <stdbool.h>
#include <stdio.h>

#include "harness/options.h"

extern const char *const color_words[]; /* auto, always, never */

/* For a verb's table of options; offset: of a const char *. */
#define COLOR_OPTION(offset)                                              \
	{                                                                 \
		"color", OPTION_WORD, (offset), "WHEN", color_words,      \
			"colour in tables (default auto: on a terminal, " \
			"unless NO_COLOR is set)"                         \
	}

/*
 * Is output to f coloured?  when is a word of the option; NULL, not said, is
 * auto: if f is a terminal, TERM is not dumb, and NO_COLOR is not set to
 * anything (https://no-color.org).  What the user says on the command line
 * beats the environment.
 */
bool color_wanted(const char *when, FILE *f);

#endif
