/* SPDX-License-Identifier: MIT */
/*
 * guard.h - was a round disturbed by others?
 *
 * Judged only in idle windows, before and after each round and after settling,
 * when nothing of ours is at work but a canary: what else then happens on disk
 * and processors is not ours.  Looking during the round would have to tell our
 * load from others', and would favour the configurations that load the disk
 * less.
 *
 * The window after a round is the window before the next.
 */
#ifndef HARNESS_GUARD_H
#define HARNESS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/canary.h"
#include "harness/disk_stat.h"
#include "harness/settle.h"

/* Limits, each of which makes a round contaminated. */
#define GUARD_STEAL_PCT   2.0
#define GUARD_CANARY      0.10 /* off the median; or 3 robust sd, if more */
#define GUARD_FOREIGN_CPU 0.5  /* CPUs; or a quarter of all, if more */
/* Of the disk: QUIET_SHARE. */

/* The first line of /proc/stat, in ticks. */
struct cpu_count {
	uint64_t busy, steal, all;
};

bool guard_parse_stat(const char *line, struct cpu_count *ret);

/* What others did in a window. */
struct guard_window {
	double seconds;
	bool has_disk, has_cpu;
	uint64_t ops, bytes;
	double steal_ticks, all_ticks;
	double foreign_cpu; /* CPUs that others kept busy */
	struct canary_times canary;
};

struct guard {
	const struct disks *disks;
	const char *root; /* of /proc; "" but in tests */
	struct canary canary;
	unsigned cpus;
};

/* dir: folder on these disks, for the canary; NULL: no disk is used. */
void guard_init(struct guard *g, const struct disks *disks, const char *dir,
		unsigned cpus);
void guard_done(struct guard *g);

/* A window: 200 ms of nothing (100 without a disk), and a canary.  Returns early
 * when *stop becomes true. */
struct guard_window guard_look(struct guard *g, const volatile bool *stop);

/* Seconds that a window takes; and guard_init() with the first one. */
double guard_look_s(bool disk);
double guard_begin_s(bool disk);

/* What is said of a round. */
struct guard_verdict {
	bool contaminated;
	bool has_disk, has_cpu;
	double canary_ratio; /* the canary furthest from its median */
	double steal_pct;
	uint64_t foreign_bytes;
	char why[192]; /* "" unless contaminated */
};

/* Pure.  The windows before and after a round, and what is usual. */
struct guard_usual {
	struct disk_rates rates;
	struct canary_norm cpu, io;
	unsigned cpus;
};

void guard_judge(const struct guard_window *before,
		 const struct guard_window *after,
		 const struct guard_usual *usual, struct guard_verdict *ret);

/* With the norms of the session so far. */
void guard_round(const struct guard *g, const struct disk_rates *rates,
		 const struct guard_window *before,
		 const struct guard_window *after, struct guard_verdict *ret);

/* Rounds that may be redone in a run of so many. */
uint64_t guard_redo_most(uint64_t rounds);

#endif
