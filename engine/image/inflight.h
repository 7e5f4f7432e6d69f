/* SPDX-License-Identifier: MIT */
/*
 * inflight.h - requests that are changing mappings, by guest subcluster
 *
 * A request that will change the mapping of guest subclusters (without
 * extended L2 those are clusters) holds their range here from before it looks
 * at the mapping until the change is made.  One that needs new host clusters
 * holds whole clusters.  Others that touch the range wait, or, if the new
 * space is known to be zero around the bytes being written, join (A3): they
 * write their own part into the same host clusters, and the last one to finish
 * links them, once.
 *
 * There are at most as many ranges as requests in flight, so a scan of a short
 * list beats anything clever; the fast path only asks whether it is empty.
 */
#ifndef Q2_IMAGE_INFLIGHT_H
#define Q2_IMAGE_INFLIGHT_H

#include <stdint.h>

#include "engine/co/sync.h"

struct inflight {
	struct list link;
	uint64_t first, n; /* guest subclusters */
	uint64_t host;     /* of the first; valid while open */
	/* Guest bytes [from, to), whole subclusters within the range: what is
	 * filled, and will be linked as allocated. */
	uint64_t from, to;
	bool open;        /* others may join, within [from, to) */
	bool owned;       /* the clusters were the entries' before */
	bool zeros;       /* what is around the write reads as zeros */
	bool virgin;      /* and is zero in the file already (Z1) */
	bool linked;      /* ended, with result */
	int spoiled;      /* an error after which nothing may be linked */
	unsigned writers; /* data writes under way */
	unsigned written; /* data writes that succeeded */
	unsigned refs;    /* who still looks at this struct */
	int result;
	struct co_queue wait; /* for open or the end */
};

struct inflight_table {
	struct list ranges;
	struct list free; /* structs for reuse */
};

void inflight_init(struct inflight_table *t);
void inflight_done(struct inflight_table *t);

/* The range that covers guest subcluster sub, or NULL. */
struct inflight *inflight_find(struct inflight_table *t, uint64_t sub);
/* The first subcluster in [first, first + n) that some range covers; first + n if
 * there is none. */
uint64_t inflight_next(const struct inflight_table *t, uint64_t first,
		       uint64_t n);

/* Hold [first, first + n), which nobody else does; NULL without memory. The
 * caller has one reference. */
struct inflight *inflight_add(struct inflight_table *t, uint64_t first,
			      uint64_t n);
/* Stop holding the range and wake everybody; the struct stays until the last
 * reference is put. */
void inflight_end(struct inflight *f, int result);
void inflight_ref(struct inflight *f);
void inflight_put(struct inflight_table *t, struct inflight *f);

#endif
