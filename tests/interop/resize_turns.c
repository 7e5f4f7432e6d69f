/* SPDX-License-Identifier: MIT */
#include "tests/interop/resize_turns.h"

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

#define SIZE UINT64_C(3000832)

static char dir[64], img[96], raw[96], base[96];
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

int
turns_setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "build/interop-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(img, sizeof(img), "%s/a.qcow2", dir);
	(void)snprintf(raw, sizeof(raw), "%s/a.raw", dir);
	(void)snprintf(base, sizeof(base), "%s/base.raw", dir);
	return q2_loop_new(NULL, &loop, NULL);
}

int
turns_teardown(void **state)
{
	(void)state;
	q2_loop_free(loop);
	return run("rm -rf %s", dir);
}

bool
turns_have_qemu(void)
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

/* The image, over a longer backing file or none, and a raw file with the same
 * content. */
static void
make_both(const char *options, bool backing)
{
	bool data = options[strlen(options) - 1] == ',';
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/data", dir);
	if (backing)
		assert_int_equal(
			run("qemu-img create -q -f raw %s 7M && "
			    "qemu-io -t unsafe -f raw -c 'write -q -P 9 0 7M' "
			    "%s && qemu-img create -q -f qcow2 -o %s "
			    "-b base.raw -F raw %s %" PRIu64,
			    base, base, options, img, SIZE),
			0);
	else
		assert_int_equal(run("rm -f %s/data; qemu-img create -q "
				     "-f qcow2 -o %s%s%s %s %" PRIu64,
				     dir, options, data ? "data_file=" : "",
				     data ? path : "", img, SIZE),
				 0);
	assert_int_equal(
		run("qemu-img convert -f qcow2 -O raw %s %s", img, raw), 0);
}

/* It cannot do it in version 2 over a longer backing file. */
static void
resize_by_qemu(bool cannot)
{
	if (cannot)
		(void)resize(img, "qcow2", 5 * MiB, Q2_PREALLOC_OFF);
	else
		assert_int_equal(run("qemu-img resize -q -f qcow2 "
				     "--preallocation=metadata %s 5M",
				     img),
				 0);
	assert_int_equal(run("qemu-img resize -q -f raw %s 5M", raw), 0);
}

void
turns_take(const char *options, bool backing, enum q2_prealloc mode)
{
	char what[160];

	(void)snprintf(what, sizeof(what), "%s, backing %d, mode %d", options,
		       backing, mode);
	make_both(options, backing);
	write_both(SIZE, 1);
	(void)resize(img, "qcow2", 9 * MiB + 512, mode);
	(void)resize(raw, "raw", 9 * MiB + 512,
		     mode == Q2_PREALLOC_METADATA ? Q2_PREALLOC_OFF : mode);
	check(what);
	write_both(9 * MiB + 512, 11);
	check(what);
	(void)resize(img, "qcow2", 2 * MiB + 1024, Q2_PREALLOC_OFF);
	(void)resize(raw, "raw", 2 * MiB + 1024, Q2_PREALLOC_OFF);
	check(what);
	resize_by_qemu(backing && strstr(options, "compat=0.10"));
	(void)resize(img, "qcow2", 12 * MiB, Q2_PREALLOC_METADATA);
	(void)resize(raw, "raw", 12 * MiB, Q2_PREALLOC_OFF);
	write_both(12 * MiB, 21);
	check(what);
}

uint64_t
turns_syncs(uint64_t from, uint64_t to)
{
	assert_int_equal(
		run("qemu-img create -q -f qcow2 %s %" PRIu64, img, from), 0);
	return resize(img, "qcow2", to, Q2_PREALLOC_METADATA);
}
