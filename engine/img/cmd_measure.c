/* SPDX-License-Identifier: MIT */
/*
 * cmd_measure.c - qcowimg measure: how large a file an image needs
 *
 * Output and messages are those of qemu-img measure.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/create_opts.h"
#include "engine/img/json.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"
#include "engine/img/snapshots.h"

enum {
	OPT_SIZE_ARGUMENT = OPT_FIRST_OWN
};

struct measure_args {
	struct cmd_common common;
	const char *filename; /* NULL: --size */
	const char *output_format;
	const char *snapshot;
	char *options; /* all -o, joined by commas; owned */
	bool has_size;
	uint64_t size;
};

/* ---- errors ------------------------------------------------------------ */

/* QEMU says what is wrong and nothing before it; people get it in one line,
 * with a remedy. */
static int
complain_of(const struct q2_err *err)
{
	if (msg_role() == ROLE_QCOWIMG)
		return complain_why(err, "cannot measure");
	return complain("%s", err->text);
}

static int
complain_of_list(const struct q2_err *err, const char *format)
{
	if (msg_role() == ROLE_QCOWIMG)
		return complain_why(err, "Invalid options for file format '%s'",
				    format);
	(void)complain("%s", err->text);
	return complain("Invalid options for file format '%s'", format);
}

/* ---- the command line -------------------------------------------------- */

/* What qemu-img does of this subcommand alone: it lets getopt() speak, prints
 * its whole help, and is content. */
static int
help_of_wrong_option(char **argv)
{
	if (optopt)
		talk("%s: invalid option -- '%c'", argv[0], optopt);
	else
		talk("%s: unrecognized option '%s'", argv[0], argv[optind - 1]);
	help_print_version();
	help_print(NULL);
	return 0;
}

static int
take_option(int c, char **argv, struct measure_args *args)
{
	switch (c) {
	case 'O':
		args->output_format = optarg;
		return CMD_GO_ON;
	case 'l':
		args->snapshot = optarg;
		return snapshots_check_param(optarg);
	case 'o':
		return create_opts_join(optarg, &args->options) ? 1 : CMD_GO_ON;
	case OPT_SIZE_ARGUMENT:
		args->has_size = true;
		return size_argument("image size", optarg, &args->size) < 0
			       ? 1
			       : CMD_GO_ON;
	case '?':
		if (msg_role() == ROLE_QEMU_IMG)
			return help_of_wrong_option(argv);
		return cmd_common_option(c, argv, &args->common);
	default:
		return cmd_common_option(c, argv, &args->common);
	}
}

static int
check_args(const struct measure_args *args)
{
	if (!args->filename && (args->common.file.format || args->snapshot))
		return complain("--image-opts, -f, and -l require a filename "
				"argument.");
	if (!args->filename && !args->has_size)
		return complain("Either --size N or one filename must be "
				"specified.");
	if (args->filename && args->has_size)
		return complain("--size N cannot be used together with a "
				"filename.");
	return CMD_GO_ON;
}

static int
print_help_of_options(const struct measure_args *args)
{
	const char *format = args->output_format;
	struct create_opts c;
	struct q2_err err;

	if (create_opts_init(&c, format ? format : "raw", &err) < 0)
		return complain_of(&err);
	create_opts_print_help(&c);
	return 0;
}

static const struct manual_option options[] = {
	{OPT_SIZE_ARGUMENT, "size", "SIZE", NULL,
	 "of an empty disk, instead of FILE"},
	{'O', NULL, "FORMAT", "qcow2 raw",
	 "of the new image: raw (the default) or qcow2"},
	{'o', NULL, "NAME=VALUE,...", NULL, "its options; -o help lists them"},
	{'f', NULL, "FORMAT", "qcow2 raw",
	 "of FILE: qcow2 or raw; default: as its first bytes say"},
	{'l', NULL, "SNAPSHOT", NULL, "of FILE, " SNAPSHOTS_PARAM_HELP},
	MANUAL_OUTPUT,
	MANUAL_SHARE,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	MANUAL_AIO,
};

const struct manual manual_measure = {
	.name = "measure",
	.operands = "--size=SIZE | FILE",
	.brief = "how large a file an image needs",
	.text = "Say how large a file an image of SIZE bytes, or of FILE's content, needs.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error.\n",
};

static int
parse(int argc, char **argv, struct measure_args *ret)
{
	int c;

	while ((c = manual_next(&manual_measure, argc, argv)) != -1) {
		int status = take_option(c, argv, ret);

		if (status != CMD_GO_ON)
			return status;
	}
	if (ret->options && opt_wants_help(ret->options))
		return print_help_of_options(ret);
	if (argc - optind > 1)
		return complain("At most one filename argument is allowed.");
	ret->filename = argv[optind];
	return check_args(ret);
}

/* ---- measuring --------------------------------------------------------- */

static void
print(const struct q2_measure *m, bool as_json)
{
	struct json j = {0};

	if (!as_json) {
		say("required size: %" PRIu64 "\n", m->required);
		say("fully allocated size: %" PRIu64 "\n", m->fully_allocated);
		if (m->has_bitmaps)
			say("bitmaps size: %" PRIu64 "\n", m->bitmaps);
		return;
	}
	json_open(&j, NULL, '{');
	if (m->has_bitmaps)
		json_u64(&j, "bitmaps", m->bitmaps);
	json_u64(&j, "required", m->required);
	json_u64(&j, "fully-allocated", m->fully_allocated);
	json_close(&j, '}');
}

/* The -o list and --size, as the engine's options. */
static int
take_table(const struct measure_args *args, struct create_opts *c,
	   struct q2_create_opts *o)
{
	char text[SIZE_TEXT_MAX];
	struct q2_err err;
	int r = 0;

	if (args->options && opt_parse(&c->table, args->options, &err) < 0)
		return complain_of_list(&err, c->format);
	if (args->has_size) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, args->size);
		r = opt_set(&c->table, "size", text, &err);
	}
	if (r == 0)
		r = create_opts_take(c, o, &err);
	return r < 0 ? complain_of(&err) : 0;
}

static int
measure(const struct measure_args *args, struct q2_image *img)
{
	const char *format = args->output_format;
	struct q2_create_opts o = {.size = sizeof(o)};
	struct q2_measure result;
	struct create_opts c;
	struct q2_err err;
	int status;

	status = create_opts_init(&c, format ? format : "raw", &err) < 0
			 ? complain_of(&err)
			 : take_table(args, &c, &o);
	if (status == 0 && q2_measure(&o, img, &result, &err) < 0)
		status = complain_of(&err);
	create_opts_done(&c);
	if (status == 0)
		print(&result, args->common.json);
	return status;
}

static int
run(const struct measure_args *args)
{
	struct file_opts opts = args->common.file;
	struct file file = {0};
	int status;

	if (!args->filename)
		return measure(args, NULL);
	opts.open.flags |= Q2_RDONLY;
	status = file_open_or_complain(args->filename, &opts, &file);
	if (status != 0)
		return status;
	if (args->snapshot)
		status = snapshots_load_param(file.img, args->snapshot);
	if (status == 0)
		status = measure(args, file.img);
	return file_end(&file, status);
}

int
cmd_measure(int argc, char **argv)
{
	struct measure_args args = {0};
	int status;

	status = parse(argc, argv, &args);
	if (status == CMD_GO_ON)
		status = run(&args);
	free(args.options);
	return status;
}
