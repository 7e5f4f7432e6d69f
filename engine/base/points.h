/* SPDX-License-Identifier: MIT */
/*
 * points.h - counters, and places where tests can see or fail the engine
 *
 *	r = POINT_HIT(points, l2_load);
 *	if (r < 0)
 *		return r;
 *
 * counts l2_load and, if a test has set a hook, asks it: 0 goes on, a negative
 * errno fails the step.  Without a hook the cost is one increment and one
 * predictable branch.
 */
#ifndef Q2_BASE_POINTS_H
#define Q2_BASE_POINTS_H

#include <stddef.h>

#include "engine/q2.h"

/* The number of a counter is its position in struct q2_stats. */
enum point {
#define POINT(name, text) POINT_##name,
#define BYTES(name, text) POINT_##name,
#include "engine/base/points.def"
#undef POINT
#undef BYTES
	POINT_COUNT
};

struct points {
	struct q2_stats n;
	int (*hook)(void *arg, enum point point);
	void *hook_arg;
};

#define POINT_HIT(p, name)                                               \
	((p)->n.name++, __builtin_expect(!!(p)->hook, 0)                 \
				? (p)->hook((p)->hook_arg, POINT_##name) \
				: 0)

/* Count amount, and let the hook see it, which can change nothing. */
#define POINT_TELL(p, name, amount)                              \
	((void)((p)->n.name += (amount),                         \
		__builtin_expect(!!(p)->hook, 0)                 \
			? (p)->hook((p)->hook_arg, POINT_##name) \
			: 0))

#define POINT_ADD(p, name, amount) ((void)((p)->n.name += (amount)))

/* "l2_load" and "read an L2 slice"; static strings. */
const char *point_name(enum point point);
const char *point_text(enum point point);

#endif
