/* SPDX-License-Identifier: MIT */
/*
 * cmd_create.c - qcowimg create: a new image
 *
 * Output and messages are those of qemu-img create.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/img/backing.h"
#include "engine/img/cmd.h"
#include "engine/img/create_opts.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"

/* The format's limit; a longer name is refused. */
#define BACKING_NAME_MAX 1023

struct create_args {
	struct cmd_common common;
	const char *filename;
	char *options; /* all -o, joined by commas; owned */
	const char *backing, *backing_format;
	bool unsafe; /* -u: the backing file is not looked at */
	bool has_size;
	uint64_t size;
};

/* ---- the command line -------------------------------------------------- */

static int
take_cache(const char *text, struct create_args *args)
{
	if (!file_parse_cache(text, &args->common.file.open.cache))
		return complain("Invalid cache option: %s (" FILE_CACHES ")",
				text);
	return CMD_GO_ON;
}

static int
take_operands(int argc, char **argv, struct create_args *ret)
{
	if (optind < argc)
		ret->filename = argv[optind++];
	if (ret->options && opt_wants_help(ret->options))
		return CMD_GO_ON;
	if (!ret->filename)
		return complain_usage("Expecting image file name");
	if (optind < argc) {
		if (size_argument("image size", argv[optind++], &ret->size) < 0)
			return 1;
		ret->has_size = true;
	}
	if (optind < argc)
		return complain_usage("Unexpected argument: %s", argv[optind]);
	return CMD_GO_ON;
}

static const struct manual_option options[] = {
	{'f', NULL, "FORMAT", "qcow2 raw", "raw (the default) or qcow2"},
	{'o', NULL, "NAME=VALUE,...", NULL,
	 "options of the format; -o help lists them"},
	{'b', NULL, "FILE", "FILE",
	 "the backing file, relative to the new image; without SIZE the image is as large"},
	{'F', NULL, "FORMAT", "qcow2 raw", "of the backing file"},
	{'u', NULL, NULL, NULL,
	 "do not look at the backing file; SIZE is needed"},
	MANUAL_QUIET,
	MANUAL_OBJECT,
	MANUAL_HELP,
	MANUAL_OWN,
	{'t', "cache", "CACHE", MANUAL_CACHES,
	 "how the file is written: none, writeback, writethrough, directsync or unsafe"},
	MANUAL_AIO,
};

const struct manual manual_create = {
	.name = "create",
	.operands = "FILE [SIZE]",
	.brief = "make an image",
	.text = "Make an image of SIZE bytes. A file of that name is replaced.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Example: create -f qcow2 -o preallocation=metadata disk.qcow2 20G\n"
		"Exit status: 0 made, 1 error; then no image is left behind.\n",
};

static int
parse(int argc, char **argv, struct create_args *ret)
{
	int c, status = CMD_GO_ON;

	while ((c = manual_next(&manual_create, argc, argv)) != -1) {
		if (c == 'o')
			status = create_opts_join(optarg, &ret->options)
					 ? 1
					 : CMD_GO_ON;
		else if (c == 't')
			status = take_cache(optarg, ret);
		else if (c == 'b')
			ret->backing = optarg;
		else if (c == 'F')
			ret->backing_format = optarg;
		else if (c == 'u')
			ret->unsafe = true;
		else
			status = cmd_common_option(c, argv, &ret->common);
		if (status != CMD_GO_ON)
			return status;
	}
	return take_operands(argc, argv, ret);
}

/* ---- the backing file -------------------------------------------------- */

/* QEMU ends this one without a newline.  Returns an error, or 1 after a
 * complaint. */
static int
fail_format(const char *image, const char *driver, struct q2_err *err)
{
	static const char text[] =
		"Backing file specified without backing format";

	if (msg_role() == ROLE_QCOWIMG)
		return q2_fail(err, -EINVAL, "%s (it looks like %s)", text,
			       driver);
	(void)complain("%s: %s", image, text);
	hint("Detected format of %s.", driver);
	return 1;
}

/* Its size, after opening it and all below it; results as of fail_format(). */
static int
look_at_backing(const char *image, const char *path, const char *format,
		uint64_t *ret_size, struct q2_err *err)
{
	struct file_opts opts = {
		.format = format,
		.open.flags = Q2_RDONLY | Q2_FORCE_SHARE,
	};
	struct q2_info info;
	struct file file = {0};
	int r;

	r = format && !create_opts_is_driver(format)
		    ? q2_fail(err, -EINVAL, "Unknown driver '%s'", format)
		    : file_open(path, &opts, &file, err);
	if (r < 0) {
		size_t n = strlen(err->text);

		(void)snprintf(err->text + n, sizeof(err->text) - n,
			       "\nCould not open backing image.");
		return r;
	}
	*ret_size = q2_size(file.img);
	r = q2_info(file.img, &info, err);
	if (r == 0 && !format)
		r = fail_format(image, info.driver, err);
	(void)file_close(&file, NULL);
	return r;
}

/* An image below itself would be lost. */
static int
check_backing_name(const char *image, const char *backing, const char *path,
		   struct q2_err *err)
{
	if (!*backing)
		return q2_fail(err, -EINVAL,
			       "Expected backing file name, got empty string");
	if (strcmp(image, backing) == 0 || backing_is_same(image, path))
		return q2_fail(err, -EINVAL,
			       "Error: Trying to create an image with the same "
			       "filename as the backing file");
	return 0;
}

/* Judge the backing file, and take its size where no other is given.  Results
 * as of fail_format(). */
static int
take_backing(const struct create_args *args, const char *image,
	     struct opt_table *t, struct q2_err *err)
{
	const char *name = opt_find(t, "backing_file")->value;
	const char *format = opt_find(t, "backing_fmt")->value;
	Q2_AUTO_FREE char *path = NULL;
	char text[SIZE_TEXT_MAX];
	uint64_t size;
	int r;

	if (!name)
		return 0;
	path = backing_path(image, name);
	if (!path)
		return q2_fail(err, -ENOMEM, "no memory for a file name");
	r = check_backing_name(image, name, path, err);
	if (r < 0)
		return r;
	if (args->unsafe && !format)
		return q2_fail(err, -EINVAL,
			       "Backing file specified without backing format");
	if (args->unsafe)
		return 0;
	r = look_at_backing(image, path, format, &size, err);
	if (r != 0 || opt_find(t, "size")->value)
		return r;
	(void)snprintf(text, sizeof(text), "%" PRIu64, size);
	return opt_set(t, "size", text, err);
}

/* ---- creating ---------------------------------------------------------- */

/* -b and -F are options, too, and go before those. */
static int
set_backing(const struct create_args *args, struct create_opts *c,
	    struct q2_err *err)
{
	bool raw = strcmp(c->format, "raw") == 0;
	int r = 0;

	if (raw && (args->backing || args->backing_format))
		return q2_fail(err, -EINVAL,
			       "Backing %s not supported for file format '%s'",
			       args->backing ? "file" : "file format",
			       c->format);
	if (args->backing)
		r = opt_set(&c->table, "backing_file", args->backing, err);
	if (r == 0 && args->backing_format)
		r = opt_set(&c->table, "backing_fmt", args->backing_format,
			    err);
	return r;
}

/* What must be right before the "Formatting" line: -o, -b, and the size.
 * Results as of fail_format(). */
static int
take_table(const struct create_args *args, const char *path,
	   struct create_opts *c, struct q2_err *err)
{
	struct opt_table *t = &c->table;
	char text[SIZE_TEXT_MAX];
	int r = 0;

	if (args->options)
		r = opt_parse(t, args->options, err);
	if (r == 0 && args->has_size && opt_find(t, "size")->value)
		r = q2_fail(err, -EINVAL,
			    "The image size must be specified only once");
	if (r == 0 && args->has_size) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, args->size);
		r = opt_set(t, "size", text, err);
	}
	if (r == 0)
		r = set_backing(args, c, err);
	if (r == 0 && strcmp(c->format, "qcow2") == 0)
		r = take_backing(args, path, t, err);
	if (r == 0 && !opt_find(t, "size")->value)
		r = q2_fail(err, -EINVAL,
			    "Image creation needs a size parameter");
	return r;
}

static int
create(const struct create_args *args, const char *path,
       const struct q2_create_opts *o, struct q2_err *err)
{
	struct q2_loop_opts loop_opts = {
		.size = sizeof(loop_opts),
		.aio = args->common.file.aio,
	};
	struct q2_create_result result = {0};
	struct q2_loop *loop;
	const char *notice;
	int r;

	r = q2_loop_new(&loop_opts, &loop, err);
	if (r < 0)
		return r;
	r = q2_create(loop, path, o, &result, err);
	notice = q2_loop_notice(loop);
	if (r == 0 && notice && !args->common.quiet)
		note("%s", notice);
	if (r == 0 && result.emulated_falloc)
		note("preallocation was emulated: this file system cannot "
		     "allocate space without writing, so zeros were written");
	if (r == 0 && result.hint_error)
		(void)complain("warning: Failed to set extent size hint: %s",
			       strerror(-result.hint_error));
	q2_loop_free(loop);
	return r;
}

/* Say what is done, and do it. */
static int
create_from_table(const struct create_args *args, const char *path,
		  const struct create_opts *c)
{
	const char *backing =
		strcmp(c->format, "qcow2") == 0
			? opt_find(&c->table, "backing_file")->value
			: NULL;
	struct q2_create_opts o = {
		.size = sizeof(o),
		.cache = args->common.file.open.cache,
	};
	struct q2_err err;
	int r;

	if (!args->common.quiet) {
		say("Formatting '%s', fmt=%s", args->filename, c->format);
		opt_print(&c->table);
		say("\n");
		(void)msg_flush(); /* QEMU sees to this order */
	}
	r = create_opts_take(c, &o, &err);
	/* Rounded up to sectors it is more than QEMU can count. */
	if (r == 0 && o.virtual_size > INT64_MAX - 511 &&
	    msg_role() != ROLE_QCOWIMG && strcmp(c->format, "qcow2") == 0)
		return complain("%s: Could not resize image: Image size cannot "
				"be negative",
				args->filename);
	/* Its message may be longer than the engine's can be. */
	if (r == 0 && backing && strlen(backing) > BACKING_NAME_MAX)
		return complain("%s: Could not assign backing file '%s' with "
				"format '%s': Invalid argument",
				args->filename, backing,
				o.backing_format ? o.backing_format : "");
	if (r == 0)
		r = create(args, path, &o, &err);
	return r < 0 ? complain_why(&err, "%s", args->filename) : 0;
}

static int
run(const struct create_args *args)
{
	const char *path, *format = args->common.file.format;
	struct create_opts c;
	struct q2_err err;
	int r;

	r = create_opts_init(&c, format ? format : "raw", &err);
	if (r == 0 && args->options && opt_wants_help(args->options)) {
		create_opts_print_help(&c);
		return 0;
	}
	if (r == 0)
		r = file_path(args->filename, &path, &err);
	if (r == 0)
		r = take_table(args, path, &c, &err);
	if (r < 0)
		r = complain_why(&err, "%s",
				 args->filename ? args->filename : format);
	else if (r == 0)
		r = create_from_table(args, path, &c);
	create_opts_done(&c);
	return r;
}

int
cmd_create(int argc, char **argv)
{
	struct create_args args = {0};
	int status;

	status = parse(argc, argv, &args);
	if (status == CMD_GO_ON)
		status = run(&args);
	free(args.options);
	return status;
}
