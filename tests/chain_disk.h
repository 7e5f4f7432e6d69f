/* SPDX-License-Identifier: MIT */
/*
 * chain_disk.h - a small chain of images, and operations that change how it is
 * stored but not what a guest reads from its top
 */
#ifndef TESTS_CHAIN_DISK_H
#define TESTS_CHAIN_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/aio/aio.h"
#include "engine/q2.h"

/* Files: the image, its backing file, that one's, and one beside them. */
#define CHAIN_TOP   "top.qcow2"
#define CHAIN_MID   "mid.qcow2"
#define CHAIN_BASE  "base"
#define CHAIN_OTHER "other.qcow2"

struct chain_disk {
	unsigned cluster_bits;
	unsigned refcount_order;
	uint64_t bytes, mid_bytes, base_bytes; /* mid_bytes 0: no such layer;
						   base_bytes 0: nor this */
	bool base_raw;
	unsigned version; /* of the top; 0: 3 */
	bool extended_l2;
	bool lazy;             /* all layers */
	unsigned crypt_method; /* of the top; see image_make.h */
	uint64_t seed;
	uint8_t *content; /* what the guest reads; of chain_disk_make() */
};

struct chain_op {
	const char *name;
	/* Does it apply to d? NULL: always. */
	bool (*applies)(const struct chain_disk *d);
	int (*run)(const struct chain_disk *d, struct q2_image *top,
		   struct q2_err *err);
};

extern const struct chain_disk chain_disks[];
extern const unsigned n_chain_disks;
extern const struct chain_op chain_ops[];
extern const unsigned n_chain_ops;

/* Make the files; 0 or a negative errno.  chain_disk_done() frees. */
int chain_disk_make(struct chain_disk *d, struct loop *loop);
void chain_disk_done(struct chain_disk *d);

/* Open the top for writing. */
int chain_disk_open(struct loop *loop, struct q2_image **ret_img,
		    struct q2_err *err);

/*
 * Are all files consistent, and does the guest read what it shall?  Leaks, of
 * all files together, are none of the errors.  0, or -1 with the reason.
 */
int chain_disk_check(const struct chain_disk *d, struct loop *loop,
		     uint64_t *ret_leaks, char *why, size_t why_bytes);

/* Write into the top where clusters may be taken that a crash has left, and
 * check again.  0, or -1 with the reason. */
int chain_disk_go_on(const struct chain_disk *d, struct loop *loop, char *why,
		     size_t why_bytes);

/* The names of all files that d has, NULL at the end. */
const char *const *chain_disk_files(const struct chain_disk *d);

#endif
