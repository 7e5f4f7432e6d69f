/* SPDX-License-Identifier: MIT */
/*
 * spec_reopen.c - what options of an open image cannot change: which nodes it
 * is made of
 */
#include <errno.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/image/image.h"
#include "engine/manage/spec_priv.h"

/* The driver of the node that `key` is an option of, as the image is open now;
 * NULL if there is no such node. */
static const char *
driver_now(const struct q2_spec *spec, const char *key)
{
	static const char backing[] = "backing.";
	const struct image *img = (const struct image *)spec->reopened;
	const struct pair *was = pairs_find(spec_pairs(spec->was), key);

	if (was && was->value)
		return was->value;
	for (; img && strncmp(key, backing, strlen(backing)) == 0;
	     key += strlen(backing))
		img = img->backing;
	if (!img)
		return NULL;
	if (spec_bare(key) != key)
		return "file";
	return spec_is_null(img->driver) ? "null-co" : img->driver;
}

static bool
is_driver(const char *name, const char *now)
{
	/* What a device is called depends on who opened it. */
	return strcmp(name, now) == 0 ||
	       (spec_is_file(name) && spec_is_file(now));
}

int
spec_check_nodes(const struct q2_spec *spec, struct q2_err *err)
{
	const struct pairs *p = spec_pairs(spec);

	for (size_t i = 0; i < p->n; i++) {
		const char *key = p->v[i].key, *value = p->v[i].value;
		const char *bare = spec_bare(key), *now;
		bool same = true;

		if (value && strcmp(bare, "driver") == 0) {
			now = driver_now(spec, key);
			same = !now || is_driver(value, now);
		} else if (value && strcmp(bare, "node-name") == 0) {
			const struct pair *was = pairs_find(
				spec_pairs(spec->was), key);

			/* Without a name it has one that nobody can guess. */
			same = was && was->value &&
			       strcmp(was->value, value) == 0;
		}
		if (!same)
			return q2_fail(err, -EINVAL,
				       "Cannot change the option '%s'", bare);
	}
	return 0;
}
