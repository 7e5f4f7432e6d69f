/* SPDX-License-Identifier: MIT */
/*
 * stream.h - the operations of one pass, as guest offsets
 *
 * A stream is a pure function of its spec: the same spec gives the same
 * operations on every machine and for every configuration.  It knows nothing
 * of images: places are counted in strides of the guest disk, never in the
 * image's clusters.  It has no clock and does no I/O, uses constant memory,
 * and may be copied by assignment.  Used by the harness (trials and plan).
 *
 *	struct stream_spec write = {
 *		.order = STREAM_ONCE, .write = true, .bs_bytes = 4096,
 *		.area_bytes = 16 * MiB, .ops = 128, .seed = seed};
 *	struct stream_spec read = {
 *		.order = STREAM_ONCE, .bs_bytes = 4096, .seed = other,
 *		.touch = &write};
 *
 *	stream_init(&s, &read, &err);
 *	while (stream_next(&s, &op))
 *		issue(op.off, op.len);
 *	report(stream_hash(&s));
 */
#ifndef WORKLOADS_STREAM_H
#define WORKLOADS_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "workloads/perm.h"

#define STREAM_STRIDE_DEFAULT (64 * 1024)

enum stream_order {
	STREAM_ONCE,    /* each place once, in a seeded permutation */
	STREAM_UNIFORM, /* places drawn independently: some more than once */
	STREAM_SEQ,     /* place after place; begins again at the end */
};

/* Where in its stride an operation lies. */
enum stream_place {
	STREAM_PLACE_RANDOM = 0,
	STREAM_PLACE_START,
	STREAM_PLACE_MIDDLE,
};

struct stream_spec {
	enum stream_order order;
	enum stream_place place;
	bool write;
	uint32_t bs_bytes;     /* size of an operation: a multiple of 512 */
	uint64_t stride_bytes; /* 0: bs for STREAM_SEQ, else 64 KiB, or bs if
				  that is more; at least bs */
	uint64_t area_off;     /* guest offset of the area, multiple of 512 */
	uint64_t area_bytes;   /* whole strides of it are used */
	uint64_t ops;          /* 0: each place once */
	uint64_t seed;         /* of the order and, without touch, the places */
	/*
	 * Use exactly the bytes of this earlier pass.  With the same bs the
	 * places are those of the first ops operations of touch, in this
	 * stream's own order; area, stride and place here are ignored.  With
	 * another bs the earlier pass must have covered a whole area, which
	 * is then addressed afresh.  Copied by stream_init().
	 */
	const struct stream_spec *touch;
};

/* Bytes from place to place: stride_bytes, or what 0 stands for. */
uint64_t stream_stride(const struct stream_spec *spec);

struct stream_op {
	uint64_t index; /* 0, 1, ... in the order of issue */
	uint64_t off;   /* guest */
	uint32_t len;
	bool write;
};

struct stream {
	enum stream_order order;
	bool write;
	uint64_t ops;
	uint64_t seed;
	uint64_t places;  /* that the order ranges over */
	struct perm perm; /* of 0 .. places-1, for STREAM_ONCE */
	bool second;      /* places are positions in map's own order */
	struct stream_map {
		enum stream_order order;
		enum stream_place place;
		uint32_t bs_bytes;
		uint64_t stride_bytes, area_off, strides, seed;
		struct perm perm;
	} map; /* from place to offset: own, or touch's */
	uint64_t next;
	uint64_t hash;
};

/* -EINVAL with a reason for a spec that cannot be: sizes, more operations
 * than places in a pass that touches each once, touch of a pass that drew its
 * places with repetition. */
int stream_init(struct stream *s, const struct stream_spec *spec,
		struct q2_err *err);

/* The next operation; false when all have been given. */
bool stream_next(struct stream *s, struct stream_op *ret_op);

/* Operation i of the stream, without moving it; i < stream_ops(). */
void stream_at(const struct stream *s, uint64_t i, struct stream_op *ret_op);

/* Operations of the whole stream. */
uint64_t stream_ops(const struct stream *s);

/* Over all operations given by stream_next() so far, in their order: offsets,
 * lengths and directions.  Written to stream_hash as 16 hex digits. */
uint64_t stream_hash(const struct stream *s);

/* Do the areas of two first-touch passes share a byte?  Then the second one
 * would not be a first touch. */
bool stream_areas_overlap(const struct stream_spec *a,
			  const struct stream_spec *b);

#endif
