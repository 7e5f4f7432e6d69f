/* SPDX-License-Identifier: MIT */
/*
 * qcow2.c - our own engine, in process
 */
#include "harness/targets/target.h"

/* Nothing is kept secret here. */
static const char key[] = "qcowbench";

static struct q2_open_opts
qcow2_open_opts(const struct target_image *image)
{
	return (struct q2_open_opts){
		.size = sizeof(struct q2_open_opts),
		.driver = "qcow2",
		.cache = image->cache,
		.zero = image->zero,
		.flags = image->unmap ? Q2_UNMAP : 0,
		.l2_cache_size = image->l2_cache_size,
		.l2_cache_entry_size = image->l2_cache_entry_size,
		.refcount_cache_size = image->refcount_cache_size,
		.cache_clean_interval = image->cache_clean_interval,
		.detect_zeroes = image->detect_zeroes,
		.key = image->encryption ? key : NULL,
		.key_len = image->encryption ? sizeof(key) - 1 : 0,
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
		.extended_l2 = image->extended_l2,
		.compat = image->compat,
		.refcount_bits = image->refcount_bits,
		.lazy_refcounts = image->lazy_refcounts,
		.preallocation = image->prealloc,
		.cache = image->cache,
		.backing_file = image->backing_file,
		.backing_format = image->backing_file ? "qcow2" : NULL,
		.compression_type = image->zstd ? "zstd" : NULL,
		.encryption = image->encryption,
		.key = image->encryption ? key : NULL,
		.key_len = image->encryption ? sizeof(key) - 1 : 0,
		.has_iter_time = image->iter_time > 0,
		.iter_time = image->iter_time,
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
