/* SPDX-License-Identifier: MIT */
/*
 * spec_suite.h - from a spec file to the suites that the plan works on
 */
#ifndef HARNESS_SPEC_SUITE_H
#define HARNESS_SPEC_SUITE_H

#include "harness/suite.h"

/* What is read. */
struct spec_source {
	const char *name; /* of a suite or a file; see suite.h */
	const char *text; /* NULL: what has that name; else its text */
	size_t len;
	const struct suite_sets *sets;  /* may be NULL */
	const struct suite_texts *kept; /* NULL: files are read */
};

/*
 * Both forms of all its groups, in memory from mem, which they take over.
 * -EINVAL with file:line:column; mem is the caller's still then.
 */
int spec_suite_read(struct spec_mem *mem, const struct spec_source *source,
		    struct suite **ret, struct q2_err *err);

#endif
