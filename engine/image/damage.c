/* SPDX-License-Identifier: MIT */
#include "engine/image/damage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/image/image.h"
#include "engine/image/mark.h"

static void
tell(struct image *img, const char *before, const char *after, const char *fmt,
     va_list ap)
{
	char what[256], text[512];

	(void)vsnprintf(what, sizeof(what), fmt, ap);
	(void)snprintf(text, sizeof(text), "qcow2: %s: %s; %s", before, what,
		       after);
	img->noted = true;
	if (img->opts.finding)
		img->opts.finding(img->opts.finding_arg, text);
}

static void __attribute__((format(printf, 2, 0)))
note(struct image *img, const char *fmt, va_list ap)
{
	if (!img->noted)
		tell(img, "Image is corrupt",
		     "further non-fatal corruption events will be suppressed",
		     fmt, ap);
}

void
damage_note(struct image *img, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(img, fmt, ap);
	va_end(ap);
}

int Q2_CO
damage_found(struct image *img, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (img->read_only)
		note(img, fmt, ap);
	else if (!img->damaged)
		tell(img, "Marking image as corrupt",
		     "further corruption events will be suppressed", fmt, ap);
	va_end(ap);
	if (img->read_only)
		return -EIO;
	img->damaged = true;
	/* What QEMU answers from now on: there is no disk any more. */
	if (!img->failed) {
		img->failed = -ENOMEDIUM;
		(void)mark_set(img, INCOMPAT_CORRUPT);
	}
	return -EIO;
}
