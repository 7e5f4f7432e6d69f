/* SPDX-License-Identifier: MIT */
/*
 * msg.c - what qcowimg prints
 */
#include "engine/img/msg.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum msg_role role_now;

void
msg_set_role(enum msg_role role)
{
	role_now = role;
}

enum msg_role
msg_role(void)
{
	return role_now;
}

const char *
msg_name(void)
{
	static const char *const names[] = {
		[ROLE_QCOWIMG] = "qcowimg",
		[ROLE_QEMU_IMG] = "qemu-img",
		[ROLE_QEMU_IO] = "qemu-io",
	};

	return names[role_now];
}

void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
}

/* One line to stderr, after what was said before it. */
static void
line(const char *before, const char *fmt, va_list ap)
{
	(void)fflush(stdout);
	if (before)
		(void)fprintf(stderr, "%s: ", before);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
}

int
complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(msg_name(), fmt, ap);
	va_end(ap);
	return 1;
}

int
complain_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(msg_name(), fmt, ap);
	va_end(ap);
	talk("Try '%s --help' for more information", msg_name());
	return 1;
}

void
talk(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(NULL, fmt, ap);
	va_end(ap);
}

void
note(const char *fmt, ...)
{
	va_list ap;

	if (role_now != ROLE_QCOWIMG)
		return;
	va_start(ap, fmt);
	line("qcowimg: note", fmt, ap);
	va_end(ap);
}

int
msg_flush(void)
{
	return fflush(stdout);
}

int
msg_end(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return complain("could not write the output: %s", strerror(errno));
}
