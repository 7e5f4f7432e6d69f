/* SPDX-License-Identifier: MIT */
#include "harness/verbosity.h"

int
verbosity_of(bool quiet, bool verbose, enum verbosity *ret, struct q2_err *err)
{
	if (quiet && verbose)
		return q2_fail(err, -EINVAL,
			       "--quiet and --verbose exclude each other");
	*ret = quiet     ? VERBOSITY_QUIET
	       : verbose ? VERBOSITY_VERBOSE
			 : VERBOSITY_USUAL;
	return 0;
}
