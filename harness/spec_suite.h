/* SPDX-License-Identifier: MIT */
/*
 * spec_suite.h - from a spec file to the suites that the plan works on
 */
#ifndef HARNESS_SPEC_SUITE_H
#define HARNESS_SPEC_SUITE_H

#include "harness/suite.h"

/*
 * Both forms of all groups of a spec text, from memory mem, which they take
 * over; name is the file's.  -EINVAL with file:line:column; mem is the caller's
 * still then.
 */
int spec_suite_parse(struct spec_mem *mem, const char *name, const char *text,
		     size_t len, const struct suite_sets *sets,
		     struct suite **ret, struct q2_err *err);

/* The same; the file, or suite, of that name is read. */
int spec_suite_read(struct spec_mem *mem, const char *name,
		    const struct suite_sets *sets, struct suite **ret,
		    struct q2_err *err);

#endif
