/* SPDX-License-Identifier: MIT */
/* backing.h - names of backing files, as seen from here */
#ifndef Q2_IMG_BACKING_H
#define Q2_IMG_BACKING_H

#include <stdbool.h>

/*
 * A backing file's name as a path from here: a relative one starts where the
 * image is.  The caller frees it; NULL without memory.
 */
char *backing_path(const char *image, const char *backing);

/* Are both there, and the same file, whatever they are called? */
bool backing_is_same(const char *a, const char *b);

#endif
