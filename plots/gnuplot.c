/* SPDX-License-Identifier: MIT */
#include "plots/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/num.h"

#define TIMEOUT_S     30
#define NOT_INSTALLED 127 /* as in a shell */
#define NOTICE_SIZE   sizeof(((struct plots_result *)NULL)->notice)

/* In the child: become gnuplot, in dir, talking into fd. */
static void __attribute__((noreturn))
become_gnuplot(const char *program, const char *dir, const char *script, int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* -d: a user's own start-up file would change the pictures. */
	if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 &&
	    dup2(fd, 2) == 2 && chdir(dir) == 0)
		(void)execlp(program, program, "-d", script, (char *)NULL);
	_exit(errno == ENOENT ? NOT_INSTALLED : 126);
}

static long long
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Read what the child says until it closes the pipe by ending; false if it
 * takes too long. */
static bool
listen_to(int fd, char *said, size_t size, unsigned timeout_s)
{
	long long end = now_ms() + 1000LL * timeout_s, left;
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char more[512];
	size_t used = 0;
	ssize_t n;

	said[0] = '\0';
	while ((left = end - now_ms()) > 0) {
		int r = poll(&pfd, 1, (int)left);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		n = read(fd, more, sizeof(more));
		if (n <= 0)
			return true;
		for (ssize_t i = 0; i < n && used + 1 < size; i++)
			said[used++] = more[i];
		said[used] = '\0';
	}
	return false;
}

/* How to install gnuplot here. */
static const char *
install_command(void)
{
	static const struct {
		const char *tool, *command;
	} tools[] = {
		{"/usr/bin/apt-get", "apt-get install gnuplot-nox"},
		{"/usr/bin/dnf", "dnf install gnuplot"},
		{"/usr/bin/pacman", "pacman -S gnuplot"},
		{"/usr/bin/zypper", "zypper install gnuplot"},
		{"/sbin/apk", "apk add gnuplot"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		if (access(tools[i].tool, X_OK) == 0)
			return tools[i].command;
	}
	return "install gnuplot";
}

/* The first line that says something about the error: gnuplot shows the
 * offending line and an arrow before it. */
static void
pick_reason(const char *said, char *reason, size_t size)
{
	const char *at = strstr(said, "line ");

	at = at ? at : said + strspn(said, "\n ");
	(void)snprintf(reason, size, "%.*s",
		       (int)min_u64(strcspn(at, "\n"), 120), at);
}

static const char *const kinds[] = {"png", "svg"};

static void
picture_path(const char *dir, const char *name, size_t kind,
	     char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/%s.%s", dir, name, kinds[kind]);
}

static unsigned
count_pictures(const char *dir, const char *name)
{
	char path[PATH_MAX];
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		picture_path(dir, name, i, path);
		n += access(path, F_OK) == 0;
	}
	return n;
}

/* gnuplot does not look whether its writes succeed: on a full disk it leaves
 * half a picture, or an empty file, and ends with status 0.  What is last in a
 * whole one tells, of either kind: what style.gp asks for is not known here. */
static bool
is_cut(const char *path)
{
	static const char *const ends[] = {"IEND\xae\x42\x60\x82", "</svg>"};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool cut = true;
	char tail[16];
	ssize_t n = 0;
	struct stat st;

	if (fd < 0)
		return errno != ENOENT;
	if (fstat(fd, &st) == 0)
		n = pread(fd, tail, sizeof(tail),
			  st.st_size > (off_t)sizeof(tail)
				  ? st.st_size - (off_t)sizeof(tail)
				  : 0);
	(void)close(fd);
	/* Blank lines may follow. */
	for (size_t i = 0; i < ARRAY_SIZE(ends) && n > 0; i++)
		cut &= !memmem(tail, (size_t)n, ends[i], strlen(ends[i]));
	return cut;
}

static bool
any_is_cut(const char *dir, const char *name)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		picture_path(dir, name, i, path);
		if (is_cut(path))
			return true;
	}
	return false;
}

void
gnuplot_remove_pictures(const char *dir, const char *name)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		picture_path(dir, name, i, path);
		(void)unlink(path);
	}
}

/* A notice, unless all went well. */
static void
judge(const char *dir, const char *name, int status, const char *said,
      char *notice)
{
	char reason[128];

	pick_reason(said, reason, sizeof(reason));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		if (count_pictures(dir, name) == 0)
			(void)snprintf(notice, NOTICE_SIZE,
				       "no picture of %s: gnuplot has drawn "
				       "nothing%s%s",
				       name, reason[0] ? ": " : "", reason);
		else if (any_is_cut(dir, name))
			(void)snprintf(notice, NOTICE_SIZE,
				       "no picture of %s: gnuplot has not "
				       "written all of it; is the disk full?",
				       name);
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED) {
		(void)snprintf(notice, NOTICE_SIZE,
			       "no pictures: gnuplot is not installed (%s); "
			       "scripts and CSV are in plots/, draw there "
			       "with: gnuplot %s.gp",
			       install_command(), name);
		return;
	}
	(void)snprintf(notice, NOTICE_SIZE,
		       "no picture of %s: gnuplot ended with %s %d%s%s", name,
		       WIFEXITED(status) ? "status" : "signal",
		       WIFEXITED(status) ? WEXITSTATUS(status)
					 : WTERMSIG(status),
		       reason[0] ? ": " : "", reason);
}

/* Start it; the child's id, or -1. */
static pid_t
start(const char *program, const char *dir, const char *script, int *ret_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		become_gnuplot(program, dir, script, fds[1]);
	(void)close(fds[1]);
	if (pid < 0)
		(void)close(fds[0]);
	*ret_fd = fds[0];
	return pid;
}

/* Run it to its end; false if it is useless to try again. */
static bool
run(const char *dir, const char *name, const struct plots_opts *opts,
    char *notice)
{
	const char *program = opts->gnuplot ? opts->gnuplot : "gnuplot";
	unsigned timeout_s = opts->timeout_s ? opts->timeout_s : TIMEOUT_S;
	char script[64], said[2048];
	int fd, status = 0;
	bool in_time;
	pid_t pid;

	(void)snprintf(script, sizeof(script), "%s.gp", name);
	pid = start(program, dir, script, &fd);
	if (pid < 0) {
		(void)snprintf(notice, NOTICE_SIZE, "no pictures: %s",
			       strerror(errno));
		return false;
	}
	in_time = listen_to(fd, said, sizeof(said), timeout_s);
	(void)close(fd);
	if (!in_time)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (in_time)
		judge(dir, name, status, said, notice);
	else
		(void)snprintf(notice, NOTICE_SIZE,
			       "no picture of %s: gnuplot took more than %u s",
			       name, timeout_s);
	return in_time &&
	       !(WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED);
}

bool
gnuplot_run(const char *dir, const char *name, const struct plots_opts *opts,
	    struct plots_result *ret)
{
	char notice[NOTICE_SIZE] = "";
	bool go_on;

	go_on = run(dir, name, opts, notice);
	if (notice[0])
		gnuplot_remove_pictures(dir, name);
	else
		ret->written += count_pictures(dir, name);
	if (!ret->notice[0])
		(void)snprintf(ret->notice, sizeof(ret->notice), "%s", notice);
	return go_on;
}
