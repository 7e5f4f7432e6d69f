/* SPDX-License-Identifier: MIT */
/*
 * Free space: what the summaries of refcount blocks say is true, and a full
 * image is not walked through again for each cluster (design.md, 3.5).
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

#define NAME "disk"

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
	struct q2_open_opts o = {.size = sizeof(o),
				 .driver = "qcow2",
				 .flags = Q2_UNMAP,
				 .refcount_cache_size = 1024};
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

/* Everything that was unlinked becomes free. */
static void
settle(struct image *img)
{
	assert_int_equal(q2_flush((struct q2_image *)img), 0);
	while (!list_empty(&img->limbo.items) || img->limbo.working)
		assert_true(loop_run(img->loop, 0, 0) >= 0);
}

/* ---- the counts -------------------------------------------------------- */

struct count {
	struct image *img;
	uint64_t known, wrong;
};

static int Q2_CO
compare_counts(void *arg)
{
	struct count *c = arg;
	const struct summary *s = &c->img->alloc.summary;

	for (uint64_t block = 0; block < s->n; block++) {
		uint64_t n = 0, refs;

		if (s->free[block] == SUMMARY_UNKNOWN)
			continue;
		for (uint64_t i = 0; i < UINT64_C(1) << s->bits; i++) {
			int r = alloc_refcount(c->img, (block << s->bits) + i,
					       &refs);

			if (r < 0)
				return r;
			n += refs == 0;
		}
		c->known++;
		c->wrong += n != s->free[block];
	}
	return 0;
}

static void
random_request(struct image *img, struct rng *rng, uint8_t *buf)
{
	struct q2_image *i = (struct q2_image *)img;
	uint64_t len = (1 + rng_below(rng, 24)) * 512;
	uint64_t off = rng_below(rng, (img->size - len) / 512) * 512;

	if (rng_below(rng, 5) < 2)
		assert_int_equal(q2_pzero(i, len, off,
					  rng_below(rng, 2) ? Q2_MAY_UNMAP : 0),
				 0);
	else
		assert_int_equal(q2_pwrite(i, buf, len, off), 0);
	if (rng_below(rng, 8) == 0)
		settle(img);
}

static void
test_the_counts_are_those_of_the_refcounts(void **state)
{
	static uint8_t buf[16 * KiB];
	struct rng rng = {.state = mix64(test_seed(1))};
	uint64_t known = 0;

	(void)state;
	memset(buf, 0x5a, sizeof(buf));
	for (unsigned order = 0; order < 7; order++) {
		struct loop *loop = memory_loop();
		struct image_make m = {.bytes = MiB,
				       .cluster_bits = 9,
				       .refcount_order = order,
				       .leak_bytes = 600 * KiB,
				       .leak_holes = 3};
		struct image *img;

		assert_int_equal(image_make(loop, NAME, &m), 0);
		img = open_image(loop);
		for (unsigned i = 0; i < test_rounds(400); i++) {
			struct count c = {.img = img};

			random_request(img, &rng, buf);
			if (i % 10)
				continue;
			assert_int_equal(loop_call(loop, compare_counts, &c),
					 0);
			if (c.wrong)
				fail_msg("width %u, request %u: %" PRIu64
					 " of %" PRIu64 " counts are wrong",
					 1U << order, i, c.wrong, c.known);
			known += c.known;
		}
		close_image(img);
		loop_free(loop);
	}
	assert_true(known > test_rounds(100) / 2);
}

/* ---- the walk ---------------------------------------------------------- */

static enum image_cluster
low_clusters(void *arg, uint64_t cluster)
{
	(void)arg;
	return cluster < 32 * KiB / 512 ? IMAGE_NORMAL : IMAGE_EMPTY;
}

/* An image with clusters at its beginning, full of leaks for 100 blocks; behind
 * them there is space. */
static void
make_full(struct loop *loop)
{
	struct image_make m = {.bytes = MiB,
			       .cluster_bits = 9,
			       .refcount_order = 6,
			       .reftable_clusters = 4,
			       .state = low_clusters,
			       .file_bytes = 100 * 64 * 512,
			       .leak_bytes = 100 * 64 * 512};

	assert_int_equal(image_make(loop, NAME, &m), 0);
}

static uint64_t
slices_looked_at(const struct image *img)
{
	return img->points.n.refcount_hits + img->points.n.refcount_misses;
}

static void
test_a_full_image_is_walked_through_once(void **state)
{
	static uint8_t buf[64 * KiB];
	struct loop *loop = memory_loop();
	struct q2_image *i;
	struct image *img;
	struct image_check check;
	uint64_t before, leaks;

	(void)state;
	memset(buf, 0x5a, sizeof(buf));
	make_full(loop);
	assert_int_equal(image_check(loop, NAME, &check), 0);
	leaks = check.leaks;
	img = open_image(loop);
	i = (struct q2_image *)img;
	assert_int_equal(q2_pwrite(i, buf, sizeof(buf), 64 * KiB), 0);
	assert_true(slices_looked_at(img) >= 100);
	/* Clusters at the beginning are free again, and are found; then those
	 * behind all that are in use. */
	for (unsigned n = 0; n < 50; n++) {
		uint64_t off = (uint64_t)n % 8 * 4096;

		assert_int_equal(q2_pzero(i, 4096, off, Q2_MAY_UNMAP), 0);
		settle(img);
		before = slices_looked_at(img);
		assert_int_equal(q2_pwrite(i, buf, 4096, off), 0);
		assert_int_equal(q2_pwrite(i, buf, 4096, 128 * KiB + n * 4096),
				 0);
		/* A few looks for each run of free clusters. */
		if (slices_looked_at(img) - before > 40)
			fail_msg("%" PRIu64 " refcount slices for 16 clusters",
				 slices_looked_at(img) - before);
	}
	close_image(img);
	assert_int_equal(image_check(loop, NAME, &check), 0);
	assert_int_equal(check.corruptions, 0);
	assert_int_equal(check.leaks, leaks);
	loop_free(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_counts_are_those_of_the_refcounts),
		cmocka_unit_test(test_a_full_image_is_walked_through_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
