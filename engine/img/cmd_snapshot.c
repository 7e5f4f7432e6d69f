/* SPDX-License-Identifier: MIT */
/*
 * cmd_snapshot.c - qcowimg snapshot: the internal snapshots of an image
 *
 * Output, messages and exit status are those of qemu-img snapshot.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/snapshots.h"

/* QEMU keeps that much of a new name. */
#define NAME_MAX_BYTES 255

struct snapshot_args {
	struct cmd_common common;
	const char *filename;
	int action; /* the option's letter, or 0 */
	const char *name;
};

static const struct manual_option options[] = {
	{'l', NULL, NULL, NULL, "list them"},
	{'c', NULL, "NAME", NULL, "take one, of that name"},
	{'a', NULL, "SNAPSHOT", NULL,
	 "give the disk what SNAPSHOT, an id or a name, has; what it had is lost"},
	{'d', NULL, "NAME", NULL, "delete the first one of that name"},
	MANUAL_QUIET,
	MANUAL_SHARE,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	{'f', "format", "FORMAT", "qcow2 raw", MANUAL_FORMAT_HELP},
	MANUAL_AIO,
};

const struct manual manual_snapshot = {
	.name = "snapshot",
	.operands = "[-l | -c NAME | -a SNAPSHOT | -d NAME] FILE",
	.brief = "list, take, apply and delete internal snapshots",
	.text = "List, take, apply or delete the snapshots that are in an image. No other program may have it open.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error; then the image is as it was, or the\n"
		"message says otherwise.\n",
};

static int
take_action(int c, struct snapshot_args *args)
{
	if (args->action)
		return complain_usage("Cannot mix '-l', '-a', '-c', '-d'");
	args->action = c;
	args->name = c == 'l' ? NULL : optarg;
	return CMD_GO_ON;
}

static int
parse(int argc, char **argv, struct snapshot_args *ret)
{
	int c, status = CMD_GO_ON;

	while ((c = manual_next(&manual_snapshot, argc, argv)) != -1) {
		if (c == 'l' || c == 'a' || c == 'c' || c == 'd')
			status = take_action(c, ret);
		else
			status = cmd_common_option(c, argv, &ret->common);
		if (status != CMD_GO_ON)
			return status;
	}
	return cmd_one_file(argc, argv, &ret->filename);
}

/* ---- what can be done -------------------------------------------------- */

static int
take(struct q2_image *img, const char *name)
{
	char text[NAME_MAX_BYTES + 1];
	struct q2_snapshot_opts opts = {
		.size = sizeof(opts), .name = text, .has_icount = true};
	struct q2_err err;
	size_t len = strnlen(name, NAME_MAX_BYTES);
	int r;

	memcpy(text, name, len);
	text[len] = 0;
	r = q2_snapshot_create(img, &opts, &err);
	if (r == 0)
		return 0;
	if (msg_role() == ROLE_QCOWIMG)
		return complain("Could not create snapshot '%s': %s", name,
				err.text);
	return complain("Could not create snapshot '%s': %d (%s)", name, r,
			strerror(-r));
}

static int
apply(struct q2_image *img, const char *name)
{
	int index = q2_snapshot_find(img, name, NULL);
	struct q2_info info;
	struct q2_err err;

	if (index < 0)
		index = q2_snapshot_find(img, NULL, name);
	if (index < 0 && q2_info(img, &info, NULL) == 0 && !info.cluster_size)
		return complain("Could not apply snapshot '%s': Block driver "
				"does not support internal snapshots",
				name);
	if (index < 0)
		return complain("Could not apply snapshot '%s': Failed to load "
				"snapshot: %s",
				name, strerror(ENOENT));
	if (q2_snapshot_apply(img, (unsigned)index, &err) < 0)
		return complain_why(&err, "Could not apply snapshot '%s'",
				    name);
	return 0;
}

/* Unlike -a, -d knows names only. */
static int delete (struct q2_image *img, const char *name)
{
	int index = q2_snapshot_find(img, NULL, name);
	struct q2_err err;

	if (index < 0)
		return complain("Could not delete snapshot '%s': snapshot not "
				"found",
				name);
	if (q2_snapshot_delete(img, (unsigned)index, &err) < 0)
		return complain_why(&err, "Could not delete snapshot '%s'",
				    name);
	return 0;
}

static int
act(const struct snapshot_args *args, struct q2_image *img)
{
	switch (args->action) {
	case 'l':
		snapshots_print(img);
		return 0;
	case 'c':
		return take(img, args->name);
	case 'a':
		return apply(img, args->name);
	case 'd':
		return delete (img, args->name);
	default:
		return 0;
	}
}

int
cmd_snapshot(int argc, char **argv)
{
	struct snapshot_args args = {0};
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	/* Nothing asked for is a list that nobody wants. */
	if (!args.action && msg_role() == ROLE_QCOWIMG)
		args.action = 'l';
	args.common.file.open.flags |= args.action == 'l'
					       ? Q2_RDONLY
					       : Q2_UNMAP | Q2_NO_GUEST_WRITES;
	status = file_open_or_complain(args.filename, &args.common.file, &file);
	if (status)
		return status;
	if (args.action != 'l' && file_was_probed_raw(&file))
		file_warn_probed(&file);
	return file_end(&file, act(&args, file.img));
}
