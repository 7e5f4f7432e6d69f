/* SPDX-License-Identifier: MIT */
/*
 * verbosity.h - the options --quiet and --verbose, for verbs that take long
 *
 * Only talk on stderr changes: results on stdout, warnings and errors stay.
 */
#ifndef HARNESS_VERBOSITY_H
#define HARNESS_VERBOSITY_H

#include <stdbool.h>

#include "engine/base/err.h"
#include "harness/options.h"

enum verbosity {
	VERBOSITY_USUAL,   /* a line with the time left, or one a trial */
	VERBOSITY_QUIET,   /* neither */
	VERBOSITY_VERBOSE, /* both, on a terminal too */
};

/* For a verb's table of options; offsets of two bools. */
#define VERBOSITY_OPTIONS(quiet, verbose)                             \
	{"quiet", OPTION_FLAG,                                        \
	 (quiet), NULL,                                               \
	 NULL,    "no progress on stderr; warnings and errors stay"}, \
	{                                                             \
		"verbose", OPTION_FLAG, (verbose), NULL, NULL,        \
			"a line for each trial, on a terminal too"    \
	}

/* -EINVAL if both are said. */
int verbosity_of(bool quiet, bool verbose, enum verbosity *ret,
		 struct q2_err *err);

#endif
