/* SPDX-License-Identifier: MIT */
/*
 * nbd_disk.h - a server of the NBD protocol as a disk; for targets nbd and qemu
 *
 * Through libnbd's asynchronous calls, driven by poll(2) in the caller's
 * thread: iodepth requests are in flight on one connection.  -ENOTSUP, with what to
 * install, from a program that was built without libnbd or does not find it.
 */
#ifndef HARNESS_TARGETS_NBD_DISK_H
#define HARNESS_TARGETS_NBD_DISK_H

#include "harness/targets/disk.h"

/* Is libnbd there?  0, or -ENOTSUP and what to do. */
int nbd_disk_check(struct q2_err *err);

/* What the export has to be. */
struct nbd_want {
	uint64_t bytes; /* its size, at least */
	bool exactly;   /* neither more */
	bool write;     /* it must not be read-only */
	/* Milliseconds without an answer after which a server is given up; 0:
	 * half a minute for a connection, two for requests.  A flush may take
	 * as long as it takes. */
	unsigned patience_ms;
};

/*
 * Connect to the export that uri names (nbd://, nbds://, nbd+unix://, ...).
 * -EINVAL for a bad URI, or an export that is too small, read-only or cannot
 * flush; -ETIMEDOUT from a server that says nothing; what the network says
 * otherwise.
 */
int nbd_disk_of_uri(struct disk *disk, struct q2_loop *loop, const char *uri,
		    const struct nbd_want *want, struct q2_err *err);

/* The same over a socket that is connected already, with the export "".  Takes
 * the socket over in every case. */
int nbd_disk_of_socket(struct disk *disk, struct q2_loop *loop, int fd,
		       const struct nbd_want *want, struct q2_err *err);

/* What libnbd said last about a failure, or "". */
const char *nbd_disk_error(const struct nbd_disk *nbd);

#endif
