/* SPDX-License-Identifier: MIT */
/*
 * image.h - an open image, composed of parts that belong to one module each
 *
 * Only the module named in a part's comment touches its fields.  Between two
 * parks nothing else of the thread runs, so nothing here needs a lock; what
 * must not change across a park says who holds it.
 */
#ifndef Q2_IMAGE_IMAGE_H
#define Q2_IMAGE_IMAGE_H

#include "engine/aio/aio.h"
#include "engine/format/codec.h"
#include "engine/format/entry.h"
#include "engine/format/header.h"
#include "engine/image/alloc.h"
#include "engine/image/bitmaps.h"
#include "engine/image/cache.h"
#include "engine/image/compress.h"
#include "engine/image/crypt.h"
#include "engine/image/gate.h"
#include "engine/image/inflight.h"
#include "engine/image/limbo.h"
#include "engine/image/meta.h"
#include "engine/image/slice.h"
#include "engine/image/snapshots.h"
#include "engine/image/table.h"

struct image {
	struct loop *loop;
	char *path;
	const char *driver;    /* "qcow2", "raw" or "null" */
	struct aio_file *file; /* NULL for driver null */
	struct aio_file *data; /* guest data; usually the same */
	char *data_path;       /* NULL: the same */
	struct image *backing; /* NULL: none */
	struct owners *owners; /* owners.c; NULL: nothing is remembered */
	struct points points;
	uint64_t size; /* virtual bytes */
	enum q2_cache cache_mode;
	enum q2_zero zero; /* the policy in effect */
	bool read_only;
	bool no_guest_writes; /* open for operations only */
	bool sync_writes;     /* writethrough, directsync */
	bool unmap;           /* the guest's discards are taken */
	/* clusters freed by them, by snapshots that go, or otherwise, are
	 * punched out of the file */
	bool punch_request, punch_snapshot, punch_other;
	bool keep_clusters;       /* discard-no-unref */
	bool lazy;                /* refcounts may stay behind (E3) */
	bool compress_writes;     /* compress=on */
	enum codec_effort effort; /* of whatever is compressed */
	enum q2_detect_zeroes detect_zeroes;
	int failed;        /* a sync has failed: nothing is written any more */
	bool damaged;      /* marked corrupt by damage.c */
	bool noted;        /* damage.c has told of something */
	unsigned requests; /* request.c: submitted and not done */
	struct gate gate;

	/* qcow2: open.c; constant but for resize */
	struct q2_open_opts opts; /* as given; of use for the caches only */
	struct header header;
	struct geom geom;

	struct table l1, reftable;
	struct slice_cache l2, refs; /* slice.c */
	struct alloc alloc;
	struct limbo limbo;
	struct inflight_table inflight;    /* write.c */
	struct co_mutex l2_mutex;          /* map.c: making an L2 table */
	struct commits commits;            /* cache.c */
	struct meta meta;                  /* meta.c */
	struct snapshots snapshots;        /* snapshots.c */
	struct bitmaps bitmaps;            /* bitmaps.c */
	struct compress compress;          /* compress.c */
	struct crypt crypt;                /* crypt.c */
	uint64_t trim_interval, trim_next; /* trim.c: seconds */
	enum {
		HOLES_UNKNOWN,
		HOLES_NO,
		HOLES_YES
	} holes; /* holes.c */
};

static inline bool
image_is_qcow2(const struct image *img)
{
	return img->driver[0] == 'q';
}

/* Where the state of a virtual machine begins, in the guest's space: behind
 * what whole L2 tables map. */
static inline uint64_t
image_state_offset(const struct image *img)
{
	return geom_l1_entries(&img->geom, img->size)
	       << (img->geom.l2_bits + img->geom.cluster_bits);
}

/* Guest data is in a file of its own, which a guest can also read directly. */
static inline bool
image_data_is_raw(const struct image *img)
{
	return img->geom.external_data &&
	       (img->header.autoclear & AUTOCLEAR_DATA_FILE_RAW);
}

#endif
