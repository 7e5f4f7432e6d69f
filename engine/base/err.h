/* SPDX-License-Identifier: MIT */
/*
 * err.h - how the control path reports: a code, and one line of text
 *
 *	if (size == 0)
 *		return q2_fail(err, -EINVAL, "the size is 0");
 *
 * The text states the fact and the value, in lower case, without the program
 * name and without a full stop.  Reporting cannot fail and does not allocate;
 * a NULL err is allowed everywhere.
 */
#ifndef Q2_BASE_ERR_H
#define Q2_BASE_ERR_H

#include <errno.h>

#include "engine/q2.h"

/* The file is wrong, as opposed to the caller or the device. */
#define Q2_ECORRUPT EUCLEAN

/* Fill *err and return code, which is a negative errno. */
#define q2_fail(err, code, ...) \
	err_set(err, code, __FILE__, __LINE__, __VA_ARGS__)

int err_set(struct q2_err *err, int code, const char *file, int line,
	    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* In err->detail: the field of the file that is wrong, and its value.  Returns
 * code. */
int err_field(struct q2_err *err, int code, const char *field,
	      unsigned long long value);

/* Put "fmt...: " before the text that err has. Returns err's code. */
int err_prefix(struct q2_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
