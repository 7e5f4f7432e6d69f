/* SPDX-License-Identifier: MIT */
#include "harness/color.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const color_words[] = {"auto", "always", "never", NULL};

static bool
environment_allows(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
}

bool
color_wanted(const char *when, FILE *f)
{
	if (when && strcmp(when, "auto") != 0)
		return strcmp(when, "always") == 0;
	return isatty(fileno(f)) == 1 && environment_allows();
}
