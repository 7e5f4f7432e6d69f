/* SPDX-License-Identifier: MIT */
/*
 * alloc.h - free space: handing out host clusters, taking them back
 *
 * Free clusters are found by walking the refcount blocks from a cursor; one
 * summary a block (summary.h) says where nothing is left.  What the walk finds is a
 * *window*: a run of free clusters kept in memory, from which requests are
 * served without looking at the disk.
 *
 * A cluster that is unlinked goes to limbo (F1, I1): it is neither free nor
 * punched until the commit that makes its unlink durable has ended and every
 * request that started before the unlink has finished.
 */
#ifndef Q2_IMAGE_ALLOC_H
#define Q2_IMAGE_ALLOC_H

#include "engine/aio/aio.h"
#include "engine/image/summary.h"

struct image;

struct alloc {
	uint64_t cursor;           /* next cluster to look at */
	uint64_t freed;            /* the lowest one freed since a refill */
	unsigned reserving;        /* taken from a window, not yet counted */
	struct co_queue counted;   /* reserving is 0 again */
	uint64_t window, window_n; /* free clusters, reserved in memory */
	struct summary summary;    /* what is free, by refcount block */
	struct co_mutex mutex;     /* for refilling the window */
	uint64_t file_bytes;       /* length of the file now */
	uint64_t opened_bytes;     /* at open */
	uint64_t handed_out;       /* end of the highest cluster handed out */
	uint64_t changes;          /* times that references came or went */
	bool can_be_virgin;        /* Z1: a regular file */
};

/* A run of host clusters; virgin: it reads as zeros already (Z1). */
struct host_run {
	uint64_t host;
	uint64_t clusters;
	bool virgin;
};

int alloc_init(struct image *img, uint64_t file_bytes);
void alloc_done(struct image *img);

/*
 * Take up to want adjacent clusters, at least one, with refcount 1.  The file
 * is long enough for them (Z2).  0 or a negative errno.
 */
int Q2_CO alloc_run(struct image *img, uint64_t want, struct host_run *ret_run);

/* Somebody will write up to end, in clusters that are in use: the file reaches
 * that far from now on, so that it is never cut below (Z2). */
int Q2_CO alloc_cover(struct image *img, uint64_t end);
/* Does it reach that far, also when it has been closed? */
bool alloc_is_covered(const struct image *img, uint64_t end);

/* Take the file system's blocks for a cluster of metadata now: a commit must
 * not find the disk full.  0, also where that cannot be done, or -ENOSPC. */
int Q2_CO alloc_reserve(struct image *img, uint64_t host);

/* Give back clusters that were never linked, and their blocks. */
int Q2_CO alloc_undo(struct image *img, uint64_t host, uint64_t clusters);

/*
 * For limbo.c: take a reference from each cluster.  Those that have none left
 * are free, and with punch given back to the file system before.
 */
int Q2_CO alloc_release(struct image *img, uint64_t host, uint64_t clusters,
			bool punch);

/* For reftable.c, which holds the mutex.  Make the file reach to end (Z2);
 * note that clusters were taken, and look for free ones behind them; be ready
 * for a larger refcount table. */
int Q2_CO alloc_grow_file(struct image *img, uint64_t end);
void alloc_handed_out(struct image *img, uint64_t first, uint64_t clusters);
int alloc_resize(struct image *img, uint32_t reftable_entries);

/*
 * One more reference to each cluster, which have some.  -ERANGE, and nothing
 * has changed, where a refcount is as high as its width allows.
 */
int Q2_CO alloc_reference(struct image *img, uint64_t host, uint64_t clusters);

/* Refcount blocks are going to leave the table: what is known to be free, which
 * may be in theirs, is looked up again. */
void alloc_forget(struct image *img);

/*
 * For operations that have the image for themselves.  They begin new areas at
 * alloc_virgin_end(), behind which the file is known to be empty (Z1) if the
 * refcounts say so too; say afterwards how long they have made the file and
 * that clusters were taken; or that they have cut it, so that it is empty from
 * there on.
 */
uint64_t alloc_virgin_end(const struct image *img);
void alloc_took(struct image *img, uint64_t first, uint64_t clusters,
		uint64_t file_bytes);
void alloc_was_cut(struct image *img, uint64_t file_bytes);

/* Refcounts were changed in the file; first_freed is the lowest cluster that is
 * free now, UINT64_MAX: none. */
void alloc_changed(struct image *img, uint64_t first_freed);

/* The refcount of one cluster. */
int Q2_CO alloc_refcount(struct image *img, uint64_t cluster,
			 uint64_t *ret_count);

/* The length that the file has after a clean close: as QEMU leaves it. */
uint64_t alloc_close_bytes(const struct image *img);

#endif
