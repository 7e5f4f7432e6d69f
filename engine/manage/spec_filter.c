/* SPDX-License-Identifier: MIT */
/*
 * spec_filter.c - drivers above a format: compress, copy-on-read, blkdebug
 *
 * Each is a property of the image below, so the options of that are lifted to
 * where the filter was, and the filter is remembered.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/aio/debug.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/manage/spec_priv.h"

/* More filters than there are kinds of them. */
#define FILTERS_MAX 8

struct filter {
	const char *driver, *child;
};

static const struct filter filters[] = {
	{"compress", "file."},
	{"copy-on-read", "file."},
	{"blkdebug", "image."},
};

static bool
is_filter(const char *driver)
{
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		if (strcmp(filters[i].driver, driver) == 0)
			return true;
	return false;
}

/* The filter at the top; blkdebug is one only above a format. */
static const struct filter *
find(struct pairs *p)
{
	const struct pair *driver = pairs_find(p, "driver");

	for (size_t i = 0; driver && driver->value && i < ARRAY_SIZE(filters);
	     i++) {
		const struct filter *f = &filters[i];
		char key[SPEC_KEY_BYTES];
		const struct pair *below = pairs_find(
			p, spec_key(f->child, "driver", key));

		if (strcmp(driver->value, f->driver) != 0)
			continue;
		if (below && below->value &&
		    (strcmp(below->value, "qcow2") == 0 ||
		     strcmp(below->value, "raw") == 0 ||
		     is_filter(below->value)))
			return f;
	}
	return NULL;
}

/* Rules for the disk, not for a file. */
static int
take_disk_rules(struct pairs *p, struct q2_spec *spec, struct q2_err *err)
{
	struct spec_priv *priv = spec->priv;
	int r = spec_take_rules(p, "", spec, err);

	if (r == 0 && !debug_is_only_of(priv->debug, DEBUG_cor_write))
		return q2_fail(err, -ENOTSUP,
			       "blkdebug above a format knows rules of event "
			       "cor_write only; for others put it below: "
			       "file.driver=blkdebug");
	spec->opts.debug_disk = true;
	return r;
}

static int
take_filter(struct pairs *p, const struct filter *f, struct q2_spec *spec,
	    struct q2_err *err)
{
	if (strcmp(f->driver, "blkdebug") == 0)
		return take_disk_rules(p, spec, err);
	if (strcmp(f->driver, "compress") == 0) {
		spec->opts.compress = true;
		return 0;
	}
	if (spec->opts.flags & Q2_RDONLY)
		return q2_fail(err, -EACCES, "Block node is read-only");
	spec->copy_on_read = true;
	return 0;
}

int
spec_lift_filters(struct pairs *p, struct q2_spec *spec, struct q2_err *err)
{
	int r = 0;

	for (unsigned n = 0; r == 0 && n < FILTERS_MAX; n++) {
		const struct filter *f = find(p);

		if (!f)
			return 0;
		r = take_filter(p, f, spec, err);
		pairs_lift(p, f->child);
	}
	return r;
}
