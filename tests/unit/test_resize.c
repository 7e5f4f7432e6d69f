/* SPDX-License-Identifier: MIT */
/*
 * q2_resize() on files in memory: what it refuses and says, limits of the
 * tables, raw files, devices, caches.
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

#include "engine/base/num.h"
#include "tests/image_check.h"
#include "tests/image_make.h"
#include "tests/sim/sim.h"

#define NAME "disk"

struct disk {
	struct loop *loop;
	struct q2_image *img;
	struct q2_err err;
};

static int
setup(void **state)
{
	struct sim_opts sim = {.seed = 1};
	struct disk *d = calloc(1, sizeof(*d));

	*state = d;
	return loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				NULL, &d->loop, NULL);
}

static int
teardown(void **state)
{
	struct disk *d = *state;

	if (d->img)
		assert_int_equal(q2_close(d->img, NULL), 0);
	loop_free(d->loop);
	free(d);
	return 0;
}

static void
open_disk(struct disk *d, const char *driver, unsigned flags)
{
	struct q2_open_opts o = {.size = sizeof(o),
				 .driver = driver,
				 .flags = flags,
				 .virtual_size = MiB};

	if (d->img)
		assert_int_equal(q2_close(d->img, NULL), 0);
	d->img = NULL;
	if (q2_open((struct q2_loop *)d->loop, NAME, &o, &d->img, &d->err) < 0)
		fail_msg("open: %s", d->err.text);
}

static void
create(struct disk *d, const char *driver, uint32_t cluster, unsigned width)
{
	struct q2_create_opts o = {.size = sizeof(o),
				   .driver = driver,
				   .virtual_size = MiB,
				   .cluster_size = cluster,
				   .refcount_bits = width};

	if (q2_create((struct q2_loop *)d->loop, NAME, &o, NULL, &d->err) < 0)
		fail_msg("create: %s", d->err.text);
	open_disk(d, driver, 0);
}

static int
resize(struct disk *d, uint64_t size, enum q2_prealloc mode, bool shrink)
{
	struct q2_resize_opts o = {
		.size = sizeof(o), .preallocation = mode, .shrink = shrink};

	d->err.text[0] = 0;
	return q2_resize(d->img, size, &o, &d->err);
}

static void
expect_refusal(struct disk *d, int r, int code, const char *text)
{
	assert_int_equal(r, code);
	assert_string_equal(d->err.text, text);
	assert_int_equal(q2_size(d->img), MiB);
}

static void
test_what_makes_no_sense_is_refused(void **state)
{
	struct disk *d = *state;

	create(d, "qcow2", 0, 0);
	expect_refusal(d, resize(d, MiB + 100, 0, false), -EINVAL,
		       "The new size must be a multiple of 512");
	expect_refusal(d, resize(d, 512, 0, false), -EINVAL,
		       "Use the --shrink option to perform a shrink "
		       "operation.");
	expect_refusal(d, resize(d, 512, Q2_PREALLOC_FULL, true), -EINVAL,
		       "Preallocation can't be used for shrinking an image");
	expect_refusal(d, resize(d, INT64_MAX - 511, 0, false), -EFBIG,
		       "offset(9223372036854775296) exceeds "
		       "maximum(9223372035781033984)");
	assert_int_equal(resize(d, MiB, Q2_PREALLOC_METADATA, false), 0);
	open_disk(d, "qcow2", Q2_RDONLY);
	expect_refusal(d, resize(d, 2 * MiB, 0, false), -EACCES,
		       "Image is read-only");
	open_disk(d, "null", 0);
	expect_refusal(d, resize(d, 2 * MiB, 0, false), -ENOTSUP,
		       "Image format driver does not support resize");
}

static void
expect_whole(struct disk *d)
{
	struct image_check c;

	open_disk(d, "qcow2", 0);
	assert_int_equal(image_check(d->loop, NAME, &c), 0);
	assert_int_equal(c.corruptions, 0);
	assert_int_equal(c.leaks, 0);
}

/* 512-byte clusters with 64-bit refcounts: 1 Mi blocks of 64 counts, 32 GiB;
 * 4 Mi L2 tables of 64 entries, 128 GiB. */
static void
test_tables_have_limits_in_bytes(void **state)
{
	struct disk *d = *state;

	create(d, "qcow2", 512, 64);
	expect_refusal(d, resize(d, 128 * GiB + 512, 0, false), -EFBIG,
		       "Failed to grow the L1 table: File too large");
	expect_refusal(d, resize(d, 33 * GiB, Q2_PREALLOC_METADATA, false),
		       -EFBIG,
		       "Failed to resize refcount structures: File too large");
	expect_whole(d);
	assert_int_equal(resize(d, 128 * GiB, 0, false), 0);
	assert_int_equal(q2_size(d->img), 128 * GiB);
	assert_int_equal(q2_pwrite(d->img, "last", 4, 128 * GiB - 4), 0);
	expect_whole(d);
	assert_int_equal(resize(d, MiB, 0, true), 0);
	expect_whole(d);
}

static void
test_sizes_of_zero_and_back(void **state)
{
	struct disk *d = *state;
	char back[4];

	create(d, "qcow2", 4096, 0);
	assert_int_equal(q2_pwrite(d->img, "gone", 4, 0), 0);
	assert_int_equal(resize(d, 0, 0, true), 0);
	assert_int_equal(q2_size(d->img), 0);
	expect_whole(d);
	assert_int_equal(resize(d, MiB, Q2_PREALLOC_METADATA, false), 0);
	assert_int_equal(q2_pread(d->img, back, 4, 0), 0);
	assert_memory_equal(back, "\0\0\0\0", 4);
	expect_whole(d);
}

static void
test_caches_are_those_of_the_new_size(void **state)
{
	struct disk *d = *state;
	struct q2_info info[2] = {{0}};

	create(d, "qcow2", 4096, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(resize(d, i ? 8 * MiB : 9 * GiB, 0, true), 0);
		assert_int_equal(q2_info(d->img, &info[0], NULL), 0);
		open_disk(d, "qcow2", 0);
		assert_int_equal(q2_info(d->img, &info[1], NULL), 0);
		assert_int_equal(info[0].l2_cache_size, info[1].l2_cache_size);
		assert_int_equal(info[0].l2_cache_entry_size,
				 info[1].l2_cache_entry_size);
		assert_int_equal(info[0].l2_cache_size,
				 i ? 16 * KiB : 9 * GiB / 512);
	}
}

static void
test_raw_files(void **state)
{
	struct disk *d = *state;
	uint8_t *buf = malloc(4 * MiB);

	create(d, "raw", 0, 0);
	memset(buf, 7, MiB);
	assert_int_equal(q2_pwrite(d->img, buf, MiB, 0), 0);
	expect_refusal(d, resize(d, 2 * MiB, Q2_PREALLOC_METADATA, false),
		       -ENOTSUP, "Unsupported preallocation mode: metadata");
	assert_int_equal(resize(d, 2 * MiB, Q2_PREALLOC_FULL, false), 0);
	assert_int_equal(resize(d, 3 * MiB, Q2_PREALLOC_FALLOC, false), 0);
	/* Where that is not native zeros are written. */
	sim_fail_nth(d->loop, AIO_ALLOCATE, 1, -ENOTSUP, true);
	assert_int_equal(resize(d, 4 * MiB, Q2_PREALLOC_FALLOC, false), 0);
	sim_fail_nth(d->loop, SIM_ANY_KIND, 0, 0, false);
	assert_int_equal(q2_pread(d->img, buf, 4 * MiB, 0), 0);
	for (uint64_t i = 0; i < 4 * MiB; i++)
		assert_int_equal(buf[i], i < MiB ? 7 : 0);
	assert_int_equal(resize(d, 1000, 0, true), 0);
	assert_int_equal(q2_size(d->img), 1024);
	/* A failure gives the old length back. */
	sim_fail_nth(d->loop, AIO_WRITE, 1, -ENOSPC, true);
	assert_int_equal(resize(d, MiB, Q2_PREALLOC_FULL, false), -ENOSPC);
	sim_fail_nth(d->loop, SIM_ANY_KIND, 0, 0, false);
	open_disk(d, "raw", 0);
	assert_int_equal(q2_size(d->img), 1024);
	free(buf);
}

/* A device holds something everywhere, and does not grow. */
static void
test_an_image_on_a_device(void **state)
{
	struct disk *d = *state;
	struct sim_opts sim = {.is_block = true, .align = 512};
	uint8_t *buf = malloc(MiB);

	for (unsigned mode = 0; mode < 4; mode++) {
		struct image_make m = {.bytes = 64 * KiB,
				       .cluster_bits = 12,
				       .refcount_order = 4,
				       .file_bytes = MiB,
				       .fill = 0xdb};

		if (d->img)
			assert_int_equal(q2_close(d->img, NULL), 0);
		d->img = NULL;
		assert_int_equal(image_make(d->loop, NAME, &m), 0);
		sim_set_chances(d->loop, &sim);
		open_disk(d, "qcow2", 0);
		assert_int_equal(resize(d, 3 * MiB, mode, false),
				 mode ? -ENOSPC : 0);
		assert_int_equal(resize(d, 64 * KiB, 0, true), 0);
		assert_int_equal(resize(d, 600 * KiB, mode, false), 0);
		assert_int_equal(q2_pread(d->img, buf, 600 * KiB, 0), 0);
		for (uint64_t i = 0; i < 600 * KiB; i++)
			assert_int_equal(buf[i], 0);
		expect_whole(d);
	}
	open_disk(d, "raw", 0);
	assert_int_equal(resize(d, 2 * MiB, 0, false), -ENOTSUP);
	assert_string_equal(d->err.text, "Cannot resize device files");
	free(buf);
}

/* Clusters that were to be handed out next lie in a region whose refcount block
 * a shrink takes away: on a device, which is not cut behind it. */
static void
test_what_is_written_after_a_shrink_on_a_device(void **state)
{
	struct disk *d = *state;
	struct sim_opts sim = {.is_block = true, .align = 512};
	struct image_make m = {.bytes = MiB,
			       .cluster_bits = 9,
			       .refcount_order = 6,
			       .file_bytes = 4 * MiB,
			       .fill = 0xdb};
	uint8_t *buf = malloc(200 * KiB);

	memset(buf, 1, 200 * KiB);
	assert_int_equal(image_make(d->loop, NAME, &m), 0);
	sim_set_chances(d->loop, &sim);
	open_disk(d, "qcow2", 0);
	assert_int_equal(q2_pwrite(d->img, buf, 200 * KiB, 100 * KiB), 0);
	assert_int_equal(resize(d, 100 * KiB, 0, true), 0);
	assert_int_equal(q2_pwrite(d->img, buf, 60 * KiB, 0), 0);
	memset(buf, 0, 60 * KiB);
	assert_int_equal(q2_pread(d->img, buf, 100 * KiB, 0), 0);
	for (uint64_t i = 0; i < 100 * KiB; i++)
		assert_int_equal(buf[i], i < 60 * KiB);
	expect_whole(d);
	free(buf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_makes_no_sense_is_refused),
		TEST(test_tables_have_limits_in_bytes),
		TEST(test_sizes_of_zero_and_back),
		TEST(test_caches_are_those_of_the_new_size),
		TEST(test_raw_files),
		TEST(test_an_image_on_a_device),
		TEST(test_what_is_written_after_a_shrink_on_a_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
