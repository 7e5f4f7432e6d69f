/* SPDX-License-Identifier: MIT */
/*
 * snapshots.h - the internal snapshots of an open image: their table in memory
 *
 * Read at open, and changed by manage/snapshot.c alone.  Entries stay in the
 * order of the file.
 */
#ifndef Q2_IMAGE_SNAPSHOTS_H
#define Q2_IMAGE_SNAPSHOTS_H

#include "engine/co/co.h"
#include "engine/format/snapshot.h"

struct image;
struct q2_err;
struct table;

struct snapshots {
	/* Strings and extra data belong to the entry; strings are terminated,
	 * which their lengths do not count. */
	struct snapshot *v;
	uint32_t n;
	uint64_t bytes; /* of the table in the file */
};

/* Read the table that the header names.  0, or a negative errno with
 * qemu-img's text. */
int Q2_CO snapshots_load(struct image *img, struct q2_err *err);
void snapshots_done(struct snapshots *s);

/* Put a copy of sn behind the others, or take out entry index.  Memory only.
 * 0 or -ENOMEM. */
int snapshots_append(struct snapshots *s, const struct snapshot *sn);
void snapshots_remove(struct snapshots *s, uint32_t index);

/* The first entry with that id and that name; NULL is any.  -1: none. */
int snapshots_find(const struct snapshots *s, const char *id, const char *name);

/* Can sn's L1 table be one?  0, or a negative errno with qemu-img's text. */
int snapshots_check_l1(const struct image *img, const struct snapshot *sn,
		       struct q2_err *err);
/*
 * Read sn's L1 table into *ret, which has at least min entries; those that the
 * file has not are empty.  The caller ends it.  0 or a negative errno.
 */
int Q2_CO snapshots_read_l1(struct image *img, const struct snapshot *sn,
			    uint32_t min, struct table *ret);

/* Clusters of sn's L1 table, and of a table of so many bytes. */
uint64_t snapshots_l1_clusters(const struct image *img,
			       const struct snapshot *sn);

#endif
