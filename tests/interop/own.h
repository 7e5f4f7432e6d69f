/* SPDX-License-Identifier: MIT */
/* own.h - run a subcommand of qcowimg within the test: no program is started */
#ifndef TESTS_INTEROP_OWN_H
#define TESTS_INTEROP_OWN_H

#include "tests/interop/spawn.h"

/* word[0] is its name.  Returns its status; what it
 * prints goes where spawn()'s would. */
int own_run(int (*command)(int argc, char **argv), const struct words *w,
	    unsigned slot);

#endif
