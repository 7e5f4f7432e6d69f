/* SPDX-License-Identifier: MIT */
/*
 * scratch.h - a folder for the files of one group of tests
 *
 * scratch_make() and scratch_remove() are its set-up and tear-down; the tests
 * leave it empty, or the tear-down fails.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <stddef.h>

int scratch_make(void **state);
int scratch_remove(void **state);

/* The path of a file in it; valid until the next call. */
const char *scratch_path(const char *name);

void scratch_put(const char *name, const char *data, size_t size);

/* The first 64 KiB as a string; valid until the next call. */
char *scratch_get(const char *name);

#endif
