/* SPDX-License-Identifier: MIT */
/*
 * optval.h - values of options as text: lists, sizes, numbers, on and off
 *
 * Errors are worded as QEMU words them, because scripts look for them.
 */
#ifndef Q2_BASE_OPTVAL_H
#define Q2_BASE_OPTVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/q2.h"

/*
 * Copy the first item of a list, "a=1,b=2", to out, which has room for all of
 * s.  A comma within an item is written twice.  Returns the rest, or NULL if
 * that was the last.
 */
const char *optval_next(const char *s, char *out);

/*
 * "64", "0x40", "64k", "1.5M": white space and "+" before it are allowed, then
 * a number with or without a fraction, then at most one of b k M G T P E in
 * either case.  A fraction needs a unit, and a hexadecimal number has none.
 * Returns 0; -EINVAL if s is anything else, -ERANGE from 2^64 on.
 */
int size_parse(const char *s, uint64_t *ret_bytes);

/* The value of option name; -EINVAL with a message about it. */
int optval_bool(const char *name, const char *value, bool *ret,
		struct q2_err *err);
int optval_number(const char *name, const char *value, uint64_t *ret,
		  struct q2_err *err);
int optval_size(const char *name, const char *value, uint64_t *ret,
		struct q2_err *err);

#endif
