/* SPDX-License-Identifier: MIT */
/*
 * file.c - opening the image files that the subcommands are given
 */
#include "engine/img/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/overlay.h"

bool
file_parse_cache(const char *text, enum q2_cache *ret)
{
	static const struct {
		const char *name;
		enum q2_cache cache;
	} modes[] = {
		{"none", Q2_CACHE_NONE},
		{"off", Q2_CACHE_NONE},
		{"writeback", Q2_CACHE_WRITEBACK},
		{"writethrough", Q2_CACHE_WRITETHROUGH},
		{"directsync", Q2_CACHE_DIRECTSYNC},
		{"unsafe", Q2_CACHE_UNSAFE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(text, modes[i].name) == 0) {
			*ret = modes[i].cache;
			return true;
		}
	}
	return false;
}

const char *
file_parse_aio(const char *text)
{
	static const char *const names[] = {"io_uring", "libaio", "threads",
					    "native"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(text, names[i]) == 0)
			return names[i];
	return NULL;
}

bool
file_parse_prealloc(const char *text, enum q2_prealloc *ret)
{
	static const char *const names[] = {"off", "metadata", "falloc",
					    "full"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum q2_prealloc)i;
			return true;
		}
	}
	return false;
}

bool
file_parse_discard(const char *text, unsigned *flags)
{
	if (strcmp(text, "unmap") == 0 || strcmp(text, "on") == 0)
		*flags |= Q2_UNMAP;
	else if (strcmp(text, "ignore") == 0 || strcmp(text, "off") == 0)
		*flags &= ~(unsigned)Q2_UNMAP;
	else
		return false;
	return true;
}

int
file_path(const char *filename, const char **ret_path, struct q2_err *err)
{
	size_t protocol = strcspn(filename, ":/");

	if (strncmp(filename, "json:", 5) == 0)
		return q2_fail(err, -ENOTSUP,
			       "a new file needs a plain name, not json:{}");
	if (strncmp(filename, "file:", 5) == 0)
		filename += 5;
	else if (filename[protocol] == ':')
		return q2_fail(err, -EINVAL, "Unknown protocol '%.*s'",
			       (int)protocol, filename);
	*ret_path = filename;
	return 0;
}

/* What the repair of an image that was not closed cleanly finds. */
static void
finding(void *arg, const char *text)
{
	(void)arg;
	talk("%s", text);
}

/* What is amiss with an image; the second line is what to do. */
static void
warning(void *arg, const char *text)
{
	size_t first = strcspn(text, "\n");

	(void)arg;
	(void)complain("warning: %.*s", (int)first, text);
	if (text[first])
		hint("%s", text + first + 1);
}

/* A breakpoint of blkdebug: a request is held, or goes on. */
static void
debug_said(void *arg, const char *text)
{
	(void)arg;
	say("blkdebug: %s\n", text);
}

static struct q2_spec
spec_of(const struct file_opts *opts)
{
	struct q2_spec spec = {.opts = opts->open, .secrets = cmd_secrets()};

	spec.opts.driver = opts->format;
	if (opts->overlay)
		spec.opts.flags |= Q2_RDONLY;
	spec.opts.finding = finding;
	spec.opts.debug_said = debug_said;
	spec.opts.warning = warning;
	return spec;
}

static int
parse_spec(const char *filename, const struct file_opts *opts,
	   struct q2_spec *spec, struct q2_err *err)
{
	char *both = NULL;
	int r;

	if (!opts->image_opts)
		return q2_spec_parse(spec, filename, opts->extra, err);
	if (opts->extra && asprintf(&both, "%s,%s", filename, opts->extra) < 0)
		return q2_fail(err, -ENOMEM, "no memory for the options");
	r = q2_spec_parse(spec, NULL, both ? both : filename, err);
	free(both);
	return r;
}

int
file_check_reopen(const struct file *file, const struct file_opts *opts,
		  const char *list, struct q2_err *err)
{
	struct q2_spec spec = spec_of(opts);
	int r;

	spec.reopened = file->img;
	spec.was = &file->spec;
	r = q2_spec_parse(&spec, file->name, list, err);
	q2_spec_done(&spec);
	return r;
}

/* QEMU's name for libaio, which it has with O_DIRECT only: else io_submit()
 * waits for the disk. */
static int
check_native(const struct file_opts *opts, enum q2_cache cache,
	     const char **ret_aio, struct q2_err *err)
{
	if (!opts->aio || strcmp(opts->aio, "native") != 0)
		return 0;
	*ret_aio = "libaio";
	if (cache == Q2_CACHE_NONE || cache == Q2_CACHE_DIRECTSYNC)
		return 0;
	return q2_fail(err, -EINVAL,
		       "aio=native was specified, but it requires "
		       "cache.direct=on, which was not specified.");
}

static int
open_spec(struct file *file, const struct file_opts *opts, struct q2_err *err)
{
	struct q2_loop_opts loop_opts = {
		.size = sizeof(loop_opts),
		.aio = opts->aio ? opts->aio : file->spec.aio,
	};
	int r = check_native(opts, file->spec.opts.cache, &loop_opts.aio, err);

	if (r < 0)
		return r;
	file->name = file->spec.path ? file->spec.path : "null-co://";
	file->loop = opts->loop;
	file->owns_loop = !opts->loop;
	if (!opts->loop)
		r = q2_loop_new(&loop_opts, &file->loop, err);
	if (r == 0)
		r = q2_open_spec(file->loop, &file->spec, &file->img, err);
	if (r == -EISDIR && (opts->open.flags & Q2_RDONLY))
		return q2_fail(err, r,
			       "'file' driver requires '%s' to be a regular "
			       "file",
			       file->name);
	return r;
}

int
file_open(const char *filename, const struct file_opts *opts,
	  struct file *ret_file, struct q2_err *err)
{
	struct file file = {.spec = spec_of(opts)};
	int r;

	r = parse_spec(filename, opts, &file.spec, err);
	file.was_probed = !file.spec.opts.driver;
	if (r == 0)
		r = open_spec(&file, opts, err);
	if (r == 0 && opts->overlay) {
		r = overlay_put(&file, opts, err);
		if (r < 0)
			(void)q2_close(file.img, NULL);
	}
	if (r < 0) {
		if (file.owns_loop)
			q2_loop_free(file.loop);
		q2_spec_done(&file.spec);
		return r;
	}
	*ret_file = file;
	return 0;
}

int
file_close(struct file *file, struct q2_err *err)
{
	int r = file->img ? q2_close(file->img, err) : 0;

	if (file->owns_loop)
		q2_loop_free(file->loop);
	q2_spec_done(&file->spec);
	*file = (struct file){0};
	return r;
}

bool
file_was_probed_raw(const struct file *file)
{
	struct q2_info info = {.driver = ""};

	return file->was_probed && q2_info(file->img, &info, NULL) == 0 &&
	       strcmp(info.driver, "raw") == 0;
}

/* QEMU's warning, word for word: it is looked for. */
void
file_warn_probed(const struct file *file)
{
	talk("WARNING: Image format was not specified for '%s' and probing "
	     "guessed raw.\n"
	     "         Automatically detecting the format is dangerous for raw "
	     "images, write operations on block 0 will be restricted.\n"
	     "         Specify the 'raw' format explicitly to remove the "
	     "restrictions.",
	     file->name);
}

int
file_open_or_complain(const char *filename, const struct file_opts *opts,
		      struct file *ret_file)
{
	struct q2_err err;

	if (opts->image_opts && opts->format)
		return complain("--image-opts and --format are mutually "
				"exclusive");
	if (file_open(filename, opts, ret_file, &err) < 0)
		return complain_why(&err, "Could not open '%s'", filename);
	return 0;
}

int
file_end(struct file *file, int status)
{
	char name[256];
	struct q2_err err;

	(void)snprintf(name, sizeof(name), "%s", file->name ? file->name : "");
	if (file_close(file, &err) < 0)
		return complain_why(&err, "Could not close '%s'", name);
	return status;
}
