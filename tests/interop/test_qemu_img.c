/* SPDX-License-Identifier: MIT */
/*
 * Images that qemu-img makes, written by us, judged by qemu-img: random writes
 * and zero writes on every cluster size and preallocation, the same on a raw
 * file through our raw driver; `qemu-img check` finds nothing and `qemu-img
 * compare` no difference.  Skipped where there is no qemu-img.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/q2.h"
#include "tests/env.h"

#define DISK_BYTES (9 * MiB + 512)
#define LEN_MAX    100000

struct disk {
	char dir[64];
	char qcow2[96], raw[96];
	struct q2_loop *loop;
	uint8_t data[LEN_MAX], back[LEN_MAX];
};

static int
run(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

static int
make_disk(void **state)
{
	struct disk *d = calloc(1, sizeof(*d));
	struct q2_err err;

	(void)snprintf(d->dir, sizeof(d->dir), "build/interop-XXXXXX");
	if (!mkdtemp(d->dir))
		return -1;
	(void)snprintf(d->qcow2, sizeof(d->qcow2), "%s/a.qcow2", d->dir);
	(void)snprintf(d->raw, sizeof(d->raw), "%s/a.raw", d->dir);
	*state = d;
	return q2_loop_new(NULL, &d->loop, &err);
}

static int
drop_disk(void **state)
{
	struct disk *d = *state;

	q2_loop_free(d->loop);
	(void)run("rm -rf %s", d->dir);
	free(d);
	return 0;
}

/* The same requests on any image; what is written is read back at once. */
static void
write_randomly(struct disk *d, const char *path, enum q2_zero zero,
	       uint64_t seed)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts), .zero = zero, .flags = Q2_UNMAP};
	struct rng rng = {.state = seed};
	struct q2_image *img;
	struct q2_err err = {0};
	struct q2_stats stats;

	if (q2_open(d->loop, path, &opts, &img, &err) < 0)
		fail_msg("open %s: %s", path, err.text);
	for (int i = 0; i < 80; i++) {
		uint64_t off = rng_below(&rng, DISK_BYTES);
		uint64_t len = 1 + rng_below(&rng, LEN_MAX - 1);

		len = min_u64(len, DISK_BYTES - off);
		if (rng_below(&rng, 5) == 0) {
			len = min_u64(len * 20, DISK_BYTES - off);
			assert_int_equal(q2_pzero(img, len, off,
						  i % 2 ? Q2_MAY_UNMAP : 0),
					 0);
			len = min_u64(len, LEN_MAX);
			memset(d->data, 0, len);
		} else {
			for (uint64_t k = 0; k < len; k++)
				d->data[k] = (uint8_t)rng_next(&rng);
			assert_int_equal(q2_pwrite(img, d->data, len, off), 0);
		}
		assert_int_equal(q2_pread(img, d->back, len, off), 0);
		assert_memory_equal(d->data, d->back, len);
		if (i % 16 == 0)
			assert_int_equal(q2_flush(img), 0);
	}
	q2_stats(img, &stats);
	assert_true(stats.fast_requests > 0);
	if (q2_close(img, &err) < 0)
		fail_msg("close %s: %s", path, err.text);
}

static void
test_written_images_are_clean_and_equal_raw(void **state)
{
	static const char *const modes[] = {"off", "metadata", "falloc",
					    "full"};
	static const unsigned sizes[] = {512, 4096, 65536, 2097152};
	struct disk *d = *state;
	uint64_t seed = test_seed(20261124);

	if (run("command -v qemu-img >/dev/null") != 0) {
		print_message("qemu-img is not installed\n");
		skip();
	}
	for (size_t c = 0; c < ARRAY_SIZE(sizes); c++) {
		for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
			print_message("cluster %u, preallocation %s\n",
				      sizes[c], modes[m]);
			seed++;
			assert_int_equal(
				run("qemu-img create -q -f qcow2 -o "
				    "cluster_size=%u,preallocation=%s %s %u",
				    sizes[c], modes[m], d->qcow2, DISK_BYTES),
				0);
			assert_int_equal(
				run("truncate -s %u %s", DISK_BYTES, d->raw),
				0);
			write_randomly(d, d->qcow2,
				       (enum q2_zero)(Q2_ZERO_HOLE + seed % 3),
				       seed);
			write_randomly(d, d->raw, Q2_ZERO_DEFAULT, seed);
			assert_int_equal(run("qemu-img check -q %s", d->qcow2),
					 0);
			assert_int_equal(run("qemu-img compare -q %s %s",
					     d->qcow2, d->raw),
					 0);
			(void)unlink(d->raw);
		}
	}
}

static void
set_flag(struct q2_req *rq)
{
	*(bool *)rq->user = true;
}

static int
discard(struct q2_image *img, struct q2_req *rq, struct q2_loop *loop)
{
	bool ended = false;

	rq->done = set_flag;
	rq->user = &ended;
	q2_submit(img, rq);
	while (!ended)
		assert_true(q2_loop_run(loop, 1, -1) >= 0);
	return rq->result;
}

static void
test_the_refcount_table_grows(void **state)
{
	struct q2_open_opts opts = {.size = sizeof(opts)};
	struct disk *d = *state;
	struct q2_image *img;
	struct q2_err err = {0};
	struct q2_stats stats;
	unsigned size = 24 * MiB;

	if (run("command -v qemu-img >/dev/null") != 0) {
		print_message("qemu-img is not installed\n");
		skip();
	}
	/* One cluster of refcount table describes 8 MiB here. */
	assert_int_equal(run("qemu-img create -q -f qcow2 -o cluster_size=512 "
			     "%s %u && truncate -s %u %s",
			     d->qcow2, size, size, d->raw),
			 0);
	for (int k = 0; k < 2; k++) {
		if (q2_open(d->loop, k ? d->raw : d->qcow2, &opts, &img, &err) <
		    0)
			fail_msg("open: %s", err.text);
		for (uint64_t off = 0; off < size; off += LEN_MAX) {
			memset(d->data, (int)(1 + off / LEN_MAX % 255),
			       LEN_MAX);
			assert_int_equal(q2_pwrite(img, d->data,
						   min_u64(LEN_MAX, size - off),
						   off),
					 0);
		}
		q2_stats(img, &stats);
		if (k == 0)
			assert_true(stats.reftable_grow >= 2);
		if (q2_close(img, &err) < 0)
			fail_msg("close: %s", err.text);
	}
	assert_int_equal(run("qemu-img check -q %s", d->qcow2), 0);
	assert_int_equal(run("qemu-img compare -q %s %s", d->qcow2, d->raw), 0);
	(void)unlink(d->raw);
}

static void
test_discarded_clusters_are_used_again(void **state)
{
	struct q2_open_opts opts = {.size = sizeof(opts), .flags = Q2_UNMAP};
	struct q2_req rq = {.op = Q2_DISCARD, .len = 4 * MiB};
	struct disk *d = *state;
	struct q2_image *img;
	struct q2_err err = {0};
	struct stat st;

	if (run("command -v qemu-img >/dev/null") != 0) {
		print_message("qemu-img is not installed\n");
		skip();
	}
	assert_int_equal(run("qemu-img create -q -f qcow2 %s 64M", d->qcow2),
			 0);
	for (int k = 0; k < 6; k++) {
		if (q2_open(d->loop, d->qcow2, &opts, &img, &err) < 0)
			fail_msg("open: %s", err.text);
		for (uint64_t off = 0; off < 4 * MiB; off += 64 * KiB)
			assert_int_equal(q2_pwrite(img, d->data, 64 * KiB, off),
					 0);
		assert_int_equal(discard(img, &rq, d->loop), 0);
		if (q2_close(img, &err) < 0)
			fail_msg("close: %s", err.text);
	}
	assert_int_equal(run("qemu-img check -q %s", d->qcow2), 0);
	assert_int_equal(stat(d->qcow2, &st), 0);
	assert_true(st.st_size < (off_t)(6 * MiB));
	assert_true(st.st_blocks * 512 < (off_t)(2 * MiB));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_written_images_are_clean_and_equal_raw, make_disk,
			drop_disk),
		cmocka_unit_test_setup_teardown(test_the_refcount_table_grows,
						make_disk, drop_disk),
		cmocka_unit_test_setup_teardown(
			test_discarded_clusters_are_used_again, make_disk,
			drop_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
