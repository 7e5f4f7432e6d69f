/* SPDX-License-Identifier: MIT */
/*
 * cache_mode.h - is a file cached as was asked?
 *
 * Nobody falls back to the page cache in silence, so that the two should never
 * differ; the kernel is asked all the same, since a buffered number that is
 * called cache=none would be the worst of all.
 */
#ifndef HARNESS_CACHE_MODE_H
#define HARNESS_CACHE_MODE_H

#include "engine/q2.h"

/*
 * The mode in which this process has the file `path` open, by the flags in
 * /proc/self/fd: that which was asked, with or without O_DIRECT as the kernel
 * has it.  asked itself where the file is not open here, or /proc is not there.
 */
enum q2_cache cache_mode_effective(const char *path, enum q2_cache asked);

#endif
