/* SPDX-License-Identifier: MIT */
#include "engine/base/points.h"

#include <assert.h>

static_assert(sizeof(struct q2_stats) == POINT_COUNT * sizeof(uint64_t),
	      "one field a point");

static const struct {
	const char *name, *text;
} points[] = {
#define POINT(name, text) {#name, text},
#define BYTES(name, text) {#name, text},
#include "engine/base/points.def"
#undef POINT
#undef BYTES
};

const char *
point_name(enum point point)
{
	return points[point].name;
}

const char *
point_text(enum point point)
{
	return points[point].text;
}
