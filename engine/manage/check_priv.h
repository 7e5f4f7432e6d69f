/* SPDX-License-Identifier: MIT */
/*
 * check_priv.h - what the files of check and repair share
 *
 *	check.c            the order of things
 *	check_l2.c         counting what L1 and L2 tables refer to
 *	check_snapshots.c  the snapshot table, and what it refers to
 *	check_bitmaps.c    the same of bitmaps
 *	check_refs.c       counted references, and refcounts in the file
 *	check_copied.c     COPIED flags
 *	repair.c           what is written beside refcounts and flags
 *	repair_rebuild.c   new refcount structures
 */
#ifndef Q2_MANAGE_CHECK_PRIV_H
#define Q2_MANAGE_CHECK_PRIV_H

#include "engine/base/err.h"
#include "engine/image/image.h"
#include "engine/manage/manage.h"

/* What is read at once, at most: tables that are adjacent in the file come
 * together.  Holds the largest cluster, and any snapshot entry. */
#define CHECK_BATCH (2 * MiB)

/* What is kept of a cluster beside its references. */
enum cluster_state {
	/* Its refcount in the file, as far as the pass over COPIED flags asks:
	 * is it 1? */
	STORED_0 = 0,
	STORED_1 = 1,
	STORED_MORE = 2,
	STORED_ERROR = 3,
	STORED_MASK = 3,
	/* Metadata, but no L2 table: nothing else may be written there. */
	STATE_METADATA = 1 << 2,
	/* It has more references than its refcount can say. */
	STATE_OVERFLOW = 1 << 3,
	/* Behind the end of the file, and referred to: not counted, but
	 * nothing may be put there. */
	STATE_OUTSIDE = 1 << 4,
};

/* The snapshots that the header names. */
struct check_snapshot {
	uint64_t l1_offset;
	uint32_t l1_entries;
	bool incomplete; /* its extra data is too short for version 3 */
	char *label;     /* "ID (NAME)" */
};
struct check_snapshots {
	struct check_snapshot *v;
	uint32_t n;
	uint64_t bytes;       /* of the table in the file, as far as read */
	uint64_t new_bytes;   /* of the same as it is written now */
	uint64_t corruptions; /* what a new table puts right */
	/* Repairing: the table as it should be. */
	uint8_t *table;
	size_t table_bytes, table_room;
	uint64_t host; /* where it goes */
	bool placed;
	uint64_t old_host, old_bytes; /* what it is instead of */
};

struct check {
	struct image *img;
	const struct geom *g;
	struct q2_check *ret;
	enum q2_repair fix;
	q2_finding_fn finding;
	void *arg;
	struct q2_err *err;
	uint64_t file_bytes;
	uint64_t clusters;  /* of the file, or more if one behind it is used */
	uint64_t room;      /* clusters that refs and state have room for */
	uint64_t outside;   /* the first of STATE_OUTSIDE behind that */
	bool has_data_file; /* guest data is elsewhere */
	uint8_t *batch;     /* aligned */
	uint64_t batch_bytes; /* CHECK_BATCH, or less in a small file */
	uint8_t *refs;        /* references counted, laid out as the refcount
				blocks of the image are */
	uint8_t *state;       /* enum cluster_state of each cluster */
	uint8_t *block;       /* one refcount block ... */
	uint64_t block_host;  /* ... this one; 0: none */
	bool said_unaligned;
	bool wrote;       /* the file is another */
	bool unread;      /* a table could not be read: references miss */
	bool rebuild;     /* refcounts cannot be mended where they are */
	bool l1_shared;   /* the L1 table lies in other metadata */
	uint64_t too_low; /* refcounts below references, after comparing */
	struct check_snapshots snapshots;
};

/* ---- check.c ----------------------------------------------------------- */

void check_say(struct check *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same, and one corruption more. */
#define check_corrupt(c, ...) \
	((c)->ret->corruptions++, check_say(c, __VA_ARGS__))

/* "Check failed: ..."; returns code. */
int check_fail(const struct check *c, int code);

/*
 * How many clusters, named by entries[0], entries[1], ..., are adjacent in the
 * file and fit into a batch; at least 1.
 */
uint32_t check_adjacent(const struct check *c, const uint64_t *entries,
			uint32_t n, uint64_t mask);

/* Count everything; says what is wrong on the way, and mends unaligned
 * preallocated clusters. */
int Q2_CO check_count_all(struct check *c);

/* ---- check_l2.c -------------------------------------------------------- */

/* An L2 entry, and the second word of an extended one. */
struct check_entry {
	uint64_t word, bitmap;
	struct l2_entry e;
};

struct check_entry check_entry_at(const struct check *c, const uint8_t *table,
				  uint64_t i);

/* Tables l1[i], l1[i + 1], ... of n entries into the batch; returns how many,
 * *ret_error if they cannot be read. */
uint32_t Q2_CO check_read_tables(struct check *c, const uint64_t *l1,
				 uint32_t n, int *ret_error);

/* May the L2 table at host be changed: is it one, and nothing else? */
bool check_l2_is_writable(const struct check *c, uint64_t host);

/* Count what the table of n entries at host (as in the file) refers to. */
int Q2_CO check_count_l1(struct check *c, uint64_t host, const uint64_t *l1,
			 uint32_t n, bool active);

/* ---- check_copied.c ---------------------------------------------------- */

/* COPIED flags of the active tables against refcounts; after
 * check_compare(). */
int Q2_CO check_copied(struct check *c);

/* ---- check_refs.c ------------------------------------------------------ */

int check_refs_init(struct check *c);
void check_refs_done(struct check *c);
/* Begin to count anew.  0, or fails. */
int check_refs_clear(struct check *c);
/* There are so many clusters now.  0, -EFBIG or -ENOMEM. */
int check_refs_grow(struct check *c, uint64_t clusters);

uint64_t check_refs(const struct check *c, uint64_t cluster);

/* The file's bytes [off, off + len) have a reference more. */
void check_count(struct check *c, uint64_t off, uint64_t len);
/* They hold metadata other than L2 tables; returns whether it was known of a
 * cluster already. */
bool check_mark_metadata(struct check *c, uint64_t off, uint64_t len);
/* The cluster has a reference less, if it has any. */
void check_uncount(struct check *c, uint64_t cluster);

/* References of the refcount table to its blocks. */
int Q2_CO check_count_refblocks(struct check *c);

/*
 * All refcounts against the references; those that fix lets be mended are.
 * c->too_low and the counters of c->ret begin anew or go on, as they are.
 */
int Q2_CO check_compare(struct check *c, enum q2_repair fix);

/* The refcount in the file, of any cluster; after check_compare(). */
int Q2_CO check_stored(struct check *c, uint64_t cluster, uint64_t *ret_count);

/* Clusters [first, first + n) get the references counted as their refcount in
 * the file; -ENOENT where a block is missing. */
int Q2_CO check_store(struct check *c, uint64_t first, uint64_t n);

/*
 * n adjacent clusters that nothing refers to, from *from on, which is moved to
 * the first of all; they have a reference now.  0, -EFBIG, -ENOSPC or -ENOMEM.
 */
int check_take(struct check *c, uint64_t n, uint64_t *from,
	       uint64_t *ret_first);

/* ---- check_snapshots.c ------------------------------------------------- */

int Q2_CO check_read_snapshots(struct check *c);
void check_snapshots_done(struct check_snapshots *s);
int Q2_CO check_count_snapshots(struct check *c);

/* ---- check_bitmaps.c --------------------------------------------------- */

/* What QEMU wants of bitmaps when it opens an image; marks their metadata. */
int Q2_CO check_judge_bitmaps(struct check *c);
int Q2_CO check_count_bitmaps(struct check *c);

/* ---- repair.c ---------------------------------------------------------- */

/* Write, and say "Check failed" if that fails. */
int Q2_CO repair_write(struct check *c, enum aio_class cls, const void *buf,
		       uint64_t len, uint64_t off);
int Q2_CO repair_sync(struct check *c);

/* Mark all metadata but L2 tables; before counting. */
void repair_mark_metadata(struct check *c);
/* Write the new snapshot table where nothing is; the header does not name it
 * yet. */
int Q2_CO repair_place_snapshots(struct check *c);
/* The header names it, durably, and in memory. */
int Q2_CO repair_switch_snapshots(struct check *c);
void repair_note_snapshots(struct check *c);
/* The clusters of the old one have a reference less, in memory. */
void repair_uncount_old_snapshots(struct check *c, uint64_t *ret_first,
				  uint64_t *ret_n);
/* And in the file, after it is no longer named. */
int Q2_CO repair_free_old_snapshots(struct check *c);
/* The header's fields of the new table, 12 bytes. */
void repair_encode_snapshots(const struct check *c, uint8_t *fields);
/* Clear the dirty and the corrupt bit as far as they are not true any more. */
int Q2_CO repair_clear_bits(struct check *c);
/* What the engine keeps in memory of what was written. */
int Q2_CO repair_reload(struct check *c);

/* ---- repair_rebuild.c -------------------------------------------------- */

/* New refcount structures by the references counted, in place of the old ones,
 * which stay as leaks; what there is in c of refcounts is void. */
int Q2_CO repair_rebuild(struct check *c);

#endif
