/* SPDX-License-Identifier: MIT */
/*
 * size.c - sizes as QEMU's tools read and print them
 */
#include "engine/img/size.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/msg.h"

int
size_argument(const char *what, const char *s, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	int r = size_parse(s, &bytes);

	if ((r < 0 || bytes > INT64_MAX) && msg_role() == ROLE_QCOWIMG) {
		(void)complain("'%s' is no %s: use bytes, or k, M, G, T, P or "
			       "E, below 8E",
			       s, what);
		return -1;
	}
	if (r == -EINVAL) {
		(void)complain("Invalid %s specified. You may use k, M, G, T, "
			       "P or E suffixes for",
			       what);
		(void)complain("kilobytes, megabytes, gigabytes, terabytes, "
			       "petabytes and exabytes.");
		return -1;
	}
	if (r < 0 || bytes > INT64_MAX) {
		(void)complain("Invalid %s specified. Must be between 0 and "
			       "%" PRId64 ".",
			       what, INT64_MAX);
		return -1;
	}
	*ret_bytes = bytes;
	return 0;
}

void
size_human(uint64_t bytes, char text[SIZE_TEXT_MAX])
{
	static const char *const units[] = {"",   "Ki", "Mi", "Gi",
					    "Ti", "Pi", "Ei"};
	int exponent;

	/* A number of 1000 and more moves to the next unit. */
	(void)frexp((double)bytes / (1000.0 / 1024.0), &exponent);
	exponent = exponent > 0 ? (exponent - 1) / 10 : 0;
	(void)snprintf(text, SIZE_TEXT_MAX, "%0.3g %sB",
		       (double)bytes / (double)(UINT64_C(1) << (exponent * 10)),
		       units[exponent]);
}

void
size_io(double bytes, char text[SIZE_TEXT_MAX])
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB",
					    "TiB",   "PiB", "EiB"};
	size_t i = 0;
	char number[64], *zeros;

	while (i + 1 < ARRAY_SIZE(units) && bytes >= 1024) {
		bytes /= 1024;
		i++;
	}
	(void)snprintf(number, sizeof(number), i ? "%.3f" : "%f", bytes);
	zeros = strstr(number, ".000");
	if (zeros)
		*zeros = 0;
	(void)snprintf(text, SIZE_TEXT_MAX, "%.22s %s", number, units[i]);
}
