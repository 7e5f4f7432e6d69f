/* SPDX-License-Identifier: MIT */
/*
 * raw.c - a plain file, through the same loop and buffers as qcow2
 *
 * Its state is a factor: sparse, allocated but unwritten, or written (with
 * zeros, as qcow2's full preallocation writes them), so that a format is
 * compared with a file in the same state.
 */
#include <string.h>

#include "harness/targets/target.h"

static struct q2_open_opts
raw_open_opts(const struct target_image *image)
{
	return (struct q2_open_opts){
		.size = sizeof(struct q2_open_opts),
		.driver = "raw",
		.cache = image->cache,
		.flags = image->unmap ? Q2_UNMAP : 0,
		.detect_zeroes = image->detect_zeroes,
	};
}

static struct q2_create_opts
raw_create_opts(const struct target_image *image)
{
	enum q2_prealloc prealloc = Q2_PREALLOC_OFF;

	if (strcmp(image->raw_state, "falloc") == 0)
		prealloc = Q2_PREALLOC_FALLOC;
	else if (strcmp(image->raw_state, "written") == 0)
		prealloc = Q2_PREALLOC_FULL;
	return (struct q2_create_opts){
		.size = sizeof(struct q2_create_opts),
		.driver = "raw",
		.virtual_size = image->virtual_bytes,
		.preallocation = prealloc,
		.cache = image->cache,
	};
}

const struct target target_raw = {
	.name = "raw",
	.format = "raw",
	.suffix = ".raw",
	.help = "a plain file, through the same loop and buffers as qcow2",
	.has_file = true,
	.open_opts = raw_open_opts,
	.create_opts = raw_create_opts,
};
