/* SPDX-License-Identifier: MIT */
/*
 * spec.c - images by text: which options there are, and what they set
 *
 * An image is a format node (qcow2, raw) on a file node, whose options have
 * "file." before them.  Only this shape is taken.  The text comes from the
 * user's command line; names in image headers never get here (they are names
 * of plain files, whatever they look like).
 */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/base/optval.h"
#include "engine/manage/pairs.h"

#define NULL_CO_BYTES (UINT64_C(1) << 30)

/* What QEMU calls the node in messages. */
enum node {
	NODE_FORMAT,
	NODE_PROTOCOL
};

/* ---- values ------------------------------------------------------------ */

/* The following take the value of key, if it is there, and return 0 or an
 * error; *ret is left alone without it. */

static int
take_bool(struct pairs *p, const char *key, bool *ret, struct q2_err *err)
{
	const char *value = pairs_value(p, key);

	return value ? optval_bool(key, value, ret, err) : 0;
}

/* 1: on, -1: off. */
static int
take_tristate(struct pairs *p, const char *key, int *ret, struct q2_err *err)
{
	bool on = *ret > 0;
	int r;

	if (!pairs_has(p, key))
		return 0;
	r = take_bool(p, key, &on, err);
	if (r == 0)
		*ret = on ? 1 : -1;
	return r;
}

static int
take_size(struct pairs *p, const char *key, uint64_t *ret, struct q2_err *err)
{
	const char *value = pairs_value(p, key);

	return value ? optval_size(key, value, ret, err) : 0;
}

/* The place of the value among words, in *ret; -1 if it is not there. */
static void
take_word(struct pairs *p, const char *key, const char *const *words, int *ret,
	  const char **ret_bad)
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

/* Take and forget an option that changes nothing here. */
static int
take_in_vain(struct pairs *p, const char *key, struct q2_err *err)
{
	bool ignored;

	return take_bool(p, key, &ignored, err);
}

/* ---- options of every node --------------------------------------------- */

/* prefix and name as one key, in a buffer of the caller's. */
#define KEY_BYTES 64

static const char *
key_of(const char *prefix, const char *name, char buf[KEY_BYTES])
{
	(void)snprintf(buf, KEY_BYTES, "%s%s", prefix, name);
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
	char key[KEY_BYTES];
	int r;

	key_of(prefix, "cache.direct", key);
	if (!pairs_has(p, key) &&
	    !pairs_has(p, key_of(prefix, "cache.no-flush", key)))
		return 0;
	r = take_bool(p, key_of(prefix, "cache.direct", key), &direct, err);
	if (r == 0)
		r = take_bool(p, key_of(prefix, "cache.no-flush", key),
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
	char key[KEY_BYTES];
	const char *bad;
	int word;

	take_word(p, key_of(prefix, "discard", key), words, &word, &bad);
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
	char key[KEY_BYTES];
	const char *bad;
	int word;

	take_word(p, key_of(prefix, "detect-zeroes", key), words, &word, &bad);
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
	char key[KEY_BYTES];
	int r;

	r = take_bool(p, key_of(prefix, "read-only", key), &read_only, err);
	if (r == 0)
		r = take_in_vain(p, key_of(prefix, "auto-read-only", key), err);
	if (r == 0)
		r = take_bool(p, key_of(prefix, "force-share", key), &share,
			      err);
	if (r < 0)
		return r;
	if (read_only && !spec->is_reopen && !(o->flags & Q2_RDONLY))
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

static int
take_node(struct pairs *p, const char *prefix, struct q2_spec *spec,
	  struct q2_err *err)
{
	struct q2_open_opts *o = &spec->opts;
	char key[KEY_BYTES];
	int r;

	r = take_node_name(p, key_of(prefix, "node-name", key), err);
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

	take_word(p, key, words, &word, &bad);
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

	take_word(p, key, words, &word, &bad);
	if (bad)
		return q2_fail(err, -EINVAL, "invalid parameter value: %s",
			       bad);
	if (word >= 0)
		spec->aio = ours[word];
	return 0;
}

/* All options of a file node. */
static int
take_file(struct pairs *p, const char *prefix, struct q2_spec *spec,
	  struct q2_err *err)
{
	const char *filename;
	char key[KEY_BYTES];
	int r;

	filename = pairs_value(p, key_of(prefix, "filename", key));
	if (filename && spec->is_reopen &&
	    (!spec->path || strcmp(filename, spec->path) != 0))
		return q2_fail(err, -EINVAL,
			       "Cannot change the option 'filename'");
	if (filename)
		spec->path = filename;
	if (!spec->path || !*spec->path)
		return q2_fail(err, -EINVAL,
			       "The 'file' block driver requires a file name");
	r = take_node(p, prefix, spec, err);
	if (r == 0)
		r = take_locking(p, key_of(prefix, "locking", key), &spec->opts,
				 err);
	if (r == 0)
		r = take_aio(p, key_of(prefix, "aio", key), spec, err);
	if (r == 0)
		r = take_in_vain(p, key_of(prefix, "drop-cache", key), err);
	return r;
}

static int
take_null(struct pairs *p, const char *prefix, struct q2_spec *spec,
	  struct q2_err *err)
{
	char key[KEY_BYTES];
	int r;

	spec->opts.driver = "null";
	spec->opts.virtual_size = NULL_CO_BYTES;
	spec->path = NULL;
	r = take_size(p, key_of(prefix, "size", key), &spec->opts.virtual_size,
		      err);
	if (r == 0)
		r = take_in_vain(p, key_of(prefix, "read-zeroes", key), err);
	if (r == 0)
		r = take_node(p, prefix, spec, err);
	return r;
}

static bool
is_file_driver(const char *driver)
{
	return strcmp(driver, "file") == 0 ||
	       strcmp(driver, "host_device") == 0;
}

static bool
is_null_driver(const char *driver)
{
	return strcmp(driver, "null-co") == 0 ||
	       strcmp(driver, "null-aio") == 0 || strcmp(driver, "null") == 0;
}

static int
no_such_node(const char *name, struct q2_err *err)
{
	return q2_fail(err, -EINVAL,
		       "Cannot find device='%s' nor node-name='%s'", name,
		       name);
}

/* What is below a format: "file.*", or the name given with the options. */
static int
take_below(struct pairs *p, const char *name, struct q2_spec *spec,
	   struct q2_err *err)
{
	const char *ref = pairs_value(p, "file");
	const char *filename = pairs_value(p, "file.filename");
	const char *driver;

	if (ref)
		return no_such_node(ref, err);
	if (name && filename && !spec->is_reopen && strcmp(name, filename) != 0)
		return q2_fail(err, -EINVAL,
			       "Can't specify 'file' and 'filename' options at "
			       "the same time");
	if (!name && !pairs_has_prefix(p, "file."))
		return q2_fail(err, -EINVAL,
			       spec->opts.driver
				       ? "A block device must be specified "
					 "for \"file\""
				       : "Must specify either driver or file");
	spec->path = name;
	driver = pairs_value(p, "file.driver");
	if (!driver || is_file_driver(driver))
		return take_file(p, "file.", spec, err);
	if (is_null_driver(driver) && spec->opts.driver &&
	    strcmp(spec->opts.driver, "raw") == 0)
		return take_null(p, "file.", spec, err);
	if (strcmp(driver, "qcow2") == 0 || strcmp(driver, "raw") == 0)
		return q2_fail(err, -ENOTSUP,
			       "driver '%s' below another format is not "
			       "supported",
			       driver);
	return q2_fail(err, -EINVAL, "Unknown driver '%s'", driver);
}

/* ---- options of the formats -------------------------------------------- */

static int
take_overlap(struct pairs *p, struct q2_open_opts *o, struct q2_err *err)
{
	static const char *const words[] = {"cached", "constant", "all", "none",
					    NULL};
	static const char *const classes[] = {
		"overlap-check.main-header",
		"overlap-check.active-l1",
		"overlap-check.active-l2",
		"overlap-check.refcount-table",
		"overlap-check.refcount-block",
		"overlap-check.snapshot-table",
		"overlap-check.inactive-l1",
		"overlap-check.inactive-l2",
		"overlap-check.bitmap-directory",
	};
	const char *a = pairs_value(p, "overlap-check"), *bad, *bad2;
	const char *b = pairs_value(p, "overlap-check.template");
	int r = 0, word, word2;

	if (a && b && strcmp(a, b) != 0)
		return q2_fail(err, -EINVAL,
			       "Conflicting values for qcow2 options "
			       "'overlap-check' ('%s') and "
			       "'overlap-check.template' ('%s')",
			       a, b);
	take_word(p, "overlap-check", words, &word, &bad);
	take_word(p, "overlap-check.template", words, &word2, &bad2);
	if (bad || bad2)
		return q2_fail(err, -EINVAL,
			       "Unsupported value '%s' for qcow2 option "
			       "'overlap-check'. Allowed are any of the "
			       "following: none, constant, cached, all",
			       bad ? bad : bad2);
	if (word < 0)
		word = word2;
	if (word >= 0)
		o->overlap_check = (enum q2_overlap)word;
	/* A class that is known is always checked. */
	for (size_t i = 0; i < ARRAY_SIZE(classes) && r == 0; i++)
		r = take_in_vain(p, classes[i], err);
	return r;
}

static int
take_caches(struct pairs *p, struct q2_open_opts *o, struct q2_err *err)
{
	const char *interval = pairs_value(p, "cache-clean-interval");
	uint64_t seconds = 0;
	int r;

	r = take_size(p, "cache-size", &o->cache_size, err);
	if (r == 0)
		r = take_size(p, "l2-cache-size", &o->l2_cache_size, err);
	if (r == 0)
		r = take_size(p, "l2-cache-entry-size", &o->l2_cache_entry_size,
			      err);
	if (r == 0)
		r = take_size(p, "refcount-cache-size", &o->refcount_cache_size,
			      err);
	if (r < 0 || !interval)
		return r;
	r = optval_number("cache-clean-interval", interval, &seconds, err);
	if (r == 0 && seconds > UINT_MAX)
		r = q2_fail(err, -EINVAL, "Cache clean interval too big");
	/* 0 is never; in the struct it is the default. */
	if (r == 0)
		o->cache_clean_interval = seconds ? (unsigned)seconds
						  : UINT_MAX;
	return r;
}

static int
take_discards(struct pairs *p, struct q2_open_opts *o, struct q2_err *err)
{
	int r = take_tristate(p, "lazy-refcounts", &o->lazy_refcounts, err);

	if (r == 0)
		r = take_tristate(p, "pass-discard-request",
				  &o->pass_discard_request, err);
	if (r == 0)
		r = take_in_vain(p, "pass-discard-snapshot", err);
	if (r == 0)
		r = take_tristate(p, "pass-discard-other",
				  &o->pass_discard_other, err);
	if (r == 0)
		r = take_bool(p, "discard-no-unref", &o->discard_no_unref, err);
	return r;
}

/* The other files of an image. */
static int
take_others(struct pairs *p, struct q2_open_opts *o, struct q2_err *err)
{
	const struct pair *backing = pairs_take(p, "backing");
	const char *ref = pairs_value(p, "data-file");
	const char *driver = pairs_value(p, "backing.driver");
	const char *data = pairs_value(p, "data-file.filename");
	const char *data_driver = pairs_value(p, "data-file.driver");

	if (ref)
		return no_such_node(ref, err);
	if (backing && backing->value && *backing->value)
		return no_such_node(backing->value, err);
	if (pairs_has(p, "backing.file.filename"))
		return q2_fail(
			err, -ENOTSUP,
			"another backing file by 'backing.file.filename' "
			"is not supported; only 'backing.driver' is, and "
			"no backing file");
	if (driver && strcmp(driver, "raw") != 0 &&
	    strcmp(driver, "qcow2") != 0)
		return q2_fail(err, -EINVAL, "Unknown driver '%s'", driver);
	if (data_driver && !is_file_driver(data_driver))
		return q2_fail(err, -EINVAL, "Unknown driver '%s'",
			       data_driver);
	if (backing)
		o->no_backing = true;
	if (driver)
		o->backing_driver = driver;
	if (data)
		o->data_file = data;
	return 0;
}

static int
take_qcow2(struct pairs *p, struct q2_spec *spec, struct q2_err *err)
{
	struct q2_open_opts *o = &spec->opts;
	const char *secret;
	int r;

	r = take_caches(p, o, err);
	if (r == 0)
		r = take_discards(p, o, err);
	if (r == 0)
		r = take_overlap(p, o, err);
	if (r == 0)
		r = take_others(p, o, err);
	(void)pairs_take(p, "encrypt.format");
	secret = pairs_value(p, "encrypt.key-secret");
	if (secret)
		spec->key_secret = secret;
	return r;
}

static int
refuse_rest(const struct q2_spec *spec, enum node top, const char *driver,
	    struct q2_err *err)
{
	const struct pairs *p = spec->priv;

	for (size_t i = 0; i < p->n; i++) {
		const char *key = p->v[i].key;
		bool is_file = strncmp(key, "file.", 5) == 0;

		if (p->v[i].used)
			continue;
		key += is_file ? 5 : 0;
		if (spec->is_reopen)
			return q2_fail(err, -EINVAL,
				       "Cannot change the option '%s'", key);
		if (is_file || top == NODE_PROTOCOL)
			return q2_fail(err, -EINVAL,
				       "Block protocol '%s' doesn't support "
				       "the option '%s'",
				       is_file ? "file" : driver, key);
		return q2_fail(err, -EINVAL,
			       "Block format '%s' does not support the option "
			       "'%s'",
			       driver, key);
	}
	return 0;
}

/* The options of a format that is known by now. */
static int
take_format(struct q2_spec *spec, const char *driver, struct q2_err *err)
{
	struct pairs *p = spec->priv;
	int r = 0;

	if (strcmp(driver, "qcow2") == 0)
		r = take_qcow2(p, spec, err);
	return r < 0 ? r : refuse_rest(spec, NODE_FORMAT, driver, err);
}

static bool
has_rest(const struct q2_spec *spec)
{
	const struct pairs *p = spec->priv;

	for (size_t i = 0; i < p->n; i++)
		if (!p->v[i].used)
			return true;
	return false;
}

/* ---- the whole --------------------------------------------------------- */

/* The driver that the text names, as a static string in the options. */
static int
take_driver(const char *driver, struct q2_spec *spec, struct q2_err *err)
{
	static const char *const formats[] = {"qcow2", "raw"};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(driver, formats[i]) != 0)
			continue;
		if (spec->is_reopen && spec->opts.driver &&
		    strcmp(spec->opts.driver, driver) != 0)
			return q2_fail(err, -EINVAL,
				       "Cannot change the option 'driver'");
		if (!spec->opts.driver)
			spec->opts.driver = formats[i];
		return 0;
	}
	return q2_fail(err, -EINVAL, "Unknown driver '%s'", driver);
}

/* A file without a format node: raw. */
static int
take_protocol(struct pairs *p, const char *driver, struct q2_spec *spec,
	      struct q2_err *err)
{
	bool is_null = is_null_driver(driver);
	int r;

	if (!is_null && !spec->opts.driver)
		spec->opts.driver = "raw";
	r = is_null ? take_null(p, "", spec, err) : take_file(p, "", spec, err);
	return r < 0 ? r : refuse_rest(spec, NODE_PROTOCOL, driver, err);
}

static int
interpret(struct pairs *p, const char *name, struct q2_spec *spec,
	  struct q2_err *err)
{
	const char *driver = pairs_value(p, "driver");
	int r;

	if (driver && !name &&
	    (is_file_driver(driver) || is_null_driver(driver)))
		return take_protocol(p, driver, spec, err);
	r = driver ? take_driver(driver, spec, err) : 0;
	/* What the file's own options say of caches and the like wins. */
	if (r == 0)
		r = take_node(p, "", spec, err);
	if (r == 0)
		r = take_below(p, name, spec, err);
	if (r < 0 || !spec->opts.driver)
		return r;
	return take_format(spec, spec->opts.driver, err);
}

/* The path in a file name: "file:" in front of it is left out, and what looks
 * like another protocol is an error. */
static int
plain_name(const char **name, struct q2_err *err)
{
	size_t protocol = strcspn(*name, ":/");

	if (strncmp(*name, "file:", 5) == 0)
		*name += 5;
	else if ((*name)[protocol] == ':')
		return q2_fail(err, -EINVAL, "Unknown protocol '%.*s'",
			       (int)min_u64(protocol, 100), *name);
	return 0;
}

static int
parse(struct pairs *p, const char *name, const char *list, struct q2_spec *spec,
      struct q2_err *err)
{
	int r = 0;

	if (name && strncmp(name, "json:", 5) == 0) {
		r = pairs_add_json(p, name + 5, err);
		name = NULL;
	}
	if (r == 0 && list)
		r = pairs_add_list(p, list, name || p->n ? NULL : "file", err);
	if (r == 0 && name)
		r = plain_name(&name, err);
	/* A copy of the name, to live as long as the rest. */
	if (r == 0 && name) {
		r = pairs_set(p, "", name, err);
		name = pairs_value(p, "");
	}
	return r < 0 ? r : interpret(p, name, spec, err);
}

int
q2_spec_parse(struct q2_spec *spec, const char *name, const char *list,
	      struct q2_err *err)
{
	struct pairs *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return q2_fail(err, -ENOMEM, "no memory for the options");
	spec->priv = p;
	spec->path = NULL;
	spec->aio = NULL;
	spec->key_secret = NULL;
	spec->opts.size = sizeof(spec->opts);
	r = parse(p, name, list, spec, err);
	if (r < 0)
		q2_spec_done(spec);
	return r;
}

int
q2_open_spec(struct q2_loop *loop, struct q2_spec *spec,
	     struct q2_image **ret_img, struct q2_err *err)
{
	const char *path = spec->path ? spec->path : "null";
	int r = 0;

	if (!spec->opts.driver && has_rest(spec)) {
		r = q2_probe(loop, path, &spec->opts.driver, err);
		if (r == 0)
			r = take_format(spec, spec->opts.driver, err);
	}
	return r < 0 ? r : q2_open(loop, path, &spec->opts, ret_img, err);
}

void
q2_spec_done(struct q2_spec *spec)
{
	struct pairs *p = spec->priv;

	if (p)
		pairs_done(p);
	free(p);
	spec->priv = NULL;
}
