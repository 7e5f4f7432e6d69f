/* SPDX-License-Identifier: MIT */
#include "harness/targets/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"

extern char **environ;

/* As much of a program's last words as an error message can hold. */
#define OUTPUT_SIZE 400

/* A server that has broken a connection and is still there after that long has
 * not ended. */
#define END_MS 1000

/* Where socket activation expects the socket. */
#define LISTEN_AT 3

/* ---- the environment of an activated server ---------------------------- */

static char listen_fds[] = "LISTEN_FDS=1";
#define PID_KEY  "LISTEN_PID="
#define PID_ROOM (sizeof(PID_KEY) + 24)

/* Only what may be called between fork and exec in a process with threads. */
static void
write_pid(char *text, pid_t pid)
{
	char digits[24];
	size_t n = 0, at = strlen(PID_KEY);

	for (; pid > 0; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	while (n > 0)
		text[at++] = digits[--n];
	text[at] = '\0';
}

static char **
activation_env(char *listen_pid)
{
	char **env;
	size_t n = 0, at = 0;

	while (environ[n])
		n++;
	env = calloc(n + 3, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(environ[i], "LISTEN_", strlen("LISTEN_")) != 0)
			env[at++] = environ[i];
	}
	env[at++] = listen_fds;
	env[at] = listen_pid;
	return env;
}

/* ---- start ------------------------------------------------------------- */

struct launch {
	char *const *argv;
	char **env;
	char *listen_pid; /* text to complete, or NULL */
	int listen, output, report, null;
	pid_t parent;
};

/* In the new process; does not return. */
static void
become(const struct launch *l)
{
	int error;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have ended before that was said. */
	if (getppid() != l->parent)
		_exit(127);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)dup2(l->null, STDIN_FILENO);
	(void)dup2(l->output, STDOUT_FILENO);
	(void)dup2(l->output, STDERR_FILENO);
	if (l->listen >= 0) {
		write_pid(l->listen_pid, getpid());
		if (l->listen == LISTEN_AT)
			(void)fcntl(LISTEN_AT, F_SETFD, 0);
		else
			(void)dup2(l->listen, LISTEN_AT);
	}
	(void)execvpe(l->argv[0], l->argv, l->env);
	error = errno;
	(void)!write(l->report, &error, sizeof(error));
	_exit(127);
}

/* 0 when exec has closed the other end, else why it could not. */
static int
exec_error(int report)
{
	int error = 0;
	ssize_t n;

	do {
		n = read(report, &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(error) ? -error : 0;
}

static int
launch(struct launch *l, pid_t *ret_pid)
{
	int report[2];
	pid_t pid;
	int r;

	/* Above the numbers that the new process gives out. */
	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	l->report = fcntl(report[1], F_DUPFD_CLOEXEC, LISTEN_AT + 1);
	(void)close(report[1]);
	l->parent = getpid();
	pid = l->report < 0 ? -1 : fork();
	if (pid == 0)
		become(l);
	r = pid < 0 ? -errno : 0;
	if (l->report >= 0)
		(void)close(l->report);
	if (r == 0)
		r = exec_error(report[0]);
	(void)close(report[0]);
	if (pid > 0 && r < 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*ret_pid = pid;
	return r;
}

static int
start(struct server *server, char *const argv[], int listen_fd)
{
	char listen_pid[PID_ROOM] = PID_KEY;
	Q2_AUTO_FREE char **env = NULL;
	struct launch l = {
		.argv = argv,
		.env = environ,
		.listen_pid = listen_pid,
		.listen = listen_fd,
		.output = server->output,
	};
	int r;

	if (listen_fd >= 0) {
		env = activation_env(listen_pid);
		if (!env)
			return -ENOMEM;
		l.env = env;
	}
	l.null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	r = launch(&l, &server->pid);
	if (l.null >= 0)
		(void)close(l.null);
	return r;
}

int
server_start(struct server *server, char *const argv[], int listen_fd,
	     struct q2_err *err)
{
	int r;

	*server = (struct server){.name = argv[0]};
	server->output = memfd_create("output", MFD_CLOEXEC);
	r = server->output < 0 ? -errno : start(server, argv, listen_fd);
	if (r == 0)
		return 0;
	if (server->output >= 0)
		(void)close(server->output);
	*server = (struct server){.output = -1};
	if (r == -ENOENT)
		return q2_fail(err, r,
			       "%s is not installed (package "
			       "qemu-utils)",
			       argv[0]);
	return q2_fail(err, r, "cannot start %s: %s", argv[0], strerror(-r));
}

/* ---- the end ----------------------------------------------------------- */

/* What it printed, on one line and without white space at the end. */
static void
read_output(const struct server *server, char *text, size_t size)
{
	ssize_t n = pread(server->output, text, size - 1, 0);

	if (n < 0)
		n = 0;
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	text[n] = '\0';
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			text[i] = ' ';
	}
}

/* Status of waitpid(). */
static int
reap(struct server *server)
{
	int status = 0;

	while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR)
		;
	server->pid = 0;
	return status;
}

static void
release(struct server *server)
{
	if (server->output >= 0)
		(void)close(server->output);
	server->output = -1;
}

static int
judge(const struct server *server, int status, struct q2_err *err)
{
	char text[OUTPUT_SIZE];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	read_output(server, text, sizeof(text));
	if (WIFSIGNALED(status))
		return q2_fail(
			err, -EPIPE, "%s was killed by signal %d (%s)%s%s",
			server->name, WTERMSIG(status),
			strsignal(WTERMSIG(status)), text[0] ? ": " : "", text);
	return q2_fail(err, -EPIPE, "%s ended with status %d: %s", server->name,
		       WEXITSTATUS(status),
		       text[0] ? text : "it did not say why");
}

int
server_wait(struct server *server, struct q2_err *err)
{
	int r = judge(server, reap(server), err);

	release(server);
	return r;
}

void
server_kill(struct server *server)
{
	if (server->pid > 0) {
		(void)kill(server->pid, SIGKILL);
		(void)reap(server);
	}
	release(server);
}

/* A connection breaks a moment before its server can be waited for. */
static void
await(const struct server *server)
{
	struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, server->pid, 0),
			    .events = POLLIN};

	if (fd.fd < 0)
		return;
	(void)poll(&fd, 1, END_MS);
	(void)close(fd.fd);
}

void
server_explain(struct server *server, struct q2_err *err)
{
	char text[OUTPUT_SIZE], end[64] = "";
	int status;

	if (server->pid > 0)
		await(server);
	if (server->pid > 0 && waitpid(server->pid, &status, WNOHANG) > 0) {
		server->pid = 0;
		(void)snprintf(end, sizeof(end),
			       WIFSIGNALED(status) ? " was killed by signal %d"
						   : " ended with status %d",
			       WIFSIGNALED(status) ? WTERMSIG(status)
						   : WEXITSTATUS(status));
	}
	read_output(server, text, sizeof(text));
	if (end[0] || text[0])
		(void)err_prefix(err, err->code, "%s%s%s%s", server->name, end,
				 text[0] ? ": " : "", text);
}

int
process_run(char *const argv[], char *text, size_t size, struct q2_err *err)
{
	struct server server;
	int r = server_start(&server, argv, -1, err);

	if (r < 0)
		return r;
	r = judge(&server, reap(&server), err);
	if (text)
		read_output(&server, text, size);
	release(&server);
	return r;
}
