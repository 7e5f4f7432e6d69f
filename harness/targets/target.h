/* SPDX-License-Identifier: MIT */
/*
 * target.h - what is measured: one file a target, behind one vtable
 *
 * A target makes an image of a configuration and opens it as a disk (disk.h);
 * from there on all of them get the same requests from the same loop.  raw,
 * qcow2 and null are the engine in our own process: a difference between them
 * is one of the formats and not of two programs.  nbd and qemu are reached
 * through a socket, which costs too: they compare with each other only.
 */
#ifndef HARNESS_TARGETS_TARGET_H
#define HARNESS_TARGETS_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/q2.h"
#include "harness/fill.h"
#include "harness/targets/disk.h"

/* The factors of an image. */
struct target_image {
	uint64_t virtual_bytes;
	enum q2_prealloc prealloc;
	const char *raw_state; /* sparse, falloc, written; NULL: qcow2 */
	enum q2_zero zero;
	uint32_t cluster_size;
	/* What is 0 is the engine's default; see q2.h. */
	bool extended_l2;
	unsigned compat, refcount_bits;
	bool lazy_refcounts;
	uint64_t l2_cache_size, l2_cache_entry_size, refcount_cache_size;
	unsigned cache_clean_interval;
	/* What it holds before the first pass; see prepare.h and suite.h. */
	enum fill fill;
	unsigned chain_depth, snapshots;
	unsigned compressible; /* percent of what is converted */
	bool compress, zstd;
	const char *encryption; /* NULL: none */
	unsigned iter_time;
	const char *backing_file; /* for create_opts: the one below, or NULL */
	enum q2_cache cache;
	const char *uri; /* nbd only */
	bool overwrite;  /* nbd: what is there now may be destroyed */
	bool unmap;      /* discard=unmap */
	enum q2_detect_zeroes detect_zeroes;
};

#define TARGET_VERSION 64

struct target {
	const char *name;
	const char *format; /* image_format in records; NULL: by raw_state */
	const char *suffix; /* of the file's name */
	const char *help;
	bool has_file; /* something to create, stat and unlink */
	/*
	 * In process: options of the engine.  Else open_disk and create_file,
	 * which are NULL in process.
	 */
	struct q2_open_opts (*open_opts)(const struct target_image *image);
	/* Unused without has_file. */
	struct q2_create_opts (*create_opts)(const struct target_image *image);
	int (*open_disk)(struct q2_loop *loop, const char *path,
			 const struct target_image *image, struct disk *ret,
			 struct q2_err *err);
	int (*create_file)(const char *path, const struct target_image *image,
			   struct q2_err *err);
	/* Is what it needs on this machine?  -errno with the remedy; NULL:
	 * nothing is needed. */
	int (*check)(struct q2_err *err);
	/* Of the program behind it, such as "QEMU 7.2.22", or "" if it does not
	 * say; NULL: our own engine. */
	void (*version)(char version[TARGET_VERSION]);
	/* What the backend of the loop is called there; NULL: the same. */
	const char *(*aio)(const char *aio);
};

extern const struct target target_raw, target_qcow2, target_null, target_nbd,
	target_qemu;

const struct target *target_find(const char *name);

/* The i-th target, NULL after the last. */
const struct target *target_at(size_t i);

/* "raw" or "qcow2". */
const char *target_format(const struct target *target,
			  const struct target_image *image);

/* Open for all passes; -errno with a reason. */
int target_open(const struct target *target, struct q2_loop *loop,
		const char *path, const struct target_image *image,
		struct disk *ret, struct q2_err *err);

/* Make the file, and replace one that is there.  *ret is filled as far as the
 * target knows. */
int target_create(const struct target *target, struct q2_loop *loop,
		  const char *path, const struct target_image *image,
		  struct q2_create_result *ret, struct q2_err *err);

#endif
