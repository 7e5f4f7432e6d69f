/* SPDX-License-Identifier: MIT */
/*
 * disk.h - an open disk, as job.c sees it: something that takes requests
 *
 * The engine in our own process (disk.c), or a server of the NBD protocol
 * (nbd_disk.c).  Requests are those of the engine in both cases, so that the
 * same loop of the same buffers, content and clocks measures both; in process
 * the way to q2_submit() is one indirect call.
 *
 * One thread.  What is in flight belongs to the disk until its done() has been
 * called; disk_close() gives all of it back.
 */
#ifndef HARNESS_TARGETS_DISK_H
#define HARNESS_TARGETS_DISK_H

#include <stdbool.h>

#include "engine/q2.h"

struct nbd_disk;
struct server;
struct disk;

struct disk {
	/* As q2_submit(): never fails, never blocks, done() is called by
	 * run() alone. */
	void (*submit)(struct disk *disk, struct q2_req *rq);
	/* Wait until at least one request is done; their number, or -errno
	 * when none ever will be. */
	int (*run)(struct disk *disk);
	/* Blocking, with nothing in flight; 0 or -errno. */
	int (*flush)(struct disk *disk);
	/* See disk_close(). */
	int (*close)(struct disk *disk, struct q2_err *err);
	struct q2_loop *loop;  /* buffers come from it in either case */
	struct q2_image *img;  /* NULL: not in process */
	struct nbd_disk *nbd;  /* NULL: in process */
	struct server *server; /* ours to end, or NULL */
};

/* img becomes the disk's. */
void disk_of_image(struct disk *disk, struct q2_loop *loop,
		   struct q2_image *img);

static inline bool
disk_is_open(const struct disk *disk)
{
	return disk->close != NULL;
}

/*
 * Drain, write everything out, close; end the server if it is ours.  The disk
 * is closed in every case.  An error means that data may be missing, or that
 * the server has ended badly.  Does nothing when it is not open.
 */
int disk_close(struct disk *disk, struct q2_err *err);

/* After a failure of a request: add to err what the other side says of it.
 * Does nothing in process. */
void disk_explain(const struct disk *disk, struct q2_err *err);

#endif
