/* SPDX-License-Identifier: MIT */
/*
 * convert_run.c - qcowimg convert: opening, making the target, copying, and
 * what is left after a failure
 *
 * A target that we have made is removed when the copy fails or is
 * interrupted; a file that was there before stays, empty: no half image is
 * left that looks like a whole one.  Called qemu-img, the program leaves what
 * qemu-img leaves: the target as it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/img/bitmaps.h"
#include "engine/img/cmd_convert.h"
#include "engine/img/create_opts.h"
#include "engine/img/msg.h"
#include "engine/img/progress.h"
#include "engine/img/size.h"
#include "engine/img/snapshots.h"

/* The status of a refusal that qemu-img takes for success; ours is 1. */
#define REFUSED 2

struct conversion {
	struct convert_args *args;
	struct file *src; /* args->n of them, the first n_open open */
	int n_open;
	struct q2_loop *loop; /* of all images */
	struct q2_image **images;
	uint64_t bytes; /* of all sources */
	struct create_opts create;
	struct q2_create_opts o;
	const char *path;   /* of the target */
	struct file target; /* when it is open */
	bool existed, made; /* the target: before; by us */
	struct progress progress;
};

/* ---- the sources ------------------------------------------------------- */

static int
open_sources(struct conversion *c)
{
	struct file_opts opts = c->args->common.file;

	for (int i = 0; i < c->args->n; i++) {
		int status;

		opts.loop = c->loop;
		status = file_open_or_complain(c->args->sources[i], &opts,
					       &c->src[i]);
		if (status != 0)
			return status;
		c->n_open++;
		c->loop = c->src[i].loop;
		c->images[i] = c->src[i].img;
		if (c->args->snapshot &&
		    snapshots_load_param(c->images[i], c->args->snapshot))
			return 1;
		if (add_overflows(c->bytes, q2_size(c->src[i].img), &c->bytes))
			return complain("the source images are too large "
					"together");
	}
	return 0;
}

/* ---- the target -------------------------------------------------------- */

/* Is the target one of the sources?  Making it would empty that. */
static const char *
same_as_source(const struct conversion *c)
{
	struct stat a, b;

	if (stat(c->path, &a) < 0)
		return NULL;
	for (int i = 0; i < c->args->n; i++)
		if (stat(c->src[i].name, &b) == 0 && a.st_dev == b.st_dev &&
		    a.st_ino == b.st_ino)
			return c->src[i].name;
	return NULL;
}

/* -B and -F are options of the format, too. */
static int
set_backing(struct conversion *c, struct q2_err *err)
{
	const struct convert_args *args = c->args;
	bool is_raw = strcmp(c->create.format, "raw") == 0;
	int r = 0;

	if (is_raw && (args->backing || args->backing_format)) {
		(void)complain("Backing %s not supported for file format '%s'",
			       args->backing ? "file" : "format",
			       c->create.format);
		return 1;
	}
	if (args->backing)
		r = opt_set(&c->create.table, "backing_file", args->backing,
			    err);
	if (r == 0 && args->backing_format)
		r = opt_set(&c->create.table, "backing_fmt",
			    args->backing_format, err);
	return r;
}

static int
judge_compression(const struct conversion *c, struct q2_err *err)
{
	if (strcmp(c->create.format, "raw") == 0)
		return q2_fail(err, -EINVAL,
			       "Compression not supported for this file "
			       "format");
	if (c->o.encryption)
		return q2_fail(err, -EINVAL,
			       "Compression and encryption not supported at "
			       "the same time");
	if (c->o.preallocation != Q2_PREALLOC_OFF)
		return q2_fail(err, -EINVAL,
			       "Compression and preallocation not supported at "
			       "the same time");
	return 0;
}

/* 0, or 1 after a complaint. */
static int
judge_backing(const struct conversion *c)
{
	const char *file, *format;

	if (strcmp(c->create.format, "qcow2") != 0)
		return 0;
	file = opt_find(&c->create.table, "backing_file")->value;
	format = opt_find(&c->create.table, "backing_fmt")->value;
	if (file && c->args->n > 1)
		return complain("Having a backing file for the target makes no "
				"sense when concatenating multiple input "
				"images");
	if (file && !format)
		return complain("Use of backing file requires explicit backing "
				"format");
	if (format && !file)
		return complain("%s: error while converting %s: Backing format "
				"cannot be used without backing file",
				c->args->filename, c->create.format);
	return 0;
}

/* From -O, -o, -B, -F and the sources' size to the engine's options; a
 * negative errno, or 1 after a complaint. */
static int
plan_target(struct conversion *c, struct q2_err *err)
{
	const struct convert_args *args = c->args;
	char text[SIZE_TEXT_MAX];
	int r;

	r = args->options ? opt_parse(&c->create.table, args->options, err) : 0;
	if (r == 0)
		r = set_backing(c, err);
	if (r == 0)
		r = judge_backing(c);
	(void)snprintf(text, sizeof(text), "%" PRIu64, c->bytes);
	if (r == 0)
		r = opt_set(&c->create.table, "size", text, err);
	if (r != 0)
		return r;
	c->o = (struct q2_create_opts){.size = sizeof(c->o),
				       .cache = args->target.open.cache};
	r = create_opts_take(&c->create, &c->o, err);
	return r == 0 && args->compressed ? judge_compression(c, err) : r;
}

static int
make_target(struct conversion *c)
{
	struct q2_create_result result = {0};
	const char *same = same_as_source(c);
	struct q2_err err;
	struct stat st;
	int r = 0;

	c->existed = lstat(c->path, &st) == 0;
	if (same)
		/* The words of the lock that protects qcow2 images. */
		r = q2_fail(&err, -EAGAIN,
			    "Failed to get \"write\" lock\n"
			    "Is another process using the image [%s]?",
			    same);
	if (r == 0)
		r = q2_create(c->loop, c->path, &c->o, &result, &err);
	if (r < 0)
		return complain_why(&err, "%s: error while converting %s",
				    c->args->filename, c->create.format);
	c->made = true;
	if (result.emulated_falloc)
		note("preallocation was emulated: this file system cannot "
		     "allocate space without writing, so zeros were written");
	return 0;
}

static int
open_target(struct conversion *c)
{
	struct file_opts opts = c->args->target;

	opts.loop = c->loop;
	if (!c->args->no_create) {
		opts.open.key = c->o.key;
		opts.open.key_len = c->o.key_len;
	}
	opts.format = c->args->no_create ? c->args->format : c->create.format;
	if (c->args->no_create && !opts.image_opts && !opts.format)
		opts.format = "raw";
	return file_open_or_complain(c->args->filename, &opts, &c->target);
}

/* Before the target is touched: what is wrong with it or its options. */
static int
judge_target(struct conversion *c)
{
	struct q2_err err;
	int r = file_path(c->args->filename, &c->path, &err);

	if (r < 0)
		return complain_why(&err, "%s", c->args->filename);
	r = plan_target(c, &err);
	return r < 0 ? complain("%s", err.text) : r;
}

static int
check_existing_target(struct conversion *c)
{
	struct q2_info info;
	struct q2_err err;
	const char *same;

	c->path = c->target.name;
	if (q2_info(c->target.img, &info, &err) < 0)
		return complain("%s", err.text);
	same = same_as_source(c);
	if (same)
		return complain("'%s' is source and target", same);
	if (c->args->copy.target_is_zero && info.backing_file) {
		(void)complain("Cannot use --target-is-zero when the "
			       "destination image has a backing file");
		return REFUSED;
	}
	if (q2_size(c->target.img) < c->bytes)
		return complain("output file is smaller than input file");
	return 0;
}

static int
get_target(struct conversion *c)
{
	int status = 0;

	if (!c->args->no_create)
		status = judge_target(c);
	if (!c->args->no_create && status == 0)
		status = make_target(c);
	if (status == 0 && c->args->wrong_cache)
		status = complain("Invalid cache option: %s",
				  c->args->wrong_cache);
	if (status == 0)
		status = open_target(c);
	if (status == 0 && c->args->no_create)
		status = check_existing_target(c);
	return status;
}

/* ---- copying ----------------------------------------------------------- */

/* Does the target get a backing file, by -B or -o? */
static bool
has_backing(const struct conversion *c)
{
	if (c->args->no_create || strcmp(c->create.format, "qcow2") != 0)
		return c->args->backing;
	return opt_find(&c->create.table, "backing_file")->value;
}

static void
warn_unreadable(void *arg, const char *text)
{
	const struct conversion *c = arg;

	if (!c->args->common.quiet)
		(void)complain("warning: %s", text);
}

static int
copy(struct conversion *c)
{
	struct q2_convert_opts o = c->args->copy;
	struct q2_err err;
	int r;

	o.size = sizeof(o);
	o.target_is_new = !c->args->no_create;
	o.compressed = c->args->compressed;
	o.target_has_backing = has_backing(c);
	o.progress = progress_update;
	o.count_data = c->args->progress;
	o.arg = &c->progress;
	o.unreadable = warn_unreadable;
	o.unreadable_arg = c;
	progress_begin(&c->progress,
		       c->args->progress && !c->args->common.quiet,
		       PROGRESS_FINE);
	r = q2_convert(c->images, (size_t)c->args->n, c->target.img, &o, &err);
	progress_end(&c->progress, r == 0);
	return r < 0 ? complain("%s", err.text) : 0;
}

/* Say what a failure has left, and leave nothing that looks whole. */
static void
undo(const struct conversion *c)
{
	struct stat st;

	if (msg_role() != ROLE_QCOWIMG)
		return;
	if (!c->made) {
		if (c->args->no_create)
			note("'%s' holds a part of the data",
			     c->args->filename);
		return;
	}
	if (!c->existed && unlink(c->path) == 0)
		note("'%s' was removed", c->path);
	else if (stat(c->path, &st) == 0 && S_ISREG(st.st_mode) &&
		 truncate(c->path, 0) == 0)
		note("'%s' is left empty", c->path);
	else
		note("'%s' holds a part of the data", c->path);
}

static int
run(struct conversion *c)
{
	bool started = false;
	bool bitmaps = c->args->bitmaps;
	int status = open_sources(c);

	if (status == 0 && bitmaps)
		status = bitmaps_check_source(c->images[0],
					      c->args->skip_broken);
	if (status == 0)
		status = get_target(c);
	if (status == 0 && bitmaps)
		status = bitmaps_check_target(c->target.img);
	if (status == 0) {
		started = true;
		interrupt_catch();
		status = copy(c);
	}
	if (status == 0 && bitmaps)
		status = bitmaps_copy(c->images[0], c->target.img);
	if (c->target.loop)
		status = file_end(&c->target, status);
	if (status != 0 && (started || c->made))
		undo(c);
	interrupt_release();
	return status;
}

static int
close_sources(struct conversion *c, int status)
{
	/* The first one owns the loop. */
	while (c->n_open)
		status = file_end(&c->src[--c->n_open], status);
	return status;
}

int
convert_run(struct convert_args *args)
{
	const char *format = args->format ? args->format : "raw";
	struct conversion c = {.args = args};
	struct q2_err err;
	int status;

	/* Of an existing target the format is not ours to choose. */
	if (create_opts_init(&c.create, format, &err) < 0)
		return complain("%s", err.text);
	if (args->options && opt_wants_help(args->options)) {
		create_opts_print_help(&c.create);
		return 0;
	}
	c.src = calloc((size_t)args->n, sizeof(*c.src));
	c.images = calloc((size_t)args->n, sizeof(*c.images));
	if (c.src && c.images)
		status = close_sources(&c, run(&c));
	else
		status = complain("no memory");
	create_opts_done(&c.create);
	free(c.src);
	free(c.images);
	return status == REFUSED ? msg_role() == ROLE_QCOWIMG : status;
}
