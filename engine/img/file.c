/* SPDX-License-Identifier: MIT */
/*
 * file.c - opening the image files that the subcommands are given
 */
#include "engine/img/file.h"

#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/img/msg.h"
#include "engine/img/optlist.h"

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
	static const char *const names[] = {"io_uring", "libaio", "threads"};

	if (strcmp(text, "native") == 0)
		return "libaio";
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

/* Known drivers live as long as the program. */
static const char *
driver_name(const char *name)
{
	static const char *const names[] = {"qcow2", "raw"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return names[i];
	return NULL;
}

static int
take_options(const struct opt_table *t, struct file_opts *opts,
	     struct q2_err *err)
{
	const char *driver = opt_find(t, "driver")->value;
	struct q2_open_opts *o = &opts->open;

	if (driver && !driver_name(driver))
		return q2_fail(err, -EINVAL, "Unknown driver '%s'", driver);
	if (driver)
		opts->format = driver_name(driver);
	if (opt_find(t, "cache-size")->value)
		o->cache_size = opt_find(t, "cache-size")->number;
	if (opt_find(t, "l2-cache-size")->value)
		o->l2_cache_size = opt_find(t, "l2-cache-size")->number;
	if (opt_find(t, "l2-cache-entry-size")->value)
		o->l2_cache_entry_size =
			opt_find(t, "l2-cache-entry-size")->number;
	if (opt_find(t, "refcount-cache-size")->value)
		o->refcount_cache_size =
			opt_find(t, "refcount-cache-size")->number;
	return 0;
}

int
file_parse_options(const char *text, const char *unknown,
		   struct file_opts *opts, struct q2_err *err)
{
	struct opt list[] = {
		{.name = "driver", .type = OPT_STRING},
		{.name = "cache-size", .type = OPT_SIZE},
		{.name = "l2-cache-size", .type = OPT_SIZE},
		{.name = "l2-cache-entry-size", .type = OPT_SIZE},
		{.name = "refcount-cache-size", .type = OPT_SIZE},
	};
	struct opt_table t = {list, ARRAY_SIZE(list), unknown};
	int r = opt_parse(&t, text, err);

	if (r == 0)
		r = take_options(&t, opts, err);
	opt_free(&t);
	return r;
}

int
file_path(const char *filename, const char **ret_path, struct q2_err *err)
{
	size_t protocol = strcspn(filename, ":/");

	if (strncmp(filename, "json:", 5) == 0)
		return q2_fail(err, -ENOTSUP,
			       "file names of the form json:{} are not "
			       "supported yet; give the path");
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

static int
open_path(struct file *file, const struct file_opts *opts, struct q2_err *err)
{
	struct q2_loop_opts loop_opts = {
		.size = sizeof(loop_opts),
		.aio = opts->aio,
	};
	struct q2_open_opts o = opts->open;
	int r;

	if (!*file->name)
		return q2_fail(err, -EINVAL,
			       "The 'file' block driver requires a file name");
	o.size = sizeof(o);
	o.driver = opts->format;
	o.finding = finding;
	r = q2_loop_new(&loop_opts, &file->loop, err);
	if (r == 0)
		r = q2_open(file->loop, file->name, &o, &file->img, err);
	if (r == -EISDIR && (o.flags & Q2_RDONLY))
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
	struct file file = {.name = filename};
	int r;

	r = file_path(filename, &file.name, err);
	if (r == 0)
		r = open_path(&file, opts, err);
	if (r < 0) {
		q2_loop_free(file.loop);
		return r;
	}
	*ret_file = file;
	return 0;
}

int
file_close(struct file *file, struct q2_err *err)
{
	int r = file->img ? q2_close(file->img, err) : 0;

	q2_loop_free(file->loop);
	*file = (struct file){0};
	return r;
}

bool
file_was_probed_raw(const struct file *file, const struct file_opts *opts)
{
	struct q2_info info = {.driver = ""};

	return !opts->format && q2_info(file->img, &info, NULL) == 0 &&
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

	if (file_open(filename, opts, ret_file, &err) < 0)
		return complain_why(&err, "Could not open '%s'", filename);
	return 0;
}

int
file_end(struct file *file, int status)
{
	const char *name = file->name;
	struct q2_err err;

	if (file_close(file, &err) < 0)
		return complain_why(&err, "Could not close '%s'", name);
	return status;
}
