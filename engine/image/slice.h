/* SPDX-License-Identifier: MIT */
/*
 * slice.h - the cache of metadata slices: finding, loading, giving up
 *
 * A slice is an aligned part of an L2 table or of a refcount block, 512 bytes
 * to a cluster.  The cache has a fixed number of slots, found by a hash of the
 * slice's host offset and given up by clock.
 *
 *	          slice_get, miss        read done
 *	  EMPTY -----------------> LOADING -------> VALID, clean <---+
 *	    ^                                         |   |          | cache.c:
 *	    |      evicted: unpinned, clean,          |   | slice_   | the commit
 *	    +-------not being committed---------------+   | dirty    | has written
 *	                                                  v          | the copy
 *	                       slice_dirty again <--- VALID, dirty ---+
 *
 * C1: only clean slices are evicted; where there is none, a commit is started
 * or joined.  C2: a coroutine pins at most one L2 slice and one refcount
 * slice, in that order, and never waits for a slot of a class while it holds a
 * pin of that class.  Dirty slices, and slices whose copy a commit is writing,
 * stay findable.
 */
#ifndef Q2_IMAGE_SLICE_H
#define Q2_IMAGE_SLICE_H

#include "engine/aio/aio.h"

struct image;
struct table;

/* Metadata is written in pieces of this size, or of the slice if smaller: one
 * page, so that a small change costs a small write. */
#define PIECE_BYTES 4096

struct slice {
	uint64_t host; /* offset in the file; 0: empty slot */
	struct slice *hash_next;
	uint32_t owner; /* index in the table above */
	bool is_l2;
	uint8_t *data;
	uint64_t *dirty;  /* one bit a piece */
	unsigned n_dirty; /* bits set */
	unsigned pins;
	bool loading;
	bool committing; /* a running commit holds copies of it */
	bool used;       /* since the clock's hand passed */
	int load_error;
	struct co_queue wait;    /* for the end of loading */
	struct list dirty_link;  /* on cache->dirty while n_dirty > 0 */
	struct list commit_link; /* in the running commit */
};

struct slice_cache {
	enum aio_class cls;        /* AIO_L2 or AIO_REFCOUNT */
	const struct table *above; /* L1, or the refcount table */
	uint32_t slice_bytes;
	uint32_t piece_bytes;
	unsigned pieces; /* of a slice */
	unsigned n_slots;
	struct slice *slots;
	struct slice **hash;
	unsigned hash_mask;
	unsigned hand;
	uint8_t *memory;
	uint64_t *bits;
	struct list dirty;
	struct co_queue slot_wait; /* for any slice to become evictable */
};

/* Memory is reserved here and faulted on use.  bytes is rounded to whole
 * slices, at least two. */
int slice_cache_init(struct slice_cache *c, enum aio_class cls,
		     const struct table *above, uint64_t bytes,
		     uint32_t slice_bytes, struct q2_err *err);
void slice_cache_done(struct slice_cache *c);

/* The slice at host if it is there and loaded, else NULL.  Never parks, takes
 * no pin: valid until the next park. */
struct slice *slice_peek(struct slice_cache *c, uint64_t host);

/*
 * The slice at host, pinned: give it back with slice_put() before parking for
 * anything but a slice of a later class.  owner is the entry of the table
 * above that names its cluster.  0 or a negative errno.
 */
int Q2_CO slice_get(struct image *img, struct slice_cache *c, uint64_t host,
		    uint32_t owner, struct slice **ret_slice);
void slice_put(struct slice_cache *c, struct slice *s);

/* Bytes [at, at + len) of the slice have been changed. */
void slice_dirty(struct slice_cache *c, struct slice *s, uint32_t at,
		 uint32_t len);

/* Forget the slices of a table that is no longer one (it went to limbo);
 * nobody may hold them. */
void slice_drop(struct slice_cache *c, uint64_t host, uint64_t bytes);

/* Forget the clean slices that were not used since the last call, and give
 * their memory back to the system. */
void slice_cache_trim(struct slice_cache *c);

/* For cache.c: a slice has become clean and may be evicted. */
void slice_cleaned(struct slice_cache *c);

#endif
