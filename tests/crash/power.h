/* SPDX-License-Identifier: MIT */
/*
 * power.h - runs of random requests, and power cuts at every moment of them
 *
 * A run makes an image, writes to it through the recorder of sim.h, and then
 * builds the file of each crash: after every recorded event, with all, none,
 * or random ones of the operations that no sync covers.  In every such state
 *
 *	- the image opens,
 *	- no cluster has more references than its refcount says,
 *	- every cell holds what oracle.h allows.
 *
 * In a third of the runs snapshots are taken and deleted between the requests,
 * and applied when the disk still holds what they do.
 *
 * In some of them the run goes on: the image is opened again on a recorder,
 * written to, closed, checked, and crashed again.
 *
 * Everything follows from the seed of the run.
 */
#ifndef TESTS_CRASH_POWER_H
#define TESTS_CRASH_POWER_H

#include <stdint.h>

#include "engine/image/image.h"

/* A rule that is broken on purpose; each function may be NULL. */
struct canary {
	const char *rule, *text;
	uint64_t seed; /* of the first run to try: one that finds it soon */
	/* The image was opened for writing. */
	void (*opened)(struct image *img);
	/* As sim_opts.on_op; img is open. */
	unsigned (*on_op)(struct image *img, const struct aio_op *op);
	/* The loop has turned. */
	void (*turned)(struct image *img);
};

struct power_counts {
	uint64_t runs, states, second_runs, second_states;
	uint64_t leaky_states;
	uint64_t reads, writes, zeroes, discards, flushes, fua;
	uint64_t compressed; /* writes, where nothing was before */
	uint64_t snapshots, applied, deleted;
	/* from q2_stats of all images */
	uint64_t fast, slow, joins, copies, freed, table_grows, blocks_made,
		evictions, l2_made;
};

/*
 * One run, of at most max_states states.  Returns 0, or -1 with why filled:
 * several lines, the first ones saying how to replay it.
 */
int power_run(uint64_t seed, const struct canary *canary, uint64_t max_states,
	      struct power_counts *counts, char *why, size_t why_bytes);

#endif
