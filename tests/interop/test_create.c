/* SPDX-License-Identifier: MIT */
/*
 * test_create.c - images that we make, judged by qemu-img and by the file
 * system
 *
 * Needs qemu-img, and works below $B, on the disk that the build is on.
 */
#include <errno.h>
#include <fcntl.h>
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

#include "engine/aio/aio.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/format/plan.h"
#include "engine/q2.h"
#include "tests/env.h"
#include "tests/interop/spawn.h"

/* In a folder that the test works in. */
static const char image[] = "image.qcow2", raw[] = "zeros.raw";
static char home[4096], dir[256];
static struct q2_loop *loop;
static bool has_qemu_img;

static int
setup(void **state)
{
	const char *build = getenv("B");

	(void)state;
	test_keep_memory();
	(void)snprintf(dir, sizeof(dir), "%s/create-XXXXXX",
		       build ? build : ".");
	assert_non_null(getcwd(home, sizeof(home)));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	has_qemu_img = spawn_line(0, "qemu-img --version") == 0;
	return q2_loop_new(NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	q2_loop_free(loop);
	(void)unlink(image);
	(void)unlink(raw);
	(void)unlink("out.0");
	assert_int_equal(chdir(home), 0);
	return rmdir(dir);
}

/* ---- what was judged --------------------------------------------------- */

/* Files that were found to be good: most are byte for byte the same in every
 * mode that allocates, and with every cache. */
static uint64_t good[512];
static size_t n_good;

/* Of the length, and of all words that are not zero, with their offsets. */
static uint64_t
digest_of(const char *path)
{
	static uint64_t buf[128 * KiB];
	uint64_t sum = UINT64_C(0xcbf29ce484222325), at = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	do {
		n = read(fd, buf, sizeof(buf));
		assert_true(n >= 0);
		memset((char *)buf + n, 0, (size_t)(-n & 7));
		for (size_t i = 0; i < ((size_t)n + 7) / 8; i++) {
			if (buf[i] == 0)
				continue;
			sum = (sum ^ (at + i * 8)) * UINT64_C(0x100000001b3);
			sum = (sum ^ (sum >> 29) ^ buf[i]) *
			      UINT64_C(0x9e3779b97f4a7c15);
		}
		at += (uint64_t)n;
	} while (n > 0);
	assert_int_equal(close(fd), 0);
	return (sum ^ at) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool
is_good(uint64_t digest)
{
	for (size_t i = 0; i < n_good; i++)
		if (good[i] == digest)
			return true;
	return false;
}

static void
must(const char *command)
{
	int status = spawn_line(0, "%s", command);

	if (status != 0)
		fail_msg("%s: status %d: %s", command, status, spawn_output(0));
}

/* QEMU finds it clean, and that it reads as raw does if that is asked for;
 * unless it did so of the same bytes. */
static void
judge(uint64_t size, bool compare)
{
	uint64_t digest = size > GiB ? 0 : digest_of(image) ^ compare;

	if (size <= GiB && is_good(digest))
		return;
	must("qemu-img check -q -f qcow2 image.qcow2");
	if (compare)
		must("qemu-img compare -q -f qcow2 -F raw image.qcow2 "
		     "zeros.raw");
	if (size <= GiB && n_good < ARRAY_SIZE(good))
		good[n_good++] = digest;
}

static void
make_zeros(uint64_t size)
{
	int fd = open(raw, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(close(fd), 0);
}

static uint64_t
length_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

static void
make(const struct q2_create_opts *o, struct q2_create_result *ret)
{
	struct q2_err err = {0};

	if (q2_create(loop, image, o, ret, &err) < 0)
		fail_msg("create: %s", err.text);
	assert_int_equal(length_of(image), ret->file_bytes);
}

/* Clean, reads as zeros, made with two syncs, as long as planned. */
static void
check_image(unsigned bits, unsigned mode, uint64_t size)
{
	struct q2_create_opts o = {.size = sizeof(o),
				   .virtual_size = size,
				   .cluster_size = 1U << bits,
				   .preallocation = mode};
	struct q2_create_result result;
	struct plan plan;

	make(&o, &result);
	assert_int_equal(plan_make(&o, &plan, NULL), 0);
	assert_int_equal(result.file_bytes, plan.file_bytes);
	assert_in_range(result.fdatasyncs, 1, 2);
	/* It reads what is allocated, which takes long where that is much. */
	judge(size, mode < Q2_PREALLOC_FALLOC || size <= GiB);
}

static void
test_every_cluster_size_and_mode(void **state)
{
	(void)state;
	if (!has_qemu_img)
		skip();
	make_zeros(64 * MiB);
	for (unsigned bits = 9; bits <= 21; bits++)
		for (unsigned mode = 0; mode < 4; mode++)
			check_image(bits, mode, 64 * MiB);
}

static void
test_larger_disks(void **state)
{
	(void)state;
	if (!has_qemu_img)
		skip();
	make_zeros(4 * GiB);
	for (unsigned bits = 9; bits <= 21; bits++) {
		check_image(bits, Q2_PREALLOC_OFF, 4 * GiB);
		if (bits >= 12)
			check_image(bits, Q2_PREALLOC_METADATA, 4 * GiB);
	}
	check_image(12, Q2_PREALLOC_FALLOC, 4 * GiB);
	check_image(16, Q2_PREALLOC_FALLOC, 4 * GiB);
	check_image(21, Q2_PREALLOC_FALLOC, 4 * GiB);
}

/* Sizes where something ends early, or that hold nothing. */
static void
test_odd_sizes(void **state)
{
	static const uint64_t sizes[] = {0, 1, 513, 65537, 3 * MiB + 512};

	(void)state;
	if (!has_qemu_img)
		skip();
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		make_zeros(align_up(sizes[s], 512));
		for (unsigned mode = 0; mode < 4; mode++) {
			check_image(9, mode, sizes[s]);
			check_image(16, mode, sizes[s]);
		}
	}
}

static void
test_caches_and_backends(void **state)
{
	static const char *const aios[] = {"threads", "libaio", "io_uring"};

	(void)state;
	for (size_t a = 0; a < ARRAY_SIZE(aios); a++) {
		struct q2_loop_opts lo = {.size = sizeof(lo), .aio = aios[a]};
		struct q2_loop *other;

		if (q2_loop_new(&lo, &other, NULL) < 0) {
			print_message("%s cannot be had here\n", aios[a]);
			continue;
		}
		for (unsigned i = 0; i < 20; i++) {
			struct q2_create_opts o = {
				.size = sizeof(o),
				.virtual_size = 9 * MiB,
				.cluster_size = i < 8 ? 512 : 65536,
				.preallocation = i % 4,
				.cache = Q2_CACHE_NONE + i / 4,
			};
			struct q2_create_result result;
			struct q2_err err = {0};
			int r = q2_create(other, image, &o, &result, &err);

			/* no O_DIRECT on this file system */
			if (r == -EINVAL && o.cache != Q2_CACHE_WRITEBACK)
				continue;
			if (r < 0)
				fail_msg("%s: %s", aios[a], err.text);
			assert_int_equal(length_of(image), result.file_bytes);
			assert_int_equal(result.fdatasyncs <= 2, true);
			if (has_qemu_img)
				judge(o.virtual_size, false);
		}
		q2_loop_free(other);
	}
}

/* ---- what the file system says of the data ----------------------------- */

/* Bytes of the data area in each state; false without FIEMAP. */
static bool
data_states(const struct plan *p, uint64_t *ret_bytes)
{
	struct loop *inner = (struct loop *)loop;
	uint64_t start = align_up(p->data.host, 4096);
	uint64_t end = align_down(
		p->data.host + p->data.clusters * p->geom.cluster_size, 4096);
	struct points points = {0};
	struct aio_extent *ext;
	struct aio_file *file;
	size_t n = 0;
	int r;

	assert_int_equal(
		aio_open(inner, image, AIO_RDONLY, &points, &file, NULL), 0);
	r = aio_extents(file, &ext, &n);
	aio_close(file);
	if (r < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t from = max_u64(ext[i].off, start);
		uint64_t to = min_u64(ext[i].off + ext[i].len, end);

		if (from < to)
			ret_bytes[ext[i].state] += to - from;
	}
	free(ext);
	assert_int_equal(ret_bytes[0] + ret_bytes[1] + ret_bytes[2],
			 end - start);
	return true;
}

static void
test_the_data_is_what_the_mode_says(void **state)
{
	static const unsigned sizes[] = {512, 4096, 65536, 2 << 20};

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (unsigned mode = 1; mode < 4; mode++) {
			static const enum aio_extent_state want[] = {
				[Q2_PREALLOC_METADATA] = AIO_EXT_HOLE,
				[Q2_PREALLOC_FALLOC] = AIO_EXT_UNWRITTEN,
				[Q2_PREALLOC_FULL] = AIO_EXT_WRITTEN,
			};
			struct q2_create_opts o = {.size = sizeof(o),
						   .virtual_size = 40 * MiB,
						   .cluster_size = sizes[s],
						   .preallocation = mode};
			uint64_t bytes[3] = {0};
			struct q2_create_result result;
			struct plan plan;

			make(&o, &result);
			if (result.emulated_falloc)
				continue;
			assert_int_equal(plan_make(&o, &plan, NULL), 0);
			if (!data_states(&plan, bytes)) {
				print_message("no FIEMAP here\n");
				skip();
			}
			bytes[want[mode]] = 0;
			assert_int_equal(bytes[0] + bytes[1] + bytes[2], 0);
		}
	}
}

static void
test_raw(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 4; mode++) {
		struct q2_create_opts o = {.size = sizeof(o),
					   .driver = "raw",
					   .virtual_size = 5 * MiB + 1,
					   .preallocation = mode};
		struct q2_create_result result;
		struct q2_err err;
		struct stat st;

		if (mode == Q2_PREALLOC_METADATA) {
			assert_int_equal(
				q2_create(loop, image, &o, &result, &err),
				-EINVAL);
			assert_string_equal(
				err.text,
				"Unsupported preallocation mode: metadata");
			continue;
		}
		make(&o, &result);
		assert_int_equal(result.file_bytes, 5 * MiB + 512);
		assert_int_equal(stat(image, &st), 0);
		assert_int_equal(st.st_blocks * 512 >= st.st_size, mode > 0);
	}
}

/* ---- what must not happen ---------------------------------------------- */

static void
write_text(const char *text)
{
	FILE *f = fopen(image, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
expect_text(const char *text)
{
	char buf[64] = "";
	FILE *f = fopen(image, "r");

	assert_non_null(f);
	assert_non_null(fgets(buf, sizeof(buf), f));
	assert_int_equal(fclose(f), 0);
	assert_string_equal(buf, text);
}

static void
test_no_space_is_found_before_anything_is_written(void **state)
{
	static const struct q2_create_opts opts[] = {
		{.driver = "raw",
		 .virtual_size = 1024 * TiB,
		 .preallocation = Q2_PREALLOC_FALLOC},
		{.driver = "raw",
		 .virtual_size = 1024 * TiB,
		 .preallocation = Q2_PREALLOC_FULL},
		{.virtual_size = 1024 * TiB,
		 .preallocation = Q2_PREALLOC_FALLOC},
		{.virtual_size = 1024 * TiB, .preallocation = Q2_PREALLOC_FULL},
	};
	struct q2_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		struct q2_create_opts o = opts[i];

		o.size = sizeof(o);
		(void)unlink(image);
		assert_int_equal(q2_create(loop, image, &o, NULL, &err),
				 -ENOSPC);
		assert_non_null(strstr(err.text, " bytes, and "));
		assert_int_equal(access(image, F_OK), -1);
		write_text("precious");
		assert_int_equal(q2_create(loop, image, &o, NULL, &err),
				 -ENOSPC);
		expect_text("precious");
	}
}

static void
test_a_file_in_use_is_not_replaced(void **state)
{
	struct q2_create_opts o = {.size = sizeof(o), .virtual_size = MiB};
	struct points points = {0};
	struct aio_file *file;
	struct q2_err err;

	(void)state;
	write_text("precious");
	assert_int_equal(
		aio_open((struct loop *)loop, image, 0, &points, &file, NULL),
		0);
	assert_int_equal(aio_lock(file, AIO_LOCK_WRITE, NULL), 0);
	assert_int_equal(q2_create(loop, image, &o, NULL, &err), -EAGAIN);
	aio_close(file);
	expect_text("precious");
	assert_int_equal(q2_create(loop, image, &o, NULL, &err), 0);
}

static void
test_bad_options_change_nothing(void **state)
{
	static const struct q2_create_opts opts[] = {
		{.virtual_size = MiB, .driver = "vmdk"},
		{.virtual_size = MiB, .cluster_size = 3},
		{.virtual_size = UINT64_MAX},
		{.virtual_size = UINT64_MAX, .driver = "raw"},
		{.virtual_size = 1 * TiB, .cluster_size = 512},
	};
	struct q2_err err;

	(void)state;
	write_text("precious");
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		struct q2_create_opts o = opts[i];

		o.size = sizeof(o);
		assert_true(q2_create(loop, image, &o, NULL, &err) < 0);
		assert_true(err.text[0]);
		expect_text("precious");
	}
	assert_int_equal(q2_create(loop, "/nonexistent/x", NULL, NULL, &err),
			 -ENOENT);
	assert_int_equal(q2_create(loop, ".", NULL, NULL, &err), -EISDIR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cluster_size_and_mode),
		cmocka_unit_test(test_larger_disks),
		cmocka_unit_test(test_odd_sizes),
		cmocka_unit_test(test_caches_and_backends),
		cmocka_unit_test(test_the_data_is_what_the_mode_says),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(
			test_no_space_is_found_before_anything_is_written),
		cmocka_unit_test(test_a_file_in_use_is_not_replaced),
		cmocka_unit_test(test_bad_options_change_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
