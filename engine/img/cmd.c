/* SPDX-License-Identifier: MIT */
/*
 * cmd.c - what the subcommands' option parsers share
 */
#include "engine/img/cmd.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "engine/img/msg.h"

static int
take_output(const char *text, struct cmd_common *common)
{
	if (strcmp(text, "json") == 0)
		common->json = true;
	else if (strcmp(text, "human") == 0)
		common->json = false;
	else
		return complain("--output must be used with human or json as "
				"argument.");
	return CMD_GO_ON;
}

static int
take_aio(const char *text, struct cmd_common *common)
{
	common->file.aio = file_parse_aio(text);
	if (!common->file.aio)
		return complain("Invalid aio option: %s (" FILE_AIOS ")", text);
	return CMD_GO_ON;
}

/* QEMU names the argument before the place where getopt() is, whatever that
 * is; people get the letter that was wrong. */
static int
unknown_option(char **argv)
{
	if (msg_role() != ROLE_QCOWIMG || !optopt)
		return complain_usage("unrecognized option '%s'",
				      argv[optind - 1]);
	if (isdigit(optopt))
		return complain_usage("unrecognized option '-%c': a size may "
				      "not be negative",
				      optopt);
	return complain_usage("unrecognized option '-%c'", optopt);
}

/* The secrets that the command line has named; they live until the end. */
static struct q2_secrets *secrets;

static void
free_secrets(void)
{
	q2_secrets_free(secrets);
	secrets = NULL;
}

const struct q2_secrets *
cmd_secrets(void)
{
	return secrets;
}

int
cmd_take_object(const char *text)
{
	struct q2_err err;

	if (!secrets) {
		secrets = q2_secrets_new();
		if (!secrets || atexit(free_secrets) != 0)
			return complain("no memory for a secret");
	}
	if (q2_secrets_add(secrets, text, &err) < 0)
		return complain("%s", err.text);
	return CMD_GO_ON;
}

int
cmd_common_option(int c, char **argv, struct cmd_common *common)
{
	switch (c) {
	case 'h':
		help_print(argv[0]);
		return 0;
	case 'f':
		common->file.format = optarg;
		return CMD_GO_ON;
	case 'q':
		common->quiet = true;
		return CMD_GO_ON;
	case 'U':
		common->file.open.flags |= Q2_FORCE_SHARE;
		return CMD_GO_ON;
	case OPT_OUTPUT:
		return take_output(optarg, common);
	case OPT_AIO:
		return take_aio(optarg, common);
	case OPT_OBJECT:
		return cmd_take_object(optarg);
	case OPT_IMAGE_OPTS:
		common->file.image_opts = true;
		return CMD_GO_ON;
	case ':':
		return complain_usage("missing argument for option '%s'",
				      argv[optind - 1]);
	case '?':
		return unknown_option(argv);
	default:
		return complain_usage("unrecognized option '%s'",
				      argv[optind - 1]);
	}
}

int
cmd_one_file(int argc, char **argv, const char **ret_filename)
{
	if (optind != argc - 1)
		return complain_usage("Expecting one image file name");
	*ret_filename = argv[optind];
	return CMD_GO_ON;
}

/* There are no trace events; as in QEMU a name that means none is told, and a
 * pattern that matches none is not. */
void
cmd_take_trace(const char *text)
{
	static const char enable[] = "enable=";
	size_t len;

	if (strncmp(text, enable, sizeof(enable) - 1) == 0)
		text += sizeof(enable) - 1;
	len = strcspn(text, ",");
	if (len && !memchr(text, '*', len) && !memchr(text, '=', len))
		(void)complain("warning: trace event '%.*s' does not exist",
			       (int)len, text);
}
