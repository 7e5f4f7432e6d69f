/* SPDX-License-Identifier: MIT */
/*
 * job.h - the requests of one pass on one disk, in turns
 *
 * Keeps iodepth requests in flight, from the first submit of a turn until its
 * work is given out, and drains at the end.  Time is taken around that and
 * around each request; nothing is allocated, and nothing but the stream's next
 * operation and the content of writes is computed, while time runs.  Used by
 * trial.c and probe.c.
 */
#ifndef HARNESS_JOB_H
#define HARNESS_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/q2.h"
#include "harness/stats/hist.h"
#include "harness/targets/disk.h"
#include "workloads/stream.h"

struct job_slot;

struct job {
	struct disk *disk;
	struct stream stream;
	uint64_t content_seed;
	uint32_t bs_bytes, iodepth;
	unsigned compressible; /* percent of what is written; job_init(): 0 */
	void *buf;             /* iodepth buffers of bs_bytes */
	struct job_slot *slots;
	/* of the turn */
	uint64_t left; /* operations not yet submitted */
	unsigned in_flight;
	uint64_t stop_ns; /* give out no more after this moment; 0: no limit */
	uint64_t ops, bytes;
	struct hist *hist;
	/* The first request that failed. */
	int error;
	uint64_t error_off;
	bool error_write;
};

/* What happened in a turn. */
struct job_turn {
	uint64_t ops, bytes;
	double seconds; /* first submit until drained */
};

/*
 * The disk stays the caller's, and open until job_done().  Buffers come from
 * its loop.
 */
int job_init(struct job *job, struct disk *disk, const struct stream_spec *spec,
	     uint32_t iodepth, struct q2_err *err);
void job_done(struct job *job);

/*
 * Do the next ops operations, or what is left of the stream, or what can be
 * begun within limit_s (0: no limit), and drain.  Latencies are added to *hist,
 * which the caller has initialised.  -errno of the first request that failed,
 * with a reason.
 */
int job_turn(struct job *job, uint64_t ops, double limit_s, struct hist *hist,
	     struct job_turn *ret, struct q2_err *err);

/* Flush the disk, and how long it took. */
int job_flush(struct job *job, double *ret_seconds, struct q2_err *err);

#endif
