/* SPDX-License-Identifier: MIT */
/*
 * settle.h - wait until a disk has nothing to do
 *
 * Between rounds files are unlinked; what the file system and the drive do with
 * that must not fall into the next round's turns.  Quiet means that for 200 ms
 * the disks below the folder were busy for no more than 5 % of what the probe
 * has found that they can do, and mostly had nothing in flight: a disk that a
 * system runs on always has some I/O, and waiting for none at all would only
 * ever reach the cap.
 */
#ifndef HARNESS_SETTLE_H
#define HARNESS_SETTLE_H

#include <stdbool.h>

#include "harness/disk_stat.h"

#define SETTLE_QUIET_S 0.2
#define SETTLE_CAP_S   3.0

/* How often the counters are read: often enough for 200 ms, rarely enough to
 * cost nothing. */
#define SETTLE_POLL_S 0.02
#define SETTLE_POLLS  10 /* in SETTLE_QUIET_S */

/* The part of what a disk can do that counts as nothing. */
#define QUIET_SHARE 0.05

/* What a disk can do, by the probe; 0: not known, then only no I/O is quiet. */
struct disk_rates {
	double iops, bytes_per_s;
};

struct settled {
	double waited_s;
	bool timeout; /* the cap was reached */
};

/*
 * syncfs the file system of dir, then wait.  Without disks the sync is all.
 * Returns early when *stop becomes true.
 */
struct settled settle(const char *dir, const struct disks *disks,
		      const struct disk_rates *rates,
		      const volatile bool *stop);

/* The pure part.  Initialise with {0}; add a sample every SETTLE_POLL_S. */
struct settle_window {
	struct disk_count v[SETTLE_POLLS + 1]; /* a ring */
	double at_s[SETTLE_POLLS + 1];
	unsigned n; /* samples so far */
};

/* Was it quiet for SETTLE_QUIET_S up to this sample? */
bool settle_quiet(struct settle_window *w, double now_s,
		  const struct disk_count *count,
		  const struct disk_rates *rates);

#endif
