/* SPDX-License-Identifier: MIT */
/*
 * qcowimg.c - the program: which role, which subcommand
 *
 * Called qemu-img or qemu-io (a link), it takes that role and that name in its
 * messages.
 */
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/std.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"

struct command {
	const struct manual *manual;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{&manual_amend, cmd_amend},     {&manual_bench, cmd_bench},
	{&manual_bitmap, cmd_bitmap},   {&manual_check, cmd_check},
	{&manual_commit, cmd_commit},   {&manual_compare, cmd_compare},
	{&manual_convert, cmd_convert}, {&manual_create, cmd_create},
	{&manual_dd, cmd_dd},           {&manual_info, cmd_info},
	{&manual_io, cmd_io},           {&manual_map, cmd_map},
	{&manual_measure, cmd_measure}, {&manual_rebase, cmd_rebase},
	{&manual_resize, cmd_resize},   {&manual_snapshot, cmd_snapshot},
};

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].manual->name, name) == 0)
			return &commands[i];
	return NULL;
}

static size_t
min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Letters to insert, delete or change to make b of a (at most 15 long). */
static size_t
distance(const char *a, const char *b)
{
	size_t row[16], len = strlen(b);

	if (len >= ARRAY_SIZE(row))
		return len;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t above = row[j + 1];

			row[j + 1] = min3(above + 1, row[j] + 1,
					  corner + (a[i] != b[j]));
			corner = above;
		}
	}
	return row[len];
}

static int
unknown_command(const char *name)
{
	const char *nearest = NULL;
	size_t least = 3; /* more wrong letters are another word */

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t d = distance(name, commands[i].manual->name);

		if (d < least && d < strlen(commands[i].manual->name)) {
			least = d;
			nearest = commands[i].manual->name;
		}
	}
	if (!nearest)
		return complain_usage("Command not found: %s", name);
	return complain_usage("Command not found: %s (did you mean '%s'?)",
			      name, nearest);
}

static int
print_help_of(const char *name)
{
	if (name && strcmp(name, "--dump") == 0) {
		help_dump();
		return 0;
	}
	if (name && !find_command(name))
		return unknown_command(name);
	help_print(name);
	return 0;
}

static int
run(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{"trace", required_argument, NULL, 'T'},
		{0},
	};
	const struct command *command;
	int c;

	if (msg_role() == ROLE_QEMU_IO)
		return cmd_io(argc, argv);
	while ((c = getopt_long(argc, argv, "+:hVT:", options, NULL)) != -1) {
		if (c == 'h')
			return print_help_of(NULL);
		if (c == 'V') {
			help_print_version();
			return 0;
		}
		if (c == ':')
			return complain_usage("missing argument for option "
					      "'%s'",
					      argv[optind - 1]);
		if (c != 'T')
			return complain_usage("unrecognized option '%s'",
					      argv[optind - 1]);
		cmd_take_trace(optarg);
	}
	if (optind >= argc)
		return complain_usage("Not enough arguments");
	argc -= optind;
	argv += optind;
	if (strcmp(argv[0], "help") == 0)
		return print_help_of(argc > 1 ? argv[1] : NULL);
	command = find_command(argv[0]);
	if (!command)
		return unknown_command(argv[0]);
	optind = 0; /* glibc: start anew, with other options */
	return command->run(argc, argv);
}

int
main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc ? argv[0] : "";

	std_guard();
	std_allow_files();
	if (strcmp(name, "qemu-img") == 0)
		msg_set_role(ROLE_QEMU_IMG);
	else if (strcmp(name, "qemu-io") == 0)
		msg_set_role(ROLE_QEMU_IO);
	return msg_end(run(argc, argv));
}
