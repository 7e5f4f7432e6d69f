/* SPDX-License-Identifier: MIT */
#include "engine/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
err_set(struct q2_err *err, int code, const char *file, int line,
	const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	err->file = file;
	err->line = line;
	err->detail[0] = '\0';
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

int
err_field(struct q2_err *err, int code, const char *field,
	  unsigned long long value)
{
	if (err)
		(void)snprintf(err->detail, sizeof(err->detail), "%s is %#llx",
			       field, value);
	return code;
}

int
err_prefix(struct q2_err *err, int code, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	va_list ap;
	size_t n;

	if (!err)
		return code;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	n = strlen(err->text);
	(void)snprintf(err->text + n, sizeof(err->text) - n, ": %.900s", old);
	return code;
}
