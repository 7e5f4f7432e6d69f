/* SPDX-License-Identifier: MIT */
/*
 * cmd_map.c - qcowimg map: where the guest's bytes are
 *
 * Output and messages are those of qemu-img map.
 */
#include <inttypes.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"

struct map_args {
	struct cmd_common common;
	const char *filename;
	uint64_t start;
	uint64_t length;
};

static const struct manual_option options[] = {
	MANUAL_FORMAT,
	{OPT_OUTPUT, "output", "FORM", "human json",
	 "human (the default; data only) or json"},
	{'s', "start-offset", "OFFSET", NULL, "begin there"},
	{'l', "max-length", "LENGTH", NULL, "so many bytes at most"},
	MANUAL_SHARE,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_map = {
	.name = "map",
	.operands = "FILE",
	.brief = "which parts of the disk are where in the file",
	.text = "Say which parts of the disk are where in the file.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error.\n",
};

static int
parse(int argc, char **argv, struct map_args *ret)
{
	int c, status = CMD_GO_ON;

	ret->length = UINT64_MAX;
	while ((c = manual_next(&manual_map, argc, argv)) != -1) {
		if (c == 's')
			status = size_argument("start offset", optarg,
					       &ret->start) < 0
					 ? 1
					 : CMD_GO_ON;
		else if (c == 'l')
			status = size_argument("max length", optarg,
					       &ret->length) < 0
					 ? 1
					 : CMD_GO_ON;
		else
			status = cmd_common_option(c, argv, &ret->common);
		if (status != CMD_GO_ON)
			return status;
	}
	return cmd_one_file(argc, argv, &ret->filename);
}

static const char *
yes(bool value)
{
	return value ? "true" : "false";
}

static void
print_json(const struct q2_extent *e, bool is_first)
{
	say("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
	    ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
	    is_first ? "[" : ",\n", e->off, e->len, e->depth, yes(e->present),
	    yes(e->zero), yes(e->data));
	if (e->has_host)
		say(", \"offset\": %" PRIu64, e->host);
	say("}");
}

/* Only what must be read from the file; returns the exit status. */
static int
print_human(const struct q2_extent *e)
{
	if (e->data && !e->has_host)
		return complain("File contains external, encrypted or "
				"compressed clusters.");
	if (e->data && !e->zero)
		say("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", e->off,
		    e->len, e->host, e->file ? e->file : "");
	return 0;
}

static int
print(const struct map_args *args, const struct q2_extent *e, bool is_first)
{
	if (!args->common.json)
		return print_human(e);
	print_json(e, is_first);
	return 0;
}

/* Does b go on where a ends, in the same state? */
static bool
mergeable(const struct q2_extent *a, const struct q2_extent *b)
{
	return a->present == b->present && a->zero == b->zero &&
	       a->data == b->data && a->depth == b->depth &&
	       a->file == b->file && a->has_host == b->has_host &&
	       (!a->has_host || a->host + a->len == b->host);
}

static int
print_map(const struct map_args *args, const struct file *file)
{
	uint64_t end, at = args->start, size = q2_size(file->img);
	struct q2_extent now = {.off = args->start}, next;
	bool is_first = true;
	struct q2_err err;
	int status = 0;

	if (add_overflows(args->start, args->length, &end) || end > size)
		end = size;
	if (!args->common.json)
		say("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to",
		    "File");
	while (at < end && status == 0) {
		if (q2_map(file->img, at, end - at, &next, &err) < 0)
			return complain("Could not read file metadata: %s",
					msg_role() == ROLE_QCOWIMG
						? err.text
						: strerror(-err.code));
		at += next.len;
		if (now.len && mergeable(&now, &next)) {
			now.len += next.len;
			continue;
		}
		if (now.len) {
			status = print(args, &now, is_first);
			is_first = false;
		}
		now = next;
	}
	if (status == 0)
		status = print(args, &now, is_first);
	if (args->common.json && status == 0)
		say("]\n");
	return status;
}

int
cmd_map(int argc, char **argv)
{
	struct map_args args = {0};
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	args.common.file.open.flags |= Q2_RDONLY;
	status = file_open_or_complain(args.filename, &args.common.file, &file);
	if (status == 0)
		status = file_end(&file, print_map(&args, &file));
	return status;
}
