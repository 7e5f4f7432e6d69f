/* SPDX-License-Identifier: MIT */
/*
 * cmd_resize.c - qcowimg resize: a larger or a smaller disk
 *
 * Output, messages and exit status are those of qemu-img resize.
 */
#include <stddef.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/optlist.h"

enum resize_option {
	OPT_PREALLOCATION = OPT_FIRST_OWN,
	OPT_SHRINK,
};

struct resize_args {
	struct cmd_common common;
	const char *filename;
	struct q2_resize_opts opts;
	char sign; /* '+' or '-': to what it is now; 0: the new size */
	uint64_t size;
};

/* ---- the command line -------------------------------------------------- */

/* [+-]SIZE.  It is taken away before options are looked for, since "-1G" would
 * be one. */
static int
take_size(const char *text, struct resize_args *args)
{
	struct opt list[] = {{.name = "size", .type = OPT_SIZE}};
	struct opt_table t = {list, ARRAY_SIZE(list), NULL};
	struct q2_err err;
	int r;

	if (*text == '+' || *text == '-')
		args->sign = *text++;
	r = opt_set(&t, "size", text, &err);
	args->size = list[0].number;
	opt_free(&t);
	return r < 0 ? complain("%s", err.text) : CMD_GO_ON;
}

static int
take_preallocation(const char *text, struct resize_args *args)
{
	if (!file_parse_prealloc(text, &args->opts.preallocation))
		return complain("Invalid preallocation mode '%s'", text);
	return CMD_GO_ON;
}

static const struct manual_option options[] = {
	MANUAL_FORMAT,
	{OPT_PREALLOCATION, "preallocation", "MODE", "off metadata falloc full",
	 "of what is added: off (the default), metadata, falloc or full; raw has no metadata"},
	{OPT_SHRINK, "shrink", NULL, NULL,
	 "cutting off the end of the disk is meant"},
	MANUAL_QUIET,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_resize = {
	.name = "resize",
	.operands = "FILE [+|-]SIZE",
	.brief = "give the disk another size",
	.text = "Give the disk another size; + and - are relative to the present one. Make partitions and file systems smaller before a disk, and larger after it.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error; then the image is as it was, or the\n"
		"message says otherwise.\n",
};

static int
parse_options(int argc, char **argv, struct resize_args *ret)
{
	int c, status = CMD_GO_ON;

	while ((c = manual_next(&manual_resize, argc, argv)) != -1) {
		if (c == OPT_SHRINK)
			ret->opts.shrink = true;
		else if (c == OPT_PREALLOCATION)
			status = take_preallocation(optarg, ret);
		else
			status = cmd_common_option(c, argv, &ret->common);
		if (status != CMD_GO_ON)
			return status;
	}
	return CMD_GO_ON;
}

static bool
is_help(const char *arg)
{
	return strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0;
}

static int
parse(int argc, char **argv, struct resize_args *ret)
{
	const char *size;
	int status;

	if (argc == 2 && is_help(argv[1]) && msg_role() == ROLE_QCOWIMG) {
		help_print(argv[0]);
		return 0;
	}
	if (argc < 3)
		return complain_usage("Not enough arguments");
	size = argv[--argc];
	argv[argc] = NULL;
	status = parse_options(argc, argv, ret);
	if (status != CMD_GO_ON)
		return status;
	if (optind != argc - 1)
		return complain_usage("Expecting image file name and size");
	ret->filename = argv[optind];
	return take_size(size, ret);
}

/* ---- resizing ---------------------------------------------------------- */

/* The new size; 0 if there is none, as a number of QEMU's. */
static uint64_t
new_size(const struct resize_args *args, uint64_t now)
{
	uint64_t size = args->size;

	if (args->sign == '+')
		size = now + size;
	else if (args->sign == '-')
		size = now - size;
	return (int64_t)size > 0 ? size : 0;
}

static int
resize(struct resize_args *args, struct file *file)
{
	uint64_t now = q2_size(file->img), size = new_size(args, now);
	struct q2_err err;

	if (!size)
		return complain("New image size must be positive");
	if (size <= now && args->opts.preallocation)
		return complain("Preallocation can only be used for growing "
				"images");
	if (size < now && !args->opts.shrink) {
		(void)complain("Use the --shrink option to perform a shrink "
			       "operation.");
		return complain("warning: Shrinking an image will delete all "
				"data beyond the shrunken image's end. Before "
				"performing such an operation, make sure there "
				"is no important data there.");
	}
	args->opts.size = sizeof(args->opts);
	if (q2_resize(file->img, size, &args->opts, &err) < 0)
		return complain_err(&err);
	if (!args->common.quiet)
		say("Image resized.\n");
	return 0;
}

int
cmd_resize(int argc, char **argv)
{
	struct resize_args args = {0};
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	status = file_open_or_complain(args.filename, &args.common.file, &file);
	if (status)
		return status;
	if (file_was_probed_raw(&file))
		file_warn_probed(&file);
	return file_end(&file, resize(&args, &file));
}
