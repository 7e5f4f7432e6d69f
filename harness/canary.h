/* SPDX-License-Identifier: MIT */
/*
 * canary.h - the same small work again and again, to tell when a machine or a
 * disk has become slower or faster than it was
 *
 * A spin of the processor of about 50 ms, and 4 KiB reads of one file with
 * O_DIRECT, one at a time, of about 50 ms.  How much work that is, is found out
 * once; then it is fixed.  The file has no name: nothing is left behind.
 */
#ifndef HARNESS_CANARY_H
#define HARNESS_CANARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct canary_times {
	double cpu_s;
	double io_s; /* 0: no disk to read from */
};

struct canary {
	uint64_t spins;
	int fd;         /* -1: no reads */
	unsigned reads; /* of a canary */
	void *buf;
	/* All of the session. */
	double *cpu, *io;
	size_t n, room;
};

/* How a canary's time is distributed in the session so far. */
struct canary_norm {
	double median_s, mad_s; /* mad not scaled; 0 without values */
};

/* dir: where the file is made; NULL for none.  Takes about half a second: five
 * canaries, so that there is something to compare with. */
void canary_init(struct canary *c, const char *dir);
void canary_done(struct canary *c);

/* One more. */
struct canary_times canary_sing(struct canary *c);

/* Seconds that one takes, and the beginning, on a machine that does nothing
 * else: for plans. */
double canary_sing_s(bool disk);
double canary_init_s(bool disk);

/* Bytes that one reads from the disk. */
uint64_t canary_bytes(const struct canary *c);

void canary_norms(const struct canary *c, struct canary_norm *ret_cpu,
		  struct canary_norm *ret_io);

#endif
