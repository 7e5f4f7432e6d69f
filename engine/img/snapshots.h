/* SPDX-License-Identifier: MIT */
/*
 * snapshots.h - internal snapshots on the command line: their list, and which
 * one is meant
 */
#ifndef Q2_IMG_SNAPSHOTS_H
#define Q2_IMG_SNAPSHOTS_H

#include "engine/q2.h"

struct json;

/* The list as `snapshot -l` and `info` print it; nothing if there are none. */
void snapshots_print(const struct q2_image *img);
/* The member "snapshots"; nothing if there are none. */
void snapshots_print_json(struct json *j, const struct q2_image *img);

/* -l of convert and measure: an id or a name, or "snapshot.id=...,
 * snapshot.name=...".  CMD_GO_ON, or 1 after a complaint about it. */
int snapshots_check_param(const char *text);
/* The image, open read-only, reads as what text means.  0, or 1 after a
 * complaint. */
int snapshots_load_param(struct q2_image *img, const char *text);

#define SNAPSHOTS_PARAM_HELP                 \
	"this snapshot: its id or name, or " \
	"snapshot.id=ID,snapshot.name=NAME"

#endif
