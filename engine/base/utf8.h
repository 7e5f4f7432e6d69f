/* SPDX-License-Identifier: MIT */
/*
 * utf8.h - is it text?
 */
#ifndef Q2_BASE_UTF8_H
#define Q2_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Are these bytes UTF-8, without a NUL, in shortest form, and no surrogates? */
bool utf8_is_valid(const void *bytes, size_t n);

#endif
