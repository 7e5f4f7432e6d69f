/* SPDX-License-Identifier: MIT */
/*
 * manage.h - operations on whole images, written on top of image/
 *
 * Each is one file; q2.c wraps them for q2.h and runs them in a coroutine, so
 * they may park.  Errors and results are those of the q2_ functions.
 */
#ifndef Q2_MANAGE_MANAGE_H
#define Q2_MANAGE_MANAGE_H

#include "engine/aio/aio.h"
#include "engine/q2.h"

struct image;

/* create.c */
int Q2_CO create_image(struct loop *loop, const char *path,
		       const struct q2_create_opts *opts,
		       struct q2_create_result *ret_result, struct q2_err *err);
/* check.c */
struct finder { /* who is told what is found */
	q2_finding_fn fn;
	void *arg;
};
int Q2_CO check_image(struct image *img, enum q2_repair fix,
		      struct q2_check *ret_check, const struct finder *finder,
		      struct q2_err *err);
/* Before an image with the dirty bit is written: refcounts become right, and
 * the bit is cleared. */
int Q2_CO repair_dirty(struct image *img, const struct finder *finder,
		       struct q2_err *err);
/* resize.c */
int Q2_CO resize_image(struct image *img, uint64_t size,
		       const struct q2_resize_opts *opts, struct q2_err *err);
/* resize_raw.c: the image, and any file that holds the guest's data alone; the
 * latter does not sync. */
int Q2_CO resize_raw(struct image *img, uint64_t size, enum q2_prealloc mode,
		     struct q2_err *err);
int Q2_CO resize_file(struct aio_file *file, uint64_t size,
		      enum q2_prealloc mode);
/* Make [from, to) of a block device read as zeros: allocated blocks where mode
 * asks for them. */
int Q2_CO resize_zero_device(struct aio_file *file, uint64_t from, uint64_t to,
			     enum q2_prealloc mode);
/* keyslots.c */
int Q2_CO change_keyslots(struct image *img, const struct q2_keyslot_opts *opts,
			  struct q2_err *err);
/* snapshot.c */
struct snapshot_op {
	enum {
		SNAPSHOT_CREATE,
		SNAPSHOT_DELETE,
		SNAPSHOT_APPLY
	} kind;
	uint32_t index;                      /* of the others */
	const struct q2_snapshot_opts *opts; /* of create; complete */
};
int Q2_CO snapshot_run(struct image *img, const struct snapshot_op *op,
		       struct q2_err *err);
/* Write the entries anew, if one is shorter than version 3 wants.  Of an image
 * without requests, all of whose metadata is in the file. */
int Q2_CO snapshot_complete_table(struct image *img, struct q2_err *err);
/* The disk is what snapshot index has, at the image's size; read-only. */
int Q2_CO snapshot_load(struct image *img, uint32_t index, struct q2_err *err);
/* bitmap.c; the change is in the file when it returns */
struct bitmap_op {
	enum {
		BITMAP_OP_ADD,
		BITMAP_OP_REMOVE,
		BITMAP_OP_CLEAR,
		BITMAP_OP_ENABLE,
		BITMAP_OP_DISABLE,
		BITMAP_OP_MERGE
	} kind;
	const char *name;
	uint64_t granularity; /* of add; 0: the default */
	struct image *source; /* of merge */
	const char *source_name;
};
int Q2_CO bitmap_run(struct image *img, const struct bitmap_op *op,
		     struct q2_err *err);
/* The image has none any more; it is for the caller alone. */
int Q2_CO bitmap_drop_all(struct image *img, struct q2_err *err);
/* Before the size changes, and when it has. */
int Q2_CO bitmap_begin_resize(struct image *img, struct q2_err *err);
void bitmap_end_resize(struct image *img);
/* bitmap_store.c: all of them into the file; the image is for the caller
 * alone. */
int Q2_CO bitmaps_store(struct image *img, struct q2_err *err);
/* The same when the image is going to be closed, if anything has to be. */
int Q2_CO bitmaps_close(struct image *img, struct q2_err *err);
/* vmstate.c; off counts from where the state begins */
int Q2_CO vmstate_read(struct image *img, void *buf, uint64_t len,
		       uint64_t off);
int Q2_CO vmstate_write(struct image *img, const void *buf, uint64_t len,
			uint64_t off);
/* layout.c */
int Q2_CO layout_image(struct image *img, struct q2_layout *ret_layout,
		       struct q2_err *err);
/* measure.c; without img it needs no coroutine */
int Q2_CO measure_image(const struct q2_create_opts *opts, struct image *img,
			struct q2_measure *ret_measure, struct q2_err *err);

/* convert.c; opts is complete */
int Q2_CO convert_images(struct image *const *sources, size_t n,
			 struct image *target,
			 const struct q2_convert_opts *opts,
			 struct q2_err *err);
/* What layers above base hold of top, into base, which is at depth; behind
 * grown it reads as zeros, since it has just been made longer.  base is flushed
 * at the end. */
struct convert_down {
	struct image *top, *base;
	unsigned depth;
	uint64_t grown;
};
int Q2_CO convert_down(const struct convert_down *down,
		       const struct q2_convert_opts *opts, struct q2_err *err);
/* commit.c; opts is complete, and that layer is open for writing */
int Q2_CO commit_image(struct image *img, const struct q2_commit_opts *opts,
		       struct q2_err *err);
/* rebase.c, amend.c, amend_refcounts.c; opts is complete */
int Q2_CO rebase_image(struct image *img, const struct q2_rebase_opts *opts,
		       struct q2_err *err);
int Q2_CO amend_image(struct image *img, const struct q2_amend_opts *opts,
		      struct q2_err *err);
/* Refcounts of another width; on failure the image is as it was, or the text
 * says otherwise. */
int Q2_CO amend_refcounts(struct image *img, unsigned refcount_bits,
			  struct q2_err *err);
/* amend_zeros.c: no cluster has the zero flag any more. */
int Q2_CO amend_expand_zeros(struct image *img, const struct q2_amend_opts *o,
			     struct q2_err *err);
/* amend_snapshots.c: nor one of a snapshot; the disk has none. */
int Q2_CO amend_expand_snapshots(struct image *img, struct q2_err *err);
/* compare.c */
int Q2_CO compare_images(struct image *a, struct image *b,
			 const struct q2_compare_opts *opts,
			 struct q2_compare *ret_compare, struct q2_err *err);

#endif
