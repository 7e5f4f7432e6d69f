/* SPDX-License-Identifier: MIT */
/*
 * exit.h - exit codes of qcowbench
 *
 * The whole list, also in `qcowbench help`.  Functions of the harness that
 * decide how the program ends return one of these, with the reason in a
 * struct q2_err; functions below them return 0 or a negative errno.
 */
#ifndef HARNESS_EXIT_H
#define HARNESS_EXIT_H

enum bench_exit {
	BENCH_OK = 0,
	BENCH_REGRESSION = 1, /* not used yet: a regression against an earlier
				 run */
	BENCH_USAGE = 2, /* unknown option, key or value; no such directory;
			    the output exists */
	BENCH_TRIAL = 3, /* a trial failed: I/O error, a child ended early */
	BENCH_INCONCLUSIVE = 4, /* nothing could be judged */
	BENCH_NOTHING = 5,      /* nothing measured, or different operations in
				   one round */
	BENCH_ENVIRONMENT = 6,  /* no space, read-only, no O_DIRECT, no such
				   backend, no QEMU or libnbd */
	BENCH_INTERRUPTED = 130,
};

#endif
