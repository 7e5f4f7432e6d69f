/* SPDX-License-Identifier: MIT */
/*
 * cmd_commit.c - qcowimg commit: an overlay's data goes into the file below it
 *
 * Output, messages and exit status are those of qemu-img commit.
 */
#include <stddef.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/progress.h"
#include "engine/img/size.h"

struct commit_args {
	struct cmd_common common;
	const char *filename;
	const char *base; /* -b; NULL: the backing file */
	struct q2_commit_opts opts;
	bool progress;
};

static const struct manual_option options[] = {
	MANUAL_SHORT_FORMAT,
	{'t', NULL, "CACHE", MANUAL_CACHES,
	 "how the files are written (writeback)"},
	{'b', NULL, "BASE", "FILE",
	 "into this file of the chain instead of the first one below; implies -d"},
	{'d', NULL, NULL, NULL, "do not empty FILE"},
	{'r', NULL, "RATE", NULL, "bytes per second at most"},
	{'p', NULL, NULL, NULL, "show progress"},
	MANUAL_QUIET,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_commit = {
	.name = "commit",
	.operands = "FILE",
	.brief = "write an overlay's data into its backing file",
	.text = "Write what FILE holds into its backing file, and empty FILE. With -b also what is between goes into BASE; other images on BASE, and those between, must not be used any more.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error. FILE reads as before in any case: the\n"
		"backing file has all data, durably, before FILE is emptied.\n",
};

static int
take_option(int c, char **argv, struct commit_args *args)
{
	switch (c) {
	case 't':
		if (!file_parse_cache(optarg, &args->common.file.open.cache))
			return complain("Invalid cache option: %s", optarg);
		return CMD_GO_ON;
	case 'b':
		args->base = optarg;
		args->opts.keep = true;
		return CMD_GO_ON;
	case 'd':
		args->opts.keep = true;
		return CMD_GO_ON;
	case 'r':
		if (size_argument("rate limit", optarg, &args->opts.rate) < 0)
			return 1;
		return CMD_GO_ON;
	case 'p':
		args->progress = true;
		return CMD_GO_ON;
	default:
		return cmd_common_option(c, argv, &args->common);
	}
}

static int
parse(int argc, char **argv, struct commit_args *ret)
{
	int c, status;

	while ((c = manual_next(&manual_commit, argc, argv)) != -1) {
		status = take_option(c, argv, ret);
		if (status != CMD_GO_ON)
			return status;
	}
	return cmd_one_file(argc, argv, &ret->filename);
}

/* Which layer: 0 or a status. */
static int
find_base(struct commit_args *args, const struct file *file)
{
	if (!args->base)
		return 0;
	args->opts.depth = q2_find_layer(file->img, args->base);
	if (!args->opts.depth)
		return complain("Did not find '%s' in the backing chain of "
				"'%s'",
				args->base, args->filename);
	return 0;
}

static int
commit(struct commit_args *args, struct file *file)
{
	struct progress progress;
	struct q2_err err;
	int status = find_base(args, file), r;

	if (status != 0)
		return status;
	args->opts.size = sizeof(args->opts);
	args->opts.progress = progress_update;
	args->opts.arg = &progress;
	interrupt_catch();
	progress_begin(&progress, args->progress && !args->common.quiet,
		       PROGRESS_FINE);
	r = q2_commit(file->img, &args->opts, &err);
	progress_end(&progress, r == 0);
	if (r < 0)
		return complain_err(&err);
	return 0;
}

int
cmd_commit(int argc, char **argv)
{
	struct commit_args args = {.common.file.open.flags = Q2_UNMAP};
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	status = file_open_or_complain(args.filename, &args.common.file, &file);
	if (status)
		return status;
	status = file_end(&file, commit(&args, &file));
	interrupt_release();
	if (status == 0 && !args.common.quiet)
		say("Image committed.\n");
	return status;
}
