/* SPDX-License-Identifier: MIT */
#include "harness/child.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/stop.h"

extern char **environ;

/* An answer holds at most the series of one pass, below 1 MiB. */
#define ANSWER_MOST ((size_t)16 << 20)

/* ---- start ------------------------------------------------------------- */

/* in, out: the child's ends of the pipes. */
static int
spawn(pid_t *ret_pid, const char *program, int in, int out)
{
	char name[] = "qcowbench", verb[] = "trial";
	char *const argv[] = {name, verb, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t usual;
	int r;

	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawnattr_init(&attr);
	(void)sigemptyset(&usual);
	(void)sigaddset(&usual, SIGPIPE);
	(void)posix_spawnattr_setsigdefault(&attr, &usual);
	(void)posix_spawnattr_setpgroup(&attr, 0);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETPGROUP);
	r = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&files, out,
						     STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn(ret_pid, program, &files, &attr, argv, environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return -r;
}

static void
close_pair(int fds[2])
{
	if (fds[0] >= 0)
		(void)close(fds[0]);
	if (fds[1] >= 0)
		(void)close(fds[1]);
}

static int
send_json(struct child *c, const json_t *json, struct q2_err *err)
{
	char *text = json_dumps(json, JSON_COMPACT);
	size_t size = strlen(text), at = 0;
	ssize_t n;
	int r = 0;

	text[size++] = '\n'; /* in the place of the '\0' */
	while (at < size && r == 0) {
		n = write(c->to, text + at, size - at);
		if (n >= 0)
			at += (size_t)n;
		else if (errno != EINTR)
			r = -errno;
	}
	free(text);
	if (r == -EPIPE)
		return 0; /* the wait for the answer says why */
	if (r < 0)
		return q2_fail(err, r, "cannot talk to %s: %s", c->label,
			       strerror(-r));
	return 0;
}

int
child_start(struct child *c, const char *program, const char *label,
	    const json_t *spec, struct q2_err *err)
{
	int to[2] = {-1, -1}, from[2] = {-1, -1};
	int r = 0;

	*c = (struct child){.label = label, .to = -1, .from = -1};
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0)
		r = spawn(&c->pid, program, to[0], from[1]);
	if (r < 0) {
		c->pid = 0;
		close_pair(to);
		close_pair(from);
		return q2_fail(err, r, "%s: cannot start %s: %s", label,
			       program, strerror(-r));
	}
	(void)close(to[0]);
	(void)close(from[1]);
	c->to = to[1];
	c->from = from[0];
	r = send_json(c, spec, err);
	if (r < 0)
		child_end(c);
	return r;
}

/* ---- answers ----------------------------------------------------------- */

/* Wait for it to end; what it said with it. */
static int
reap(struct child *c, struct q2_err *err)
{
	int status = 0;
	pid_t pid;

	do {
		pid = waitpid(c->pid, &status, 0);
	} while (pid < 0 && errno == EINTR);
	c->pid = 0;
	if (WIFSIGNALED(status))
		return q2_fail(err, -EPIPE,
			       "the process of %s was killed by signal %d (%s)",
			       c->label, WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	return q2_fail(err, -EPIPE, "the process of %s ended early, status %d",
		       c->label, WEXITSTATUS(status));
}

/* More bytes into the buffer; 0 at the end of the pipe. */
static ssize_t
read_more(struct child *c)
{
	size_t room = c->room ? 2 * c->room : 4096;
	ssize_t n;
	char *buf;

	if (c->room - c->used < 2) {
		buf = room <= ANSWER_MOST ? realloc(c->buf, room) : NULL;
		if (!buf)
			return -ENOMEM;
		c->buf = buf;
		c->room = room;
	}
	n = read(c->from, c->buf + c->used, c->room - c->used - 1);
	if (n < 0)
		return -errno;
	c->used += (size_t)n;
	c->buf[c->used] = '\0';
	return n;
}

/* Until the buffer ends with a line's end. */
static int
read_line(struct child *c, struct q2_err *err)
{
	struct pollfd fds[3] = {{.fd = c->from, .events = POLLIN},
				{.fd = stop_fd(), .events = POLLIN},
				{.fd = stop_status_fd(), .events = POLLIN}};
	ssize_t n;

	c->used = 0;
	while (c->used == 0 || c->buf[c->used - 1] != '\n') {
		bool ready = poll(fds, 3, -1) > 0;

		if (!ready && errno != EINTR)
			return q2_fail(err, -errno, "poll: %s",
				       strerror(errno));
		if (stop_requested)
			return q2_fail(err, -EINTR, "interrupted");
		stop_tell_status();
		if (!ready || !fds[0].revents)
			continue;
		n = read_more(c);
		if (n == 0)
			return reap(c, err);
		if (n < 0 && n != -EINTR)
			return q2_fail(err, (int)n, "%s: no answer: %s",
				       c->label, strerror((int)-n));
	}
	return 0;
}

static int
bad_answer(const struct child *c, const char *why, struct q2_err *err)
{
	return q2_fail(err, -EPROTO,
		       "the process of %s has not answered in our language "
		       "(%s): %.60s",
		       c->label, why, c->buf);
}

static int
answer(struct child *c, json_t **ret, struct q2_err *err)
{
	json_error_t why;
	json_t *json, *text;
	json_int_t code;
	int r = read_line(c, err);

	if (r < 0)
		return r;
	json = json_loads(c->buf, 0, &why);
	if (!json)
		return bad_answer(c, why.text, err);
	if (!json_is_true(json_object_get(json, "ok"))) {
		text = json_object_get(json, "error");
		code = json_integer_value(json_object_get(json, "code"));
		if (json_is_string(text))
			r = q2_fail(err,
				    code < 0 && code > -4096 ? (int)code : -EIO,
				    "%s: %s", c->label,
				    json_string_value(text));
		else
			r = bad_answer(c, "neither ok nor error", err);
		json_decref(json);
		return r;
	}
	if (ret)
		*ret = json;
	else
		json_decref(json);
	return 0;
}

int
child_ready(struct child *c, struct q2_err *err)
{
	return answer(c, NULL, err);
}

int
child_ask(struct child *c, const char *what, int pass, json_t **ret_answer,
	  struct q2_err *err)
{
	json_t *json = json_object();
	int r;

	(void)json_object_set_new(json, "do", json_string(what));
	if (pass >= 0)
		(void)json_object_set_new(json, "pass", json_integer(pass));
	r = send_json(c, json, err);
	json_decref(json);
	return r < 0 ? r : answer(c, ret_answer, err);
}

/* ---- the end ----------------------------------------------------------- */

int
child_quit(struct child *c, struct q2_err *err)
{
	int status = 0;
	int r = child_ask(c, "quit", -1, NULL, err);

	if (r < 0)
		return r;
	/* Not while it may be gone and its number somebody else's. */
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return q2_fail(err, -EPIPE, "the process of %s ended badly, status %#x",
		       c->label, (unsigned)status);
}

void
child_end(struct child *c)
{
	struct q2_err ignored;

	/* It may be in the midst of a request, and would not hear us. */
	if (c->pid > 0) {
		(void)kill(c->pid, SIGKILL);
		(void)reap(c, &ignored);
	}
	if (c->to >= 0)
		(void)close(c->to);
	if (c->from >= 0)
		(void)close(c->from);
	free(c->buf);
	*c = (struct child){.to = -1, .from = -1};
}
