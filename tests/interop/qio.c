/* SPDX-License-Identifier: MIT */
/* qio.c - talk with a qemu-io */
#include "tests/interop/qio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Commands that wait at most: their prompts do not fill a pipe. */
#define AHEAD 200

#define PROMPT "qemu-io> "
/* The answer to this shows that all before it was done. */
#define LAST        "help quit\n"
#define LAST_ANSWER "quit -- exit the program\n"

struct qio {
	pid_t pid;
	int in, out;
	unsigned ahead;
	char *said; /* without prompts */
	size_t len;
};

struct qio *
qio_start(void)
{
	char *argv[] = {(char[]){"qemu-io"}, (char[]){"--object"},
			(char[]){QIO_SECRET}, NULL};
	posix_spawn_file_actions_t actions;
	struct qio *q = calloc(1, sizeof(*q));
	int in[2], out[2], r;

	assert_non_null(q);
	/* It reads with stdio and waits for the file descriptor: more than a
	 * line at a time would lie in its buffer. */
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, in), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, in[1], 0),
			 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out[1], 1),
			 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, 1, 2), 0);
	r = posix_spawnp(&q->pid, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(in[1]);
	(void)close(out[1]);
	q->in = in[0];
	q->out = out[0];
	if (r == 0)
		return q;
	(void)close(q->in);
	(void)close(q->out);
	free(q);
	return NULL;
}

void
qio_end(struct qio *q)
{
	if (!q)
		return;
	(void)close(q->in);
	(void)close(q->out);
	while (waitpid(q->pid, NULL, 0) < 0)
		assert_int_equal(errno, EINTR);
	free(q->said);
	free(q);
}

/* It may have ended, which qio_result() finds. */
static void
send_line(struct qio *q, const char *line)
{
	while (send(q->in, line, strlen(line), MSG_NOSIGNAL) < 0 &&
	       errno == EINTR)
		;
}

/* Returns the last answer, or NULL. */
static char *
last_answer(const struct qio *q)
{
	size_t n = strlen(LAST_ANSWER PROMPT);

	if (q->len < n || strcmp(q->said + q->len - n, LAST_ANSWER PROMPT) != 0)
		return NULL;
	return q->said + q->len - n;
}

static void
drop_prompts(struct qio *q, size_t from)
{
	const size_t n = strlen(PROMPT);
	char *p = q->said + from;

	while ((p = strstr(p, PROMPT)))
		memmove(p, p + n, strlen(p + n) + 1);
	q->len = strlen(q->said);
}

/* Wait until all is done. */
static void
settle(struct qio *q)
{
	size_t start = q->len;
	char *answer = NULL;

	send_line(q, LAST);
	while (!answer) {
		ssize_t n;

		q->said = realloc(q->said, q->len + 65537);
		assert_non_null(q->said);
		n = read(q->out, q->said + q->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			n = snprintf(q->said + q->len, 65536,
				     "qemu-io ended\n");
			q->len += (size_t)n;
			break;
		}
		q->len += (size_t)n;
		q->said[q->len] = 0;
		answer = last_answer(q);
	}
	if (answer)
		*answer = 0;
	drop_prompts(q, start);
	q->ahead = 0;
}

void
qio_do(struct qio *q, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	assert_in_range(n, 1, sizeof(line) - 2);
	line[n] = '\n';
	line[n + 1] = 0;
	if (q->ahead++ == AHEAD)
		settle(q);
	send_line(q, line);
}

void
qio_verify(struct qio *q, const uint8_t *bytes, uint64_t len)
{
	for (uint64_t at = 0, end; at < len; at = end) {
		for (end = at + 1; end < len && bytes[end] == bytes[at];)
			end++;
		qio_do(q, "read -q -P %u %" PRIu64 " %" PRIu64, bytes[at], at,
		       end - at);
	}
}

char *
qio_result(struct qio *q)
{
	char *said;

	settle(q);
	said = q->said;
	q->said = NULL;
	q->len = 0;
	return said;
}
