/* SPDX-License-Identifier: MIT */
/*
 * size.h - sizes as QEMU's tools read and print them
 */
#ifndef Q2_IMG_SIZE_H
#define Q2_IMG_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define SIZE_TEXT_MAX 32

/*
 * "64", "0x40", "64k", "1.5M": white space and "+" before it are allowed, then
 * a number with or without a fraction, then at most one of b k M G T P E in
 * either case.  A fraction needs a unit, and a hexadecimal number has none.
 * Returns 0; -EINVAL if s is anything else, -ERANGE from 2^64 on.
 */
int size_parse(const char *s, uint64_t *ret_bytes);

/*
 * An argument of qemu-img: at most INT64_MAX.  After a complaint that calls it
 * what, returns -1.
 */
int size_argument(const char *what, const char *s, uint64_t *ret_bytes);

/* "1.18 MiB", three digits: as info prints sizes. */
void size_human(uint64_t bytes, char text[SIZE_TEXT_MAX]);

/* "1.178 MiB", "64 KiB", "512 bytes": as qemu-io prints them. */
void size_io(double bytes, char text[SIZE_TEXT_MAX]);

#endif
