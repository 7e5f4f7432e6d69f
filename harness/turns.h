/* SPDX-License-Identifier: MIT */
/*
 * turns.h - who works next within a pass: a pure schedule
 *
 * On shared disks speed drifts within seconds, so the configurations of a
 * round do not work one after the other: each pass is cut into turns of about
 * 0.1 s, and in each cycle every configuration has one turn.  The order within
 * a cycle is random; every second cycle is the reverse of the one before it,
 * so that over each pair of cycles all have the same mean position, and a
 * steady drift cancels.  Everything follows from the seed.
 */
#ifndef HARNESS_TURNS_H
#define HARNESS_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#define TURNS_MAX 64 /* configurations */

/* Of each configuration, however fast the disk: a pass that is over in one
 * piece meets the drift that turns are there against. */
#define TURNS_LEAST 4

/* How the work of one pass is cut. */
struct turns_cut {
	uint64_t turns;     /* of each configuration; 1 = in one piece */
	uint64_t slice_ops; /* operations of a turn; the last may be shorter */
};

/*
 * Cut ops operations into turns of about turn_s at ops_per_s (0: into one), at
 * least TURNS_LEAST.  The number of turns is 1 or even, so that cycles come in
 * pairs.  No turn is shorter than least_ops (a few times the depth: a turn
 * ends with draining).
 */
struct turns_cut turns_cut(uint64_t ops, double ops_per_s, double turn_s,
			   uint64_t least_ops);

/* The same into as many as are asked for, or as there are operations; 1 is the
 * whole pass in one piece.  turns > 0. */
struct turns_cut turns_cut_into(uint64_t ops, uint64_t turns);

struct turns {
	unsigned n; /* configurations */
	uint64_t seed;
	uint64_t left; /* turns, over all configurations */
	uint64_t cycle;
	unsigned at; /* in the cycle */
	unsigned order[TURNS_MAX];
};

/* 1 <= n <= TURNS_MAX; each of n gets `turns` turns. */
void turns_init(struct turns *t, unsigned n, uint64_t turns, uint64_t seed);

/* Whose turn it is; false when all turns are over. */
bool turns_next(struct turns *t, unsigned *ret_who);

#endif
