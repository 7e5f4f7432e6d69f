/* SPDX-License-Identifier: MIT */
/*
 * qcow2.c - our own engine, in process
 */
#include "harness/targets/target.h"

static struct q2_open_opts
qcow2_open_opts(const struct target_image *image)
{
	return (struct q2_open_opts){
		.size = sizeof(struct q2_open_opts),
		.driver = "qcow2",
		.cache = image->cache,
		.zero = image->zero,
	};
}

static struct q2_create_opts
qcow2_create_opts(const struct target_image *image)
{
	return (struct q2_create_opts){
		.size = sizeof(struct q2_create_opts),
		.driver = "qcow2",
		.virtual_size = image->virtual_bytes,
		.cluster_size = image->cluster_size,
		.preallocation = image->prealloc,
		.cache = image->cache,
	};
}

const struct target target_qcow2 = {
	.name = "qcow2",
	.format = "qcow2",
	.suffix = ".qcow2",
	.help = "a qcow2 image, by our own engine in process",
	.has_file = true,
	.open_opts = qcow2_open_opts,
	.create_opts = qcow2_create_opts,
};
