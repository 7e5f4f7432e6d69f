/* SPDX-License-Identifier: MIT */
#include "harness/stop.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"

volatile bool stop_requested;

static volatile sig_atomic_t continued;

static int stop_pipe[2] = {-1, -1}, status_pipe[2] = {-1, -1};
static void (*status_tell)(void *arg);
static void *status_arg;

static void
on_signal(int sig)
{
	int saved = errno;

	(void)sig;
	stop_requested = true;
	/* A full pipe is readable already. */
	if (write(stop_pipe[1], "", 1) < 0)
		errno = 0;
	errno = saved;
}

static void
on_question(int sig)
{
	int saved = errno;

	(void)sig;
	if (write(status_pipe[1], "", 1) < 0)
		errno = 0;
	errno = saved;
}

static void
on_continue(int sig)
{
	(void)sig;
	continued++;
}

int
stop_install(struct q2_err *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction act = {.sa_handler = on_signal}, old;

	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    pipe2(status_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return q2_fail(err, -errno, "no pipe: %s", strerror(errno));
	(void)sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		/* Under nohup a hang-up stays ignored. */
		if (signals[i] == SIGHUP &&
		    sigaction(SIGHUP, NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		(void)sigaction(signals[i], &act, NULL);
	}
	act.sa_handler = on_question;
	act.sa_flags = SA_RESTART;
	(void)sigaction(SIGUSR1, &act, NULL);
	act.sa_handler = on_continue;
	(void)sigaction(SIGCONT, &act, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return 0;
}

unsigned
stop_continued(void)
{
	return (unsigned)continued;
}

int
stop_fd(void)
{
	return stop_pipe[0];
}

void
stop_on_status(void (*tell)(void *arg), void *arg)
{
	status_tell = tell;
	status_arg = arg;
}

int
stop_status_fd(void)
{
	return status_pipe[0];
}

void
stop_tell_status(void)
{
	char bytes[64];
	bool asked = false;

	while (status_pipe[0] >= 0 &&
	       read(status_pipe[0], bytes, sizeof(bytes)) > 0)
		asked = true;
	if (asked && status_tell)
		status_tell(status_arg);
}
