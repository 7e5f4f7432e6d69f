/* SPDX-License-Identifier: MIT */
#include "tests/interop/resize_turns.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "tests/env.h"
#include "tests/interop/qio.h"
#include "tests/interop/spawn.h"

#define SIZE UINT64_C(3000832)

/* In a folder that the test works in. */
static const char img[] = "a.qcow2", raw[] = "a.raw", base[] = "base.raw";
static char home[4096], dir[64];
static struct q2_loop *loop;
static struct qio *qio;

/* The words of a command with one blank each between them; what it prints shows
 * when it fails. */
static int __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char cmd[1024], *text;
	va_list ap;
	int status;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	status = spawn_line(0, "%s", cmd);
	if (status == 0)
		return 0;
	text = spawn_output(0);
	print_message("%s", text);
	free(text);
	return status;
}

int
turns_setup(void **state)
{
	(void)state;
	test_keep_memory();
	(void)snprintf(dir, sizeof(dir), "build/interop-XXXXXX");
	if (!getcwd(home, sizeof(home)) || !mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	qio = qio_start();
	return q2_loop_new(NULL, &loop, NULL);
}

int
turns_teardown(void **state)
{
	static const char *const names[] = {img, raw, base, "data", "out.0"};

	(void)state;
	qio_end(qio);
	q2_loop_free(loop);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlink(names[i]);
	return chdir(home) < 0 ? -1 : rmdir(dir);
}

bool
turns_have_qemu(void)
{
	return qio && run("qemu-img --version") == 0;
}

/* What qemu-io was told went without a word. */
static void
qio_is_silent(const char *what)
{
	char *said = qio_result(qio);

	if (*said)
		fail_msg("%s: qemu-io: %s", what, said);
	free(said);
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
	uint64_t len;
	char *bytes = file_content(raw, &len);

	if (run("qemu-img check -q %s", img))
		fail_msg("%s: qemu-img check", what);
	qio_do(qio, "open -r -o driver=qcow2 %s", img);
	qio_verify(qio, (const uint8_t *)bytes, len);
	qio_do(qio, "close");
	qio_is_silent(what);
	free(bytes);
	assert_int_equal(q2_open(loop, img, &open, &image, NULL), 0);
	assert_int_equal(q2_size(image), len);
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

	for (int i = 0; i < 2; i++) {
		qio_do(qio, "open -t unsafe -o driver=%s %s", formats[i],
		       paths[i]);
		qio_do(qio, "write -q -P %u 1000 70000", pattern);
		qio_do(qio, "write -q -P %u %" PRIu64 " 9000", pattern + 1,
		       size / 2);
		qio_do(qio, "write -q -P %u %" PRIu64 " 3000", pattern + 2,
		       size - 3000);
		qio_do(qio, "close");
	}
	qio_is_silent("a write");
}

/* One byte everywhere. */
static void
make_raw(const char *path, uint8_t byte, uint64_t size)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(close(fd), 0);
	if (byte == 0)
		return;
	qio_do(qio, "open -t unsafe -o driver=raw %s", path);
	qio_do(qio, "write -q -P %u 0 %" PRIu64, byte, size);
	qio_do(qio, "close");
	qio_is_silent(path);
}

/* The image, over a longer backing file or none, and a raw file with the same
 * content. */
static void
make_both(const char *options, bool backing)
{
	bool data = options[strlen(options) - 1] == ',';

	(void)unlink("data");
	if (backing && access(base, F_OK) < 0)
		make_raw(base, 9, 7 * MiB);
	assert_int_equal(
		run("qemu-img create -q -f qcow2 -o %s%s%s %s %" PRIu64,
		    options, data ? "data_file=data" : "",
		    backing ? " -b base.raw -F raw" : "", img, SIZE),
		0);
	make_raw(raw, backing ? 9 : 0, SIZE);
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
	qio_do(qio, "open -t unsafe -o driver=raw %s", raw);
	qio_do(qio, "truncate 5M");
	qio_do(qio, "close");
	qio_is_silent("raw, 5 MiB");
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
