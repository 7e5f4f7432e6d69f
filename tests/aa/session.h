/* SPDX-License-Identifier: MIT */
/*
 * session.h - rounds of equal things on a real disk, for tests/aa
 *
 * What `run` does between its probe and its table, without files for results:
 * a work folder, a warm-up, whole rounds with the real program as child.
 * Errors end the program: these are experiments, run by hand.
 */
#ifndef TESTS_AA_SESSION_H
#define TESTS_AA_SESSION_H

#include "harness/plan.h"
#include "harness/rounds.h"
#include "harness/workdir.h"

struct session_opts {
	const char *dir;     /* a folder on the disk */
	const char *program; /* qcowbench */
	uint64_t seed;
	uint64_t image_size,
		requests; /* 0: those of a quick run, by the probe */
	bool half;        /* of these sizes */
};

/* The disk, and the folder on it. */
struct session {
	struct session_opts opts;
	struct workdir work;
	struct env env;
	struct probe probe;
};

void session_begin(struct session *s, const struct session_opts *opts);

/* Leave nothing behind; also called when the program has to end. */
void session_end(struct session *s);

/* One way to do the rounds of a suite. */
struct design {
	struct plan plan;
	struct rounds rounds;
	struct rows trials;
};

/* slices: as in plan.h; 1: whole passes. */
void design_init(struct session *s, struct design *d, const char *suite,
		 uint64_t slices, uint64_t seed);
void design_done(struct design *d);

/* One round, after the disk has come to rest; number 0 is a warm-up, whose
 * trials are thrown away. */
void design_round(struct session *s, struct design *d, uint64_t number);

/* Print a reason and end. */
void die(struct session *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));

#endif
