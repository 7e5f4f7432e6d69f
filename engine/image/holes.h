/* SPDX-License-Identifier: MIT */
/*
 * holes.h - holes of the host file below clusters that are in use
 *
 * With preallocation=metadata every cluster has a place in a file that is one
 * large hole.  Whoever asks what reads as zeros (map, convert) wants to know;
 * but to ask the file system about each cluster of an ordinary image would
 * only cost time.  So, as QEMU does it, the file is asked only if more
 * clusters are in use than it has blocks for.
 */
#ifndef Q2_IMAGE_HOLES_H
#define Q2_IMAGE_HOLES_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/co/co.h"

struct aio_file;
struct image;

/* Is the file worth asking?  Counts once, then remembers. */
bool Q2_CO holes_expected(struct image *img);

/* Is off in a hole of file?  *ret_len is how much from there on, at most len,
 * is in the same state.  Blocking. */
bool holes_at(const struct aio_file *file, uint64_t off, uint64_t len,
	      uint64_t *ret_len);

#endif
