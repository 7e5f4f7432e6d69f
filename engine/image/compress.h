/* SPDX-License-Identifier: MIT */
/*
 * compress.h - compressed clusters of one image: reading and making them
 *
 * A compressed cluster lies anywhere in the file, at a byte offset; several
 * share a host cluster, which has one reference from each.  It is never
 * changed: who writes to it gets a cluster of its own.
 *
 * Reads go through a few unpacked clusters that are kept, so that small reads
 * in order unpack each cluster once.  They are found by the place of the
 * compressed bytes, and forgotten when limbo lets go of that place: by then no
 * request knows the old mapping (I1), and only then can others be put there.
 */
#ifndef Q2_IMAGE_COMPRESS_H
#define Q2_IMAGE_COMPRESS_H

#include "engine/aio/aio.h"
#include "engine/format/entry.h"

struct codec;
struct image;

#define COMPRESS_CODECS 8

struct compress {
	struct list unpacked; /* the last used first */
	unsigned n_unpacked;
	struct codec *idle[COMPRESS_CODECS];
	unsigned n_idle, n_codecs; /* the latter: in use or idle */
	struct co_queue codec_wait;
	/* compress_write.c: the end of what was placed last, within a host
	 * cluster that more may share until a commit is sealed; 0: none. */
	uint64_t at, seal;
	/* That end, and alloc.changes then: while these are the same, nothing
	 * is behind it in its cluster. */
	uint64_t tail, tail_changes;
	uint64_t turn, turns_given;
	struct co_queue turns;
	struct list rooms; /* memory of batches, idle */
	unsigned n_rooms;
};

void compress_init(struct compress *c);
void compress_done(struct compress *c);

/* The next len bytes of it: those from in_cluster on of the compressed cluster
 * that e describes.  -EIO if its bytes do not unpack to a cluster. */
int Q2_CO compress_read(struct image *img, const struct l2_entry *e,
			uint64_t in_cluster, struct iov_iter *it, uint64_t len,
			enum aio_class cls);

/* How long the file has to be, of bytes to the end of its last cluster: where
 * that ends with compressed bytes of this session, less, as QEMU leaves it. */
uint64_t compress_close_bytes(const struct image *img, uint64_t bytes);

/* A pointer into these host clusters is gone: they are shared with no more. */
void compress_close(struct image *img, uint64_t host, uint64_t clusters);

/* These host clusters are about to lose a reference: their bytes may be
 * others from now on. */
void compress_forget(struct image *img, uint64_t host, uint64_t clusters);

#endif
