/* SPDX-License-Identifier: MIT */
/*
 * cmd_compare.c - qcowimg compare: does a guest read the same from two images?
 *
 * Output, messages and exit status are those of qemu-img compare.
 */
#include <inttypes.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/progress.h"

enum compare_status {
	COMPARE_SAME = 0,
	COMPARE_DIFFERENT = 1,
	COMPARE_FAILED = 2,
	COMPARE_NO_MAP = 3,
	COMPARE_NO_READ = 4,
};

struct compare_args {
	struct cmd_common common;
	const char *second_format;
	const char *names[2];
	bool strict, progress;
};

static int
take_option(int c, char **argv, struct compare_args *args)
{
	int status = CMD_GO_ON;

	switch (c) {
	case 'F':
		args->second_format = optarg;
		break;
	case 's':
		args->strict = true;
		break;
	case 'p':
		args->progress = true;
		break;
	case 'T':
		if (file_parse_cache(optarg, &args->common.file.open.cache))
			break;
		(void)complain("Invalid source cache option: %s", optarg);
		return COMPARE_FAILED;
	default:
		status = cmd_common_option(c, argv, &args->common);
		/* A bad object is an error like that of a file. */
		if (c == OPT_OBJECT && status != CMD_GO_ON)
			status = COMPARE_FAILED;
	}
	return status;
}

static const struct manual_option options[] = {
	{'f', NULL, "FORMAT", "qcow2 raw", "of the first file"},
	{'F', NULL, "FORMAT", "qcow2 raw", "of the second file"},
	{'s', NULL, NULL, NULL, "strict: same size, same allocation too"},
	{'p', NULL, NULL, NULL, "show progress"},
	MANUAL_QUIET,
	{'T', NULL, "CACHE", MANUAL_CACHES,
	 "how the files are read: none, writeback, writethrough, directsync or unsafe"},
	MANUAL_SHARE,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_compare = {
	.name = "compare",
	.operands = "FILE FILE",
	.brief = "does a guest read the same from two images?",
	.text = "Does a guest read the same from both? Behind the end of the shorter one the other must read as zeros.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0 same, 1 different, 2 not opened, 3 no map, 4 not read.\n",
};

static int
parse(int argc, char **argv, struct compare_args *ret)
{
	int c, status;

	while ((c = manual_next(&manual_compare, argc, argv)) != -1) {
		status = take_option(c, argv, ret);
		if (status != CMD_GO_ON)
			return status;
	}
	if (optind != argc - 2)
		return complain_usage("Expecting two image file names");
	ret->names[0] = argv[optind];
	ret->names[1] = argv[optind + 1];
	return CMD_GO_ON;
}

/* Say what was found; returns the exit status. */
static int
tell(const struct compare_args *args, const struct file files[2],
     const struct q2_compare *found, const struct q2_err *err)
{
	uint64_t common = min_u64(q2_size(files[0].img), q2_size(files[1].img));
	bool quiet = args->common.quiet;

	/* What is behind the shorter one's end is compared last. */
	if (found->sizes_differ && !args->strict && !quiet &&
	    (found->outcome == Q2_COMPARE_SAME || found->off >= common))
		say("Warning: Image size mismatch!\n");
	switch (found->outcome) {
	case Q2_COMPARE_SAME:
		if (!quiet)
			say("Images are identical.\n");
		return COMPARE_SAME;
	case Q2_COMPARE_SIZE:
		if (!quiet)
			say("Strict mode: Image size mismatch!\n");
		break;
	case Q2_COMPARE_STATE:
		if (!quiet)
			say("Strict mode: Offset %" PRIu64
			    " block status mismatch!\n",
			    found->off);
		break;
	case Q2_COMPARE_CONTENT:
		if (!quiet)
			say("Content mismatch at offset %" PRIu64 "!\n",
			    found->off);
		break;
	case Q2_COMPARE_NO_MAP:
		(void)complain("Sector allocation test failed for %s",
			       args->names[found->which]);
		return COMPARE_NO_MAP;
	case Q2_COMPARE_NO_READ:
		(void)complain(
			"Error while reading offset %" PRIu64 " of %s: %s",
			found->off, args->names[found->which], err->text);
		return COMPARE_NO_READ;
	}
	return COMPARE_DIFFERENT;
}

static int
compare(const struct compare_args *args, const struct file files[2])
{
	struct progress progress;
	struct q2_compare_opts o = {.size = sizeof(o),
				    .strict = args->strict,
				    .progress = progress_update,
				    .arg = &progress};
	struct q2_compare found = {0};
	struct q2_err err;
	int status;

	progress_begin(&progress, args->progress && !args->common.quiet,
		       PROGRESS_COARSE);
	if (q2_compare(files[0].img, files[1].img, &o, &found, &err) < 0) {
		progress_end(&progress, false);
		(void)complain("%s", err.text);
		return COMPARE_FAILED;
	}
	/* As in QEMU, the line ends after the verdict. */
	status = tell(args, files, &found, &err);
	progress_end(&progress, false);
	return status;
}

static int
open_or_fail(const struct compare_args *args, unsigned i, struct file files[2])
{
	struct file_opts opts = args->common.file;

	opts.open.flags |= Q2_RDONLY;
	if (i) {
		opts.format = args->second_format;
		opts.loop = files[0].loop;
	}
	return file_open_or_complain(args->names[i], &opts, &files[i]) != 0
		       ? COMPARE_FAILED
		       : 0;
}

static int
end(struct file *file, int status)
{
	return file_end(file, 0) != 0 ? COMPARE_FAILED : status;
}

int
cmd_compare(int argc, char **argv)
{
	struct compare_args args = {0};
	struct file files[2];
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	status = open_or_fail(&args, 0, files);
	if (status != 0)
		return status;
	status = open_or_fail(&args, 1, files);
	if (status == 0)
		status = end(&files[1], compare(&args, files));
	return end(&files[0], status);
}
