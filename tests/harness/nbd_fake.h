/* SPDX-License-Identifier: MIT */
/*
 * nbd_fake.h - an NBD server that does as told, and a client of it
 *
 * The server is a thread at the other end of a socket pair: it answers late, out
 * of order, with errors, or goes away.
 */
#ifndef TESTS_HARNESS_NBD_FAKE_H
#define TESTS_HARNESS_NBD_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/num.h"
#include "harness/job.h"
#include "harness/targets/nbd_disk.h"

#define NBD_PENDING_MAX 64
#define NBD_FAKE_BYTES  (4 * MiB)

/* Flags of an export (doc/proto.md of the NBD project). */
enum {
	NBD_HAS_FLAGS = 1,
	NBD_READ_ONLY = 2,
	NBD_SEND_FLUSH = 4
};

struct nbd_pending {
	uint64_t cookie, off;
	uint32_t len;
	uint16_t cmd;
};

struct nbd_fake {
	int fd;
	uint16_t flags;
	uint64_t bytes;     /* as announced */
	unsigned hold;      /* answer only when so many are there; 0: at once */
	uint64_t fail_from; /* offset from which requests fail with EIO */
	unsigned drop_after; /* requests, then hang up; 0: never */
	bool mute;           /* say nothing until the client has gone */
	/* what happened */
	unsigned requests, flushes, most;
	struct nbd_pending pending[NBD_PENDING_MAX];
	unsigned npending;
	unsigned char *disk;
};

struct nbd_meeting {
	struct nbd_fake fake;
	pthread_t thread;
	struct q2_loop *loop;
	struct disk disk;
	struct q2_err err;
	int result; /* of connecting */
};

/* One that does everything right, and at once. */
extern const struct nbd_fake nbd_fake_good;
extern const struct nbd_want nbd_want_all;
/* 64 blocks of 4 KiB, each in a 64 KiB of its own. */
extern const struct stream_spec nbd_writes;

/* Skips the test where the library is missing. */
void nbd_need(void);

/* Starts the server and connects. */
void nbd_meet(struct nbd_meeting *m, struct nbd_fake fake,
	      const struct nbd_want *want);

/* Hangs up; after this the server's fields are ours to look at. */
int nbd_part(struct nbd_meeting *m);

void nbd_forget(struct nbd_meeting *m);

/* The whole stream, depth requests at a time. */
int nbd_turn(struct nbd_meeting *m, const struct stream_spec *spec,
	     uint32_t depth, struct job_turn *ret, struct hist *hist);

#endif
