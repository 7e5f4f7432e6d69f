/* SPDX-License-Identifier: MIT */
/*
 * sim.h - a backend around any backend: records, shortens, fails, delays
 *
 *	struct sim_log log;
 *	struct sim_opts opts = {.seed = seed, .delay_max = 3, .log = &log};
 *
 *	sim_log_init(&log);
 *	loop_new_backend(sim_new(backend_memory_new(512, NULL), &opts), NULL,
 *			 &loop, &err);
 *	... run the workload, note log.now at each acknowledged flush ...
 *	loop_free(loop);
 *	for (uint64_t at = 0; at <= log.now; at++)
 *		for (uint64_t i = 0; i < 8; i++) {
 *			struct sim_crash crash = {.at = at, .seed = i};
 *
 *			loop_new_backend(backend_memory_new(1, NULL), ...);
 *			sim_restore(&log, &crash, "disk.qcow2", loop);
 *			... open, check, compare ...
 *		}
 *	sim_log_done(&log);
 *
 * With a memory backend inside, everything is decided by the seed: then
 * loop->inline_work is set, too.
 *
 * Time.  log.now counts events: each submission and each completion of a
 * recorded operation is one tick.  A crash at tick t has seen the events 0 to
 * t - 1.
 *
 * To crash, reopen, go on and crash again: sim_restore() into a loop that
 * records into a second log; it ends with a sync, and the second crash is
 * chosen after the tick that the second log then shows.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "engine/aio/backend.h"
#include "engine/base/rng.h"

/* ---- the recorder ------------------------------------------------------ */

#define SIM_NEVER UINT64_MAX

/* One attempt at an operation other than a read. */
struct sim_rec {
	enum aio_kind kind;
	enum aio_class cls;
	unsigned file; /* index into log->names */
	uint64_t off, len;
	uint64_t submitted; /* tick */
	uint64_t completed; /* tick, or SIM_NEVER */
	int result;         /* 0 or negative errno; valid when completed */
	unsigned except;    /* of a sync: classes that it does not cover */
	char *data;         /* of a write */
};

struct sim_log {
	struct sim_rec *v;
	size_t n, max;
	uint64_t now;
	char **names;
	size_t n_names;
};

void sim_log_init(struct sim_log *log);
/* Also to begin anew. */
void sim_log_done(struct sim_log *log);
/* One line: "17..18 write f 0x10000 +0x200 data". */
void sim_rec_text(const struct sim_log *log, const struct sim_rec *rec,
		  char *buf, size_t bytes);

/* What becomes of operations that no sync covers.  A sync covers those that
 * had completed before it was submitted, on the same file, unless a failed
 * sync came between: that one drops them. */
enum sim_loss {
	SIM_SOME, /* each is kept, dropped, or torn at 512 bytes, by the seed,
		     and those in flight together take any order */
	SIM_KEEP, /* all are there, as far as submitted */
	SIM_DROP, /* none is */
};

struct sim_crash {
	uint64_t at; /* tick */
	uint64_t seed;
	enum sim_loss loss;
};

/*
 * Give file name, in loop, the content that it has after the crash, and sync
 * it.  Not from a coroutine.  Returns 0 or a negative errno.
 */
int sim_restore(const struct sim_log *log, const struct sim_crash *crash,
		const char *name, struct loop *loop);

/* ---- the backend ------------------------------------------------------- */

/* Chances are in 1/1000 of the attempts; nothing is drawn where they are 0. */
struct sim_opts {
	uint64_t seed;
	unsigned shorten; /* reads and writes move only some of the blocks */
	unsigned eintr, eagain; /* nothing is done; the loop tries again */
	unsigned eio, enospc;   /* nothing is done; enospc: writes only */
	unsigned delay_max;     /* each start, and each completion, is held back
			       by 0 to this many polls: any order */
	unsigned linger;        /* guest data: chance of being held 30 times
			       as long, so that much happens meanwhile */
	struct sim_log *log;    /* NULL: do not record; outlives the loop */
	uint32_t align;         /* files opened from now on want this; 0: as
			       inner does */
	bool is_block;          /* ... and look like block devices */
	/*
	 * Called for each attempt, before it is recorded.  May change the bytes
	 * of a write.  What it returns is, for a sync, a set of classes
	 * (1 << enum aio_class) that the recorded sync does not cover: it lies.
	 */
	unsigned (*on_op)(void *arg, const struct aio_op *op);
	void *on_op_arg;
};

/* Takes inner over, also on error, when it returns NULL. */
struct aio_backend *sim_new(struct aio_backend *inner,
			    const struct sim_opts *opts);
/* A loop on files in memory, simulated, or plain if sim is NULL.  Never
 * NULL. */
struct loop *sim_loop(const struct sim_opts *sim);

#define SIM_ANY_KIND (-1)
/*
 * The nth attempt (1: the next) of that kind fails with error, a negative
 * errno or 0 for a transfer that moves no byte, and nothing is done; forever: and all after it.  One at a time;
 * nth 0 forgets it.
 */
void sim_fail_nth(struct loop *loop, int kind, uint64_t nth, int error,
		  bool forever);
/* Did it happen? */
bool sim_has_failed(const struct loop *loop);
/* Change the chances from now on; log and seed are ignored. */
void sim_set_chances(struct loop *loop, const struct sim_opts *opts);

#endif
