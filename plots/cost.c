/* SPDX-License-Identifier: MIT */
/* cost.c - creation and writing as one line over bytes; see cost.h */
#include "plots/cost.h"

#include <math.h>

double
cost_at(const struct cost *c, double knee, double bytes)
{
	double s = c->create_s + c->first * fmin(bytes, knee);

	return bytes > knee ? s + c->again * (bytes - knee) : s;
}

double
cost_crossing(const struct cost *a, const struct cost *b, double knee,
	      double limit)
{
	double start = a->create_s - b->create_s;
	double at_knee = start + (a->first - b->first) * knee;
	double x = INFINITY;

	/* Both parts are straight: a change of sign is in one of them. */
	if (start == 0 || isnan(at_knee))
		return INFINITY;
	if (start * at_knee <= 0)
		x = start / (b->first - a->first);
	else if (at_knee * (a->again - b->again) < 0)
		x = knee + at_knee / (b->again - a->again);
	return x <= limit ? x : INFINITY;
}
