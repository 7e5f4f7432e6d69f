/* SPDX-License-Identifier: MIT */
/*
 * test_compressed_end.c - a file that ends with compressed clusters ends with
 * their last sector, as QEMU leaves it, and never before anything that counts
 *
 * A close cuts the file within its last cluster.  So sessions of random
 * operations, in which places are freed and used again, are closed and opened
 * again: check finds nothing wrong, and the disk reads as it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "engine/q2.h"
#include "tests/env.h"
#include "tests/image_make.h"

#define DISK     "disk.qcow2"
#define CLUSTERS 24u
#define MOST     (CLUSTERS << 16)

static struct loop *loop;
static uint8_t model[MOST];

static int
setup(void **state)
{
	(void)state;
	test_keep_memory();
	return loop_new_backend(backend_memory_new(1, NULL), NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static struct q2_image *
open_disk(void)
{
	struct q2_open_opts o = {
		.size = sizeof(o), .driver = "qcow2", .flags = Q2_UNMAP};
	struct q2_image *img = NULL;
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)loop, DISK, &o, &img, &err) < 0)
		fail_msg("%s", err.text);
	return img;
}

static uint64_t
file_bytes(const struct q2_image *img)
{
	return (uint64_t)aio_size(((const struct image *)img)->file);
}

static int outcome; /* of the only request; 1: under way */

static void
done(struct q2_req *rq)
{
	outcome = rq->result;
}

static int
request(struct q2_image *img, enum q2_op op, unsigned flags, const uint8_t *buf,
	uint64_t off, uint64_t len)
{
	/* iovec has no const; a write does not change it. */
	struct iovec iov = {(void *)(uintptr_t)buf, len};
	struct q2_req rq = {
		.op = op,
		.flags = flags,
		.off = off,
		.len = len,
		.iov = buf ? &iov : NULL,
		.iovcnt = buf != NULL,
		.done = done,
	};

	outcome = 1;
	q2_submit(img, &rq);
	while (outcome > 0)
		assert_true(q2_loop_run((struct q2_loop *)loop, 1, -1) >= 0);
	return outcome;
}

static void
do_request(struct q2_image *img, enum q2_op op, const uint8_t *buf,
	   uint64_t off, uint64_t len)
{
	assert_int_equal(request(img, op, 0, buf, off, len), 0);
}

/* Bytes that become about a quarter. */
static void
fill(struct rng *rng, uint8_t *at, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		at[i] = i % 4 ? (uint8_t)len : (uint8_t)rng_below(rng, 256);
}

/* A cluster that has bytes of its own takes no compressed ones, as in QEMU. */
static void
write_compressed(struct rng *rng, struct q2_image *img, uint64_t off,
		 uint64_t cluster)
{
	static uint8_t bytes[1 << 16];
	int r;

	fill(rng, bytes, cluster);
	r = request(img, Q2_WRITE, Q2_COMPRESSED, bytes, off, cluster);
	if (r == 0)
		memcpy(model + off, bytes, cluster);
	else
		assert_int_equal(r, -EIO);
}

static void
some_operation(struct rng *rng, struct q2_image *img, uint64_t cluster)
{
	struct q2_snapshot_opts s = {.size = sizeof(s), .name = "s"};
	uint64_t off = rng_below(rng, CLUSTERS) * cluster;
	unsigned n = ((struct image *)img)->snapshots.n;

	switch (rng_below(rng, 8)) {
	case 0:
	case 1:
	case 2:
		write_compressed(rng, img, off, cluster);
		break;
	case 3:
		fill(rng, model + off, cluster / 2);
		do_request(img, Q2_WRITE, model + off, off, cluster / 2);
		break;
	case 4:
	case 5:
		memset(model + off, 0, cluster);
		do_request(img, Q2_DISCARD, NULL, off, cluster);
		break;
	case 6:
		if (n < 3)
			assert_int_equal(q2_snapshot_create(img, &s, NULL), 0);
		break;
	default:
		if (n > 0)
			assert_int_equal(q2_snapshot_delete(img, 0, NULL), 0);
		else
			assert_int_equal(q2_flush(img), 0);
	}
}

static void
assert_sound(struct q2_image *img, uint64_t bytes)
{
	static uint8_t buf[MOST];
	struct q2_check check = {0};

	assert_int_equal(q2_check(img, &check, NULL, NULL, NULL), 0);
	assert_int_equal(check.corruptions + check.check_errors + check.leaks,
			 0);
	assert_int_equal(q2_pread(img, buf, bytes, 0), 0);
	assert_memory_equal(buf, model, bytes);
}

static void
make(unsigned cluster_bits, bool extended)
{
	struct image_make m = {
		.bytes = min_u64(MOST, 1024 << cluster_bits),
		.cluster_bits = cluster_bits,
		.refcount_order = 4,
		.extended_l2 = extended,
	};

	assert_int_equal(image_make(loop, DISK, &m), 0);
	memset(model, 0, sizeof(model));
}

static void
test_sessions_of_all_kinds(void **state)
{
	struct rng rng = {.state = test_seed(41)};
	unsigned cut = 0;

	(void)state;
	for (unsigned round = 0; round < test_rounds(300); round++) {
		unsigned bits = 9 + (unsigned)rng_below(&rng, 8);
		uint64_t cluster = UINT64_C(1) << bits;

		make(bits, bits >= 14 && rng_below(&rng, 2));
		for (unsigned session = 0; session < 4; session++) {
			struct q2_image *img = open_disk();
			unsigned n = 1 + (unsigned)rng_below(&rng, 12);

			assert_sound(img, CLUSTERS << bits);
			cut += file_bytes(img) % cluster != 0;
			assert_int_equal(file_bytes(img) % 512, 0);
			while (n-- > 0)
				some_operation(&rng, img, cluster);
			assert_int_equal(q2_close(img, NULL), 0);
		}
	}
	/* Else nothing was tested. */
	assert_true(cut > test_rounds(300) / 20);
}

/* The place of compressed bytes at the end of the file, freed and then taken by
 * others: space is looked for behind what was taken last, but where that is the
 * end of a slice of refcounts, what was freed comes first. */
static void
test_a_place_that_is_used_again(void **state)
{
	const uint64_t cluster = 1 << 10, slice = cluster * 8 / 16;
	struct rng rng = {.state = 1};
	unsigned again = 0;

	(void)state;
	for (uint64_t k = 0; k < slice + 8; k += test_stride()) {
		struct q2_image *img;
		uint64_t at, end;

		make(10, false);
		img = open_disk();
		fill(&rng, model, k * cluster);
		if (k)
			do_request(img, Q2_WRITE, model, 0, k * cluster);
		write_compressed(&rng, img, k * cluster, cluster);
		at = ((struct image *)img)->compress.at;
		do_request(img, Q2_DISCARD, NULL, k * cluster, cluster);
		assert_int_equal(q2_flush(img), 0);
		while (((struct image *)img)->limbo.freed == 0)
			assert_true(q2_loop_run((struct q2_loop *)loop, 0, 0) >=
				    0);
		fill(&rng, model + k * cluster, cluster);
		do_request(img, Q2_WRITE, model + k * cluster, k * cluster,
			   cluster);
		end = align_up(at, cluster);
		assert_int_equal(q2_close(img, NULL), 0);
		img = open_disk();
		again += file_bytes(img) == end;
		assert_sound(img, (k + 1) * cluster);
		assert_int_equal(q2_close(img, NULL), 0);
	}
	/* Else nothing was tested. */
	assert_true(again > 0 || test_stride() > 1);
}

static void
test_the_last_sector_is_the_end(void **state)
{
	struct rng rng = {.state = 2};
	const uint64_t cluster = 1 << 16;
	struct q2_image *img;
	uint64_t end;

	(void)state;
	make(16, false);
	img = open_disk();
	for (unsigned i = 0; i < 3; i++) {
		write_compressed(&rng, img, i * cluster, cluster);
	}
	end = align_up(((struct image *)img)->compress.at, 512);
	assert_true(end % cluster);
	assert_int_equal(q2_close(img, NULL), 0);
	img = open_disk();
	assert_int_equal(file_bytes(img), end);
	assert_sound(img, CLUSTERS << 16);
	assert_int_equal(q2_close(img, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_sector_is_the_end),
		cmocka_unit_test(test_a_place_that_is_used_again),
		cmocka_unit_test(test_sessions_of_all_kinds),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
