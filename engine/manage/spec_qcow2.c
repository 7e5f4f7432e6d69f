/* SPDX-License-Identifier: MIT */
/*
 * spec_qcow2.c - options of qcow2 images, and what is said of their other files
 */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/base/optval.h"
#include "engine/manage/spec_priv.h"

/* ---- options ----------------------------------------------------------- */

static int
take_overlap_template(struct pairs *p, const char *prefix,
		      struct q2_open_opts *o, struct q2_err *err)
{
	static const char *const words[] = {"cached", "constant", "all", "none",
					    NULL};
	char key[SPEC_KEY_BYTES], key2[SPEC_KEY_BYTES];
	const char *a, *b, *bad;
	int word;

	a = pairs_value(p, spec_key(prefix, "overlap-check", key));
	b = pairs_value(p, spec_key(prefix, "overlap-check.template", key2));
	if (a && b && strcmp(a, b) != 0)
		return q2_fail(err, -EINVAL,
			       "Conflicting values for qcow2 options "
			       "'overlap-check' ('%s') and "
			       "'overlap-check.template' ('%s')",
			       a, b);
	spec_take_word(p, a ? key : key2, words, &word, &bad);
	if (bad)
		return q2_fail(err, -EINVAL,
			       "Unsupported value '%s' for qcow2 option "
			       "'overlap-check'. Allowed are any of the "
			       "following: none, constant, cached, all",
			       bad);
	if (word >= 0)
		o->overlap_check = (enum q2_overlap)word;
	return 0;
}

static int
take_overlap(struct pairs *p, const char *prefix, struct q2_open_opts *o,
	     struct q2_err *err)
{
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
	char key[SPEC_KEY_BYTES];
	int r = take_overlap_template(p, prefix, o, err);

	/* A class that is known is always checked. */
	for (size_t i = 0; i < ARRAY_SIZE(classes) && r == 0; i++)
		r = spec_take_in_vain(p, spec_key(prefix, classes[i], key),
				      err);
	return r;
}

static int
take_interval(struct pairs *p, const char *prefix, struct q2_open_opts *o,
	      struct q2_err *err)
{
	static const char name[] = "cache-clean-interval";
	char key[SPEC_KEY_BYTES];
	const char *value = pairs_value(p, spec_key(prefix, name, key));
	uint64_t seconds = 0;
	int r = value ? optval_number(name, value, &seconds, err) : 0;

	if (r < 0 || !value)
		return r;
	if (seconds > UINT_MAX)
		return q2_fail(err, -EINVAL, "Cache clean interval too big");
	/* 0 is never; in the struct it is the default. */
	o->cache_clean_interval = seconds ? (unsigned)seconds : UINT_MAX;
	return 0;
}

static int
take_caches(struct pairs *p, const char *prefix, struct q2_open_opts *o,
	    struct q2_err *err)
{
	const struct {
		const char *name;
		uint64_t *value;
	} sizes[] = {
		{"cache-size", &o->cache_size},
		{"l2-cache-size", &o->l2_cache_size},
		{"l2-cache-entry-size", &o->l2_cache_entry_size},
		{"refcount-cache-size", &o->refcount_cache_size},
	};
	char key[SPEC_KEY_BYTES];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sizes) && r == 0; i++)
		r = spec_take_size(p, spec_key(prefix, sizes[i].name, key),
				   sizes[i].value, err);
	/* A size of 0 is one that is set, too. */
	if (r == 0 && pairs_has(p, spec_key(prefix, "cache-size", key)) &&
	    pairs_has(p, spec_key(prefix, "l2-cache-size", key)) &&
	    pairs_has(p, spec_key(prefix, "refcount-cache-size", key)))
		r = q2_fail(err, -EINVAL,
			    "cache-size, l2-cache-size and "
			    "refcount-cache-size may not be set at the same "
			    "time");
	/* 0 is the default in the struct, and too small in a text. */
	if (pairs_has(p, spec_key(prefix, "l2-cache-entry-size", key)) &&
	    !o->l2_cache_entry_size)
		o->l2_cache_entry_size = 1;
	return r < 0 ? r : take_interval(p, prefix, o, err);
}

static int
take_discards(struct pairs *p, const char *prefix, struct q2_open_opts *o,
	      struct q2_err *err)
{
	const struct {
		const char *name;
		int *value;
	} switches[] = {
		{"lazy-refcounts", &o->lazy_refcounts},
		{"pass-discard-request", &o->pass_discard_request},
		{"pass-discard-snapshot", &o->pass_discard_snapshot},
		{"pass-discard-other", &o->pass_discard_other},
	};
	char key[SPEC_KEY_BYTES];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(switches) && r == 0; i++)
		r = spec_take_tristate(p,
				       spec_key(prefix, switches[i].name, key),
				       switches[i].value, err);
	if (r == 0)
		r = spec_take_bool(p, spec_key(prefix, "discard-no-unref", key),
				   &o->discard_no_unref, err);
	return r;
}

/* Ours; QEMU has a driver for the first. */
static int
take_compress(struct pairs *p, const char *prefix, struct q2_open_opts *o,
	      struct q2_err *err)
{
	static const char *const words[] = {"fast", "small", NULL};
	char key[SPEC_KEY_BYTES];
	const char *bad;
	int word;

	spec_take_word(p, spec_key(prefix, "compress-effort", key), words,
		       &word, &bad);
	if (bad)
		return q2_fail(err, -EINVAL,
			       "compress-effort is 'fast' or 'small', not '%s'",
			       bad);
	if (word >= 0)
		o->compress_effort = (enum q2_effort)word;
	return spec_take_bool(p, spec_key(prefix, "compress", key),
			      &o->compress, err);
}

/* ---- files ------------------------------------------------------------- */

/* The file of a node below, at prefix or under nodes of driver raw there: its
 * name, or NULL if the text does not tell. */
/* A data file with rules of blkdebug. */
static int
take_debugged(struct q2_spec *spec, char at[SPEC_KEY_BYTES],
	      struct q2_spec *scratch, struct q2_err *err)
{
	struct pairs *p = spec_pairs(spec);
	int r;

	if (strncmp(at, "data-file.", strlen("data-file.")) != 0)
		return q2_fail(err, -ENOTSUP,
			       "blkdebug is for the image's own file and its "
			       "data file, not below '%.100s'",
			       at);
	r = spec_take_debug(p, at, scratch, err);
	spec->opts.debug = scratch->opts.debug;
	spec->opts.debug_data_file = true;
	return r < 0 ? r : spec_take_file(p, at, scratch, err);
}

static int
take_other_file(struct q2_spec *spec, const char *prefix,
		struct q2_spec *scratch, struct q2_part *part,
		struct q2_err *err)
{
	struct pairs *p = spec_pairs(spec);
	char at[SPEC_KEY_BYTES], key[SPEC_KEY_BYTES];
	const char *driver;
	int r;

	(void)strcpy(at, prefix);
	r = spec_take_raws(p, at, scratch, part, err);
	if (r < 0 || !pairs_has_prefix(p, at))
		return r;
	if (spec_is_debug(p, at))
		return take_debugged(spec, at, scratch, err);
	driver = pairs_value(p, spec_key(at, "driver", key));
	if (driver && !spec_is_file(driver)) {
		bool is_known = strcmp(driver, "qcow2") == 0 ||
				spec_is_null(driver);

		return q2_fail(err, is_known ? -ENOTSUP : -EINVAL,
			       is_known ? "driver '%s' below another format is "
					  "not supported"
					: "Unknown driver '%s'",
			       driver);
	}
	if (!driver && !scratch->path &&
	    !pairs_has(p, spec_key(at, "filename", key)))
		return q2_fail(err, -EINVAL,
			       "Must specify either driver or file");
	return spec_take_file(p, at, scratch, err);
}

/* Options of nodes below go nowhere but here: they are read, and shared as the
 * image is. */
static struct q2_spec
scratch_of(const struct q2_spec *spec)
{
	struct q2_spec scratch = {.priv = spec->priv};

	scratch.opts.flags = Q2_RDONLY | (spec->opts.flags & Q2_UNMAP);
	return scratch;
}

static int
take_data_file(struct q2_spec *spec, const char *prefix, struct q2_open_opts *o,
	       struct q2_err *err)
{
	struct pairs *p = spec_pairs(spec);
	struct q2_spec scratch = scratch_of(spec);
	char key[SPEC_KEY_BYTES];
	const char *ref = pairs_value(p, spec_key(prefix, "data-file", key));
	int r;

	if (ref)
		return spec_no_such_node(ref, err);
	if (!pairs_has_prefix(p, spec_key(prefix, "data-file.", key)))
		return 0;
	r = take_other_file(spec, key, &scratch, &o->data_part, err);
	o->data_file = scratch.path;
	return r;
}

/* A node for options of the layer below o, whose options are at prefix. */
static int
new_backing(struct q2_spec *spec, const char *prefix, struct q2_open_opts *o,
	    struct q2_open_opts **ret, struct q2_err *err)
{
	struct spec_priv *priv = spec->priv;
	struct q2_open_opts *below;

	if (priv->n_backing == SPEC_BACKING_MAX)
		return q2_fail(err, -EINVAL,
			       "'%s' is more than %d backing files deep",
			       prefix, SPEC_BACKING_MAX);
	below = calloc(1, sizeof(*below));
	if (!below)
		return q2_fail(err, -ENOMEM, "no memory for the options");
	below->size = sizeof(*below);
	priv->backing[priv->n_backing++] = below;
	o->backing = below;
	*ret = below;
	return 0;
}

/* The driver of the layer at prefix; NULL: the header knows, or it is probed. */
static int
take_backing_driver(struct pairs *p, const char *prefix, const char **ret,
		    struct q2_err *err)
{
	static const char *const formats[] = {"qcow2", "raw"};
	char key[SPEC_KEY_BYTES];
	const char *driver = pairs_value(p, spec_key(prefix, "driver", key));

	*ret = NULL;
	for (size_t i = 0; driver && i < ARRAY_SIZE(formats); i++)
		if (strcmp(driver, formats[i]) == 0)
			*ret = formats[i];
	if (driver && !*ret)
		return q2_fail(err, -EINVAL, "Unknown driver '%s'", driver);
	return 0;
}

/* What is said of the layer below o, at prefix. */
/* NOLINTNEXTLINE(misc-no-recursion): SPEC_BACKING_MAX deep at most */
static int
take_layer(struct q2_spec *spec, const char *prefix, struct q2_open_opts *o,
	   struct q2_err *err)
{
	struct pairs *p = spec_pairs(spec);
	struct q2_spec scratch = scratch_of(spec);
	static const char as_in_header[] = "as in the header";
	struct q2_open_opts *below = NULL;
	char file[SPEC_KEY_BYTES];
	int r = new_backing(spec, prefix, o, &below, err);

	if (r < 0)
		return r;
	assert(below);
	scratch.path = as_in_header;
	r = take_backing_driver(p, prefix, &below->driver, err);
	if (r == 0)
		r = spec_take_node(p, prefix, &scratch, err);
	if (r == 0 && pairs_has_prefix(p, spec_key(prefix, "file.", file)))
		r = take_other_file(spec, file, &scratch, &below->part, err);
	if (r < 0)
		return r;
	below->cache = scratch.opts.cache;
	if (scratch.path != as_in_header)
		o->backing_file = scratch.path;
	if (below->driver && strcmp(below->driver, "raw") == 0)
		return spec_take_part(p, prefix, &below->part, err);
	return spec_take_qcow2(spec, prefix, below, err);
}

/* An image that is opened without its backing file has no use for options of
 * one: as in QEMU nobody takes them, and backing='' says nothing new. */
static int
refuse_backing(const struct pairs *p, const char *prefix, struct q2_err *err)
{
	static const char backing[] = "backing";
	size_t n = strlen(prefix), len = strlen(backing);

	for (size_t i = 0; i < p->n; i++) {
		const char *key = p->v[i].key, *value = p->v[i].value;

		if (strncmp(key, prefix, n) != 0 ||
		    strncmp(key + n, backing, len) != 0)
			continue;
		if (key[n + len] == '.' || (!key[n + len] && value && *value))
			return q2_fail(err, -EINVAL,
				       "Block format 'qcow2' does not support "
				       "the option '%s'",
				       key + n);
	}
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): SPEC_BACKING_MAX deep at most */
static int
take_backing(struct q2_spec *spec, const char *prefix, struct q2_open_opts *o,
	     struct q2_err *err)
{
	struct pairs *p = spec_pairs(spec);
	char key[SPEC_KEY_BYTES];
	const struct pair *backing;
	struct q2_err why = {0};
	int r = o->no_backing ? refuse_backing(p, prefix, err) : 0;

	if (r < 0)
		return r;
	backing = pairs_take(p, spec_key(prefix, "backing", key));
	if (backing && backing->value && *backing->value)
		r = spec_no_such_node(backing->value, &why);
	o->no_backing |= backing != NULL;
	if (r == 0 && pairs_has_prefix(p, spec_key(prefix, "backing.", key)))
		r = take_layer(spec, key, o, &why);
	/* As it is told when a header names the file. */
	return r < 0 ? q2_fail(err, r, "Could not open backing file: %.900s",
			       why.text)
		     : 0;
}

/* encrypt.*: what else there is, QEMU refuses if the image is encrypted. */
static int
take_encryption(struct q2_spec *spec, const char *prefix,
		struct q2_open_opts *o, struct q2_err *err)
{
	struct pairs *p = spec_pairs(spec);
	char key[SPEC_KEY_BYTES];

	o->encrypt_format = pairs_value(
		p, spec_key(prefix, "encrypt.format", key));
	o->key_secret = pairs_value(
		p, spec_key(prefix, "encrypt.key-secret", key));
	if (o->key_secret && spec->secrets)
		o->key = q2_secrets_find(spec->secrets, o->key_secret,
					 &o->key_len);
	spec_key(prefix, "encrypt.", key);
	for (size_t i = 0; i < p->n; i++)
		if (!p->v[i].used &&
		    strncmp(p->v[i].key, key, strlen(key)) == 0)
			return q2_fail(err, -EINVAL,
				       "Parameter '%s' is unexpected",
				       p->v[i].key + strlen(key));
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): SPEC_BACKING_MAX deep at most */
int
spec_take_qcow2(struct q2_spec *spec, const char *prefix,
		struct q2_open_opts *o, struct q2_err *err)
{
	struct pairs *p = spec_pairs(spec);
	int r;

	r = take_caches(p, prefix, o, err);
	if (r == 0)
		r = take_discards(p, prefix, o, err);
	if (r == 0)
		r = take_compress(p, prefix, o, err);
	if (r == 0)
		r = take_overlap(p, prefix, o, err);
	if (r == 0)
		r = take_encryption(spec, prefix, o, err);
	if (r == 0)
		r = take_data_file(spec, prefix, o, err);
	if (r == 0)
		r = take_backing(spec, prefix, o, err);
	if (!*prefix)
		spec->key_secret = o->key_secret;
	return r;
}
