/* SPDX-License-Identifier: MIT */
/*
 * null.c - a disk that does nothing at once: measures the harness itself
 */
#include "harness/targets/target.h"

static struct q2_open_opts
null_open_opts(const struct target_image *image)
{
	return (struct q2_open_opts){
		.size = sizeof(struct q2_open_opts),
		.driver = "null",
		.virtual_size = image->virtual_bytes,
	};
}

const struct target target_null = {
	.name = "null",
	.format = "raw",
	.suffix = "",
	.help = "does nothing at once: measures the harness itself",
	.open_opts = null_open_opts,
};
