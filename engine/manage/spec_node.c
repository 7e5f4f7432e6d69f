/* SPDX-License-Identifier: MIT */
/*
 * spec_node.c - options that every node of an image has, and those of files
 *
 * A name of an option has the path of its node before it: "file.", or
 * "backing.file.", or nothing.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/aio/aio.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/base/optval.h"
#include "engine/manage/spec_priv.h"

#define NULL_CO_BYTES (UINT64_C(1) << 30)

/* ---- names ------------------------------------------------------------- */

const char *
spec_bare(const char *key)
{
	static const char *const nodes[] = {"file.", "backing.", "data-file.",
					    "image."};
	size_t i;

	do {
		for (i = 0; i < ARRAY_SIZE(nodes); i++)
			if (strncmp(key, nodes[i], strlen(nodes[i])) == 0)
				break;
		key += i < ARRAY_SIZE(nodes) ? strlen(nodes[i]) : 0;
	} while (i < ARRAY_SIZE(nodes));
	return key;
}

int
spec_enter(char prefix[SPEC_KEY_BYTES], const char *name, struct q2_err *err)
{
	if (strlen(prefix) + strlen(name) >= SPEC_KEY_BYTES / 2)
		return q2_fail(err, -EINVAL,
			       "the options are nested too deep: '%s%s'",
			       prefix, name);
	(void)strcat(prefix, name);
	return 0;
}

/* ---- values ------------------------------------------------------------ */

int
spec_take_bool(struct pairs *p, const char *key, bool *ret, struct q2_err *err)
{
	const char *value = pairs_value(p, key);

	return value ? optval_bool(spec_bare(key), value, ret, err) : 0;
}

int
spec_take_tristate(struct pairs *p, const char *key, int *ret,
		   struct q2_err *err)
{
	bool on = *ret > 0;
	int r;

	if (!pairs_has(p, key))
		return 0;
	r = spec_take_bool(p, key, &on, err);
	if (r == 0)
		*ret = on ? 1 : -1;
	return r;
}

int
spec_take_size(struct pairs *p, const char *key, uint64_t *ret,
	       struct q2_err *err)
{
	const char *value = pairs_value(p, key);

	return value ? optval_size(spec_bare(key), value, ret, err) : 0;
}

void
spec_take_word(struct pairs *p, const char *key, const char *const *words,
	       int *ret, const char **ret_bad)
{
	const char *value = pairs_value(p, key);

	*ret = -1;
	*ret_bad = NULL;
	if (!value)
		return;
	for (int i = 0; words[i]; i++)
		if (strcmp(value, words[i]) == 0)
			*ret = i;
	if (*ret < 0)
		*ret_bad = value;
}

int
spec_take_in_vain(struct pairs *p, const char *key, struct q2_err *err)
{
	bool ignored;

	return spec_take_bool(p, key, &ignored, err);
}

/* ---- options of every node --------------------------------------------- */

const char *
spec_key(const char *prefix, const char *name, char buf[SPEC_KEY_BYTES])
{
	/* A name that does not fit is one that nobody has given. */
	if (snprintf(buf, SPEC_KEY_BYTES, "%s%s", prefix, name) >=
	    SPEC_KEY_BYTES)
		(void)strcpy(buf, ".");
	return buf;
}

static int
take_node_name(struct pairs *p, const char *key, struct q2_err *err)
{
	const char *name = pairs_value(p, key);

	if (!name)
		return 0;
	for (const char *s = name; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-._", *s))
			return q2_fail(err, -EINVAL, "Invalid node-name: '%s'",
				       name);
	if (!isalpha((unsigned char)name[0]) || strlen(name) > 31)
		return q2_fail(err, -EINVAL, "Invalid node-name: '%s'", name);
	return 0;
}

/* cache.direct and cache.no-flush change the mode that holds. */
static int
take_cache(struct pairs *p, const char *prefix, enum q2_cache *cache,
	   struct q2_err *err)
{
	bool direct = *cache == Q2_CACHE_NONE || *cache == Q2_CACHE_DIRECTSYNC;
	bool through = *cache == Q2_CACHE_WRITETHROUGH ||
		       *cache == Q2_CACHE_DIRECTSYNC;
	bool no_flush = *cache == Q2_CACHE_UNSAFE;
	char key[SPEC_KEY_BYTES];
	int r;

	spec_key(prefix, "cache.direct", key);
	if (!pairs_has(p, key) &&
	    !pairs_has(p, spec_key(prefix, "cache.no-flush", key)))
		return 0;
	r = spec_take_bool(p, spec_key(prefix, "cache.direct", key), &direct,
			   err);
	if (r == 0)
		r = spec_take_bool(p, spec_key(prefix, "cache.no-flush", key),
				   &no_flush, err);
	if (r < 0)
		return r;
	/* Both at once is more durable here than it needs to be. */
	if (direct)
		*cache = through ? Q2_CACHE_DIRECTSYNC : Q2_CACHE_NONE;
	else if (no_flush)
		*cache = Q2_CACHE_UNSAFE;
	else
		*cache = through ? Q2_CACHE_WRITETHROUGH : Q2_CACHE_WRITEBACK;
	return 0;
}

static int
take_discard(struct pairs *p, const char *prefix, struct q2_open_opts *o,
	     struct q2_err *err)
{
	static const char *const words[] = {"ignore", "off", "unmap", "on",
					    NULL};
	char key[SPEC_KEY_BYTES];
	const char *bad;
	int word;

	spec_take_word(p, spec_key(prefix, "discard", key), words, &word, &bad);
	if (bad)
		return q2_fail(err, -EINVAL, "Invalid discard option");
	if (word >= 2)
		o->flags |= Q2_UNMAP;
	else if (word >= 0)
		o->flags &= ~(unsigned)Q2_UNMAP;
	return 0;
}

static int
take_detect(struct pairs *p, const char *prefix, struct q2_open_opts *o,
	    struct q2_err *err)
{
	static const char *const words[] = {"off", "on", "unmap", NULL};
	char key[SPEC_KEY_BYTES];
	const char *bad;
	int word;

	spec_take_word(p, spec_key(prefix, "detect-zeroes", key), words, &word,
		       &bad);
	if (bad)
		return q2_fail(err, -EINVAL, "invalid parameter value: %s",
			       bad);
	if (word >= 0)
		o->detect_zeroes = (enum q2_detect_zeroes)word;
	if (o->detect_zeroes == Q2_DETECT_UNMAP && !(o->flags & Q2_UNMAP))
		return q2_fail(err, -EINVAL,
			       "setting detect-zeroes to unmap is not allowed "
			       "without setting discard operation to unmap");
	return 0;
}

static int
take_rights(struct pairs *p, const char *prefix, struct q2_spec *spec,
	    struct q2_err *err)
{
	struct q2_open_opts *o = &spec->opts;
	bool read_only = false, share = false;
	char key[SPEC_KEY_BYTES];
	int r;

	r = spec_take_bool(p, spec_key(prefix, "read-only", key), &read_only,
			   err);
	if (r == 0)
		r = spec_take_in_vain(
			p, spec_key(prefix, "auto-read-only", key), err);
	if (r == 0)
		r = spec_take_bool(p, spec_key(prefix, "force-share", key),
				   &share, err);
	if (r < 0)
		return r;
	if (read_only && !spec->reopened && !(o->flags & Q2_RDONLY))
		return q2_fail(err, -EACCES, "Block node is read-only");
	if (read_only)
		o->flags |= Q2_RDONLY;
	if (share)
		o->flags |= Q2_FORCE_SHARE;
	if (share && !(o->flags & Q2_RDONLY))
		return q2_fail(err, -EINVAL,
			       "force-share=on can only be used with read-only "
			       "images");
	return 0;
}

int
spec_take_node(struct pairs *p, const char *prefix, struct q2_spec *spec,
	       struct q2_err *err)
{
	struct q2_open_opts *o = &spec->opts;
	char key[SPEC_KEY_BYTES];
	int r;

	r = take_node_name(p, spec_key(prefix, "node-name", key), err);
	if (r == 0)
		r = take_cache(p, prefix, &o->cache, err);
	if (r == 0)
		r = take_discard(p, prefix, o, err);
	if (r == 0)
		r = take_detect(p, prefix, o, err);
	if (r == 0)
		r = take_rights(p, prefix, spec, err);
	return r;
}

/* ---- the file ---------------------------------------------------------- */

static int
take_locking(struct pairs *p, const char *key, struct q2_open_opts *o,
	     struct q2_err *err)
{
	static const char *const words[] = {"auto", "on", "off", NULL};
	const char *bad;
	int word;

	spec_take_word(p, key, words, &word, &bad);
	if (bad)
		return q2_fail(err, -EINVAL, "invalid parameter value: %s",
			       bad);
	if (word == 2)
		o->flags |= Q2_NO_LOCK;
	return 0;
}

static int
take_aio(struct pairs *p, const char *key, struct q2_spec *spec,
	 struct q2_err *err)
{
	static const char *const words[] = {"threads", "native", "io_uring",
					    NULL};
	static const char *const ours[] = {"threads", "libaio", "io_uring"};
	const char *bad;
	int word;

	spec_take_word(p, key, words, &word, &bad);
	if (bad)
		return q2_fail(err, -EINVAL, "invalid parameter value: %s",
			       bad);
	if (word >= 0)
		spec->aio = ours[word];
	return 0;
}

int
spec_take_file(struct pairs *p, const char *prefix, struct q2_spec *spec,
	       struct q2_err *err)
{
	const char *filename;
	char key[SPEC_KEY_BYTES];
	int r;

	spec->protocol = pairs_value(p, spec_key(prefix, "driver", key));
	filename = pairs_value(p, spec_key(prefix, "filename", key));
	if (filename && spec->reopened &&
	    (!spec->path || strcmp(filename, spec->path) != 0))
		return q2_fail(err, -EINVAL,
			       "Cannot change the option 'filename'");
	if (filename)
		spec->path = filename;
	if (!spec->path || !*spec->path)
		return q2_fail(err, -EINVAL,
			       "The 'file' block driver requires a file name");
	r = spec_take_node(p, prefix, spec, err);
	if (r == 0)
		r = take_locking(p, spec_key(prefix, "locking", key),
				 &spec->opts, err);
	if (r == 0)
		r = take_aio(p, spec_key(prefix, "aio", key), spec, err);
	if (r == 0)
		r = spec_take_in_vain(p, spec_key(prefix, "drop-cache", key),
				      err);
	return r;
}

int
spec_take_null(struct pairs *p, const char *prefix, struct q2_spec *spec,
	       struct q2_err *err)
{
	char key[SPEC_KEY_BYTES];
	int r;

	spec->opts.driver = "null";
	spec->opts.virtual_size = NULL_CO_BYTES;
	spec->path = NULL;
	r = spec_take_size(p, spec_key(prefix, "size", key),
			   &spec->opts.virtual_size, err);
	if (r == 0)
		r = spec_take_in_vain(p, spec_key(prefix, "read-zeroes", key),
				      err);
	if (r == 0)
		r = spec_take_node(p, prefix, spec, err);
	return r;
}

bool
spec_is_file(const char *driver)
{
	return strcmp(driver, "file") == 0 ||
	       strcmp(driver, "host_device") == 0;
}

bool
spec_is_null(const char *driver)
{
	return strcmp(driver, "null-co") == 0 ||
	       strcmp(driver, "null-aio") == 0 || strcmp(driver, "null") == 0;
}

int
spec_no_such_node(const char *name, struct q2_err *err)
{
	return q2_fail(err, -EINVAL,
		       "Cannot find device='%s' nor node-name='%s'", name,
		       name);
}

/* ---- parts of files ---------------------------------------------------- */

/* *part is one of what inner is: one of the file. */
static int
part_within(struct q2_part *part, const struct q2_part *inner,
	    struct q2_err *err)
{
	int r = inner->has_size ? aio_check_part(part, inner->size, err) : 0;

	if (r < 0)
		return r;
	if (inner->has_size && !part->has_size) {
		part->size = inner->size - part->offset;
		part->has_size = true;
	}
	if (add_overflows(part->offset, inner->offset, &part->offset))
		return q2_fail(err, -EINVAL,
			       "Offset (%" PRIu64 ") is too large",
			       inner->offset);
	return 0;
}

int
spec_take_part(struct pairs *p, const char *prefix, struct q2_part *part,
	       struct q2_err *err)
{
	struct q2_part inner = *part;
	char key[SPEC_KEY_BYTES];
	int r;

	*part = (struct q2_part){
		.has_size = pairs_has(p, spec_key(prefix, "size", key))};
	r = spec_take_size(p, key, &part->size, err);
	if (r == 0)
		r = spec_take_size(p, spec_key(prefix, "offset", key),
				   &part->offset, err);
	return r < 0 ? r : part_within(part, &inner, err);
}

static bool
is_raw(struct pairs *p, const char *prefix)
{
	char key[SPEC_KEY_BYTES];
	const char *driver = pairs_value(p, spec_key(prefix, "driver", key));

	return driver && strcmp(driver, "raw") == 0;
}

int
spec_take_raws(struct pairs *p, char prefix[SPEC_KEY_BYTES],
	       struct q2_spec *spec, struct q2_part *part, struct q2_err *err)
{
	struct q2_part parts[SPEC_BACKING_MAX] = {0};
	unsigned n = 0;
	int r = 0;

	for (; r == 0 && is_raw(p, prefix) && n < ARRAY_SIZE(parts); n++) {
		r = spec_take_part(p, prefix, &parts[n], err);
		if (r == 0)
			r = spec_take_node(p, prefix, spec, err);
		if (r == 0)
			r = spec_enter(prefix, "file.", err);
		if (r == 0 && !pairs_has_prefix(p, prefix))
			r = q2_fail(err, -EINVAL,
				    "A block device must be specified for "
				    "\"file\"");
	}
	/* From the file up. */
	*part = (struct q2_part){0};
	while (r == 0 && n-- > 0) {
		r = part_within(&parts[n], part, err);
		*part = parts[n];
	}
	return r;
}
