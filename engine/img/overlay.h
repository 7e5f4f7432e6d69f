/* SPDX-License-Identifier: MIT */
/*
 * overlay.h - an image whose writes are thrown away: they go to a temporary
 * overlay of it, which has no name any more
 */
#ifndef Q2_IMG_OVERLAY_H
#define Q2_IMG_OVERLAY_H

#include "engine/img/file.h"

/* file, which is open read-only, becomes an overlay of what it was; opts is how
 * it was opened.  0, or a negative errno and it is what it was. */
int overlay_put(struct file *file, const struct file_opts *opts,
		struct q2_err *err);

#endif
