/* SPDX-License-Identifier: MIT */
/*
 * cmd_convert.h - what `convert` was asked to do, between cmd_convert.c, which
 * reads the command line, and convert_run.c, which does it
 */
#ifndef Q2_IMG_CMD_CONVERT_H
#define Q2_IMG_CMD_CONVERT_H

#include "engine/img/cmd.h"

struct convert_args {
	struct cmd_common common; /* how the sources are opened */
	struct file_opts target;
	const char *format;  /* -O; NULL: not given */
	const char *backing; /* -B */
	const char *backing_format;
	char *options;  /* all -o, joined by commas; owned */
	char **sources; /* n of them */
	int n;
	const char *filename; /* the target's */
	bool no_create;       /* -n */
	bool progress;
	bool has_sparse;
	struct q2_convert_opts copy;

	const char *snapshot; /* -l: of the source; NULL: the disk */

	bool compressed, offload;
	bool bitmaps, skip_broken; /* copy them; leave out what is broken */
	const char *wrong_cache;   /* -t, to be complained of late; or NULL */
};

/* Do it; returns the exit status. */
int convert_run(struct convert_args *args);

#endif
