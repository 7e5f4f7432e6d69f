/* SPDX-License-Identifier: MIT */
/*
 * cache.h - commits: how changed metadata reaches the file
 *
 * cache.c is the only file that orders writes; its rules are at its top.
 */
#ifndef Q2_IMAGE_CACHE_H
#define Q2_IMAGE_CACHE_H

#include "engine/aio/aio.h"

struct image;

/* Host writes of one file: completed, and of these, covered by a sync. */
struct sync_count {
	uint64_t done, synced;
};

/* The state of commits of one image. */
struct commits {
	uint64_t sealed;  /* number of the commit sealed last */
	uint64_t ended;   /* number of the one that ended last */
	uint64_t durable; /* number of the last that succeeded */
	int result;       /* of commit number `ended` */
	bool running;
	struct co_queue wait;         /* for the running one to end */
	struct sync_count file, data; /* data: of an external data file */
	bool want_refcounts; /* lazy: the next commit carries refcounts too */
};

void cache_init(struct image *img);

/*
 * Make durable what was complete when this is called: joins or runs the first
 * commit that is sealed from now on (E1).  Costs nothing where nothing has
 * changed.  0, or the error of that commit.
 */
int Q2_CO cache_commit(struct image *img);

/* The same with all refcounts, which lazy_refcounts puts off otherwise. */
int Q2_CO cache_commit_all(struct image *img);

/* Make durable what has been written to the file, and no more: a sync, unless
 * nothing was written since the last.  0 or a negative errno. */
int Q2_CO cache_sync(struct image *img);

/* Is there anything that a commit would write or sync? */
bool cache_is_clean(const struct image *img);

/* Data of the guest, or metadata outside a commit, has reached its file: the
 * next flush must sync that. */
void cache_data_written(struct image *img);
void cache_meta_written(struct image *img);

#endif
