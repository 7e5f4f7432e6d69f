/* SPDX-License-Identifier: MIT */
/*
 * Lock bytes against QEMU's own tools: who holds an image keeps the other out,
 * and lets it in again as soon as it is closed.  Skipped without qemu-utils.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/aio/backend.h"
#include "engine/base/err.h"
#include "engine/base/num.h"

struct place {
	char path[64];
	char said[2048]; /* by the last command */
	struct loop *loop;
	struct points points;
	struct aio_file *file;
};

/* format has one %s, for the path.  The exit status. */
static int
run(struct place *p, const char *format)
{
	char cmd[256];
	size_t n;
	FILE *f;
	int r;

	(void)snprintf(cmd, sizeof(cmd), format, p->path);
	(void)strncat(cmd, " 2>&1 </dev/null", sizeof(cmd) - strlen(cmd) - 1);
	f = popen(cmd, "r");
	assert_non_null(f);
	n = fread(p->said, 1, sizeof(p->said) - 1, f);
	p->said[n] = '\0';
	r = pclose(f);
	assert_true(WIFEXITED(r));
	return WEXITSTATUS(r);
}

static void
assert_refused(struct place *p, const char *format)
{
	int r = run(p, format);

	/* qemu-io exits with 0 or 1, by version; what it says counts. */
	if (!strstr(p->said, " lock"))
		fail_msg("not refused (%d): %s: %s", r, format, p->said);
	assert_non_null(strstr(p->said, "Is another process using the image"));
}

static void
assert_allowed(struct place *p, const char *format)
{
	int r = run(p, format);

	if (r != 0 || strstr(p->said, " lock"))
		fail_msg("%s: %d, %s", format, r, p->said);
}

static int
setup(void **state)
{
	static struct place p;

	memset(&p, 0, sizeof(p));
	(void)snprintf(p.path, sizeof(p.path), "/var/tmp/q2-lock-%ld",
		       (long)getpid());
	*state = &p;
	return loop_new(NULL, &p.loop, NULL);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	loop_free(p->loop);
	(void)unlink(p->path);
	return 0;
}

static void
need_qemu(struct place *p)
{
	const char *ci = getenv("CI");

	if (run(p, "qemu-io --version >%s && qemu-img --version") == 0) {
		assert_allowed(p, "qemu-img create -q -f qcow2 %s 1M");
		return;
	}
	printf("qemu-utils are not installed\n");
	if (ci && strcmp(ci, "true") == 0)
		fail_msg("must not be skipped with CI=true");
	skip();
}

static void
open_file(struct place *p, unsigned flags)
{
	assert_int_equal(
		aio_open(p->loop, p->path, flags, &p->points, &p->file, NULL),
		0);
}

/* The refusal's text goes to said. */
static int
lock(struct place *p, enum aio_lock_mode mode)
{
	struct q2_err err = {0};
	int r = aio_lock(p->file, mode, &err);

	(void)snprintf(p->said, sizeof(p->said), "%s", err.text);
	return r;
}

static void
test_qemu_is_refused_what_we_hold_for_writing(void **state)
{
	struct place *p = *state;

	need_qemu(p);
	for (int i = 0; i < 3; i++) {
		open_file(p, 0);
		assert_int_equal(lock(p, AIO_LOCK_WRITE), 0);
		assert_refused(p, "qemu-img info %s");
		assert_refused(p, "qemu-img check %s");
		assert_refused(p, "qemu-img create -f qcow2 %s 1M");
		assert_refused(p, "qemu-io -c 'write 0 4k' %s");
		assert_allowed(p, "qemu-img info -U %s");
		aio_close(p->file);
		/* At once: not when the kernel gets round to it. */
		assert_allowed(p, "qemu-img check %s");
	}
}

static void
test_readers_share(void **state)
{
	struct place *p = *state;

	need_qemu(p);
	open_file(p, AIO_RDONLY);
	assert_int_equal(lock(p, AIO_LOCK_READ), 0);
	assert_allowed(p, "qemu-img info %s");
	assert_allowed(p, "qemu-io -r -c 'read 0 4k' %s");
	assert_refused(p, "qemu-io -c 'write 0 4k' %s");
	assert_int_equal(lock(p, AIO_LOCK_NONE), 0);
	assert_allowed(p, "qemu-io -c 'write 0 4k' %s");
	aio_close(p->file);
}

static void
test_a_raw_writer_shares_with_raw_users_only(void **state)
{
	struct place *p = *state;

	need_qemu(p);
	open_file(p, 0);
	assert_int_equal(lock(p, AIO_LOCK_RAW_WRITE), 0);
	assert_allowed(p, "qemu-io -f raw -c 'write 128k 4k' %s");
	assert_refused(p, "qemu-img info -f qcow2 %s");
	aio_close(p->file);
}

/* A qemu-io that holds the image until its commands end. */
struct holder {
	pid_t pid;
	FILE *to, *from;
};

static void
start_holder(struct holder *h, const char *path, bool writes)
{
	int in[2], out[2];
	char line[200];

	assert_int_equal(pipe(in) | pipe(out), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)close(in[1]);
		(void)close(out[0]);
		if (writes)
			(void)execlp("qemu-io", "qemu-io", path, NULL);
		else
			(void)execlp("qemu-io", "qemu-io", "-r", path, NULL);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	h->to = fdopen(in[1], "w");
	h->from = fdopen(out[0], "r");
	/* Its answer shows that it is there. */
	(void)fprintf(h->to, "length\n");
	(void)fflush(h->to);
	assert_non_null(fgets(line, sizeof(line), h->from));
}

static void
end_holder(struct holder *h)
{
	int status;

	(void)fclose(h->to);
	(void)fclose(h->from);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
}

static void
test_we_are_refused_what_qemu_holds_for_writing(void **state)
{
	struct place *p = *state;
	struct holder h;

	need_qemu(p);
	start_holder(&h, p->path, true);
	open_file(p, 0);
	assert_int_equal(lock(p, AIO_LOCK_WRITE), -EAGAIN);
	assert_non_null(strstr(p->said, "lock\nIs another process using"));
	assert_non_null(strstr(p->said, p->path));
	assert_int_equal(lock(p, AIO_LOCK_READ), -EAGAIN);
	end_holder(&h);
	assert_int_equal(lock(p, AIO_LOCK_WRITE), 0);
	aio_close(p->file);
}

static void
test_qemu_reading_keeps_writers_out(void **state)
{
	struct place *p = *state;
	struct holder h;
	struct q2_err err = {0};
	struct aio_file *f;

	need_qemu(p);
	start_holder(&h, p->path, false);
	open_file(p, 0);
	assert_int_equal(lock(p, AIO_LOCK_WRITE), -EAGAIN);
	/* What we could not have leaves nothing behind. */
	assert_allowed(p, "qemu-img info %s");
	assert_int_equal(lock(p, AIO_LOCK_READ), 0);
	aio_close(p->file);
	/* Nor is it emptied. */
	assert_int_equal(
		aio_open(p->loop, p->path, AIO_CREATE, &p->points, &f, &err),
		-EAGAIN);
	end_holder(&h);
	assert_allowed(p, "qemu-img check %s");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_qemu_is_refused_what_we_hold_for_writing),
		TEST(test_readers_share),
		TEST(test_a_raw_writer_shares_with_raw_users_only),
		TEST(test_we_are_refused_what_qemu_holds_for_writing),
		TEST(test_qemu_reading_keeps_writers_out),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
