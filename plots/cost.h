/* SPDX-License-Identifier: MIT */
/*
 * cost.h - creation and writing as one line over the bytes written
 *
 * Time over written bytes: creation, then first writes up to the knee, where
 * every place of the disk has been written once, then rewrites.  Pure; used by
 * break_even.c.
 */
#ifndef PLOTS_COST_H
#define PLOTS_COST_H

/* Seconds, and seconds a byte.  NAN is what was not measured, and from there
 * on the line is NAN too. */
struct cost {
	double create_s;
	double first, again;
};

double cost_at(const struct cost *c, double knee, double bytes);

/*
 * The first point up to limit (bytes) at which two lines change places.
 * INFINITY if they do not; also of equal lines, and of a cost that is NAN.
 */
double cost_crossing(const struct cost *a, const struct cost *b, double knee,
		     double limit);

#endif
