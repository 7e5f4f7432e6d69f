/* SPDX-License-Identifier: MIT */
/*
 * Refcounts of 1 to 64 bits in the running engine: allocation over the end of
 * the refcount table, refcount blocks that describe themselves, and a refcount
 * that is as high as it can be.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/format/refcount.h"
#include "engine/image/image.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

#define NAME       "disk"
#define DISK_BYTES (4 * MiB)
/* More than what a block of 1-bit refcounts describes. */
#define WRITTEN (3 * MiB)

#define ORDERS 7 /* 2^0 to 2^6 bits */

static struct loop *
memory_loop(void)
{
	struct loop *loop;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	return loop;
}

static struct image *
open_image(struct loop *loop)
{
	struct q2_open_opts o = {
		.size = sizeof(o), .driver = "qcow2", .flags = Q2_UNMAP};
	struct q2_image *img;
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)loop, NAME, &o, &img, &err) < 0)
		fail_msg("open: %s", err.text);
	return (struct image *)img;
}

static void
close_image(struct image *img)
{
	struct q2_err err = {0};

	if (q2_close((struct q2_image *)img, &err) < 0)
		fail_msg("close: %s", err.text);
}

/* An image whose refcount table, of one cluster, has room for 20 KiB more. */
static uint64_t
make_full(struct loop *loop, unsigned order)
{
	uint64_t per_block = 512 * 8 >> order;
	struct image_make m = {.bytes = DISK_BYTES,
			       .cluster_bits = 9,
			       .refcount_order = order,
			       .leak_bytes = 64 * per_block * 512 - 20 * KiB};

	assert_int_equal(image_make(loop, NAME, &m), 0);
	return m.leak_bytes;
}

static void
write_pattern(struct image *img, uint8_t *buf)
{
	memset(buf, 0x5a, WRITTEN);
	for (uint64_t at = 0; at < WRITTEN; at += 512)
		memcpy(buf + at, &at, sizeof(at));
	assert_int_equal(q2_pwrite((struct q2_image *)img, buf, WRITTEN, 0), 0);
	assert_int_equal(q2_flush((struct q2_image *)img), 0);
}

static void
allocate(unsigned order, uint8_t *buf, uint8_t *back)
{
	struct loop *loop = memory_loop();
	struct image_check before, after;
	struct q2_check check;
	struct image *img;
	uint64_t leaks;

	leaks = make_full(loop, order) / 512;
	assert_int_equal(image_check(loop, NAME, &before), 0);
	leaks -= before.references;
	img = open_image(loop);
	write_pattern(img, buf);
	assert_true(img->points.n.reftable_grow > 0);
	assert_true(img->points.n.refblock_alloc > 0);
	close_image(img);

	assert_int_equal(image_check(loop, NAME, &after), 0);
	if (after.corruptions || after.leaks != leaks)
		fail_msg("width %u: %" PRIu64 " corruptions, %" PRIu64
			 " leaks instead of %" PRIu64 ": %s",
			 1U << order, after.corruptions, after.leaks, leaks,
			 after.why);
	img = open_image(loop);
	assert_int_equal(
		q2_check((struct q2_image *)img, &check, NULL, NULL, NULL), 0);
	assert_int_equal(check.corruptions, 0);
	assert_int_equal(check.leaks, leaks);
	assert_int_equal(q2_pread((struct q2_image *)img, back, WRITTEN, 0), 0);
	assert_memory_equal(back, buf, WRITTEN);
	close_image(img);
	loop_free(loop);
}

static void
test_each_width_allocates_beyond_its_refcount_table(void **state)
{
	uint8_t *buf = malloc(WRITTEN), *back = malloc(WRITTEN);

	(void)state;
	for (unsigned order = 0; order < ORDERS; order++)
		allocate(order, buf, back);
	free(buf);
	free(back);
}

/* Clusters are freed and used again: their bits lie beside those of others. */
static void
test_each_width_frees_and_reuses(void **state)
{
	uint8_t *buf = malloc(WRITTEN);

	(void)state;
	for (unsigned order = 0; order < ORDERS; order++) {
		struct loop *loop = memory_loop();
		struct image_make m = {.bytes = DISK_BYTES,
				       .cluster_bits = 9,
				       .refcount_order = order};
		struct image_check c;
		struct image *img;
		uint64_t freed;

		assert_int_equal(image_make(loop, NAME, &m), 0);
		img = open_image(loop);
		write_pattern(img, buf);
		for (uint64_t at = 0; at < WRITTEN; at += 3 * 512)
			assert_int_equal(q2_pzero((struct q2_image *)img, 512,
						  at, Q2_MAY_UNMAP),
					 0);
		assert_int_equal(q2_flush((struct q2_image *)img), 0);
		/* They leave limbo behind our back. */
		while (!list_empty(&img->limbo.items) || img->limbo.working)
			assert_true(loop_run(loop, 0, 0) >= 0);
		freed = img->points.n.clusters_freed -
			img->points.n.reftable_grow;
		assert_int_equal(freed, WRITTEN / (3 * 512));
		assert_int_equal(
			q2_pwrite((struct q2_image *)img, buf, MiB, WRITTEN),
			0);
		close_image(img);
		assert_int_equal(image_check(loop, NAME, &c), 0);
		if (c.corruptions || c.leaks)
			fail_msg("width %u: %s", 1U << order, c.why);
		loop_free(loop);
	}
	free(buf);
}

/* ---- the limit --------------------------------------------------------- */

struct limit {
	struct image *img;
	uint64_t cluster; /* a leaked one between two others */
	int r;
	uint64_t counts[3];
};

/* The count of the middle one becomes as high as it can be, in the file. */
static int Q2_CO
set_highest(struct limit *l)
{
	struct image *img = l->img;
	const struct geom *g = &img->geom;
	uint64_t host = img->reftable.entries[l->cluster >> g->refblock_bits];
	uint8_t block[512];
	int r = file_read(img->file, AIO_REFCOUNT, block, sizeof(block), host);

	refcount_set(block, g->refcount_order,
		     l->cluster & (g->refblock_entries - 1), g->refcount_max);
	return r < 0 ? r
		     : file_write(img->file, AIO_REFCOUNT, block, sizeof(block),
				  host);
}

static int Q2_CO
reference_all(void *arg)
{
	struct limit *l = arg;
	int r = set_highest(l);

	if (r < 0)
		return r;
	l->r = alloc_reference(l->img, (l->cluster - 1) << 9, 3);
	for (unsigned i = 0; r == 0 && i < 3; i++)
		r = alloc_refcount(l->img, l->cluster - 1 + i, &l->counts[i]);
	return r;
}

static int Q2_CO
reference_two(void *arg)
{
	struct limit *l = arg;
	int r = 0;

	l->r = alloc_reference(l->img, (l->cluster + 1) << 9, 2);
	for (unsigned i = 0; r == 0 && i < 3; i++)
		r = alloc_refcount(l->img, l->cluster + i, &l->counts[i]);
	return r;
}

static void
test_a_refcount_at_its_limit_is_an_error_and_stays(void **state)
{
	(void)state;
	for (unsigned order = 0; order < ORDERS; order++) {
		struct loop *loop = memory_loop();
		struct limit l = {.cluster = (make_full(loop, order) >> 9) - 9};
		uint64_t max;

		l.img = open_image(loop);
		max = l.img->geom.refcount_max;
		assert_int_equal(loop_call(loop, reference_all, &l), 0);
		assert_int_equal(l.r, -ERANGE);
		assert_int_equal(l.counts[0], 1);
		assert_true(l.counts[1] == max);
		assert_int_equal(l.counts[2], 1);

		/* One bit can only say that there is one. */
		assert_int_equal(loop_call(loop, reference_two, &l), 0);
		assert_int_equal(l.r, order ? 0 : -ERANGE);
		assert_true(l.counts[0] == max);
		assert_int_equal(l.counts[1], order ? 2 : 1);
		assert_int_equal(l.counts[2], order ? 2 : 1);
		close_image(l.img);
		loop_free(loop);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_each_width_allocates_beyond_its_refcount_table),
		cmocka_unit_test(test_each_width_frees_and_reuses),
		cmocka_unit_test(
			test_a_refcount_at_its_limit_is_an_error_and_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
