/* SPDX-License-Identifier: MIT */
/*
 * cmd.h - the subcommands: one file each, and what their option parsers share
 *
 * A subcommand gets argv with its own name as argv[0] and returns the exit
 * status.
 */
#ifndef Q2_IMG_CMD_H
#define Q2_IMG_CMD_H

#include <getopt.h>
#include <stdbool.h>

#include "engine/img/file.h"
#include "engine/img/manual.h"

int cmd_amend(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_bitmap(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_commit(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_dd(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_io(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_measure(int argc, char **argv);
int cmd_rebase(int argc, char **argv);
int cmd_resize(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);

/* Print the help of a subcommand, or of the program if name is NULL. */
void help_print(const char *name);
void help_print_version(void);

/* Every manual, for scripts: manual_dump(). */
void help_dump(void);

/* The text of -T. */
void cmd_take_trace(const char *text);

/* What most subcommands take. */
struct cmd_common {
	struct file_opts file;
	bool json;
	bool quiet;
};

/* What option handlers return: go on, or end with a status. */
enum {
	CMD_GO_ON = -1
};

/* Take the text of --object; CMD_GO_ON or a status. */
int cmd_take_object(const char *text);
/* What that has taken; NULL if there was none. */
const struct q2_secrets *cmd_secrets(void);

/*
 * Handle an option that is not a subcommand's own: -h -f -q -U --output --aio
 * --object --image-opts, and unknown ones.
 */
int cmd_common_option(int c, char **argv, struct cmd_common *common);

/* The single file name after the options; CMD_GO_ON or a status. */
int cmd_one_file(int argc, char **argv, const char **ret_filename);

#endif
