/* SPDX-License-Identifier: MIT */
/*
 * Images that are written through qemu-nbd, where that is installed, and the
 * processes that it takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/targets/process.h"
#include "harness/targets/qemu.h"
#include "tests/harness/nbd_fake.h"
#include "workloads/content.h"

static char folder[] = "/var/tmp/q2-nbd.XXXXXX";
static char path[64];

static const struct target_image small = {
	.virtual_bytes = NBD_FAKE_BYTES,
	.prealloc = Q2_PREALLOC_METADATA,
	.cluster_size = 64 * KiB,
	.cache = Q2_CACHE_WRITEBACK,
};

static void
need_qemu(void **state)
{
	char version[TARGET_VERSION];
	struct q2_err err;

	(void)state;
	nbd_need();
	if (qemu_check(version, &err) < 0) {
		print_message("%s\n", err.text);
		skip();
	}
	assert_int_equal(strncmp(version, "QEMU ", 5), 0);
}

static struct q2_loop *
loop_of_threads(void)
{
	struct q2_loop_opts opts = {.size = sizeof(opts), .aio = "threads"};
	struct q2_loop *loop;

	assert_int_equal(q2_loop_new(&opts, &loop, NULL), 0);
	return loop;
}

static void
test_qemu_writes_what_our_engine_reads(void **state)
{
	struct q2_loop *loop;
	struct nbd_meeting m = {.loop = NULL};
	unsigned char expected[4096], got[4096];
	struct stream stream;
	struct stream_op op;
	struct q2_image *img;
	struct job_turn did;
	struct hist hist;

	need_qemu(state);
	loop = m.loop = loop_of_threads();
	assert_int_equal(
		target_create(&target_qemu, loop, path, &small, NULL, &m.err),
		0);
	if (target_open(&target_qemu, loop, path, &small, &m.disk, &m.err) < 0)
		fail_msg("%s", m.err.text);
	assert_int_equal(nbd_turn(&m, &nbd_writes, 16, &did, &hist), 0);
	assert_int_equal(did.ops, 64);
	assert_int_equal(m.disk.flush(&m.disk), 0);
	assert_int_equal(disk_close(&m.disk, &m.err), 0);
	assert_int_equal(q2_open(loop, path, NULL, &img, &m.err), 0);
	assert_int_equal(stream_init(&stream, &nbd_writes, NULL), 0);
	while (stream_next(&stream, &op)) {
		content_fill(expected, op.len, op.off, nbd_writes.seed);
		assert_int_equal(q2_pread(img, got, op.len, op.off), 0);
		assert_memory_equal(got, expected, op.len);
	}
	assert_int_equal(q2_close(img, &m.err), 0);
	q2_loop_free(loop);
}

/* The words of a process, in one line. */
static void
command_line(pid_t pid, char *text, size_t size)
{
	char name[64];
	size_t n;
	FILE *f;

	(void)snprintf(name, sizeof(name), "/proc/%d/cmdline", (int)pid);
	f = fopen(name, "r");
	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	(void)fclose(f);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)(text[i] ? text[i] : ' ');
	text[n] = '\0';
}

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in '%s'", part, text);
}

static void
test_every_option_reaches_qemu(void **state)
{
	const struct target_image image = {
		.virtual_bytes = NBD_FAKE_BYTES,
		.cluster_size = 32 * KiB,
		.extended_l2 = true,
		.refcount_bits = 8,
		.lazy_refcounts = true,
		.l2_cache_size = MiB,
		.l2_cache_entry_size = 8 * KiB,
		.refcount_cache_size = 256 * KiB,
		.cache_clean_interval = UINT_MAX,
		.cache = Q2_CACHE_UNSAFE,
		.unmap = true,
		.detect_zeroes = Q2_DETECT_UNMAP,
	};
	struct target_image old = {.virtual_bytes = NBD_FAKE_BYTES,
				   .cluster_size = 64 * KiB,
				   .compat = 2};
	char comma[sizeof(path) + 8], text[4096];
	struct q2_info info;
	struct q2_image *img;
	struct q2_loop *loop;
	struct q2_err err;
	struct disk disk;

	need_qemu(state);
	loop = loop_of_threads();
	(void)snprintf(comma, sizeof(comma), "%s,x", path);
	assert_int_equal(
		target_create(&target_qemu, loop, comma, &image, NULL, &err),
		0);
	assert_int_equal(q2_open(loop, comma, NULL, &img, &err), 0);
	assert_int_equal(q2_info(img, &info, &err), 0);
	assert_int_equal(q2_close(img, &err), 0);
	assert_int_equal(info.cluster_size, 32 * KiB);
	assert_int_equal(info.refcount_bits, 8);
	assert_true(info.extended_l2 && info.lazy_refcounts);
	if (target_open(&target_qemu, loop, comma, &image, &disk, &err) < 0)
		fail_msg("%s", err.text);
	command_line(disk.server->pid, text, sizeof(text));
	assert_int_equal(disk_close(&disk, &err), 0);
	assert_has(text, " --cache=unsafe ");
	assert_has(text, " --discard=unmap ");
	assert_has(text, " --detect-zeroes=unmap ");
	assert_has(text, ",l2-cache-size=1048576,l2-cache-entry-size=8192,"
			 "refcount-cache-size=262144,cache-clean-interval=0,");
	assert_has(text, "image,,x ");
	assert_int_equal(unlink(comma), 0);
	assert_int_equal(
		target_create(&target_qemu, loop, path, &old, NULL, &err), 0);
	assert_int_equal(q2_open(loop, path, NULL, &img, &err), 0);
	assert_int_equal(q2_info(img, &info, &err), 0);
	assert_int_equal(q2_close(img, &err), 0);
	assert_int_equal(info.compat, 2);
	q2_loop_free(loop);
}

static void
test_why_qemu_will_not_is_in_the_error(void **state)
{
	struct target_image other = small;
	struct q2_loop *loop;
	struct q2_err err;
	struct disk disk;

	need_qemu(state);
	loop = loop_of_threads();
	assert_int_equal(
		target_create(&target_qemu, loop, path, &small, NULL, &err), 0);
	other.virtual_bytes = MiB;
	assert_int_equal(
		target_open(&target_qemu, loop, path, &other, &disk, &err),
		-EINVAL);
	assert_non_null(strstr(err.text, "not the 1048576"));
	assert_int_equal(truncate(path, 4), 0);
	assert_true(target_open(&target_qemu, loop, path, &small, &disk, &err) <
		    0);
	assert_non_null(strstr(err.text, "qemu-nbd ended with status 1"));
	assert_non_null(strstr(err.text, path));
	other.cluster_size = 3;
	assert_true(target_create(&target_qemu, loop, path, &other, NULL,
				  &err) < 0);
	assert_non_null(strstr(err.text, "qemu-img ended with status 1"));
	q2_loop_free(loop);
}

/* A process that has a server and is killed; the server's pid comes out of
 * to. */
static void
hold_a_server(int to)
{
	struct q2_loop *loop = loop_of_threads();
	struct q2_err err;
	struct disk disk;

	if (target_create(&target_qemu, loop, path, &small, NULL, &err) < 0 ||
	    target_open(&target_qemu, loop, path, &small, &disk, &err) < 0)
		_exit(1);
	(void)!write(to, &disk.server->pid, sizeof(disk.server->pid));
	for (;;)
		(void)pause();
}

static void
test_the_server_dies_with_a_client_that_is_killed(void **state)
{
	struct pollfd gone = {.events = POLLIN};
	pid_t child, server = 0;
	int to[2];

	need_qemu(state);
	assert_int_equal(pipe(to), 0);
	child = fork();
	if (child == 0)
		hold_a_server(to[1]);
	(void)close(to[1]);
	assert_int_equal(read(to[0], &server, sizeof(server)), sizeof(server));
	(void)close(to[0]);
	gone.fd = (int)syscall(SYS_pidfd_open, server, 0);
	assert_true(gone.fd >= 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	/* Twenty seconds are a machine's worst day, not a measurement. */
	assert_int_equal(poll(&gone, 1, 20000), 1);
	(void)close(gone.fd);
}
static void
test_a_program_that_is_not_there_is_told(void **state)
{
	char name[] = "q2-no-such-program";
	char *const argv[] = {name, NULL};
	struct q2_err err;

	(void)state;
	assert_int_equal(process_run(argv, NULL, 0, &err), -ENOENT);
	assert_non_null(
		strstr(err.text, "q2-no-such-program is not installed"));
}

static void
test_a_program_that_fails_is_quoted(void **state)
{
	char name[] = "sh", dash[] = "-c",
	     script[] = "echo one; echo two >&2; exit 3",
	     killed[] = "kill -9 $$";
	char *argv[] = {name, dash, script, NULL};
	char text[32];
	struct q2_err err;

	(void)state;
	assert_int_equal(process_run(argv, text, sizeof(text), &err), -EPIPE);
	assert_string_equal(err.text, "sh ended with status 3: one two");
	assert_string_equal(text, "one two");
	argv[2] = killed;
	assert_int_equal(process_run(argv, NULL, 0, &err), -EPIPE);
	assert_non_null(strstr(err.text, "killed by signal 9"));
}

static int
make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/image", folder);
	return 0;
}

/* Sockets are gone too, or this fails. */
static int
remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qemu_writes_what_our_engine_reads),
		cmocka_unit_test(test_every_option_reaches_qemu),
		cmocka_unit_test(test_why_qemu_will_not_is_in_the_error),
		cmocka_unit_test(
			test_the_server_dies_with_a_client_that_is_killed),
		cmocka_unit_test(test_a_program_that_is_not_there_is_told),
		cmocka_unit_test(test_a_program_that_fails_is_quoted),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
