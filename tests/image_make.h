/* SPDX-License-Identifier: MIT */
/*
 * image_make.h - images for tests of the image layer, on any backend
 *
 * Not what a tool would make: states and refcounts are set at will, so that
 * a test begins where it gets interesting.
 */
#ifndef TESTS_IMAGE_MAKE_H
#define TESTS_IMAGE_MAKE_H

#include <stdint.h>

#include "engine/aio/aio.h"
#include "engine/format/entry.h"

/* What a guest cluster begins as. */
enum image_cluster {
	IMAGE_EMPTY,
	IMAGE_ZERO,       /* zero flag, no host cluster */
	IMAGE_ZERO_ALLOC, /* zero flag and host cluster */
	IMAGE_NORMAL,     /* as preallocation leaves it: a hole of the file */
	IMAGE_SHARED,     /* likewise, COPIED clear: to be copied */
};

struct image_make {
	uint64_t bytes; /* virtual */
	unsigned cluster_bits;
	unsigned refcount_order;
	uint64_t reftable_clusters; /* 0: 1 */
	/* NULL: all empty. */
	enum image_cluster (*state)(void *arg, uint64_t cluster);
	void *arg;
	/* The file is at least this long; what no table or hole takes has
	 * bytes of fill. */
	uint64_t file_bytes;
	uint8_t fill;
	/* Free clusters below this have a refcount: leaks.  But every
	 * leak_holes-th (0: none) is free. */
	uint64_t leak_bytes;
	unsigned leak_holes;

	unsigned version; /* 0: 3 */
	/* Of a cluster that is NORMAL or SHARED, random subclusters are
	 * allocated, zeros, or neither, by sub_seed. */
	bool extended_l2;
	uint64_t sub_seed;
	bool lazy_refcounts;
	const char *backing_file, *backing_format; /* NULL: none */
	/* An external data file, which is not made; NULL: none. */
	const char *data_file;
	bool data_file_raw;
	/* 1: AES, 2: LUKS; the key is IMAGE_KEY.  What is NORMAL or SHARED
	 * holds encrypted zeros, unless it is in a data file. */
	unsigned crypt_method;
};

#define IMAGE_KEY "geheim"

/* What guest offset off begins as; of a subcluster with extended_l2. */
enum cluster_kind image_make_kind(const struct image_make *m, uint64_t off);

/* Make (or empty) file name with the image, and sync it.  Not from a
 * coroutine.  0 or a negative errno. */
int image_make(struct loop *loop, const char *name, const struct image_make *m);

#endif
