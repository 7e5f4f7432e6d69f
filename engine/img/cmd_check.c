/* SPDX-License-Identifier: MIT */
/*
 * cmd_check.c - qcowimg check: do refcounts and references agree?
 *
 * Output, messages and exit status are those of qemu-img check.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/base/num.h"
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
	enum q2_repair repair;
};

static int
take_repair(const char *text, struct check_args *args)
{
	if (strcmp(text, "leaks") == 0)
		args->repair = Q2_REPAIR_LEAKS;
	else if (strcmp(text, "all") == 0)
		args->repair = Q2_REPAIR_ALL;
	else
		return complain_usage("Unknown option value for -r (expecting "
				      "'leaks' or 'all'): %s",
				      text);
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

/* Findings about the snapshot table as a whole come with the program's name. */
static void
finding(void *arg, const char *text)
{
	static const char *const named[] = {
		"ERROR snapshot table too large",
		"ERROR snapshot table offset invalid",
		"ERROR failed to read the snapshot table: ",
	};

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		if (strncmp(text, named[i], strlen(named[i])) == 0) {
			(void)complain("%s", text);
			return;
		}
	}
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
fail(const struct check_args *args, const struct q2_err *err)
{
	static const char *const opening[] = {
		"Bitmap '",
		"Broken bitmap directory",
		"Could not read bitmap_table table",
		"Failed to read bitmap directory",
	};

	if (err->code == -ENOTSUP) {
		(void)complain("%s", err->text);
		return CHECK_UNSUPPORTED;
	}
	/* QEMU looks at bitmaps when it opens an image. */
	for (size_t i = 0; i < ARRAY_SIZE(opening); i++)
		if (strncmp(err->text, opening[i], strlen(opening[i])) == 0)
			return complain_why(err, "Could not open '%s'",
					    args->filename);
	return complain("%s%s",
			strncmp(err->text, "Check failed", 12) == 0
				? ""
				: "Check failed: ",
			err->text);
}

static bool
is_human(const struct check_args *args)
{
	return !args->common.json && !args->common.quiet;
}

/* Repair, and look again at what that has made of it. */
static int
repair(const struct check_args *args, const struct file *file,
       struct q2_check *ret_check, struct q2_err *err)
{
	struct q2_check first;
	int r = q2_repair(file->img, args->repair, &first, finding, NULL, err);

	if (r < 0)
		return r;
	*ret_check = first;
	if (!first.corruptions_fixed && !first.leaks_fixed)
		return 0;
	if (is_human(args))
		say("The following inconsistencies were found and repaired:\n\n"
		    "    %" PRIu64 " leaked clusters\n"
		    "    %" PRIu64 " corruptions\n\n"
		    "Double checking the fixed image now...\n",
		    first.leaks_fixed, first.corruptions_fixed);
	r = q2_check(file->img, ret_check, finding, NULL, err);
	ret_check->leaks_fixed = first.leaks_fixed;
	ret_check->corruptions_fixed = first.corruptions_fixed;
	return r;
}

static int
check(const struct check_args *args, const struct file *file)
{
	struct q2_check result = {0};
	struct q2_info info = {0};
	struct q2_err err;
	int r;

	r = q2_info(file->img, &info, &err);
	if (r == 0 && args->repair != Q2_REPAIR_NONE)
		r = repair(args, file, &result, &err);
	else if (r == 0)
		r = q2_check(file->img, &result, finding, NULL, &err);
	if (r < 0)
		return fail(args, &err);
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
	struct q2_open_opts *open = &args.common.file.open;
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	open->flags |= Q2_CHECK;
	/* qemu-img opens all it can find; without its base an image can be
	 * checked just as well. */
	if (msg_role() == ROLE_QEMU_IMG)
		open->flags |= Q2_CHECK_CHAIN;
	if (args.repair == Q2_REPAIR_NONE)
		open->flags |= Q2_RDONLY;
	else if (open->flags & Q2_FORCE_SHARE)
		return complain("Could not open '%s': force-share=on can only "
				"be used with read-only images",
				args.filename);
	status = file_open_or_complain(args.filename, &args.common.file, &file);
	if (status == 0)
		status = file_end(&file, check(&args, &file));
	return status;
}
