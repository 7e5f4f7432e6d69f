/* SPDX-License-Identifier: MIT */
/*
 * An image that changes its size again and again, against an array of bytes:
 * random grows in every mode, shrinks, writes, zeroes, requests in
 * flight around a resize, and reopened between bursts.  Every width of
 * refcounts, the smallest caches.  Q2_SEED replays a run.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

#define DISK_MAX (3 * MiB)
#define BURSTS   5
#define OPS      60
#define FLYING   4

enum kind {
	GROW,
	SHRINK,
	WRITE,
	ZERO,
	UNMAP,
	READ,
	FLUSH,
	IN_FLIGHT, /* a resize with writes around it */
	KINDS
};

static const char *const names[KINDS] = {"grow",  "shrink",   "write",
					 "zero",  "unmap",    "read",
					 "flush", "in flight"};
static uint64_t counts[KINDS], modes[4];

struct model {
	struct loop *loop;
	struct q2_image *img;
	struct rng rng;
	uint64_t seed;
	unsigned cluster_bits, order;
	enum q2_zero zero;
	bool unmap;
	uint8_t *bytes, *buf; /* DISK_MAX */
	uint64_t size;
};

#define expect(m, condition)                                                \
	do {                                                                \
		if (!(condition))                                           \
			fail_msg("%s (cluster bits %u, order %u, zero "     \
				 "%d, Q2_SEED=%" PRIu64 ")",                \
				 #condition, (m)->cluster_bits, (m)->order, \
				 (m)->zero, (m)->seed);                     \
	} while (0)

static void
open_model(struct model *m)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = "qcow2",
		.zero = m->zero,
		.flags = m->unmap ? Q2_UNMAP : 0,
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
		.refcount_cache_size = 1024,
	};
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)m->loop, "disk", &opts, &m->img, &err) <
	    0)
		fail_msg("open: %s", err.text);
	expect(m, q2_size(m->img) == m->size);
}

static void
close_model(struct model *m)
{
	struct image_check c;
	struct q2_err err = {0};

	if (q2_close(m->img, &err) < 0)
		fail_msg("close: %s", err.text);
	assert_int_equal(image_check(m->loop, "disk", &c), 0);
	if (c.corruptions || c.leaks)
		print_message("%" PRIu64 " leaks, %s\n", c.leaks, c.why);
	expect(m, !c.corruptions && !c.leaks);
}

/* A size other than the present one. */
static uint64_t
pick_size(struct model *m, uint64_t from, uint64_t below)
{
	uint64_t n = (below - from) / 512;

	if (rng_below(&m->rng, 3) == 0)
		n = min_u64(n, 64);
	return from + (1 + rng_below(&m->rng, n)) * 512;
}

static void
resize(struct model *m, uint64_t size)
{
	struct q2_resize_opts o = {.size = sizeof(o), .shrink = true};
	struct q2_err err = {0};

	if (size > m->size)
		o.preallocation = (enum q2_prealloc)rng_below(&m->rng, 4);
	modes[o.preallocation]++;
	if (q2_resize(m->img, size, &o, &err) < 0)
		fail_msg("resize: %s", err.text);
	if (size > m->size)
		memset(m->bytes + m->size, 0, size - m->size);
	m->size = size;
	expect(m, q2_size(m->img) == size);
}

static bool
resize_some(struct model *m, bool grow)
{
	if (grow && m->size + 512 < DISK_MAX) {
		resize(m, pick_size(m, m->size, DISK_MAX));
		return true;
	}
	if (!grow && m->size > 2048) {
		resize(m, pick_size(m, 0, m->size - 512));
		return true;
	}
	return false;
}

static void
pick_range(struct model *m, uint64_t *ret_off, uint64_t *ret_len)
{
	*ret_off = rng_below(&m->rng, m->size);
	/* Often at the end. */
	if (rng_below(&m->rng, 3) == 0)
		*ret_off = m->size - min_u64(m->size, 512 + *ret_off % 4096);
	*ret_len = 1 +
		   rng_below(&m->rng, min_u64(m->size - *ret_off, 48 * KiB));
}

static void
do_write(struct model *m, uint64_t off, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		m->buf[i] = (uint8_t)(rng_next(&m->rng) | 1);
	expect(m, q2_pwrite(m->img, m->buf, len, off) == 0);
	memcpy(m->bytes + off, m->buf, len);
}

static void
check_all(struct model *m)
{
	expect(m, q2_pread(m->img, m->buf, m->size, 0) == 0);
	expect(m, memcmp(m->buf, m->bytes, m->size) == 0);
}

/* ---- around a resize --------------------------------------------------- */

struct flying {
	struct q2_req rq;
	struct iovec iov;
	unsigned *left;
	int result;
};

static void
landed(struct q2_req *rq)
{
	struct flying *f = container_of(rq, struct flying, rq);

	f->result = rq->result;
	--*f->left;
}

/* Writes to the part that stays, submitted just before the resize. */
static bool
resize_in_flight(struct model *m)
{
	struct flying f[FLYING];
	uint64_t part = 8 * KiB, size;
	unsigned left = FLYING;

	if (m->size < FLYING * part + 4096)
		return false;
	size = rng_below(&m->rng, 2) ? FLYING * part + 512 : DISK_MAX;
	for (unsigned i = 0; i < FLYING; i++) {
		uint8_t *buf = m->bytes + i * part;

		for (uint64_t n = 0; n < part; n++)
			buf[n] = (uint8_t)(rng_next(&m->rng) | 1);
		f[i].left = &left;
		f[i].iov = (struct iovec){buf, part};
		f[i].rq = (struct q2_req){.op = Q2_WRITE,
					  .off = i * part,
					  .len = part,
					  .iov = &f[i].iov,
					  .iovcnt = 1,
					  .done = landed};
		q2_submit(m->img, &f[i].rq);
	}
	resize(m, size);
	while (left)
		(void)loop_run(m->loop, 0, 0);
	for (unsigned i = 0; i < FLYING; i++)
		expect(m, f[i].result == 0);
	return true;
}

static void
one_op(struct model *m)
{
	enum kind kind = (enum kind)rng_below(&m->rng, KINDS);
	bool did = true;
	uint64_t off, len;

	pick_range(m, &off, &len);
	switch (kind) {
	case GROW:
	case SHRINK:
		did = resize_some(m, kind == GROW);
		break;
	case ZERO:
		expect(m, q2_pzero(m->img, len, off, 0) == 0);
		memset(m->bytes + off, 0, len);
		break;
	case UNMAP:
		expect(m, q2_pzero(m->img, len, off, Q2_MAY_UNMAP) == 0);
		memset(m->bytes + off, 0, len);
		break;
	case READ:
		check_all(m);
		break;
	case FLUSH:
		expect(m, q2_flush(m->img) == 0);
		break;
	case IN_FLIGHT:
		did = resize_in_flight(m);
		break;
	default:
		do_write(m, off, len);
		break;
	}
	counts[kind] += did;
}

static void
run_model(unsigned bits, unsigned order, uint32_t align, uint64_t seed)
{
	struct model m = {.rng.state = mix64(seed),
			  .seed = seed,
			  .cluster_bits = bits,
			  .order = order,
			  .size = 300 * KiB,
			  .zero = (enum q2_zero)(Q2_ZERO_HOLE + seed % 3),
			  .unmap = seed % 2};
	struct image_make make = {
		.bytes = m.size, .cluster_bits = bits, .refcount_order = order};

	m.bytes = calloc(1, DISK_MAX);
	m.buf = malloc(DISK_MAX);
	assert_int_equal(loop_new_backend(backend_memory_new(align, NULL), NULL,
					  &m.loop, NULL),
			 0);
	assert_int_equal(image_make(m.loop, "disk", &make), 0);
	for (unsigned i = test_rounds(BURSTS); i-- > 0;) {
		open_model(&m);
		for (unsigned n = 0; n < OPS; n++)
			one_op(&m);
		check_all(&m);
		close_model(&m);
		open_model(&m);
		check_all(&m);
		close_model(&m);
	}
	loop_free(m.loop);
	free(m.bytes);
	free(m.buf);
}

static void
run_all(uint64_t seed)
{
	static const unsigned bits[] = {9, 12, 16};
	static const uint32_t aligns[] = {1, 512, 4096};

	for (size_t b = 0; b < ARRAY_SIZE(bits); b++)
		for (unsigned order = 0; order < 7; order++)
			run_model(bits[b], order, aligns[(seed + order) % 3],
				  seed + b * 7 + order);
}

static void
test_resized_images_equal_an_array(void **state)
{
	(void)state;
	run_all(test_seed(1));
	for (int i = 0; i < KINDS; i++) {
		print_message("%s %" PRIu64 ", ", names[i], counts[i]);
		assert_true(counts[i] > 0);
	}
	print_message("off %" PRIu64 ", metadata %" PRIu64 ", falloc %" PRIu64
		      ", full %" PRIu64 "\n",
		      modes[0], modes[1], modes[2], modes[3]);
	for (int i = 0; i < 4; i++)
		assert_true(modes[i] > 0);
}

static void
test_resized_images_with_a_fresh_seed(void **state)
{
	(void)state;
	run_all(test_seed((uint64_t)time(NULL)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resized_images_equal_an_array),
		cmocka_unit_test(test_resized_images_with_a_fresh_seed),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
