/* SPDX-License-Identifier: MIT */
/*
 * std.h - descriptors 0, 1 and 2, and how many there may be
 */
#ifndef Q2_BASE_STD_H
#define Q2_BASE_STD_H

/*
 * Call first in main(): if one of them is closed, the next file to be opened
 * would take its place, and what is printed would land in an image.  They are
 * opened so that using them fails.
 */
void std_guard(void);

/* As many open files as the system lets us: each layer of a chain is one. */
void std_allow_files(void);

#endif
