/* SPDX-License-Identifier: MIT */
/*
 * size.h - sizes as QEMU's tools read and print them
 */
#ifndef Q2_IMG_SIZE_H
#define Q2_IMG_SIZE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/optval.h"

#define SIZE_TEXT_MAX 32

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
