/* SPDX-License-Identifier: MIT */
/*
 * q2_debug.c - the public interface of breakpoints
 */
#include <errno.h>

#include "engine/aio/debug.h"
#include "engine/image/image.h"

/* NULL: it was opened without. */
static struct debug *
debug_of_image(const struct q2_image *public)
{
	const struct image *img = (const struct image *)public;

	/* The data file counts in the same points. */
	return img->file ? debug_of(img->file) : NULL;
}

int
q2_debug_break(struct q2_image *img, const char *event, const char *tag)
{
	struct debug *d = debug_of_image(img);

	return d ? debug_break(d, event, tag) : -ENOTSUP;
}

int
q2_debug_remove_break(struct q2_image *img, const char *tag)
{
	struct debug *d = debug_of_image(img);

	return d ? debug_remove_break(d, tag) : -ENOTSUP;
}

int
q2_debug_resume(struct q2_image *img, const char *tag)
{
	struct debug *d = debug_of_image(img);

	return d ? debug_resume(d, tag) : -ENOTSUP;
}

bool
q2_debug_is_held(const struct q2_image *img, const char *tag)
{
	const struct debug *d = debug_of_image(img);

	if (!d)
		return false;
	return tag ? debug_is_held(d, tag) : debug_held(d) != NULL;
}

void
q2_debug_resume_all(struct q2_image *img)
{
	struct debug *d = debug_of_image(img);

	if (d)
		debug_let_go(d);
}
