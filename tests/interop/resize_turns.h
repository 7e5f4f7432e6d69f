/* SPDX-License-Identifier: MIT */
/*
 * resize_turns.h - an image that QEMU and we resize and write in turns
 *
 * After each step qemu-img and we find the image whole, without leaks, and
 * equal to a raw file that went through the same.
 */
#ifndef TESTS_INTEROP_RESIZE_TURNS_H
#define TESTS_INTEROP_RESIZE_TURNS_H

#include "engine/q2.h"

bool turns_have_qemu(void);

/* Of a cmocka group. */
int turns_setup(void **state);
int turns_teardown(void **state);

/*
 * An image made with -o options, over a longer backing file or none; grown
 * with that preallocation first.  Options that end with a comma: and with a
 * data file.
 */
void turns_take(const char *options, bool backing, enum q2_prealloc mode);

/* The fdatasyncs of a grow with metadata. */
uint64_t turns_syncs(uint64_t from, uint64_t to);

#endif
