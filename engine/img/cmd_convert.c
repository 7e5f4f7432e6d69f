/* SPDX-License-Identifier: MIT */
/*
 * cmd_convert.c - qcowimg convert: the command line
 *
 * Options and messages are those of qemu-img convert.
 */
#include "engine/img/cmd_convert.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/create_opts.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"
#include "engine/img/snapshots.h"

enum {
	OPT_TARGET_IMAGE_OPTS = OPT_FIRST_OWN,
	OPT_TARGET_IS_ZERO,
	OPT_SALVAGE,
	OPT_BITMAPS,
	OPT_SKIP_BROKEN,
	OPT_COMPRESS_EFFORT,
};

#define SPARSE_MAX 16777216

static int
take_sparse(struct convert_args *args)
{
	uint64_t bytes;

	if (size_argument("buffer size for sparse output", optarg, &bytes) < 0)
		return 1;
	if (bytes % 512 || bytes > SPARSE_MAX)
		return complain("Invalid buffer size for sparse output "
				"specified. Valid sizes are multiples of 512 "
				"up to %d. Select 0 to disable sparse "
				"detection (fully allocates output).",
				SPARSE_MAX);
	args->has_sparse = true;
	args->copy.dense = bytes == 0;
	args->copy.sparse_bytes = bytes;
	return CMD_GO_ON;
}

static int
take_coroutines(struct convert_args *args)
{
	char *end;
	unsigned long n = strtoul(optarg, &end, 0);

	if (end == optarg || *end || n < 1 || n > 16 || *optarg == '-')
		return complain("Invalid number of coroutines. Allowed number "
				"of coroutines is between 1 and 16");
	args->copy.coroutines = (unsigned)n;
	return CMD_GO_ON;
}

static int
take_rate(struct convert_args *args)
{
	if (size_argument("rate limit", optarg, &args->copy.rate) < 0)
		return 1;
	return CMD_GO_ON;
}

static int
take_snapshot(struct convert_args *args)
{
	args->snapshot = optarg;
	return snapshots_check_param(optarg);
}

/* qemu-img makes the target before it looks at this. */
static int
take_cache(struct convert_args *args)
{
	if (file_parse_cache(optarg, &args->target.open.cache))
		return CMD_GO_ON;
	if (msg_role() == ROLE_QCOWIMG)
		return complain("Invalid cache option: %s", optarg);
	args->wrong_cache = optarg;
	return CMD_GO_ON;
}

static int
take_effort(struct convert_args *args)
{
	if (strcmp(optarg, "small") == 0)
		args->target.open.compress_effort = Q2_EFFORT_SMALL;
	else if (strcmp(optarg, "fast") != 0)
		return complain("--compress-effort is 'fast' or 'small', not "
				"'%s'",
				optarg);
	return CMD_GO_ON;
}

/* Options with a value. */
static int
take_value(int c, char **argv, struct convert_args *args)
{
	switch (c) {
	case 'O':
		args->format = optarg;
		return CMD_GO_ON;
	case 'B':
		args->backing = optarg;
		return CMD_GO_ON;
	case 'F':
		args->backing_format = optarg;
		return CMD_GO_ON;
	case 'o':
		return create_opts_join(optarg, &args->options) ? 1 : CMD_GO_ON;
	case 'S':
		return take_sparse(args);
	case 'm':
		return take_coroutines(args);
	case 'r':
		return take_rate(args);
	case 'l':
		return take_snapshot(args);
	case OPT_COMPRESS_EFFORT:
		return take_effort(args);
	case 't':
		return take_cache(args);
	case 'T':
		if (!file_parse_cache(optarg, &args->common.file.open.cache))
			return complain("Invalid source cache option: %s",
					optarg);
		return CMD_GO_ON;
	default:
		return cmd_common_option(c, argv, &args->common);
	}
}

static int
take_option(int c, char **argv, struct convert_args *args)
{
	switch (c) {
	case 'n':
		args->no_create = true;
		break;
	case 'p':
		args->progress = true;
		break;
	case 'W':
		args->copy.out_of_order = true;
		break;
	case 'c':
		args->compressed = true;
		break;
	case 'C':
		args->offload = true;
		break;
	case OPT_TARGET_IMAGE_OPTS:
		args->target.image_opts = true;
		break;
	case OPT_TARGET_IS_ZERO:
		args->copy.target_is_zero = true;
		break;
	case OPT_SALVAGE:
		args->copy.salvage = true;
		break;
	case OPT_BITMAPS:
		args->bitmaps = true;
		break;
	case OPT_SKIP_BROKEN:
		args->skip_broken = true;
		break;
	default:
		return take_value(c, argv, args);
	}
	return CMD_GO_ON;
}

/* What does not go together. */
static int
judge(const struct convert_args *args)
{
	if (args->no_create && args->options)
		return complain("-o has no effect when skipping image "
				"creation");
	if (args->copy.target_is_zero && !args->no_create)
		return complain("--target-is-zero requires use of -n flag");
	if (args->skip_broken && !args->bitmaps)
		return complain("Use of --skip-broken-bitmaps requires "
				"--bitmaps");
	if (args->target.image_opts && !args->no_create)
		return complain("--target-image-opts requires use of -n flag");
	if (args->target.image_opts && args->format)
		return complain("--image-opts and --format are mutually "
				"exclusive");
	if (args->offload && args->compressed)
		return complain("Cannot enable copy offloading when -c is "
				"used");
	if (args->offload && args->has_sparse)
		return complain("Cannot enable copy offloading when -S is "
				"used");
	if (args->offload && args->copy.salvage)
		return complain("Cannot use copy offloading in salvaging "
				"mode");
	return CMD_GO_ON;
}

static int
take_operands(int argc, char **argv, struct convert_args *args)
{
	if (args->options && opt_wants_help(args->options))
		return CMD_GO_ON;
	if (argc - optind < 2)
		return complain("Must specify image file name");
	args->filename = argv[argc - 1];
	args->sources = argv + optind;
	args->n = argc - 1 - optind;
	if (args->bitmaps && args->n > 1)
		return complain("Copying bitmaps only possible with single "
				"source");
	if (args->snapshot && args->n > 1)
		return complain("No support for concatenating multiple "
				"snapshot");
	return CMD_GO_ON;
}

static const struct manual_option options[] = {
	{'f', NULL, "FORMAT", "qcow2 raw",
	 "of the sources; default: as their first bytes say"},
	{'O', NULL, "FORMAT", "qcow2 raw",
	 "of the target: raw (the default) or qcow2"},
	{'o', NULL, "NAME=VALUE,...", NULL,
	 "options of the target, as with create; -o help lists them"},
	{'B', NULL, "FILE", "FILE",
	 "backing file of the target: only what the source's own file holds is copied"},
	{'F', NULL, "FORMAT", "qcow2 raw", "of the backing file"},
	{'n', NULL, NULL, NULL, "TARGET is there already, and large enough"},
	{OPT_TARGET_IS_ZERO, "target-is-zero", NULL, NULL,
	 "with -n: it reads as zeros"},
	{'S', NULL, "SIZE", NULL,
	 "zeros from this length on are not written (4k); 0 writes all"},
	{'m', NULL, "N", NULL, "pieces under way, 1 to 16 (8)"},
	{'W', NULL, NULL, NULL, "write out of order"},
	{'r', NULL, "RATE", NULL, "bytes per second at most"},
	{'t', NULL, "CACHE", MANUAL_CACHES,
	 "how the target is written (unsafe)"},
	{'T', "source-cache", "CACHE", MANUAL_CACHES,
	 "how the sources are read (writeback)"},
	{'c', NULL, NULL, NULL,
	 "compress the target's clusters; see compression_type in -o help"},
	{OPT_COMPRESS_EFFORT, "compress-effort", "EFFORT", "fast small",
	 "with -c: fast (the default), or small: a tenth less, much slower"},
	{'p', NULL, NULL, NULL, "show progress"},
	MANUAL_QUIET,
	{OPT_SALVAGE, "salvage", NULL, NULL,
	 "sectors that cannot be read become zeros, with a warning"},
	{'C', NULL, NULL, NULL, "taken, no effect"},
	MANUAL_SHARE,
	MANUAL_OBJECT,
	{OPT_IMAGE_OPTS, "image-opts", NULL, NULL,
	 "the sources' names are options: driver=qcow2,file.filename=..."},
	{OPT_TARGET_IMAGE_OPTS, "target-image-opts", NULL, NULL,
	 "the target's name is, with -n"},
	{'l', NULL, "SNAPSHOT", NULL, "of the source, " SNAPSHOTS_PARAM_HELP},
	{OPT_BITMAPS, "bitmaps", NULL, NULL, "copy the source's bitmaps, too"},
	{OPT_SKIP_BROKEN, "skip-broken-bitmaps", NULL, NULL,
	 "with --bitmaps: leave out those that were in use at a crash"},
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_convert = {
	.name = "convert",
	.operands = "SOURCE [SOURCE]... TARGET",
	.brief = "copy an image into another format or preallocation",
	.text = "Copy images, one behind the other, into TARGET, which is made.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Example: convert -O qcow2 -o preallocation=metadata disk.raw disk.qcow2\n"
		"Exit status: 0 copied, 1 error; then a target that was made is removed.\n",
};

static int
parse(int argc, char **argv, struct convert_args *ret)
{
	int c, status;

	while ((c = manual_next(&manual_convert, argc, argv)) != -1) {
		status = take_option(c, argv, ret);
		if (status != CMD_GO_ON)
			return status;
	}
	status = judge(ret);
	return status == CMD_GO_ON ? take_operands(argc, argv, ret) : status;
}

int
cmd_convert(int argc, char **argv)
{
	struct convert_args args = {
		.target.open = {.cache = Q2_CACHE_UNSAFE, .flags = Q2_UNMAP},
		.common.file.open.flags = Q2_RDONLY,
	};
	int status;

	status = parse(argc, argv, &args);
	if (status == CMD_GO_ON)
		status = convert_run(&args);
	free(args.options);
	return status;
}
