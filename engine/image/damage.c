/* SPDX-License-Identifier: MIT */
#include "engine/image/damage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/image/image.h"
#include "engine/image/mark.h"

int Q2_CO
damage_found(struct image *img, const char *fmt, ...)
{
	bool first = !img->damaged;
	char what[256], text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)snprintf(text, sizeof(text),
		       img->read_only
			       ? "qcow2: Image is corrupt: %s; further "
				 "non-fatal corruption events will be "
				 "suppressed"
			       : "qcow2: Marking image as corrupt: %s; further "
				 "corruption events will be suppressed",
		       what);
	img->damaged = true;
	if (first && img->opts.finding)
		img->opts.finding(img->opts.finding_arg, text);
	if (!img->read_only && !img->failed) {
		img->failed = -EIO;
		(void)mark_set(img, INCOMPAT_CORRUPT);
	}
	return -EIO;
}
