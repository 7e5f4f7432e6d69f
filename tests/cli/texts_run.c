/* SPDX-License-Identifier: MIT */
/*
 * texts_run.c - running QEMU's programs and ours in the folder of a case
 */
#include "tests/cli/texts.h"

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static void
demote(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) || setgid(TEXTS_NOBODY) || setuid(TEXTS_NOBODY))
		_exit(126);
}

/* In the child: our program if it is the one that is tested. */
static void
exec_case(const json_t *argv, bool tested, bool low)
{
	const char *args[256] = {NULL}, *name;
	size_t n = json_array_size(argv);
	char program[PATH_MAX + 64];

	for (size_t i = 0; i < n && i < ARRAY_SIZE(args) - 1; i++)
		args[i] = json_string_value(json_array_get(argv, i));
	name = args[0];
	(void)snprintf(program, sizeof(program), "%s/bin/%s", texts_root, name);
	if (!name || chdir(texts_path("w")))
		_exit(125);
	(void)umask(022);
	(void)setenv("LC_ALL", "C", 1);
	(void)setenv("TZ", "UTC", 1);
	(void)setenv("TMPDIR", texts_root, 1);
	if (low)
		demote();
	if (tested)
		execv(program, (char *const *)(uintptr_t)args);
	else
		execvp(name, (char *const *)(uintptr_t)args);
	_exit(127);
}

static int
redirect(int fd, const char *path, int flags)
{
	int to = open(path, flags | O_CLOEXEC, 0644);

	return to < 0 ? -1 : dup2(to, fd);
}

static int
wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct texts_outcome
texts_run(const json_t *argv, const char *input, bool tested, bool low)
{
	struct texts_outcome o;
	FILE *f = fopen(texts_path("stdin"), "we");
	pid_t pid;

	if (!f)
		abort();
	assert_true(fputs(input, f) >= 0);
	assert_int_equal(fclose(f), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(60);
		if (redirect(0, texts_path("stdin"), O_RDONLY) < 0 ||
		    redirect(1, texts_path("stdout"),
			     O_WRONLY | O_CREAT | O_TRUNC) < 0 ||
		    redirect(2, texts_path("stderr"),
			     O_WRONLY | O_CREAT | O_TRUNC) < 0)
			_exit(124);
		exec_case(argv, tested, low);
	}
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
	size_t seen = 0;
	char c;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (h.pid == 0) {
		(void)alarm(60);
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0)
			_exit(124);
		exec_case(argv, false, low);
	}
	close(in[0]);
	close(out[1]);
	h.input = in[1];
	while (seen < sizeof(prompt) - 1) {
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
