/* SPDX-License-Identifier: MIT */
/*
 * trial.h - the child: one configuration, one image, all passes in order
 *
 * Reads a spec (trial_spec.h) from stdin, one line of JSON.  With "turns" it
 * then obeys commands, one line each, and answers each with one line:
 *
 *	{"do":"begin","pass":2}  open, prepare         {"ok":true}
 *	{"do":"turn"}            work, drain, flush    {"ok":true,"seconds":0.1}
 *	{"do":"end"}             the pass's record     {"ok":true,"record":{..},
 *	                                                "series":[{..},..],
 *	                                                "hists":[{..},..]}
 *	{"do":"quit"}            close and leave       {"ok":true}
 *
 * A command that fails is answered with {"ok":false,"error":"..","code":-5},
 * and the child leaves.  Between commands it sleeps in read(2) and touches
 * nothing.  Without "turns" it does all passes at once and writes one record a
 * pass, a line each.
 *
 * The image is opened by the first pass that needs it and closed by the end of
 * the last one.
 */
#ifndef HARNESS_TRIAL_H
#define HARNESS_TRIAL_H

#include "harness/job.h"
#include "harness/trial_spec.h"
#include "results/record.h"

#include <sys/resource.h>

#define TRIAL_TURNS_MAX 4096 /* kept as a series; more are merged into it */

/* Everything that counts up, at one moment. */
struct trial_counters {
	struct q2_stats stats;
	uint64_t syscalls, sqes;
	struct rusage usage;
};

struct trial_turn {
	double seconds; /* with its flush */
	uint64_t ops, bytes;
	bool has_p50, has_p99;
	double p50_us, p99_us, max_us;
	uint64_t host_write_bytes, clusters_alloc, l2_misses;
};

struct trial {
	const struct trial_spec *spec;
	struct q2_loop *loop;
	struct disk disk;
	char version[TARGET_VERSION]; /* of a foreign program, or "" */
	enum q2_cache cache; /* as the kernel has it; 0: not opened yet */
	/* of the pass */
	size_t pass;
	struct job job;
	struct hist hist, turn_hist;
	struct trial_counters before, after;
	double started_at_s, work_s, flush_s;
	double create_s, open_s, close_s; /* negative: not done by this pass */
	double prepare_s;                 /* negative: likewise */
	bool has_content;                 /* prepare_content() was called */
	unsigned snapshots;               /* before the pass */
	uint64_t compressed_bytes;        /* of a conversion */
	uint64_t ops, bytes;
	unsigned fdatasyncs; /* of a creation */
	bool emulated_falloc;
	bool flushed;
	struct trial_turn *turns;
	size_t nturns;
};

int trial_init(struct trial *t, const struct trial_spec *spec,
	       struct q2_err *err);
void trial_done(struct trial *t);

int trial_begin(struct trial *t, size_t pass, struct q2_err *err);
int trial_turn(struct trial *t, double *ret_seconds, struct q2_err *err);
/* The record belongs to the caller; rows of the series are added to *series. */
int trial_end(struct trial *t, struct record **ret_record, struct rows *series,
	      struct q2_err *err);

/* trial_record.c: fill what the child knows. */
int trial_record(struct trial *t, struct record *rec, struct q2_err *err);

#endif
