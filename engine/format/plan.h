/* SPDX-License-Identifier: MIT */
/*
 * plan.h - where everything of a new image goes
 *
 *	| header | refcount table | refcount blocks | L1 | L2 tables | data |
 *
 * and behind that the LUKS header, if there is one.  An external data file
 * takes the data.  With extended L2 entries no subcluster
 * is allocated by preallocation, only the cluster around it: a backing file
 * remains visible.  Without preallocation the file ends with the L1 table.  All clusters up to
 * the end of the data are in use, once each, so refcounts are 1 up to there and
 * 0 behind.  The file is as long as QEMU's (growth.h), which may leave some
 * free clusters behind the data.
 */
#ifndef Q2_FORMAT_PLAN_H
#define Q2_FORMAT_PLAN_H

#include <stddef.h>

#include "engine/base/err.h"
#include "engine/format/geom.h"
#include "engine/format/header.h"

/* A run of host clusters. */
struct plan_area {
	uint64_t host; /* offset in the file */
	uint64_t clusters;
};

struct plan {
	struct geom geom;
	struct header header;
	struct plan_area reftable, refblocks, l1, l2;
	/* With an external data file it is in that one, from its start on. */
	struct plan_area data;
	struct plan_area crypto; /* the LUKS header; not in plan_encode() */
	uint64_t used_clusters;  /* of the file, from its start */
	uint64_t metadata_bytes; /* from the start of the file */
	uint64_t file_bytes;     /* its length */
};

/*
 * Plan an image by the options that are about the format.  -EINVAL or -EFBIG
 * with qemu-img's text for what it refuses; -ENOMEM.
 */
int plan_make(const struct q2_create_opts *opts, struct plan *ret_plan,
	      struct q2_err *err);
/* The same with a LUKS header of so many bytes; 0: none. */
int plan_make_encrypted(const struct q2_create_opts *opts,
			uint64_t crypto_bytes, struct plan *ret_plan,
			struct q2_err *err);

/* Of that, what is about clusters and refcounts. */
int plan_check_shape(const struct q2_create_opts *opts, struct q2_err *err);

/*
 * The file's bytes [off, off + len) into buf.  Both are multiples of the
 * cluster size, and the range lies below metadata_bytes rounded up to a
 * cluster.
 */
void plan_encode(const struct plan *plan, uint64_t off, size_t len, void *buf);

#endif
