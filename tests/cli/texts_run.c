/* SPDX-License-Identifier: MIT */
/*
 * texts_run.c - running QEMU's programs and ours in the folder of a case
 */
#include "tests/cli/texts.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"

char texts_root[PATH_MAX];

char *
texts_slurp(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t len = 0, n;

	if (!f)
		return NULL;
	do {
		text = realloc(text, len + 65536 + 1);
		if (!text)
			abort();
		n = fread(text + len, 1, 65536, f);
		len += n;
	} while (n);
	text[len] = 0;
	(void)fclose(f);
	if (ret_len)
		*ret_len = len;
	return text;
}

/* Path of a file of ours, next to the case's folder. */
const char *
texts_path(const char *name)
{
	static char paths[4][PATH_MAX + 64];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", texts_root, name);
	return path;
}

/* Program and set-up run for this long at most; SIGALRM ends them then. */
#define PATIENCE_MS 60000

/*
 * Who the next child is: the real user of this process, which
 * POSIX_SPAWN_RESETIDS makes its only one.  A spawned child runs nothing of
 * ours in which it could give up root.
 */
static void
set_real_user(uid_t uid, gid_t gid)
{
	assert_int_equal(setresgid(gid, 0, 0), 0);
	assert_int_equal(setresuid(uid, 0, 0), 0);
}

/* In the case's folder, with three descriptors; our program if it is the one
 * that is tested. */
static pid_t
spawn_case(const json_t *argv, bool tested, bool low, const int fds[3])
{
	const char *args[256] = {NULL};
	size_t n = json_array_size(argv);
	char program[PATH_MAX + 64];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	pid_t pid;
	int r;

	assert_in_range(n, 1, ARRAY_SIZE(args) - 1);
	for (size_t i = 0; i < n; i++)
		args[i] = json_string_value(json_array_get(argv, i));
	(void)snprintf(program, sizeof(program), "%s/bin/%s", texts_root,
		       args[0]);
	assert_int_equal(posix_spawnattr_init(&attr), 0);
	assert_int_equal(posix_spawn_file_actions_init(&files), 0);
	r = posix_spawn_file_actions_addchdir_np(&files, texts_path("w"));
	for (int i = 0; i < 3 && !r; i++)
		r = posix_spawn_file_actions_adddup2(&files, fds[i], i);
	assert_int_equal(r, 0);
	low = low && geteuid() == 0;
	if (low) {
		assert_int_equal(
			posix_spawnattr_setflags(&attr, POSIX_SPAWN_RESETIDS),
			0);
		assert_int_equal(setgroups(0, NULL), 0);
		set_real_user(TEXTS_NOBODY, TEXTS_NOBODY);
	}
	r = posix_spawnp(&pid, tested || !args[0] ? program : args[0], &files,
			 &attr, (char *const *)(uintptr_t)args, environ);
	if (low)
		set_real_user(0, 0);
	assert_int_equal(r, 0);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return pid;
}

static int
wait_for(pid_t pid)
{
	struct pollfd p = {.events = POLLIN};
	int status;

	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(p.fd >= 0);
	if (poll(&p, 1, PATIENCE_MS) == 0)
		(void)kill(pid, SIGALRM);
	(void)close(p.fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int
open_beside(const char *name, int flags)
{
	int fd = open(texts_path(name), flags | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

struct texts_outcome
texts_run(const json_t *argv, const char *input, bool tested, bool low)
{
	struct texts_outcome o;
	FILE *f = fopen(texts_path("stdin"), "we");
	int fds[3];
	pid_t pid;

	if (!f)
		abort();
	assert_true(fputs(input, f) >= 0);
	assert_int_equal(fclose(f), 0);
	fds[0] = open_beside("stdin", O_RDONLY);
	fds[1] = open_beside("stdout", O_WRONLY | O_CREAT | O_TRUNC);
	fds[2] = open_beside("stderr", O_WRONLY | O_CREAT | O_TRUNC);
	pid = spawn_case(argv, tested, low, fds);
	for (int i = 0; i < 3; i++)
		(void)close(fds[i]);
	o.status = wait_for(pid);
	o.out = texts_slurp(texts_path("stdout"), NULL);
	o.err = texts_slurp(texts_path("stderr"), NULL);
	if (!o.out || !o.err)
		abort();
	return o;
}

void
texts_outcome_done(struct texts_outcome *o)
{
	free(o->out);
	free(o->err);
}

struct texts_holder
texts_hold(const json_t *argv, bool low)
{
	static const char prompt[] = "qemu-io> ";
	int in[2], out[2];
	struct texts_holder h;
	struct pollfd p;
	size_t seen = 0;
	char c;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	h.pid = spawn_case(argv, false, low, (int[]){in[0], out[1], 2});
	close(in[0]);
	close(out[1]);
	h.input = in[1];
	p = (struct pollfd){.fd = out[0], .events = POLLIN};
	while (seen < sizeof(prompt) - 1) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		assert_int_equal(read(out[0], &c, 1), 1);
		seen = c == prompt[seen] ? seen + 1 : c == prompt[0];
	}
	close(out[0]);
	return h;
}

void
texts_let_go(struct texts_holder *h)
{
	close(h->input);
	(void)wait_for(h->pid);
}
