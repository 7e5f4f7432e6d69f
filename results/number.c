/* SPDX-License-Identifier: MIT */
#include "results/number.h"

#include <assert.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* printf and strtod follow the thread's locale, whose decimal point may be a
 * comma.  The C library has the C locale ready made: this allocates nothing. */
static locale_t
enter_c_locale(void)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", NULL);

	assert(c);
	return uselocale(c);
}

static void
leave_c_locale(locale_t before)
{
	freelocale(uselocale(before));
}

void
number_format(double value, char text[NUMBER_SIZE])
{
	locale_t before = enter_c_locale();
	int digits = 15; /* every decimal of 15 digits survives a double */

	assert(isfinite(value));
	do
		(void)snprintf(text, NUMBER_SIZE, "%.*g", digits, value);
	while (strtod(text, NULL) != value && ++digits <= 17);
	leave_c_locale(before);
}

bool
number_parse(const char *text, double *ret_value)
{
	locale_t before;
	double value;
	char *end;

	if (!text[0] || text[strspn(text, "0123456789+-.eE")])
		return false;
	before = enter_c_locale();
	value = strtod(text, &end);
	leave_c_locale(before);
	if (*end || !isfinite(value))
		return false;
	*ret_value = value;
	return true;
}
