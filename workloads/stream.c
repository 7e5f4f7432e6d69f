/* SPDX-License-Identifier: MIT */
/* stream.c - the operations of one pass, as guest offsets; see stream.h */
#include "workloads/stream.h"

#include <inttypes.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"

/* One seed serves three independent purposes. */
enum {
	SEED_ORDER = 1,
	SEED_PLACE,
	SEED_HASH
};

uint64_t
stream_stride(const struct stream_spec *spec)
{
	if (spec->stride_bytes)
		return spec->stride_bytes;
	if (spec->order == STREAM_SEQ)
		return spec->bs_bytes;
	return max_u64(spec->bs_bytes, STREAM_STRIDE_DEFAULT);
}

static int
check_sizes(const struct stream_spec *spec, struct q2_err *err)
{
	uint64_t stride = stream_stride(spec), end;

	if (spec->bs_bytes == 0 || spec->bs_bytes % 512)
		return q2_fail(err, -EINVAL,
			       "bs %" PRIu32 " is not a multiple of 512",
			       spec->bs_bytes);
	if (stride < spec->bs_bytes || stride % 512)
		return q2_fail(err, -EINVAL,
			       "stride %" PRIu64
			       " is not a multiple of 512 of at least bs",
			       stride);
	if (spec->area_off % 512)
		return q2_fail(err, -EINVAL,
			       "offset %" PRIu64 " is not a multiple of 512",
			       spec->area_off);
	if (add_overflows(spec->area_off, spec->area_bytes, &end))
		return q2_fail(err, -EINVAL, "the area ends beyond 2^64");
	if (spec->area_bytes < stride)
		return q2_fail(err, -EINVAL,
			       "an area of %" PRIu64
			       " bytes holds no stride of %" PRIu64,
			       spec->area_bytes, stride);
	return 0;
}

static void
map_init(struct stream_map *map, const struct stream_spec *spec)
{
	map->order = spec->order;
	map->place = spec->place;
	map->bs_bytes = spec->bs_bytes;
	map->stride_bytes = stream_stride(spec);
	assert(map->stride_bytes > 0); /* check_sizes() */
	map->area_off = spec->area_off;
	map->strides = spec->area_bytes / map->stride_bytes;
	map->seed = rng_derive(spec->seed, SEED_PLACE);
	perm_init(&map->perm, map->strides, rng_derive(spec->seed, SEED_ORDER));
}

/*
 * Where in its stride the operation lies.  Operations are aligned to the
 * largest power of two that divides bs, so that a random place never makes a
 * direct request unaligned.
 */
static uint64_t
place_in_stride(const struct stream_map *map, uint64_t stride)
{
	uint64_t align = map->bs_bytes & (0 - (uint64_t)map->bs_bytes);
	uint64_t slots = (map->stride_bytes - map->bs_bytes) / align + 1;
	struct rng rng = {rng_derive(map->seed, stride)};

	switch (map->place) {
	case STREAM_PLACE_START:
		return 0;
	case STREAM_PLACE_MIDDLE:
		return slots / 2 * align;
	case STREAM_PLACE_RANDOM:
		break;
	}
	return rng_below(&rng, slots) * align;
}

static uint64_t
map_offset(const struct stream_map *map, uint64_t stride)
{
	return map->area_off + stride * map->stride_bytes +
	       place_in_stride(map, stride);
}

static uint64_t
spec_ops(const struct stream_spec *spec)
{
	return spec->ops ? spec->ops : spec->area_bytes / stream_stride(spec);
}

/* Does the pass cover every byte of its area? */
static bool
spec_covers(const struct stream_spec *spec)
{
	return spec->order != STREAM_UNIFORM &&
	       stream_stride(spec) == spec->bs_bytes &&
	       spec->area_bytes % spec->bs_bytes == 0 &&
	       spec_ops(spec) >= spec->area_bytes / spec->bs_bytes;
}

static int
check_touch(const struct stream_spec *spec, const struct stream_spec *touch,
	    struct q2_err *err)
{
	if (touch->touch)
		return q2_fail(
			err, -EINVAL,
			"touch names a pass that itself touches another");
	if (touch->order == STREAM_UNIFORM)
		return q2_fail(err, -EINVAL,
			       "touch names a pass that repeats places");
	if (spec->bs_bytes != touch->bs_bytes && !spec_covers(touch))
		return q2_fail(err, -EINVAL,
			       "bs %" PRIu32 " differs from bs %" PRIu32
			       " of the touched pass, which has gaps",
			       spec->bs_bytes, touch->bs_bytes);
	return check_sizes(touch, err);
}

/* Set places, map and second: which places there are, and where they lie. */
static int
init_places(struct stream *s, const struct stream_spec *spec,
	    struct q2_err *err)
{
	const struct stream_spec *touch = spec->touch;
	struct stream_spec own;
	int r;

	if (!touch) {
		r = check_sizes(spec, err);
		if (r < 0)
			return r;
		map_init(&s->map, spec);
		s->places = s->map.strides;
		return 0;
	}
	r = check_touch(spec, touch, err);
	if (r < 0)
		return r;
	if (spec->bs_bytes != touch->bs_bytes) {
		own = *spec;
		own.area_off = touch->area_off;
		own.area_bytes = touch->area_bytes;
		own.stride_bytes = spec->bs_bytes;
		own.touch = NULL;
		r = check_sizes(&own, err);
		if (r < 0)
			return r;
		map_init(&s->map, &own);
		s->places = s->map.strides;
		return 0;
	}
	map_init(&s->map, touch);
	s->places = min_u64(spec_ops(touch), s->map.strides);
	s->second = true;
	return 0;
}

int
stream_init(struct stream *s, const struct stream_spec *spec,
	    struct q2_err *err)
{
	int r;

	memset(s, 0, sizeof(*s));
	r = init_places(s, spec, err);
	if (r < 0)
		return r;
	s->order = spec->order;
	s->write = spec->write;
	s->seed = rng_derive(spec->seed, SEED_ORDER);
	s->ops = spec->ops ? spec->ops : s->places;
	if (s->order == STREAM_ONCE && s->ops > s->places)
		return q2_fail(err, -EINVAL,
			       "%" PRIu64 " requests, but only %" PRIu64
			       " places to touch once",
			       s->ops, s->places);
	perm_init(&s->perm, s->places, s->seed);
	s->hash = rng_derive(0, SEED_HASH);
	return 0;
}

/* The stride of the touched pass's i-th operation. */
static uint64_t
touched_stride(const struct stream_map *map, uint64_t i)
{
	return map->order == STREAM_SEQ ? i : perm_at(&map->perm, i);
}

void
stream_at(const struct stream *s, uint64_t i, struct stream_op *ret_op)
{
	struct rng rng = {rng_derive(s->seed, i)};
	uint64_t place = 0;

	switch (s->order) {
	case STREAM_ONCE:
		place = perm_at(&s->perm, i);
		break;
	case STREAM_UNIFORM:
		place = rng_below(&rng, s->places);
		break;
	case STREAM_SEQ:
		place = i % s->places;
		break;
	}
	if (s->second)
		place = touched_stride(&s->map, place);
	ret_op->index = i;
	ret_op->off = map_offset(&s->map, place);
	ret_op->len = s->map.bs_bytes;
	ret_op->write = s->write;
}

bool
stream_next(struct stream *s, struct stream_op *ret_op)
{
	if (s->next == s->ops)
		return false;
	stream_at(s, s->next++, ret_op);
	s->hash = mix64(s->hash ^ ret_op->off);
	s->hash = mix64(s->hash ^ ((uint64_t)ret_op->len << 1 | ret_op->write));
	return true;
}

uint64_t
stream_ops(const struct stream *s)
{
	return s->ops;
}

uint64_t
stream_hash(const struct stream *s)
{
	return s->hash;
}

bool
stream_areas_overlap(const struct stream_spec *a, const struct stream_spec *b)
{
	return ranges_overlap(a->area_off, a->area_bytes, b->area_off,
			      b->area_bytes);
}
