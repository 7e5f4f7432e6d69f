/* SPDX-License-Identifier: MIT */
/*
 * test_layout.c - q2_layout() of images with each preallocation, on the disk
 * of the build and on tmpfs, which has no FIEMAP
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
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/magic.h>

#include "engine/base/num.h"
#include "engine/q2.h"

#define SIZE (40 * MiB)

static char dir[256], path[300];
static struct q2_loop *loop;
static bool has_fiemap;

static void
make_dir(const char *parent)
{
	(void)snprintf(dir, sizeof(dir), "%s/layout-XXXXXX", parent);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/image", dir);
}

static int
setup(void **state)
{
	const char *build = getenv("B");
	struct statfs fs;

	(void)state;
	make_dir(build ? build : ".");
	assert_int_equal(statfs(dir, &fs), 0);
	has_fiemap = fs.f_type == EXT4_SUPER_MAGIC ||
		     fs.f_type == XFS_SUPER_MAGIC;
	return q2_loop_new(NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	q2_loop_free(loop);
	(void)unlink(path);
	return rmdir(dir);
}

static bool
make(const char *driver, unsigned mode, uint32_t cluster)
{
	struct q2_create_opts o = {.size = sizeof(o),
				   .driver = driver,
				   .virtual_size = SIZE,
				   .cluster_size = cluster,
				   .preallocation = mode};
	struct q2_create_result result;
	struct q2_err err = {0};

	if (q2_create(loop, path, &o, &result, &err) < 0)
		fail_msg("%s", err.text);
	return !result.emulated_falloc;
}

static struct q2_image *
open_image(const char *driver, unsigned flags)
{
	struct q2_open_opts o = {
		.size = sizeof(o), .driver = driver, .flags = flags};
	struct q2_err err = {0};
	struct q2_image *img;

	if (q2_open(loop, path, &o, &img, &err) < 0)
		fail_msg("%s", err.text);
	return img;
}

static struct q2_layout
layout(const char *driver)
{
	struct q2_image *img = open_image(driver, Q2_RDONLY);
	struct q2_err err = {0};
	struct q2_layout l;
	struct stat st;

	if (q2_layout(img, &l, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(q2_close(img, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(l.virtual_bytes, SIZE);
	assert_int_equal(l.file_bytes, st.st_size);
	assert_int_equal(l.alloc_bytes, (uint64_t)st.st_blocks * 512);
	if (l.has_fiemap && strcmp(driver, "qcow2") == 0)
		assert_int_equal(l.written_bytes + l.unwritten_bytes +
					 l.hole_bytes,
				 l.mapped_bytes);
	return l;
}

static void
test_each_mode_is_recognised(void **state)
{
	static const enum q2_layout_kind want[] = {
		[Q2_PREALLOC_OFF] = Q2_LAYOUT_OFF,
		[Q2_PREALLOC_METADATA] = Q2_LAYOUT_METADATA,
		[Q2_PREALLOC_FALLOC] = Q2_LAYOUT_FALLOC,
		[Q2_PREALLOC_FULL] = Q2_LAYOUT_FULL};
	static const uint32_t clusters[] = {4096, 65536, 2 << 20};

	(void)state;
	if (!has_fiemap)
		skip();
	for (size_t c = 0; c < ARRAY_SIZE(clusters); c++) {
		for (unsigned mode = 0; mode < 4; mode++) {
			bool native = make("qcow2", mode, clusters[c]);
			struct q2_layout l = layout("qcow2");

			assert_true(l.has_fiemap);
			assert_int_equal(l.kind,
					 native ? want[mode] : Q2_LAYOUT_FULL);
			assert_int_equal(l.mapped_bytes, mode ? SIZE : 0);
			/* what is not data is metadata, and nothing else */
			if (mode && clusters[c] == 65536)
				assert_int_equal(l.metadata_bytes + SIZE,
						 l.file_bytes);
			assert_true(l.extents > 0);
		}
	}
}

static void
test_raw_files(void **state)
{
	static const enum q2_layout_kind want[] = {
		[Q2_PREALLOC_OFF] = Q2_LAYOUT_OFF,
		[Q2_PREALLOC_FALLOC] = Q2_LAYOUT_FALLOC,
		[Q2_PREALLOC_FULL] = Q2_LAYOUT_FULL};

	(void)state;
	if (!has_fiemap)
		skip();
	for (unsigned mode = 0; mode < 4; mode++) {
		bool native;

		if (mode == Q2_PREALLOC_METADATA)
			continue;
		native = make("raw", mode, 0);
		assert_int_equal(layout("raw").kind,
				 native ? want[mode] : Q2_LAYOUT_FULL);
	}
}

/* An image that is being filled: also looked at while it is open, and with
 * changes that are not in the file yet. */
static void
test_partly_filled(void **state)
{
	static char buf[MiB];
	struct q2_image *img;
	struct q2_layout l;

	(void)state;
	(void)make("qcow2", Q2_PREALLOC_OFF, 65536);
	img = open_image("qcow2", 0);
	memset(buf, 1, sizeof(buf));
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(q2_pwrite(img, buf, sizeof(buf), i * MiB), 0);
		if (i == 9) {
			assert_int_equal(q2_layout(img, &l, NULL), 0);
			assert_int_equal(l.kind, Q2_LAYOUT_PARTLY);
			assert_int_equal(l.mapped_bytes, 10 * MiB);
		}
	}
	assert_int_equal(q2_close(img, NULL), 0);
	l = layout("qcow2");
	assert_int_equal(l.kind, has_fiemap ? Q2_LAYOUT_FULL
					    : Q2_LAYOUT_METADATA_OR_BETTER);

	(void)make("qcow2", Q2_PREALLOC_METADATA, 65536);
	img = open_image("qcow2", 0);
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 7 * MiB), 0);
	assert_int_equal(q2_close(img, NULL), 0);
	l = layout("qcow2");
	if (has_fiemap) {
		assert_int_equal(l.kind, Q2_LAYOUT_METADATA);
		assert_int_equal(l.written_bytes, MiB);
	}
}

/* The name is what holds for all of the disk. */
static void
test_preallocated_and_written(void **state)
{
	static char buf[MiB];
	struct q2_resize_opts grow = {.size = sizeof(grow),
				      .preallocation = Q2_PREALLOC_METADATA};
	struct q2_snapshot_opts snapshot = {.size = sizeof(snapshot),
					    .name = "s"};
	struct q2_image *img;
	struct q2_layout l;

	(void)state;
	if (!has_fiemap || !make("qcow2", Q2_PREALLOC_FALLOC, 65536))
		skip();
	img = open_image("qcow2", 0);
	memset(buf, 1, sizeof(buf));
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(q2_pwrite(img, buf, sizeof(buf), i * MiB), 0);
	assert_int_equal(q2_flush(img), 0);
	assert_int_equal(q2_layout(img, &l, NULL), 0);
	assert_int_equal(l.kind, Q2_LAYOUT_FALLOC);
	assert_int_equal(q2_resize(img, 2 * SIZE, &grow, NULL), 0);
	assert_int_equal(q2_layout(img, &l, NULL), 0);
	assert_int_equal(l.kind, Q2_LAYOUT_METADATA);
	assert_int_equal(l.shared_bytes, 0);
	assert_int_equal(q2_snapshot_create(img, &snapshot, NULL), 0);
	assert_int_equal(q2_layout(img, &l, NULL), 0);
	assert_int_equal(l.kind, Q2_LAYOUT_SHARED);
	assert_int_equal(l.shared_bytes, l.mapped_bytes);
	assert_int_equal(q2_pwrite(img, buf, sizeof(buf), 0), 0);
	assert_int_equal(q2_layout(img, &l, NULL), 0);
	assert_int_equal(l.shared_bytes, l.mapped_bytes - MiB);
	assert_int_equal(q2_close(img, NULL), 0);
}

static void
test_without_fiemap(void **state)
{
	struct statfs fs;

	(void)state;
	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC ||
	    access("/dev/shm", W_OK) < 0) {
		print_message("no tmpfs at /dev/shm\n");
		skip();
	}
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
	make_dir("/dev/shm");
	for (unsigned mode = 0; mode < 4; mode++) {
		struct q2_layout l;

		(void)make("qcow2", mode, 65536);
		l = layout("qcow2");
		assert_false(l.has_fiemap);
		assert_int_equal(l.extents, 0);
		assert_int_equal(l.kind, mode ? Q2_LAYOUT_METADATA_OR_BETTER
					      : Q2_LAYOUT_OFF);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_mode_is_recognised),
		cmocka_unit_test(test_raw_files),
		cmocka_unit_test(test_partly_filled),
		cmocka_unit_test(test_preallocated_and_written),
		cmocka_unit_test(test_without_fiemap),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
