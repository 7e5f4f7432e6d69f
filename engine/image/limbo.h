/* SPDX-License-Identifier: MIT */
/*
 * limbo.h - clusters that are unlinked and not yet free (rules F1, I1)
 *
 * A cluster whose pointer was taken away may still be named by the file (until
 * the commit that carries the change is durable) and may still be read or
 * written by a request that looked at the old mapping.  It waits here for both
 * to end; then its refcount is lowered, and a later commit writes that.
 *
 * Requests are counted by *generation*: each unlink that finds requests in
 * flight ends the current one, and a cluster waits for those up to its own.
 */
#ifndef Q2_IMAGE_LIMBO_H
#define Q2_IMAGE_LIMBO_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/co/sync.h"

struct image;
struct l2_entry;

/* Generations that can be told apart; when all have requests in flight, the
 * current one goes on, which only delays. */
#define GENERATIONS 64

struct limbo {
	struct list items; /* in the order of unlinking */
	uint64_t bytes;
	uint64_t freed;           /* clusters that have left, since open */
	bool working;             /* a coroutine is emptying it */
	struct co_queue idle;     /* for the end of that */
	struct co_queue room;     /* for less to be in it */
	uint64_t oldest, current; /* generations */
	unsigned running[GENERATIONS];
};

void limbo_init(struct limbo *l);
void limbo_done(struct limbo *l);

/* A request starts, and ends: leave with what enter returned. */
uint64_t limbo_enter(struct limbo *l);
void limbo_leave(struct image *img, uint64_t generation);

/*
 * The pointer to these clusters was changed just now, in the cache; each loses
 * one reference.  Does not park.  Without memory they stay leaked, which
 * harms nothing and check finds.  request: the guest gave them up.
 */
void limbo_add(struct image *img, uint64_t host, uint64_t clusters,
	       bool request);

/* The same for what an L2 entry, which was changed just now, pointed at. */
void limbo_add_entry(struct image *img, const struct l2_entry *e, bool request);

/* Something that clusters wait for has happened. */
void limbo_kick(struct image *img);

/* What a request may unlink before it asks limbo_wait() again, in guest bytes:
 * a multiple of every cluster size. */
#define LIMBO_STEP (64 * MiB)

/*
 * For a request that is going to unlink clusters, and knows of no mapping:
 * waits while too much is in limbo.  It belongs to a new generation then.  0,
 * or the error of a commit, without which limbo would grow without end.
 */
int Q2_CO limbo_wait(struct image *img, uint64_t *generation);

/*
 * There was no space, and the request that has found out knows of no mapping:
 * free what can be, with a commit.  Returns whether more has left than when
 * `freed` was as given, so that another try is worth it.
 */
bool Q2_CO limbo_make_room(struct image *img, uint64_t *generation,
			   uint64_t freed);

/* Commit until nothing is left; no request is in flight. 0 or the error of a
 * commit. */
int Q2_CO limbo_drain(struct image *img);

#endif
