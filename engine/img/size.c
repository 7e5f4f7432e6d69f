/* SPDX-License-Identifier: MIT */
/*
 * size.c - sizes as QEMU's tools read and print them
 */
#include "engine/img/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/msg.h"

static const char unit_letters[] = "BKMGTPE";

/* The bytes of a unit, or 0 if c is none. */
static uint64_t
unit_bytes(char c)
{
	const char *at = c ? strchr(unit_letters, toupper((unsigned char)c))
			   : NULL;

	return at ? UINT64_C(1) << (10 * (at - unit_letters)) : 0;
}

/*
 * ".5" at *s: the fraction, and *s moved behind it.  "1." is 1.  An exponent
 * is refused: in "1.5e3" nobody could tell it from the unit E.
 */
static int
parse_fraction(const char **s, double *ret)
{
	char *end;
	double value;

	if (!isdigit((unsigned char)(*s)[1])) {
		*ret = 0;
		*s += 1;
		return 0;
	}
	value = strtod(*s, &end);
	if (memchr(*s, 'e', (size_t)(end - *s)) ||
	    memchr(*s, 'E', (size_t)(end - *s)))
		return -EINVAL;
	*ret = value;
	*s = end;
	return 0;
}

static int
scale(uint64_t whole, double fraction, uint64_t unit, uint64_t *ret)
{
	uint64_t bytes, part = (uint64_t)(fraction * (double)unit);

	if (unit == 1 && fraction != 0)
		return -EINVAL;
	if (mul_overflows(whole, unit, &bytes) ||
	    add_overflows(bytes, part, &bytes))
		return -ERANGE;
	*ret = bytes;
	return 0;
}

int
size_parse(const char *s, uint64_t *ret_bytes)
{
	double fraction = 0;
	uint64_t whole, unit;
	bool hex;
	char *end;
	int r;

	while (isspace((unsigned char)*s))
		s++;
	s += *s == '+';
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	if (hex && !isxdigit((unsigned char)s[2]))
		return -EINVAL;
	errno = 0;
	whole = strtoull(s, &end, hex ? 16 : 10);
	if (errno == ERANGE)
		return -ERANGE;
	s = end;
	r = *s == '.' && !hex ? parse_fraction(&s, &fraction) : 0;
	if (r < 0)
		return r;
	unit = unit_bytes(*s);
	if (unit)
		s++;
	else
		unit = 1;
	r = scale(whole, fraction, unit, &whole);
	if (r < 0)
		return r;
	if (*s)
		return -EINVAL;
	*ret_bytes = whole;
	return 0;
}

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
