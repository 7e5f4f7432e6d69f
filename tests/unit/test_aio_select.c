/* SPDX-License-Identifier: MIT */
/* Which backend a loop gets, and what is said when it is not the best one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/aio/backend.h"
#include "engine/base/err.h"
#include "engine/base/num.h"
#include "tests/deny.h"

/* What a child process says of itself. */
struct report {
	int result;
	bool works;
	char aio[32];
	char notice[256];
	char text[1024];
};

struct world {
	const char *aio;    /* asked for, or NULL */
	int uring_error;    /* io_uring_setup() fails so, or 0 */
	int register_error; /* io_uring_register() */
	int libaio_error;   /* io_setup() */
	int locked_kib;     /* no privileges; memory to lock, -1: none */
	const char *dir;    /* of the file that is written */
};

static int Q2_CO
write_and_read(void *arg)
{
	struct aio_file *f = arg;
	char *buf = loop_buf_alloc(f->loop, 128 * KiB);
	int r;

	if (!buf)
		return -ENOMEM;
	memset(buf, 'x', 128 * KiB);
	r = file_write(f, AIO_DATA, buf, 128 * KiB, 4096);
	if (r == 0)
		r = file_sync(f);
	memset(buf, 0, 128 * KiB);
	if (r == 0)
		r = file_read(f, AIO_DATA, buf, 128 * KiB, 4096);
	if (r == 0 && (buf[0] != 'x' || buf[128 * KiB - 1] != 'x'))
		r = -EILSEQ;
	loop_buf_free(f->loop, buf);
	return r;
}

static void
use(struct loop *loop, const char *dir, struct report *report)
{
	struct points points = {0};
	struct aio_file *f;
	struct q2_err err = {0};
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/q2-select-%ld", dir,
		       (long)getpid());
	if (aio_open(loop, path, AIO_CREATE, &points, &f, &err) < 0) {
		memcpy(report->text, err.text, sizeof(report->text));
		return;
	}
	report->works = loop_call(loop, write_and_read, f) == 0;
	(void)snprintf(report->aio, sizeof(report->aio), "%s", loop_aio(loop));
	aio_close(f);
	(void)unlink(path);
}

static void
become_poor(int kib)
{
	rlim_t bytes = kib < 0 ? 0 : (rlim_t)kib * KiB;
	const struct rlimit limit = {bytes, bytes};

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
	    (getuid() == 0 && setuid(65534) < 0))
		_exit(1);
}

static void
child(const struct world *w, int fd)
{
	const struct loop_opts opts = {.aio = w->aio};
	struct report report = {0};
	struct deny d = {0};
	struct q2_err err = {0};
	struct loop *loop;

	if (w->uring_error &&
	    deny_add(&d, "io_uring_setup", w->uring_error) < 0)
		_exit(1);
	if (w->register_error &&
	    deny_add(&d, "io_uring_register", w->register_error) < 0)
		_exit(1);
	if (w->libaio_error && deny_add(&d, "io_setup", w->libaio_error) < 0)
		_exit(1);
	if (w->locked_kib)
		become_poor(w->locked_kib);
	if (d.n > 0 && deny_now(&d) < 0)
		_exit(1);
	report.result = loop_new(&opts, &loop, &err);
	memcpy(report.text, err.text, sizeof(report.text));
	if (report.result == 0) {
		memcpy(report.notice, loop->notice, sizeof(report.notice));
		use(loop, w->dir ? w->dir : "/var/tmp", &report);
		loop_free(loop);
	}
	_exit(write(fd, &report, sizeof(report)) != sizeof(report));
}

static struct report
ask(const struct world *w)
{
	struct report report;
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(w, fds[1]);
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], &report, sizeof(report)), sizeof(report));
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return report;
}

static void
assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in '%s'", part, text);
}

/* Some machines have none. */
static void
need_uring(void)
{
	struct report r = ask(&(struct world){.aio = "io_uring"});
	const char *ci = getenv("CI");

	if (r.result == 0)
		return;
	printf("%s\n", r.text);
	if (ci && strcmp(ci, "true") == 0)
		fail_msg("must not be skipped with CI=true");
	skip();
}

static void
test_the_best_is_the_default(void **state)
{
	struct report r;

	(void)state;
	need_uring();
	r = ask(&(struct world){0});
	assert_int_equal(r.result, 0);
	assert_string_equal(r.aio, "io_uring");
	assert_string_equal(r.notice, "");
	assert_true(r.works);
}

static void
test_a_name_gets_that_backend(void **state)
{
	static const char *const names[] = {"io_uring", "libaio", "threads",
					    "memory"};

	(void)state;
	need_uring();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct report r = ask(&(struct world){.aio = names[i]});

		assert_int_equal(r.result, 0);
		assert_string_equal(r.aio, names[i]);
		assert_string_equal(r.notice, "");
		assert_true(r.works);
	}
}

static void
test_what_is_forbidden_is_replaced_with_one_notice(void **state)
{
	struct report r = ask(&(struct world){.uring_error = EPERM});

	(void)state;
	assert_int_equal(r.result, 0);
	assert_string_equal(r.aio, "libaio");
	assert_true(r.works);
	assert_contains(r.notice, "using libaio: io_uring is forbidden");
	assert_null(strchr(r.notice, '\n'));

	r = ask(&(struct world){.uring_error = ENOSYS});
	assert_string_equal(r.aio, "libaio");
	assert_true(r.works);
	assert_contains(r.notice, "this kernel has no io_uring");

	r = ask(&(struct world){.uring_error = EPERM, .libaio_error = ENOSYS});
	assert_string_equal(r.aio, "threads");
	assert_true(r.works);
	assert_contains(r.notice, "using threads: io_uring is forbidden");
}

static void
test_what_was_asked_for_is_not_replaced(void **state)
{
	struct report r;

	(void)state;
	r = ask(&(struct world){.aio = "io_uring", .uring_error = EPERM});
	assert_int_equal(r.result, -ENOTSUP);
	assert_contains(r.text, "aio 'io_uring' cannot be had: io_uring is "
				"forbidden");
	assert_contains(r.text, "; use 'threads'");

	r = ask(&(struct world){.aio = "libaio", .libaio_error = EPERM});
	assert_int_equal(r.result, -ENOTSUP);
	assert_contains(r.text, "aio 'libaio' cannot be had: ");

	r = ask(&(struct world){.aio = "iouring"});
	assert_int_equal(r.result, -EINVAL);
	assert_contains(r.text, "unknown aio 'iouring'");
	assert_contains(r.text, "io_uring, libaio, threads");
}

/* The memory that is written is twice as large. */
static void
test_memory_that_cannot_be_locked_is_used_as_it_is(void **state)
{
	struct report r;

	(void)state;
	need_uring();
	r = ask(&(struct world){.locked_kib = 64});
	assert_int_equal(r.result, 0);
	assert_string_equal(r.aio, "io_uring");
	assert_string_equal(r.notice, "");
	assert_string_equal(r.text, "");
	assert_true(r.works);
}

static void
test_nothing_needs_to_be_registered(void **state)
{
	struct report r;

	(void)state;
	need_uring();
	r = ask(&(struct world){.register_error = EPERM});
	assert_int_equal(r.result, 0);
	assert_string_equal(r.aio, "io_uring");
	assert_string_equal(r.notice, "");
	assert_true(r.works);
}

/* Newer kernels count the ring itself. */
static void
test_without_any_locked_memory(void **state)
{
	struct report r;

	(void)state;
	need_uring();
	r = ask(&(struct world){.locked_kib = -1});
	assert_int_equal(r.result, 0);
	assert_true(r.works);
	if (strcmp(r.aio, "libaio") == 0)
		assert_contains(r.notice, "ulimit -l");
	else
		assert_string_equal(r.aio, "io_uring");
}

/* tmpfs would have each request punted to a thread. */
static void
test_files_in_memory_are_served_at_once(void **state)
{
	struct report r;

	(void)state;
	need_uring();
	r = ask(&(struct world){.dir = "/dev/shm"});
	assert_true(r.works);
	assert_true(strcmp(r.aio, "io_uring-inline") == 0 ||
		    strcmp(r.aio, "io_uring") == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_best_is_the_default),
		cmocka_unit_test(test_a_name_gets_that_backend),
		cmocka_unit_test(
			test_what_is_forbidden_is_replaced_with_one_notice),
		cmocka_unit_test(test_what_was_asked_for_is_not_replaced),
		cmocka_unit_test(
			test_memory_that_cannot_be_locked_is_used_as_it_is),
		cmocka_unit_test(test_nothing_needs_to_be_registered),
		cmocka_unit_test(test_without_any_locked_memory),
		cmocka_unit_test(test_files_in_memory_are_served_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
