/* SPDX-License-Identifier: MIT */
/*
 * prepare.h - what is done before a pass, and is no part of its time
 *
 * Files below the image, data in the one at the bottom, snapshots; the raw file
 * that is converted.  A file d levels below PATH is called PATH.d, and the
 * source of a conversion PATH.source.  What is prepared is closed again, so that
 * the passes begin with cold tables.
 */
#ifndef HARNESS_PREPARE_H
#define HARNESS_PREPARE_H

#include "harness/targets/target.h"

#define PREPARE_PATH 4096

/* An image, and whose data it gets: the same for all of a round. */
struct prepare {
	const struct target *target;
	struct q2_loop *loop;
	const char *path;
	const struct target_image *image;
	uint64_t seed;
};

/* The files below the image; nothing without chain_depth. */
int prepare_below(const struct prepare *p, struct q2_err *err);
/* Data of an image that has nothing below it, then snapshots.  The image is not
 * open. */
int prepare_content(const struct prepare *p, struct q2_err *err);
/* Has prepare_content() anything to do? */
bool prepare_has_content(const struct target_image *image);
/* What is to be converted. */
int prepare_source(const struct prepare *p, struct q2_err *err);

/* Make the image out of that, with `compress` in compressed clusters. */
int prepare_convert(const struct prepare *p, struct q2_create_result *ret,
		    uint64_t *ret_compressed_bytes, struct q2_err *err);

void prepare_source_path(const struct prepare *p, char path[PREPARE_PATH]);

/* Name of the file that is right below the image, as its header has it. */
void prepare_backing_name(const char *path, unsigned depth,
			  char name[PREPARE_PATH]);

#endif
