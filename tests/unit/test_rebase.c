/* SPDX-License-Identifier: MIT */
/*
 * test_rebase.c - after a rebase the guest reads what it has read, whatever the
 * backing files are called and whoever can decrypt them
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/q2.h"
#include "tests/image_make.h"

#define BYTES (256 * KiB)

#define LUKS 2

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

/* Open name, and the encrypted ones below it. */
static struct q2_image *
open_as(const char *name, const char *driver, unsigned flags)
{
	struct q2_open_opts low = {
		.size = sizeof(low),
		.key = IMAGE_KEY,
		.key_len = strlen(IMAGE_KEY),
	};
	struct q2_open_opts below = {
		.size = sizeof(below),
		.key = IMAGE_KEY,
		.key_len = strlen(IMAGE_KEY),
		.backing = &low,
	};
	struct q2_open_opts o = {
		.size = sizeof(o),
		.driver = driver,
		.flags = flags | Q2_UNMAP,
		.key = IMAGE_KEY,
		.key_len = strlen(IMAGE_KEY),
		.backing = &below,
	};
	struct q2_image *img = NULL;
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)loop, name, &o, &img, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	return img;
}

/* An image, the first half of which has byte; 0: nothing has been written. */
static void
make(const char *name, const char *below, unsigned method, uint8_t byte)
{
	struct image_make m = {
		.bytes = BYTES,
		.cluster_bits = 12,
		.refcount_order = 4,
		.crypt_method = method,
		.backing_file = below,
		.backing_format = below ? "qcow2" : NULL,
	};
	struct q2_image *img;
	uint8_t buf[BYTES / 2];

	assert_int_equal(image_make(loop, name, &m), 0);
	if (!byte)
		return;
	memset(buf, byte, sizeof(buf));
	img = open_as(name, "qcow2", 0);
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), 0);
	assert_int_equal(q2_close(img, NULL), 0);
}

/* The first half of name reads as byte, and the rest as zeros. */
static void
expect(const char *name, uint8_t byte)
{
	struct q2_image *img = open_as(name, "qcow2", Q2_RDONLY);
	uint8_t buf[BYTES];

	assert_int_equal(q2_pread(img, buf, BYTES, 0), 0);
	for (unsigned i = 0; i < BYTES; i++)
		if (buf[i] != (i < BYTES / 2 ? byte : 0))
			fail_msg("byte %u is %02x", i, buf[i]);
	assert_int_equal(q2_close(img, NULL), 0);
}

/* Bytes of data that the image itself holds. */
static uint64_t
own_bytes(const char *name)
{
	struct q2_image *img = open_as(name, "qcow2", Q2_RDONLY);
	uint64_t sum = 0;
	struct q2_extent e;

	for (uint64_t off = 0; off < BYTES; off += e.len) {
		assert_int_equal(q2_map(img, off, BYTES - off, &e, NULL), 0);
		if (e.present && !e.depth)
			sum += e.len;
	}
	assert_int_equal(q2_close(img, NULL), 0);
	return sum;
}

struct below {
	const char *name;   /* for the header; NULL: none */
	const char *path;   /* the same from here; NULL: as name */
	const char *driver; /* NULL: qcow2 */
	unsigned flags;
};

static int
rebase(const char *name, const struct below *to, struct q2_err *err)
{
	const char *driver = to->driver ? to->driver : "qcow2";
	const char *path = to->path ? to->path : to->name;
	struct q2_rebase_opts o = {
		.size = sizeof(o),
		.backing_file = to->name,
		.backing_format = to->name ? driver : NULL,
	};
	struct q2_image *img = open_as(name, "qcow2", to->flags);
	int r;

	if (path)
		o.backing = open_as(path, driver, Q2_RDONLY | to->flags);
	r = q2_rebase(img, &o, err);
	assert_int_equal(q2_close(img, NULL), 0);
	if (o.backing)
		assert_int_equal(q2_close(o.backing, NULL), 0);
	return r;
}

static void
rebase_well(const char *name, const struct below *to)
{
	struct q2_err err = {0};

	if (rebase(name, to, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

/* ---- what both have in common ------------------------------------------ */

static void
test_a_layer_of_the_chain_needs_no_copy(void **state)
{
	(void)state;
	make("base", NULL, 0, 1);
	make("mid", "base", 0, 0);
	make("top", "mid", 0, 0);
	rebase_well("top", &(struct below){"base", NULL, NULL, 0});
	expect("top", 1);
	assert_int_equal(own_bytes("top"), 0);
}

/* d/top names d/base, which is d/d/base; the new one is d/base from here. */
static void
test_another_file_of_the_same_name_is_another(void **state)
{
	(void)state;
	make("d/d/base", NULL, 0, 1);
	make("d/base", NULL, 0, 2);
	make("d/top", "d/base", 0, 0);
	rebase_well("d/top", &(struct below){"base", "d/base", NULL, 0});
	expect("d/top", 1);
	assert_int_equal(own_bytes("d/top"), BYTES / 2);
}

static void
test_the_same_file_as_another_format_is_another(void **state)
{
	(void)state;
	make("base", NULL, 0, 1);
	make("top", "base", 0, 0);
	rebase_well("top", &(struct below){"base", NULL, "raw", 0});
	expect("top", 1);
}

/* The same file in both chains, and another one below it. */
static void
test_layers_below_count_too(void **state)
{
	struct q2_open_opts below = {.size = sizeof(below),
				     .driver = "qcow2",
				     .backing_file = "other"};
	struct q2_open_opts o = {
		.size = sizeof(o), .driver = "qcow2", .backing = &below};
	struct q2_rebase_opts opts = {.size = sizeof(opts),
				      .backing_file = "mid",
				      .backing_format = "qcow2"};
	struct q2_image *img;
	struct q2_err err = {0};

	(void)state;
	make("base", NULL, 0, 1);
	make("other", NULL, 0, 2);
	make("mid", "base", 0, 0);
	make("top", "mid", 0, 0);
	assert_int_equal(q2_open((struct q2_loop *)loop, "top", &o, &img, &err),
			 0);
	opts.backing = open_as("mid", "qcow2", Q2_RDONLY);
	if (q2_rebase(img, &opts, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_int_equal(q2_close(opts.backing, NULL), 0);
	expect("top", 2);
}

/* Locks refuse it, but where the caller wants none. */
static void
test_an_image_is_not_below_itself(void **state)
{
	struct below to = {.name = "over", .flags = Q2_NO_LOCK};
	struct q2_err err = {0};

	(void)state;
	make("base", NULL, 0, 1);
	make("top", "base", 0, 0);
	make("over", "top", 0, 0);
	assert_int_equal(rebase("top", &to, &err), -EINVAL);
	assert_string_equal(err.text, "'over' has the image in its own chain");
	to.name = "top";
	assert_int_equal(rebase("top", &to, &err), -EINVAL);
	assert_string_equal(err.text, "'top' has the image in its own chain");
	expect("top", 1);
}

static void
test_a_name_that_is_not_opened_is_refused(void **state)
{
	struct below to = {.name = "json:{}", .path = "other"};
	struct q2_err err = {0};

	(void)state;
	make("base", NULL, 0, 1);
	make("other", NULL, 0, 2);
	make("top", "base", 0, 0);
	assert_int_equal(rebase("top", &to, &err), -ENOTSUP);
	assert_string_equal(err.text,
			    "'json:{}' is not the name of a plain file (a file "
			    "of that name would be './json:{}')");
	expect("top", 1);
	assert_int_equal(own_bytes("top"), 0);
}

/* ---- encryption -------------------------------------------------------- */

static void
test_each_layer_is_read_with_its_key(void **state)
{
	static const unsigned methods[] = {0, 1, LUKS};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		make("base", NULL, methods[(i + 1) % 3], 1);
		make("other", NULL, methods[(i + 2) % 3], 2);
		make("top", "base", methods[i], 0);
		rebase_well("top", &(struct below){"other", NULL, NULL, 0});
		expect("top", 1);
		make("top", "base", methods[i], 0);
		rebase_well("top", &(struct below){NULL, NULL, NULL, 0});
		expect("top", 1);
	}
}

static void
test_an_encrypted_layer_of_the_chain_needs_no_copy(void **state)
{
	(void)state;
	make("base", NULL, LUKS, 1);
	make("mid", "base", LUKS, 0);
	make("top", "mid", LUKS, 0);
	rebase_well("top", &(struct below){"mid", NULL, NULL, 0});
	assert_int_equal(own_bytes("top"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_layer_of_the_chain_needs_no_copy, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_another_file_of_the_same_name_is_another, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_the_same_file_as_another_format_is_another, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_layers_below_count_too,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_image_is_not_below_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_name_that_is_not_opened_is_refused, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_each_layer_is_read_with_its_key, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_encrypted_layer_of_the_chain_needs_no_copy,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
