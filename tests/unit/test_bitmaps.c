/* SPDX-License-Identifier: MIT */
/*
 * test_bitmaps.c - directories of bitmaps that no tool writes
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "tests/bitmap_disk.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

#define LONG_NAME 900

static struct loop *loop;

static int
setup(void **state)
{
	(void)state;
	return loop_new_backend(backend_memory_new(1, NULL), NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

/* In the file: what has n bytes of `from`, in old directories too, gets those of
 * `to`; with off, the 8 bytes so far before it become `value` instead. */
struct edit {
	const void *from, *to;
	size_t n;
	unsigned off;
	uint64_t value;
};

static int Q2_CO
run_edit(void *arg)
{
	const struct edit *e = arg;
	struct points points = {0};
	struct aio_file *f;
	uint8_t *bytes, *at, field[8];
	int64_t size;
	int r;

	assert_int_equal(aio_open(loop, BITMAP_DISK, 0, &points, &f, NULL), 0);
	size = aio_size(f);
	bytes = malloc((size_t)size);
	r = file_read(f, AIO_HEADER, bytes, (uint64_t)size, 0);
	at = memmem(bytes, (size_t)size, e->from, e->n);
	if (r == 0 && !at)
		r = -ENOENT;
	store_be64(field, e->value);
	while (r == 0 && at) {
		uint64_t off = (uint64_t)(at - bytes);

		r = e->off ? file_write(f, AIO_HEADER, field, 8, off - e->off)
			   : file_write(f, AIO_HEADER, e->to, e->n, off);
		at = memmem(at + 1, (size_t)size - off - 1, e->from, e->n);
	}
	free(bytes);
	aio_close(f);
	return r;
}

/* An image with two bitmaps, of these names. */
static void
make(const char *one, const char *two)
{
	struct image_make m = {
		.bytes = 1 * MiB, .cluster_bits = 12, .refcount_order = 4};
	struct q2_image *img;

	assert_int_equal(image_make(loop, BITMAP_DISK, &m), 0);
	assert_int_equal(bitmap_disk_open(loop, 0, &img, NULL), 0);
	assert_int_equal(q2_bitmap_add(img, one, 0, NULL), 0);
	assert_int_equal(q2_bitmap_add(img, two, 0, NULL), 0);
	assert_int_equal(q2_pwrite(img, "x", 1, 5000), 0);
	assert_int_equal(q2_close(img, NULL), 0);
}

static void
edit(const struct edit *e)
{
	struct edit copy = *e;

	assert_int_equal(loop_call(loop, run_edit, &copy), 0);
}

/* What is behind a NUL is no part of the name: it was read beyond its memory,
 * and that was written. */
static void
test_a_name_ends_at_a_nul(void **state)
{
	char name[LONG_NAME + 1], cut[LONG_NAME];
	struct q2_image *img;
	struct image_check c;

	(void)state;
	memset(name, 'n', LONG_NAME);
	name[LONG_NAME] = 0;
	make(name, "other");
	memcpy(cut, name, LONG_NAME);
	cut[1] = 0;
	edit(&(struct edit){.from = name, .to = cut, .n = LONG_NAME});
	assert_int_equal(bitmap_disk_open(loop, 0, &img, NULL), 0);
	assert_string_equal(q2_bitmap_get(img, 0).name, "n");
	assert_int_equal(q2_bitmap_add(img, "third", 0, NULL), 0);
	assert_int_equal(q2_bitmap_remove(img, "other", NULL), 0);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_int_equal(image_check(loop, BITMAP_DISK, &c), 0);
	assert_int_equal(c.corruptions + c.leaks, 0);
	assert_int_equal(c.bitmaps, 2);
}

static void
test_two_of_one_name_are_refused(void **state)
{
	struct q2_image *img;
	struct q2_err err;

	(void)state;
	make("first-name", "other-name");
	edit(&(struct edit){.from = "other-name", .to = "first-name", .n = 10});
	assert_true(bitmap_disk_open(loop, 0, &img, &err) < 0);
	assert_string_equal(err.text, "Bitmap already exists: first-name");
}

/* A table that is said to be where the L1 table is: it is not given back. */
static void
test_what_two_claim_is_not_given_back(void **state)
{
	struct q2_image *img;
	struct image_check c;
	uint64_t l1;
	char byte = 0;

	(void)state;
	make("first-name", "other-name");
	assert_int_equal(bitmap_disk_open(loop, Q2_RDONLY, &img, NULL), 0);
	l1 = ((struct image *)img)->l1.host;
	assert_int_equal(q2_close(img, NULL), 0);
	edit(&(struct edit){
		.from = "other-name", .n = 10, .off = 24, .value = l1});
	assert_int_equal(bitmap_disk_open(loop, Q2_NO_GUEST_WRITES, &img, NULL),
			 0);
	assert_int_equal(q2_bitmap_remove(img, "other-name", NULL), 0);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_int_equal(image_check(loop, BITMAP_DISK, &c), 0);
	assert_int_equal(c.corruptions, 0);
	assert_true(c.leaks > 0);
	assert_int_equal(bitmap_disk_open(loop, 0, &img, NULL), 0);
	assert_int_equal(q2_pread(img, &byte, 1, 5000), 0);
	assert_int_equal(byte, 'x');
	assert_int_equal(q2_close(img, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_name_ends_at_a_nul,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_two_of_one_name_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_two_claim_is_not_given_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
