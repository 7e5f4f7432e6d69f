/* SPDX-License-Identifier: MIT */
/*
 * cmd_check.c - qcowimg check: do refcounts and references agree?
 *
 * Output, messages and exit status are those of qemu-img check.
 */
#include <inttypes.h>
#include <string.h>

#include "engine/img/cmd.h"
#include "engine/img/json.h"
#include "engine/img/msg.h"

enum check_status {
	CHECK_OK = 0,
	CHECK_FAILED = 1,
	CHECK_CORRUPT = 2,
	CHECK_LEAKS = 3,
	CHECK_UNSUPPORTED = 63,
};

struct check_args {
	struct cmd_common common;
	const char *filename;
	bool repair;
};

static int
take_repair(const char *text, struct check_args *args)
{
	if (strcmp(text, "leaks") != 0 && strcmp(text, "all") != 0)
		return complain_usage("Unknown option value for -r (expecting "
				      "'leaks' or 'all'): %s",
				      text);
	args->repair = true;
	return CMD_GO_ON;
}

static int
parse(int argc, char **argv, struct check_args *ret)
{
	static const struct option options[] = {
		CMD_HELP,       CMD_FORMAT,
		CMD_OUTPUT,     CMD_OBJECT,
		CMD_IMAGE_OPTS, CMD_SHARE,
		CMD_AIO,        {"repair", required_argument, NULL, 'r'},
		CMD_END};
	int c, status = CMD_GO_ON;

	while ((c = getopt_long(argc, argv, ":hf:r:T:qU", options, NULL)) !=
	       -1) {
		if (c == 'r')
			status = take_repair(optarg, ret);
		else if (c != 'T')
			status = cmd_common_option(c, argv, &ret->common);
		else if (!file_parse_cache(optarg,
					   &ret->common.file.open.cache))
			status = complain("Invalid source cache option: %s",
					  optarg);
		if (status != CMD_GO_ON)
			return status;
	}
	return cmd_one_file(argc, argv, &ret->filename);
}

static void
finding(void *arg, const char *text)
{
	(void)arg;
	talk("%s", text);
}

static double
percent(uint64_t part, uint64_t whole)
{
	return whole ? (double)part * 100 / (double)whole : 0;
}

static void
print_human(const struct q2_check *c)
{
	if (!c->corruptions && !c->leaks && !c->check_errors)
		say("No errors were found on the image.\n");
	if (c->corruptions)
		say("\n%" PRIu64 " errors were found on the image.\n"
		    "Data may be corrupted, or further writes to the image may "
		    "corrupt it.\n",
		    c->corruptions);
	if (c->leaks)
		say("\n%" PRIu64 " leaked clusters were found on the image.\n"
		    "This means waste of disk space, but no harm to data.\n",
		    c->leaks);
	if (c->check_errors)
		say("\n%" PRIu64
		    " internal errors have occurred during the check.\n",
		    c->check_errors);
	if (c->total_clusters && c->allocated_clusters)
		say("%" PRIu64 "/%" PRIu64 " = %.2f%% allocated, "
		    "%.2f%% fragmented, %.2f%% compressed clusters\n",
		    c->allocated_clusters, c->total_clusters,
		    percent(c->allocated_clusters, c->total_clusters),
		    percent(c->fragmented_clusters, c->allocated_clusters),
		    percent(c->compressed_clusters, c->allocated_clusters));
	if (c->image_end_offset)
		say("Image end offset: %" PRIu64 "\n", c->image_end_offset);
}

static void
json_nonzero(struct json *j, const char *name, uint64_t value)
{
	if (value)
		json_u64(j, name, value);
}

/* The order is the one in which QEMU's hash table holds the members. */
static void
print_json(const struct q2_check *c, const char *filename, const char *format)
{
	struct json j = {0};

	json_open(&j, NULL, '{');
	json_nonzero(&j, "image-end-offset", c->image_end_offset);
	json_nonzero(&j, "compressed-clusters", c->compressed_clusters);
	json_nonzero(&j, "total-clusters", c->total_clusters);
	json_nonzero(&j, "corruptions-fixed", c->corruptions_fixed);
	json_nonzero(&j, "corruptions", c->corruptions);
	json_u64(&j, "check-errors", c->check_errors);
	json_nonzero(&j, "leaks", c->leaks);
	json_nonzero(&j, "leaks-fixed", c->leaks_fixed);
	json_nonzero(&j, "allocated-clusters", c->allocated_clusters);
	json_str(&j, "filename", filename);
	json_str(&j, "format", format);
	json_nonzero(&j, "fragmented-clusters", c->fragmented_clusters);
	json_close(&j, '}');
}

static int
check(const struct check_args *args, const struct file *file)
{
	struct q2_check result = {0};
	struct q2_info info = {0};
	struct q2_err err;
	int r;

	r = q2_info(file->img, &info, &err);
	if (r == 0 && strcmp(info.driver, "qcow2") != 0) {
		(void)complain("This image format does not support checks");
		return CHECK_UNSUPPORTED;
	}
	if (r == 0 && args->repair)
		return complain("-r: repair is not supported yet; QEMU's "
				"qemu-img can do it");
	if (r == 0)
		r = q2_check(file->img, &result, finding, NULL, &err);
	if (r < 0)
		return complain("%s%s",
				strncmp(err.text, "Check failed", 12) == 0
					? ""
					: "Check failed: ",
				err.text);
	if (args->common.json)
		print_json(&result, args->filename, info.driver);
	else if (!args->common.quiet)
		print_human(&result);
	if (result.check_errors) {
		(void)complain("Check failed");
		return CHECK_FAILED;
	}
	if (result.corruptions)
		return CHECK_CORRUPT;
	return result.leaks ? CHECK_LEAKS : CHECK_OK;
}

int
cmd_check(int argc, char **argv)
{
	struct check_args args = {0};
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	args.common.file.open.flags |= Q2_RDONLY | Q2_CHECK;
	status = file_open_or_complain(args.filename, &args.common.file, &file);
	if (status == 0)
		status = file_end(&file, check(&args, &file));
	return status;
}
