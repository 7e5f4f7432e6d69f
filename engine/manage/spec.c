/* SPDX-License-Identifier: MIT */
/*
 * spec.c - images by text: which options there are, and what they set
 *
 * An image is a format node (qcow2, raw) on a file node, whose options have
 * "file." before them; between the two there may be nodes of driver raw, each
 * a part of the next.  Only this shape is taken.  The text comes from the
 * user's command line; names in image headers never get here (they are names
 * of plain files, whatever they look like).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/aio/aio.h"
#include "engine/aio/debug.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/open.h"
#include "engine/manage/spec_priv.h"

/* What QEMU calls the node in messages. */
enum node {
	NODE_FORMAT,
	NODE_PROTOCOL
};

/* ---- what is below a format -------------------------------------------- */

/* What is below a format: "file.*", or the name given with the options. */
static int
take_below(struct pairs *p, const char *name, struct q2_spec *spec,
	   struct q2_err *err)
{
	const char *ref = pairs_value(p, "file");
	const char *filename = pairs_value(p, "file.filename");
	char at[SPEC_KEY_BYTES] = "file.", key[SPEC_KEY_BYTES];
	const char *driver;
	int r;

	if (ref)
		return spec_no_such_node(ref, err);
	if (name && filename && !spec->reopened && strcmp(name, filename) != 0)
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
	r = spec_take_raws(p, at, spec, &spec->opts.part, err);
	if (r == 0 && spec_is_debug(p, at))
		r = spec_take_debug(p, at, spec, err);
	if (r < 0)
		return r;
	driver = pairs_value(p, spec_key(at, "driver", key));
	if (!driver || spec_is_file(driver))
		return spec_take_file(p, at, spec, err);
	if (spec_is_null(driver) && spec->opts.driver &&
	    strcmp(spec->opts.driver, "raw") == 0)
		return spec_take_null(p, at, spec, err);
	if (strcmp(driver, "qcow2") == 0)
		return q2_fail(err, -ENOTSUP,
			       "driver '%s' below another format is not "
			       "supported",
			       driver);
	return q2_fail(err, -EINVAL, "Unknown driver '%s'", driver);
}

/* ---- the rest ---------------------------------------------------------- */

/* The driver of the node at prefix, as messages name it. */
static const char *
driver_at(const struct pairs *p, const char *prefix, size_t len)
{
	for (size_t i = 0; i < p->n; i++)
		if (strncmp(p->v[i].key, prefix, len) == 0 &&
		    strcmp(p->v[i].key + len, "driver") == 0)
			return p->v[i].value;
	return NULL;
}

/* Does a prefix of that length name a format?  What has none is a file, and a
 * backing file an image. */
static bool
is_format_at(const char *prefix, size_t len, const char *driver)
{
	static const char backing[] = "backing.";
	size_t n = strlen(backing);

	if (driver)
		return strcmp(driver, "qcow2") == 0 ||
		       strcmp(driver, "raw") == 0;
	return len >= n && strncmp(prefix + len - n, backing, n) == 0;
}

/* As it is told when a header names the file, once for each layer. */
static int
fail_below(const char *key, struct q2_err *err)
{
	static const char backing[] = "backing.";
	size_t n = strlen(backing);
	char reason[sizeof(err->text)];

	for (; err && strncmp(key, backing, n) == 0; key += n) {
		(void)strcpy(reason, err->text);
		(void)q2_fail(err, -EINVAL,
			      "Could not open backing file: %.900s", reason);
	}
	return -EINVAL;
}

static int
refuse(const struct q2_spec *spec, const char *key, enum node top,
       const char *driver, struct q2_err *err)
{
	const char *bare = spec_bare(key);
	size_t len = (size_t)(bare - key);
	bool format = top == NODE_FORMAT;

	if (spec->reopened)
		return q2_fail(err, -EINVAL, "Cannot change the option '%s'",
			       bare);
	if (len) {
		driver = driver_at(spec_pairs(spec), key, len);
		format = is_format_at(key, len, driver);
		if (!driver)
			driver = format ? "qcow2" : "file";
	}
	(void)q2_fail(err, -EINVAL,
		      format ? "Block format '%s' does not support the option "
			       "'%s'"
			     : "Block protocol '%s' doesn't support the option "
			       "'%s'",
		      driver, bare);
	return fail_below(key, err);
}

static int
refuse_rest(const struct q2_spec *spec, enum node top, const char *driver,
	    struct q2_err *err)
{
	const struct pairs *p = spec_pairs(spec);

	for (size_t i = 0; i < p->n; i++)
		if (!p->v[i].used)
			return refuse(spec, p->v[i].key, top, driver, err);
	return 0;
}

/* ---- formats ----------------------------------------------------------- */

/* A part of what reads as zeros. */
static int
cut_null(struct q2_open_opts *o, struct q2_err *err)
{
	int r = aio_check_part(&o->part, o->virtual_size, err);

	if (r < 0)
		return r;
	o->virtual_size = o->part.has_size ? o->part.size
					   : o->virtual_size - o->part.offset;
	o->part = (struct q2_part){0};
	return 0;
}

/* The options of a format that is known by now. */
static int
take_format(struct q2_spec *spec, const char *driver, struct q2_err *err)
{
	struct q2_open_opts *o = &spec->opts;
	bool is_null = strcmp(driver, "null") == 0;
	int r = 0;

	if (strcmp(driver, "qcow2") == 0)
		r = spec_take_qcow2(spec, "", o, err);
	else
		r = spec_take_part(spec_pairs(spec), "", &o->part, err);
	if (r == 0 && is_null)
		r = cut_null(o, err);
	return r < 0 ? r : refuse_rest(spec, NODE_FORMAT, driver, err);
}

static bool
has_rest(const struct q2_spec *spec)
{
	const struct pairs *p = spec_pairs(spec);

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
	bool is_null = spec_is_null(driver);
	char at[SPEC_KEY_BYTES] = "";
	int r = 0;

	if (!is_null && !spec->opts.driver)
		spec->opts.driver = "raw";
	if (spec_is_debug(p, at))
		r = spec_take_debug(p, at, spec, err);
	if (r == 0)
		r = is_null ? spec_take_null(p, at, spec, err)
			    : spec_take_file(p, at, spec, err);
	return r < 0 ? r : refuse_rest(spec, NODE_PROTOCOL, driver, err);
}

static int
interpret(struct pairs *p, const char *name, struct q2_spec *spec,
	  struct q2_err *err)
{
	const char *driver = pairs_value(p, "driver");
	int r;

	if (driver && !name &&
	    (spec_is_file(driver) || spec_is_null(driver) ||
	     spec_is_debug(p, "")))
		return take_protocol(p, driver, spec, err);
	r = driver ? take_driver(driver, spec, err) : 0;
	/* What the file's own options say of caches and the like wins. */
	if (r == 0)
		r = spec_take_node(p, "", spec, err);
	if (r == 0)
		r = take_below(p, name, spec, err);
	if (r < 0 || !spec->opts.driver)
		return r;
	return take_format(spec, spec->opts.driver, err);
}

/* The path in a file name, which lives as long as the pairs: "file:" in front
 * of it is left out, and what looks like another protocol is an error.  What
 * looks like one behind "file:" gets a "./" and is a path to everybody. */
static int
take_name(struct pairs *p, const char **name, struct q2_err *err)
{
	Q2_AUTO_FREE char *path = NULL;
	bool is_file = strncmp(*name, "file:", 5) == 0;
	const char *rest = *name + (is_file ? 5 : 0);
	size_t protocol = strcspn(rest, ":/");
	int r;

	if (rest[protocol] == ':' && !is_file)
		return q2_fail(err, -EINVAL, "Unknown protocol '%.*s'",
			       (int)min_u64(protocol, 100), rest);
	if (rest[protocol] == ':' && asprintf(&path, "./%s", rest) < 0) {
		path = NULL;
		return q2_fail(err, -ENOMEM, "no memory for a file name");
	}
	r = pairs_set(p, "", path ? path : rest, err);
	*name = pairs_value(p, "");
	return r;
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
		r = spec_split_debug(p, &name, err);
	if (r == 0 && name)
		r = take_name(p, &name, err);
	if (r == 0)
		r = spec->reopened ? spec_check_nodes(spec, err)
				   : spec_lift_filters(p, spec, err);
	return r < 0 ? r : interpret(p, name, spec, err);
}

int
q2_spec_parse(struct q2_spec *spec, const char *name, const char *list,
	      struct q2_err *err)
{
	int r;

	spec->priv = calloc(1, sizeof(struct spec_priv));
	if (!spec->priv)
		return q2_fail(err, -ENOMEM, "no memory for the options");
	spec->path = NULL;
	spec->protocol = NULL;
	spec->aio = NULL;
	spec->key_secret = NULL;
	spec->opts.size = sizeof(spec->opts);
	r = parse(spec_pairs(spec), name, list, spec, err);
	if (r < 0)
		q2_spec_done(spec);
	return r;
}

/* q2_probe() of the part that the text means. */
static int
probe(struct q2_loop *loop, const char *path, struct q2_spec *spec,
      struct q2_err *err)
{
	struct loop *inner = (struct loop *)loop;
	struct points points = {0};
	struct aio_file *file;
	int r = aio_open(inner, path, AIO_RDONLY, &points, &file, err);

	if (r < 0)
		return r;
	r = aio_set_part(file, &spec->opts.part, err);
	if (r == 0)
		r = image_probe(inner, file, &spec->opts.driver, err);
	aio_close(file);
	return r;
}

/* A driver that is named wants its own kind of file.  What cannot be looked at,
 * or is a directory to be written, fails when it is opened. */
static int
check_protocol(const struct q2_spec *spec, struct q2_err *err)
{
	bool is_device;
	struct stat st;

	if (!spec->path || !spec->protocol || stat(spec->path, &st) < 0 ||
	    (S_ISDIR(st.st_mode) && !(spec->opts.flags & Q2_RDONLY)))
		return 0;
	is_device = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
	if (strcmp(spec->protocol, "file") == 0 && !S_ISREG(st.st_mode))
		return q2_fail(err, -EINVAL,
			       "'file' driver requires '%s' to be a regular "
			       "file",
			       spec->path);
	if (strcmp(spec->protocol, "host_device") == 0 && !is_device)
		return q2_fail(err, -EINVAL,
			       "'host_device' driver requires '%s' to be "
			       "either a character or block device",
			       spec->path);
	return 0;
}

int
q2_open_spec(struct q2_loop *loop, struct q2_spec *spec,
	     struct q2_image **ret_img, struct q2_err *err)
{
	const char *path = spec->path ? spec->path : "null";
	int r = check_protocol(spec, err);

	if (r == 0 && !spec->opts.driver && has_rest(spec)) {
		r = probe(loop, path, spec, err);
		if (r == 0)
			r = take_format(spec, spec->opts.driver, err);
	}
	return r < 0 ? r : q2_open(loop, path, &spec->opts, ret_img, err);
}

void
q2_spec_done(struct q2_spec *spec)
{
	struct spec_priv *priv = spec->priv;

	if (priv) {
		pairs_done(&priv->pairs);
		debug_free(priv->debug);
	}
	while (priv && priv->n_backing)
		free(priv->backing[--priv->n_backing]);
	free(priv);
	spec->priv = NULL;
}
