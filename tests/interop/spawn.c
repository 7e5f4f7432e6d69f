/* SPDX-License-Identifier: MIT */
/* spawn.c - run programs without a shell */
#include "tests/interop/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

void
words_add(struct words *w, const char *const *words, size_t n)
{
	assert_true(w->n + n < SPAWN_WORDS);
	for (size_t i = 0; i < n; i++)
		w->word[w->n++] = words[i];
	w->word[w->n] = NULL;
}

/* tools/hurry.so beside the folder of this program: QEMU's programs need not
 * measure for long.  False where it was not built. */
static bool
find_hurry(char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return false;
	self[n] = '\0';
	(void)snprintf(path, size, "%s/../tools/hurry.so", dirname(self));
	return access(path, R_OK) == 0;
}

/* Of a program; made at the first of QEMU's. */
static char **
environment(const char *program)
{
	static char preload[PATH_MAX + 64];
	static char **hurried;
	char path[PATH_MAX + 32];
	size_t n = 0;

	if (strncmp(program, "qemu-", 5) != 0 ||
	    (!hurried && !find_hurry(path, sizeof(path))))
		return environ;
	if (hurried)
		return hurried;
	while (environ[n])
		n++;
	hurried = calloc(n + 2, sizeof(*hurried));
	assert_non_null(hurried);
	memcpy(hurried, environ, n * sizeof(*hurried));
	(void)snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", path);
	hurried[n] = preload;
	return hurried;
}

pid_t
spawn(const struct words *w, unsigned slot)
{
	posix_spawn_file_actions_t actions;
	char out[16];
	pid_t pid;
	int r;

	(void)snprintf(out, sizeof(out), "out.%u", slot);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY,
					     0);
	assert_int_equal(r, 0);
	r = posix_spawn_file_actions_addopen(
		&actions, 1, out, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_int_equal(r, 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, 1, 2), 0);
	r = posix_spawnp(&pid, w->word[0], &actions, NULL,
			 (char *const *)w->word, environment(w->word[0]));
	(void)posix_spawn_file_actions_destroy(&actions);
	return r == 0 ? pid : -1;
}

int
spawn_wait(pid_t pid)
{
	int status;

	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
spawn_line(unsigned slot, const char *fmt, ...)
{
	char line[1024], *rest = line, *word;
	struct words w = {0};
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert_in_range(n, 1, sizeof(line) - 1);
	while ((word = strsep(&rest, " ")))
		WORDS_ADD(&w, word);
	return spawn_wait(spawn(&w, slot));
}

char *
file_content(const char *path, uint64_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fstat(fd, &st), 0);
	text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(text);
	assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
	(void)close(fd);
	if (ret_len)
		*ret_len = (uint64_t)st.st_size;
	return text;
}

char *
spawn_output(unsigned slot)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "out.%u", slot);
	return file_content(name, NULL);
}
