/* SPDX-License-Identifier: MIT */
/*
 * test_resize.c - images that QEMU and we resize in turns
 *
 * Every width of refcounts, with small and large clusters and each
 * preallocation; after each step qemu-img finds the image whole, and equal to
 * a raw file that went through the same.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/q2.h"

static char dir[64], img[96], raw[96];
static struct q2_loop *loop;

static int __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "build/interop-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(img, sizeof(img), "%s/a.qcow2", dir);
	(void)snprintf(raw, sizeof(raw), "%s/a.raw", dir);
	return q2_loop_new(NULL, &loop, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	q2_loop_free(loop);
	return run("rm -rf %s", dir);
}

static bool
has_qemu(void)
{
	return run("qemu-img --version >/dev/null 2>&1 && "
		   "qemu-io --version >/dev/null 2>&1") == 0;
}

/* Returns the fdatasyncs that it took. */
static uint64_t
resize(const char *path, const char *driver, uint64_t size,
       enum q2_prealloc mode)
{
	struct q2_open_opts open = {.size = sizeof(open), .driver = driver};
	struct q2_resize_opts o = {
		.size = sizeof(o), .preallocation = mode, .shrink = true};
	struct q2_stats before, after;
	struct q2_image *image;
	struct q2_err err;

	if (q2_open(loop, path, &open, &image, &err) < 0)
		fail_msg("open: %s", err.text);
	q2_stats(image, &before);
	if (q2_resize(image, size, &o, &err) < 0)
		fail_msg("resize to %" PRIu64 ": %s", size, err.text);
	q2_stats(image, &after);
	assert_int_equal(q2_size(image), size);
	if (q2_close(image, &err) < 0)
		fail_msg("close: %s", err.text);
	return after.fdatasyncs - before.fdatasyncs;
}

static void
count_finding(void *arg, const char *text)
{
	print_message("%s\n", text);
	++*(unsigned *)arg;
}

/* Ours and QEMU's checker find nothing, not even a leak, and the content is
 * that of the raw file. */
static void
check(const char *what)
{
	struct q2_open_opts open = {.size = sizeof(open),
				    .driver = "qcow2",
				    .flags = Q2_RDONLY | Q2_CHECK};
	struct q2_check c;
	struct q2_image *image;
	unsigned findings = 0;

	if (run("qemu-img check -q %s >%s/log 2>&1 || { cat %s/log; false; }",
		img, dir, dir))
		fail_msg("%s: qemu-img check", what);
	if (run("qemu-img compare -q -f qcow2 -F raw %s %s", img, raw))
		fail_msg("%s: qemu-img compare", what);
	assert_int_equal(q2_open(loop, img, &open, &image, NULL), 0);
	assert_int_equal(q2_check(image, &c, count_finding, &findings, NULL),
			 0);
	assert_int_equal(q2_close(image, NULL), 0);
	if (findings || c.corruptions || c.leaks)
		fail_msg("%s: our check", what);
}

/* QEMU writes to both. */
static void
write_both(uint64_t size, unsigned pattern)
{
	const char *formats[] = {"qcow2", "raw"};
	const char *paths[] = {img, raw};

	for (int i = 0; i < 2; i++)
		assert_int_equal(
			run("qemu-io -t unsafe -f %s -c 'write -q -P %u 1000 70000' "
			    "-c 'write -q -P %u %" PRIu64 " 9000' "
			    "-c 'write -q -P %u %" PRIu64 " 3000' %s",
			    formats[i], pattern, pattern + 1, size / 2,
			    pattern + 2, size - 3000, paths[i]),
			0);
}

static void
take_turns(unsigned width, unsigned cluster, enum q2_prealloc mode)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "width %u, clusters of %u, mode %d",
		       width, cluster, mode);
	assert_int_equal(run("qemu-img create -q -f qcow2 -o cluster_size=%u,"
			     "refcount_bits=%u %s 3000832 && "
			     "qemu-img create -q -f raw %s 3000832",
			     cluster, width, img, raw),
			 0);
	write_both(3000832, 1);
	(void)resize(img, "qcow2", 9 * MiB + 512, mode);
	(void)resize(raw, "raw", 9 * MiB + 512,
		     mode == Q2_PREALLOC_METADATA ? Q2_PREALLOC_OFF : mode);
	check(what);
	write_both(9 * MiB + 512, 11);
	check(what);
	(void)resize(img, "qcow2", 2 * MiB + 1024, Q2_PREALLOC_OFF);
	(void)resize(raw, "raw", 2 * MiB + 1024, Q2_PREALLOC_OFF);
	check(what);
	assert_int_equal(run("qemu-img resize -q --preallocation=metadata "
			     "-f qcow2 %s 5M && qemu-img resize -q -f raw "
			     "%s 5M",
			     img, raw),
			 0);
	(void)resize(img, "qcow2", 12 * MiB, Q2_PREALLOC_METADATA);
	(void)resize(raw, "raw", 12 * MiB, Q2_PREALLOC_OFF);
	write_both(12 * MiB, 21);
	check(what);
}

static void
test_taking_turns_with_qemu(void **state)
{
	static const unsigned large[] = {4096, 65536};

	(void)state;
	if (!has_qemu())
		skip();
	for (unsigned order = 0; order < 7; order++) {
		take_turns(1U << order, 512, (enum q2_prealloc)(order % 4));
		take_turns(1U << order, large[order % 2],
			   (enum q2_prealloc)((order + 1) % 4));
	}
}

/* However much is added: data and tables, what names them, the size. */
static void
test_a_grow_takes_a_constant_number_of_syncs(void **state)
{
	uint64_t small, large;

	(void)state;
	if (!has_qemu())
		skip();
	assert_int_equal(run("qemu-img create -q -f qcow2 %s 1G", img), 0);
	small = resize(img, "qcow2", GiB + MiB, Q2_PREALLOC_METADATA);
	large = resize(img, "qcow2", 101 * GiB, Q2_PREALLOC_METADATA);
	print_message("%" PRIu64 " and %" PRIu64 " syncs\n", small, large);
	assert_true(small <= 5 && large <= 5);
	assert_int_equal(run("qemu-img check -q %s", img), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taking_turns_with_qemu),
		cmocka_unit_test(test_a_grow_takes_a_constant_number_of_syncs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
