/* SPDX-License-Identifier: MIT */
/*
 * snapshot_disk.h - a small image with snapshots, an operation on them, and
 * what the image holds before and after it
 */
#ifndef TESTS_SNAPSHOT_DISK_H
#define TESTS_SNAPSHOT_DISK_H

#include "engine/aio/aio.h"
#include "engine/q2.h"

#define SNAPSHOT_DISK "disk.qcow2"
#define SNAPSHOTS_MAX 6
#define SNAPSHOT_NAME 256

enum snapshot_disk_op {
	OP_CREATE,
	OP_APPLY,
	OP_DELETE,
	OP_AMEND, /* to the other version */
	N_OPS
};

/* What a disk, or a snapshot of it, holds. */
struct disk_content {
	uint64_t size;
	uint8_t *bytes; /* room for the largest */
};

struct disk_state {
	struct disk_content disk, snaps[SNAPSHOTS_MAX];
	char names[SNAPSHOTS_MAX][SNAPSHOT_NAME];
	unsigned n, version;
};

struct snapshot_disk {
	unsigned cluster_bits, refcount_order;
	unsigned version; /* 0: 3 */
	bool extended_l2, lazy, packed;
	bool other_sizes; /* the snapshots are of another size than the disk */
	bool below;       /* there is a backing file */
	bool old_table;   /* entries of snapshots have no extra data */
	unsigned snaps;   /* it begins with */
	unsigned name_bytes;
	enum snapshot_disk_op op;
	unsigned target; /* of apply and delete */
	uint64_t seed;
	/* Filled by snapshot_disk_make(). */
	struct disk_state before, after;
};

/* What is worth trying, and whether an operation can be done with it. */
extern const struct snapshot_disk snapshot_disks[];
extern const unsigned n_snapshot_disks;
bool snapshot_disk_can(const struct snapshot_disk *d, enum snapshot_disk_op op);

/* Make the image in loop. 0 or a negative errno.  The caller ends it. */
int snapshot_disk_make(struct snapshot_disk *d, struct loop *loop);
void snapshot_disk_done(struct snapshot_disk *d);

int snapshot_disk_open(struct loop *loop, struct q2_image **ret_img, char *why,
		       size_t why_bytes);
/* The operation. */
int snapshot_disk_run(const struct snapshot_disk *d, struct q2_image *img,
		      struct q2_err *err);

/*
 * The image in loop, that nobody has open, is whole, and all of it, with each
 * snapshot, is as before the operation (0) or as after it (1).  -1 with why
 * filled: neither.
 */
int snapshot_disk_check(const struct snapshot_disk *d, struct loop *loop,
			uint64_t *ret_leaks, char *why, size_t why_bytes);

/* Go on with it, which is as `after` says: write, take a snapshot, write,
 * apply, delete; what is read is right each time.  0, or -1 with why filled. */
int snapshot_disk_go_on(const struct snapshot_disk *d, bool after,
			struct loop *loop, char *why, size_t why_bytes);

/* In words, for a report. */
const char *snapshot_disk_text(const struct snapshot_disk *d);

#endif
