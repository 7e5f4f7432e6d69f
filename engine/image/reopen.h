/* SPDX-License-Identifier: MIT */
/*
 * reopen.h - a layer of an open chain, opened again for writing
 */
#ifndef Q2_IMAGE_REOPEN_H
#define Q2_IMAGE_REOPEN_H

#include "engine/q2.h"

struct image;

/*
 * Have above->backing open for writing, as above is, and locked like any image
 * that is written; nothing is in flight on it.  Where it was opened for reading
 * it becomes another struct.  After an error it is open for reading still, or
 * above->failed is set.  Blocking, not from a coroutine.  What it does not do:
 * a dirty image is not repaired.
 */
int reopen_below(struct image *above, struct q2_err *err);

#endif
