/* SPDX-License-Identifier: MIT */
/*
 * break_even.h - what break_even.c finds and break_even_text.c says
 */
#ifndef PLOTS_BREAK_EVEN_H
#define PLOTS_BREAK_EVEN_H

#include "plots/cost.h"
#include "plots/drawing.h"

struct policy {
	size_t place;
	struct cost cost;
	bool computed;   /* creation: in proportion to the size */
	double crossing; /* bytes, with the baseline */
	/* The same in single rounds. */
	double lo, hi;
	size_t rounds, crossed;
};

struct break_even {
	const struct drawing *d;
	const char *first, *again; /* passes */
	const struct record *base; /* first-write cell of the baseline */
	size_t baseline;           /* its place */
	struct policy *policies;
	size_t n;
	double disk_bytes, image_bytes;
	double measured;    /* bytes of first writes in a trial */
	double knee, limit; /* bytes */
	double bs, stride;  /* bytes */
	double from, to;    /* bytes, of the axis */
	double least, most; /* seconds */
};

/* NULL if the baseline's own line is not known. */
const struct policy *break_even_baseline(const struct break_even *q);

/* break_even.gp */
int break_even_script(const struct break_even *q, struct q2_err *err);

#endif
