/* SPDX-License-Identifier: MIT */
/*
 * probe.h - what a disk can do, in at most four seconds
 *
 * Writes one raw file in sequence, then at random over what it has written,
 * through the same loop and requests as the trials, and removes it; then a small
 * one in pieces, to time its removal.  Used by verb_run and verb_plan, to choose
 * sizes, the length of a turn and how long it will take (plan.h, plan_time.h).
 */
#ifndef HARNESS_PROBE_H
#define HARNESS_PROBE_H

#include "harness/plan.h"

struct probe_opts {
	const char *path; /* of the file; must not exist */
	const char *aio;  /* NULL: the best there is */
	enum q2_cache cache;
	uint64_t most_bytes; /* it may not take more; at least 8 MiB */
	/* A tenth of the time: enough for the length of turns, not to choose
	 * sizes by. */
	bool brief;
};

int probe_disk(const struct probe_opts *opts, struct probe *ret,
	       struct q2_err *err);

/* Seconds that it usually takes: for plans. */
double probe_usual_s(void);

/* Can files in dir be opened with O_DIRECT?  Tries it on a file there, which it
 * removes. */
bool probe_has_direct(const char *dir);

/* Can a file in dir be so long?  The same; 0 or a negative errno. */
int probe_length(const char *dir, uint64_t bytes);

#endif
