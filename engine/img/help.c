/* SPDX-License-Identifier: MIT */
/*
 * help.c - the help of the program; that of a subcommand is its manual's
 */
#include <stddef.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"

/* In the order in which people meet them. */
static const struct manual *const manuals[] = {
	&manual_create,  &manual_info,     &manual_convert, &manual_resize,
	&manual_amend,   &manual_snapshot, &manual_bitmap,  &manual_commit,
	&manual_rebase,  &manual_check,    &manual_map,     &manual_measure,
	&manual_compare, &manual_dd,       &manual_bench,   &manual_io,
};

static void
print_program(void)
{
	say("Usage: %s COMMAND [OPTION]... FILE\n"
	    "Make, inspect and exercise disk images, qcow2 and raw.\n\n"
	    "Commands, with the options and the output of QEMU's qemu-img and "
	    "qemu-io:\n",
	    msg_name());
	for (size_t i = 0; i < ARRAY_SIZE(manuals); i++)
		say("  %-8s %s\n", manuals[i]->name, manuals[i]->brief);
	say("  %-8s %s\n\n", "help",
	    "this text, or 'help COMMAND': all options of a command");
	say("  -h, --help, -V, --version\n\n"
	    "Sizes are bytes, or take k, M, G, T, P or E (powers of 1024).\n"
	    "Called qemu-img or qemu-io (by a link), the program takes that "
	    "role.\n");
}

void
help_print_version(void)
{
	if (msg_role() == ROLE_QCOWIMG)
		say("qcowimg version %s\n", q2_version());
	else
		say("%s version %s (qcowimg)\n", msg_name(), q2_version());
}

void
help_print(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(manuals); i++) {
		if (strcmp(manuals[i]->name, name) == 0) {
			manual_print(manuals[i]);
			return;
		}
	}
	if (name) /* qemu-io: argv[0] is the program */
		manual_print(&manual_io);
	else
		print_program();
}

void
help_dump(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(manuals); i++)
		manual_dump(manuals[i]);
}
