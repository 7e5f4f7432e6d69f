/* SPDX-License-Identifier: MIT */
/*
 * cmd_rebase.c - qcowimg rebase: another backing file, or none
 *
 * Output, messages and exit status are those of qemu-img rebase.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/backing.h"
#include "engine/img/cmd.h"
#include "engine/img/create_opts.h"
#include "engine/img/msg.h"
#include "engine/img/progress.h"

struct rebase_args {
	struct cmd_common common;
	const char *filename;
	const char *backing; /* -b; NULL: not given */
	const char *format;  /* -F */
	enum q2_cache source_cache;
	bool unsafe, progress;
};

static const struct manual_option options[] = {
	MANUAL_SHORT_FORMAT,
	{'b', NULL, "BACKING", "FILE",
	 "the new backing file, relative to FILE; \"\": none"},
	{'F', NULL, "FORMAT", "qcow2 raw", "of the new backing file"},
	{'u', NULL, NULL, NULL,
	 "only change the name in the header: no content is looked at"},
	{'t', NULL, "CACHE", MANUAL_CACHES, "how FILE is written (writeback)"},
	{'T', NULL, "CACHE", MANUAL_CACHES,
	 "how backing files are read (writeback)"},
	{'p', NULL, NULL, NULL, "show progress"},
	MANUAL_QUIET,
	MANUAL_SHARE,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_rebase = {
	.name = "rebase",
	.operands = "FILE",
	.brief = "give an image another backing file, or none",
	.text = "Give FILE another backing file. It reads as before: what the two backing files do not have in common is copied into it. With -u nothing is copied, for a backing file that was moved or converted.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error; then FILE has its old backing file, or\n"
		"the message says otherwise.  -u of an encrypted FILE needs its key, too.\n",
};

static int
take_option(int c, char **argv, struct rebase_args *args)
{
	switch (c) {
	case 'b':
		args->backing = optarg;
		return CMD_GO_ON;
	case 'F':
		args->format = optarg;
		return CMD_GO_ON;
	case 'u':
		args->unsafe = true;
		return CMD_GO_ON;
	case 't':
		if (!file_parse_cache(optarg, &args->common.file.open.cache))
			return complain("Invalid cache option: %s", optarg);
		return CMD_GO_ON;
	case 'T':
		if (!file_parse_cache(optarg, &args->source_cache))
			return complain("Invalid source cache option: %s",
					optarg);
		return CMD_GO_ON;
	case 'p':
		args->progress = true;
		return CMD_GO_ON;
	default:
		return cmd_common_option(c, argv, &args->common);
	}
}

static int
parse(int argc, char **argv, struct rebase_args *ret)
{
	int c, status;

	while ((c = manual_next(&manual_rebase, argc, argv)) != -1) {
		status = take_option(c, argv, ret);
		if (status != CMD_GO_ON)
			return status;
	}
	status = cmd_one_file(argc, argv, &ret->filename);
	if (status == CMD_GO_ON && !ret->unsafe && !ret->backing)
		return complain_usage("Must specify backing file (-b) or use "
				      "unsafe mode (-u)");
	return status;
}

/* -b has no place for a key, which the usual remedy does not know. */
static int
complain_new(const struct rebase_args *args, struct q2_err *err)
{
	bool wants_key = err->code == -EACCES &&
			 strstr(err->text, "encrypt.key-secret");

	if (wants_key)
		err->code = 0;
	(void)complain_why(err, "Could not open new backing file '%s'",
			   args->backing);
	if (wants_key)
		note("an encrypted backing file can only be named, with -u, "
		     "if it reads as the old one; with -b '' the image needs "
		     "none");
	return 1;
}

/* The new backing file, for reading; nothing where there is none. */
static int
open_backing(const struct rebase_args *args, const struct file *file,
	     struct file *ret)
{
	struct file_opts opts = {
		.format = args->format,
		.open = {.flags = Q2_RDONLY | (args->common.file.open.flags &
					       Q2_FORCE_SHARE),
			 .cache = args->source_cache},
		.loop = file->loop,
	};
	struct q2_err err;
	char *path;
	int r;

	if (args->unsafe || !args->backing || !args->backing[0])
		return 0;
	path = backing_path(file->name, args->backing);
	if (!path)
		return complain("no memory for a name");
	r = file_open(path, &opts, ret, &err);
	/* What the file has kept of its name is a copy. */
	ret->name = args->backing;
	free(path);
	return r < 0 ? complain_new(args, &err) : 0;
}

/* The reason, with qemu-img's words where the name is at fault. */
static int
complain_backing(const struct rebase_args *args, int r,
		 const struct q2_err *err)
{
	if (r != -E2BIG && r != -EINVAL && r != -ENOTSUP)
		return complain_err(err);
	return complain("Could not change the backing file to '%s': %s",
			args->backing ? args->backing : "", err->text);
}

/* What qemu-img looks at last, when all has been copied. */
static int
judge(const struct rebase_args *args, const struct file *file)
{
	struct q2_err err = {.text = "Operation not supported"};
	struct q2_info info;

	if (q2_info(file->img, &info, &err) < 0)
		return complain("%s", err.text);
	if (args->backing && args->backing[0] && !args->format)
		return complain("Could not change the backing file to '%s': "
				"backing format must be specified",
				args->backing);
	if (info.driver[0] != 'q')
		return complain_backing(args, -ENOTSUP, &err);
	return 0;
}

static int
rebase(const struct rebase_args *args, struct file *file)
{
	struct file other = {0};
	struct progress progress;
	struct q2_rebase_opts o = {
		.size = sizeof(o),
		.backing_file = args->backing,
		.backing_format = args->format,
		.unsafe = args->unsafe,
		.progress = progress_update,
		.arg = &progress,
	};
	struct q2_err err;
	int status, r;

	if (args->format && !create_opts_is_driver(args->format))
		return complain("Invalid format name: '%s'", args->format);
	status = open_backing(args, file, &other);
	if (status == 0)
		status = judge(args, file);
	if (status == 0) {
		o.backing = other.img;
		interrupt_catch();
		progress_begin(&progress, args->progress && !args->common.quiet,
			       PROGRESS_COARSE);
		r = q2_rebase(file->img, &o, &err);
		progress_end(&progress, r == 0);
		if (r < 0)
			status = complain_backing(args, r, &err);
	}
	return other.img ? file_end(&other, status) : status;
}

int
cmd_rebase(int argc, char **argv)
{
	struct rebase_args args = {.common.file.open.flags = Q2_UNMAP};
	struct q2_open_opts below = {.size = sizeof(below)};
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	below.cache = args.source_cache;
	args.common.file.open.no_backing = args.unsafe;
	args.common.file.open.backing = &below;
	status = file_open_or_complain(args.filename, &args.common.file, &file);
	if (status)
		return status;
	status = file_end(&file, rebase(&args, &file));
	interrupt_release();
	return status;
}
