/* SPDX-License-Identifier: MIT */
/*
 * optval.c - values of options as text
 */
#include "engine/base/optval.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"

const char *
optval_next(const char *s, char *out)
{
	while (*s) {
		if (*s == ',' && *++s != ',') {
			*out = 0;
			return s;
		}
		*out++ = *s++;
	}
	*out = 0;
	return NULL;
}

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
optval_bool(const char *name, const char *value, bool *ret, struct q2_err *err)
{
	static const char *const words[2][4] = {{"off", "no", "false", "n"},
						{"on", "yes", "true", "y"}};

	for (int on = 0; on < 2; on++) {
		for (size_t i = 0; i < ARRAY_SIZE(words[on]); i++) {
			if (strcmp(value, words[on][i]) == 0) {
				*ret = on;
				return 0;
			}
		}
	}
	return q2_fail(err, -EINVAL, "Parameter '%s' expects 'on' or 'off'",
		       name);
}

int
optval_number(const char *name, const char *value, uint64_t *ret,
	      struct q2_err *err)
{
	char *end;

	errno = 0;
	*ret = strtoull(value, &end, 0);
	if (end == value || *end)
		return q2_fail(err, -EINVAL, "Parameter '%s' expects a number",
			       name);
	if (errno == ERANGE)
		return q2_fail(err, -EINVAL,
			       "Value '%s' is too large for parameter '%s'",
			       value, name);
	return 0;
}

int
optval_size(const char *name, const char *value, uint64_t *ret,
	    struct q2_err *err)
{
	int r = size_parse(value, ret);

	if (r == -ERANGE)
		return q2_fail(err, -EINVAL,
			       "Value '%s' is out of range for parameter '%s'",
			       value, name);
	if (r < 0)
		return q2_fail(
			err, -EINVAL,
			"Parameter '%s' expects a non-negative number "
			"below 2^64\n"
			"Optional suffix k, M, G, T, P or E means kilo-, "
			"mega-, giga-, tera-, peta-\n"
			"and exabytes, respectively.",
			name);
	return 0;
}
