/* SPDX-License-Identifier: MIT */
/*
 * check_priv.h - what the files of check share
 *
 *	check.c        the order of things; L1 and L2 tables; COPIED flags
 *	check_refs.c   counting references, comparing them with refcounts
 *	check_extra.c  snapshots and bitmaps
 */
#ifndef Q2_MANAGE_CHECK_PRIV_H
#define Q2_MANAGE_CHECK_PRIV_H

#include "engine/base/err.h"
#include "engine/image/image.h"
#include "engine/manage/manage.h"

/* What is read at once: tables that are adjacent in the file come together.
 * Holds the largest cluster, and any snapshot entry. */
#define CHECK_BATCH (2 * MiB)

struct check {
	struct image *img;
	const struct geom *g;
	struct q2_check *ret;
	q2_finding_fn finding;
	void *arg;
	struct q2_err *err;
	uint64_t file_bytes;
	uint64_t clusters;   /* of the file */
	bool has_data_file;  /* guest data is elsewhere */
	uint8_t *batch;      /* CHECK_BATCH bytes, aligned */
	uint8_t *refs;       /* references counted, in the image's width */
	uint8_t *stored;     /* enum stored of each cluster */
	uint8_t *block;      /* one refcount block ... */
	uint64_t block_host; /* ... this one; 0: none */
	bool said_unaligned;
};

/* ---- check.c ----------------------------------------------------------- */

void check_say(struct check *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same, and one corruption more. */
#define check_corrupt(c, ...) \
	((c)->ret->corruptions++, check_say(c, __VA_ARGS__))

/*
 * How many clusters, named by entries[0], entries[1], ..., are adjacent in the
 * file and fit into a batch; at least 1.
 */
uint32_t check_adjacent(const struct check *c, const uint64_t *entries,
			uint32_t n, uint64_t mask);

/* Count what the table of n entries at host (as in the file) refers to. */
int Q2_CO check_count_l1(struct check *c, uint64_t host, const uint64_t *l1,
			 uint32_t n, bool active);

/* ---- check_refs.c ------------------------------------------------------ */

int check_refs_init(struct check *c);
void check_refs_done(struct check *c);

/* The file's bytes [off, off + len) have a reference more. */
void check_count(struct check *c, uint64_t off, uint64_t len);

/* References of the refcount table to its blocks. */
void check_count_refblocks(struct check *c);

/* All refcounts against the references. */
int Q2_CO check_compare(struct check *c);

/* The refcount in the file, of any cluster; after check_compare(). */
int Q2_CO check_stored(struct check *c, uint64_t cluster, uint64_t *ret_count);

/* ---- check_extra.c ----------------------------------------------------- */

/* The snapshots that the header names. */
struct check_snapshot {
	uint64_t l1_offset;
	uint32_t l1_entries;
	char *label; /* "ID (NAME)" */
};
struct check_snapshots {
	struct check_snapshot *v;
	uint32_t n;
	uint64_t bytes; /* of the table */
};

int Q2_CO check_read_snapshots(struct check *c, struct check_snapshots *s);
void check_snapshots_done(struct check_snapshots *s);
int Q2_CO check_count_snapshots(struct check *c,
				const struct check_snapshots *s);
int Q2_CO check_count_bitmaps(struct check *c);

#endif
