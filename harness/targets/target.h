/* SPDX-License-Identifier: MIT */
/*
 * target.h - what is measured: one file a target, behind one vtable
 *
 * A target turns a configuration into options of the engine; from there on all
 * of them go through q2_open() and q2_submit(), the same loop, buffers and
 * batching.  So a difference between raw and qcow2 is a difference of the
 * formats and not of two programs.
 */
#ifndef HARNESS_TARGETS_TARGET_H
#define HARNESS_TARGETS_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/q2.h"

/* The factors of an image. */
struct target_image {
	uint64_t virtual_bytes;
	enum q2_prealloc prealloc;
	const char *raw_state; /* sparse, falloc, written */
	enum q2_zero zero;
	uint32_t cluster_size;
	/* What is 0 is the engine's default; see q2.h. */
	bool extended_l2;
	unsigned compat, refcount_bits;
	bool lazy_refcounts;
	uint64_t l2_cache_size, l2_cache_entry_size, refcount_cache_size;
	unsigned cache_clean_interval;
	enum q2_cache cache;
	bool unmap; /* discard=unmap */
	enum q2_detect_zeroes detect_zeroes;
};

struct target {
	const char *name;
	const char *format; /* image_format in records */
	const char *suffix; /* of the file's name */
	const char *help;
	bool has_file; /* something to create, stat and unlink */
	struct q2_open_opts (*open_opts)(const struct target_image *image);
	/* Unused without has_file. */
	struct q2_create_opts (*create_opts)(const struct target_image *image);
};

extern const struct target target_raw, target_qcow2, target_null;

const struct target *target_find(const char *name);

/* The i-th target, NULL after the last. */
const struct target *target_at(size_t i);

#endif
