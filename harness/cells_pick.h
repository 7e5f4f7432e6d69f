/* SPDX-License-Identifier: MIT */
/*
 * cells_pick.h - which trials count, and how they pair; for cells.c alone
 */
#ifndef HARNESS_CELLS_PICK_H
#define HARNESS_CELLS_PICK_H

#include <stdbool.h>
#include <stddef.h>

#include "results/record.h"

/* n zeroed elements, never NULL. */
void *pick_alloc(size_t n, size_t size);

/* Order of an integer column of two trials, and whether a text is equal. */
int pick_compare(const struct record *a, const struct record *b, int col);
bool pick_same(const struct record *a, const struct record *b, int col);

bool pick_is_cell(const struct record *trial, const char *label,
		  const char *pass);

/* Trials by group, seed and round, without superseded attempts. */
struct trials {
	const struct record **v; /* borrowed */
	size_t n;
};
struct trials trials_that_count(const struct rows *rows);
void trials_done(struct trials *t);

/* The values that a column has in a cell, in the order of trials, leaving out
 * failed trials.  like: a trial whose group, seed and arm the others must
 * share, or NULL. */
struct values {
	const struct record **trial;
	double *v;
	size_t n;
};
struct values values_of(const struct trials *t, const struct record *like,
			const char *label, const char *pass, int col);
void values_done(struct values *values);

/* Values of the rounds that both have; b and o have room for max. */
size_t values_pair(const struct values *base, const struct values *other,
		   double *b, double *o, size_t max);

#endif
