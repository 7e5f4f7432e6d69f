/* SPDX-License-Identifier: MIT */
/*
 * bitmap_disk.h - a small image with bitmaps, something done to it, and which
 * bitmaps it has before and after that
 */
#ifndef TESTS_BITMAP_DISK_H
#define TESTS_BITMAP_DISK_H

#include "engine/aio/aio.h"
#include "engine/q2.h"

#define BITMAP_DISK "disk.qcow2"
#define BITMAPS_MAX 5
/* With bits for 512 bytes, several clusters of 512 bytes. */
#define BITMAP_DISK_BYTES (4 * 1024 * 1024 + 512)
#define BITMAP_MODEL_BITS (BITMAP_DISK_BYTES / 512 + 1024)

enum bitmap_disk_op {
	OP_ADD,
	OP_REMOVE,
	OP_CLEAR,
	OP_MERGE,
	OP_DISABLE,
	OP_WRITE, /* of the guest, and a close */
	OP_GROW,
	OP_SHRINK,
	N_OPS
};

/* What a bitmap is to hold: a byte for each bit. */
struct bitmap_model {
	char name[16];
	uint64_t granularity;
	bool enabled;
	uint8_t bits[BITMAP_MODEL_BITS];
};

struct bitmap_set {
	uint64_t size;   /* of the disk */
	bool may_exceed; /* a write has failed: enabled ones may have more */
	struct bitmap_model v[BITMAPS_MAX];
	unsigned n;
};

struct bitmap_disk {
	unsigned cluster_bits, refcount_order;
	bool lazy;
	enum bitmap_disk_op op;
	uint64_t seed;
	/* Filled by bitmap_disk_make(). */
	struct bitmap_set *before, *after;
};

extern const struct bitmap_disk bitmap_disks[];
extern const unsigned n_bitmap_disks;

/* Bits of [off, off + len) in those that are enabled. */
void bitmap_set_note(struct bitmap_set *s, uint64_t off, uint64_t len);
void bitmap_set_add(struct bitmap_set *s, const char *name,
		    uint64_t granularity, bool enabled);
/* Everything that `from` has noted is noted in `to`. */
void bitmap_set_merge(const struct bitmap_set *s, struct bitmap_model *to,
		      const struct bitmap_model *from);
void bitmap_set_resize(struct bitmap_set *s, uint64_t size);
/* Do the bitmaps of img have just these bits?  -1 with why filled: no. */
int bitmap_set_compare(const struct bitmap_set *s, struct q2_image *img,
		       char *why, size_t why_bytes);

/* Make the image in loop.  0 or a negative errno.  The caller ends it. */
int bitmap_disk_make(struct bitmap_disk *d, struct loop *loop);
void bitmap_disk_done(struct bitmap_disk *d);

int bitmap_disk_open(struct loop *loop, unsigned flags,
		     struct q2_image **ret_img, struct q2_err *err);
/* What is to be done, but for the close. */
int bitmap_disk_run(const struct bitmap_disk *d, struct q2_image *img,
		    struct q2_err *err);

/* What bitmap_disk_check() finds. */
enum bitmap_disk_now {
	NOW_BEFORE,
	NOW_AFTER,
	NOW_IN_USE, /* bitmaps that had to change say that they are in use */
	N_NOW
};

/*
 * The image in loop, that nobody has open, is whole.  Its bitmaps are as before
 * or as after, or in use; if they are as before, the guest's data is, too.  -1
 * with why filled: none of that.
 */
int bitmap_disk_check(const struct bitmap_disk *d, struct loop *loop,
		      uint64_t *ret_leaks, char *why, size_t why_bytes);

/* Go on with it, as it was found: remove what is inconsistent, add one, write.
 * 0, or -1 with why filled. */
int bitmap_disk_go_on(const struct bitmap_disk *d, struct loop *loop, char *why,
		      size_t why_bytes);

/* In words, for a report. */
const char *bitmap_disk_text(const struct bitmap_disk *d);

#endif
