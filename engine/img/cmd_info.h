/* SPDX-License-Identifier: MIT */
/*
 * cmd_info.h - what `info` has found out, between cmd_info.c, which asks, and
 * info_print.c, which prints
 */
#ifndef Q2_IMG_CMD_INFO_H
#define Q2_IMG_CMD_INFO_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/img/file.h"

/* More is a mistake or an attack: each image of a chain stays open. */
#define INFO_CHAIN_MAX 200

struct info_entry {
	struct file file;
	struct q2_info info;
	struct q2_layout layout;
	bool has_layout;
	char *shown;        /* its name, if that is not the file's */
	char *backing_path; /* from here; NULL without a backing file */
};

struct info_chain {
	bool is_list; /* --backing-chain: JSON is a list, even of one */
	size_t n;
	struct info_entry entries[INFO_CHAIN_MAX + 1];
};

void info_print_human(const struct info_chain *chain);
void info_print_json(const struct info_chain *chain);

/* The part that depends on the format, as qemu-io's info prints it too;
 * nothing for raw. */
void info_print_specific(const struct q2_info *info,
			 const struct q2_image *img);

#endif
