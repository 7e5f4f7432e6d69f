/* SPDX-License-Identifier: MIT */
/*
 * cmd_bitmap.c - qcowimg bitmap: the persistent dirty bitmaps of an image
 *
 * Messages and exit status are those of qemu-img bitmap.
 */
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"

/* As options, actions are told apart by these. */
enum {
	OPT_ADD = OPT_FIRST_OWN,
	OPT_REMOVE,
	OPT_CLEAR,
	OPT_ENABLE,
	OPT_DISABLE,
	OPT_MERGE,
};

/* More are no use: six kinds, and some twice. */
#define MAX_ACTIONS 64

struct action {
	int kind;           /* the option */
	const char *source; /* of merge */
};

struct bitmap_args {
	struct cmd_common common;
	const char *filename, *name;
	struct action actions[MAX_ACTIONS];
	size_t n;
	bool add, merge;
	const char *source, *source_format; /* -b, -F */
	bool has_granularity;
	uint64_t granularity;
};

static const struct manual_option options[] = {
	{OPT_ADD, "add", NULL, NULL, "make it: it notes changes from now on"},
	{OPT_REMOVE, "remove", NULL, NULL, "delete it"},
	{OPT_CLEAR, "clear", NULL, NULL, "forget what it has noted"},
	{OPT_ENABLE, "enable", NULL, NULL, "note changes"},
	{OPT_DISABLE, "disable", NULL, NULL, "note no more changes"},
	{OPT_MERGE, "merge", "SOURCE", NULL,
	 "note what the bitmap SOURCE has noted, too"},
	{'b', "source-file", "FILE", "FILE", "the image that has SOURCE"},
	{'F', "source-format", "FORMAT", "qcow2 raw", "of that"},
	{'g', "granularity", "SIZE", NULL,
	 "with --add: bytes that a bit stands for, a power of two from 512 to 2G; default: the cluster size, but 4k to 64k"},
	MANUAL_FORMAT,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_bitmap = {
	.name = "bitmap",
	.operands = "ACTION... FILE BITMAP",
	.brief = "add, remove and change persistent dirty bitmaps",
	.text = "Change the persistent dirty bitmap BITMAP of a qcow2 image. A dirty bitmap notes which parts of the disk are written, for incremental backups. Actions are carried out in the order in which they are given. No other program may have the image open.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "What an image has: qcowimg info FILE.\n"
		"Example: bitmap --add disk.qcow2 backup0\n"
		"Exit status: 0, or 1 for an error; then the actions before it are done.\n",
};

/* ---- the command line -------------------------------------------------- */

static int
take_action(int c, struct bitmap_args *args)
{
	if (args->n == MAX_ACTIONS)
		return complain("more than %d actions", MAX_ACTIONS);
	args->actions[args->n++] = (struct action){.kind = c, .source = optarg};
	args->add |= c == OPT_ADD;
	args->merge |= c == OPT_MERGE;
	return CMD_GO_ON;
}

static int
take_option(int c, char **argv, struct bitmap_args *args)
{
	switch (c) {
	case 'b':
		args->source = optarg;
		return CMD_GO_ON;
	case 'F':
		args->source_format = optarg;
		return CMD_GO_ON;
	case 'g':
		args->has_granularity = true;
		return size_argument("granularity", optarg,
				     &args->granularity) < 0
			       ? 1
			       : CMD_GO_ON;
	default:
		return c >= OPT_ADD && c <= OPT_MERGE
			       ? take_action(c, args)
			       : cmd_common_option(c, argv, &args->common);
	}
}

static int
judge(const struct bitmap_args *args)
{
	if (!args->n)
		return complain("Need at least one of --add, --remove, "
				"--clear, --enable, --disable, or --merge");
	if (args->has_granularity && !args->add)
		return complain("granularity only supported with --add");
	if (args->source_format && !args->source)
		return complain("-F only supported with -b");
	if (args->source && !args->merge)
		return complain("Merge bitmap source file only supported with "
				"--merge");
	return CMD_GO_ON;
}

static int
parse(int argc, char **argv, struct bitmap_args *ret)
{
	int c, status;

	while ((c = manual_next(&manual_bitmap, argc, argv)) != -1) {
		status = take_option(c, argv, ret);
		if (status != CMD_GO_ON)
			return status;
	}
	status = judge(ret);
	if (status != CMD_GO_ON)
		return status;
	if (argc - optind != 2)
		return complain("Expecting filename and bitmap name");
	ret->filename = argv[optind];
	ret->name = argv[optind + 1];
	return CMD_GO_ON;
}

/* ---- what is done ------------------------------------------------------ */

static const char *
word_of(int kind)
{
	static const char *const words[] = {"add",    "remove",  "clear",
					    "enable", "disable", "merge"};

	return words[kind - OPT_ADD];
}

static int
run(const struct bitmap_args *args, const struct action *a,
    struct q2_image *img, struct q2_image *source, struct q2_err *err)
{
	switch (a->kind) {
	case OPT_ADD:
		/* 0 would be the default. */
		if (args->has_granularity && !args->granularity)
			return q2_bitmap_add(img, args->name, 1, err);
		return q2_bitmap_add(img, args->name, args->granularity, err);
	case OPT_REMOVE:
		return q2_bitmap_remove(img, args->name, err);
	case OPT_CLEAR:
		return q2_bitmap_clear(img, args->name, err);
	case OPT_ENABLE:
		return q2_bitmap_enable(img, args->name, err);
	case OPT_DISABLE:
		return q2_bitmap_disable(img, args->name, err);
	default:
		return q2_bitmap_merge(img, args->name, source, a->source, err);
	}
}

/* QEMU's tools name a node where we name the file. */
static int
complain_as_qemu(const struct q2_err *err, const char *name)
{
	static const char made[] = "persistent in '", stored[] = "bitmaps to ";
	const char *made_at = strstr(err->text, made);
	const char *why = strrchr(err->text, ':');

	if (why && made_at)
		return complain("Operation add on bitmap %s failed: Can't make "
				"bitmap '%s' persistent in '#block000'%s",
				name, name, why);
	if (why && strstr(err->text, stored))
		return complain("Operation add on bitmap %s failed: Can't "
				"store persistent bitmaps to #block000%s",
				name, why);
	return CMD_GO_ON;
}

static int
complain_of(const struct action *a, const struct q2_err *err, const char *name)
{
	int status = CMD_GO_ON;

	if (msg_role() != ROLE_QCOWIMG && a->kind == OPT_ADD)
		status = complain_as_qemu(err, name);
	if (status != CMD_GO_ON)
		return status;
	return complain_why(err, "Operation %s on bitmap %s failed",
			    word_of(a->kind), name);
}

static int
run_all(const struct bitmap_args *args, struct file *file)
{
	struct file_opts opts = {
		.format = args->source_format,
		.aio = args->common.file.aio,
		.open.flags = Q2_RDONLY,
		.loop = file->loop,
	};
	struct file source = {0};
	struct q2_err err;
	int status = 0;

	if (args->source)
		status = file_open_or_complain(args->source, &opts, &source);
	for (size_t i = 0; status == 0 && i < args->n; i++) {
		const struct action *a = &args->actions[i];

		if (run(args, a, file->img, source.img ? source.img : file->img,
			&err) == 0)
			continue;
		status = complain_of(a, &err, args->name);
	}
	return source.img ? file_end(&source, status) : status;
}

int
cmd_bitmap(int argc, char **argv)
{
	struct bitmap_args args = {
		.common.file.open.flags = Q2_UNMAP | Q2_NO_GUEST_WRITES};
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
	return file_end(&file, run_all(&args, &file));
}
