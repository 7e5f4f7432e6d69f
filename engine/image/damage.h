/* SPDX-License-Identifier: MIT */
/*
 * damage.h - an entry that cannot be right was found in use
 *
 * The texts go to the opener's `finding`, in QEMU's words where it has some:
 * they name the field and its value.  As in QEMU, of what does no harm only
 * the first is told, and of what marks the image the first, too.
 */
#ifndef Q2_IMAGE_DAMAGE_H
#define Q2_IMAGE_DAMAGE_H

#include "engine/co/co.h"

struct image;

/*
 * Going on would destroy something.  An image that is open for writing is
 * marked corrupt, in the file too, and takes no further writes (-ENOMEDIUM);
 * what can be read still is.  Returns -EIO.
 */
int Q2_CO damage_found(struct image *img, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Whoever calls can do without the entry: the image stays as it is.  Does not
 * park. */
void damage_note(struct image *img, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
