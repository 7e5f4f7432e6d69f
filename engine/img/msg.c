/* SPDX-License-Identifier: MIT */
/*
 * msg.c - what qcowimg prints
 */
#include "engine/img/msg.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"

/* What the engine says of a bitmap that was in use at a crash. */
#define INCONSISTENT "is inconsistent and cannot be used"

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

/* One line to stderr, after what was said before it; but QEMU's tools do not
 * see to that order, and who reads both from one pipe expects theirs. */
static void
line(const char *before, const char *fmt, va_list ap)
{
	if (role_now == ROLE_QCOWIMG)
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

/* What helps against an error: by its code (0: any) and a part of its text. */
static const char *
remedy_of(const struct q2_err *err)
{
	static const struct {
		int code;
		const char *part, *remedy;
	} remedies[] = {
		{-EAGAIN, "lock", "close the other program, or look with -U"},
		{-ENOENT, "Could not create", "make its directory first"},
		{-ENOENT, "Could not open", "is the name right?"},
		{-EACCES, "Permission denied",
		 "this user may not; choose another place or user"},
		{-EACCES, "backing file: Parameter 'encrypt.key-secret'",
		 "--object secret has it, and --image-opts says "
		 "backing.encrypt.key-secret=ID, with one backing. for each "
		 "layer"},
		{-EACCES, "Parameter 'encrypt.key-secret'",
		 "--object secret has it, and --image-opts says "
		 "encrypt.key-secret=ID"},
		{-EROFS, "", "the file system is read-only; choose another"},
		{-EISDIR, "", "give the name of a file in it"},
		{-ENOSPC, "",
		 "free some space, or choose another place or "
		 "size"},
		{0, "not in qcow2 format", "leave out -f, or use -f raw"},
		{0, "header too short",
		 "the file was cut off; restore it from a copy"},
		{0, "Invalid parameter", "-o help lists them"},
		{0, "Unknown file format", "there are qcow2 and raw"},
		{0, "Unknown driver", "there are qcow2 and raw"},
		{0, "Unknown protocol",
		 "for a file of that name write ./ before it"},
		{0, "without backing format",
		 "give it with -F, such as -F qcow2"},
		{0, INCONSISTENT,
		 "it was in use at a crash; 'bitmap --remove' deletes it"},
		{0, "needs a size", "give it after the file name, such as 20G"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(remedies); i++)
		if ((!remedies[i].code || remedies[i].code == err->code) &&
		    strstr(err->text, remedies[i].part))
			return remedies[i].remedy;
	return NULL;
}

/* The reason and a remedy, as the end of one line. */
static void
print_reason(const struct q2_err *err)
{
	const char *remedy = remedy_of(err);

	for (const char *s = err->text; *s; s++)
		(void)fprintf(stderr,
			      *s != '\n'      ? "%c"
			      : islower(s[1]) ? " "
					      : "; ",
			      *s);
	if (err->detail[0])
		(void)fprintf(stderr, " (%s)", err->detail);
	(void)fprintf(stderr, "%s%s\n", remedy ? "; " : "",
		      remedy ? remedy : "");
}

/* What QEMU's tools say of such a bitmap besides. */
static const char *
qemu_hint(const struct q2_err *err)
{
	return strstr(err->text, INCONSISTENT)
		       ? "\nTry block-dirty-bitmap-remove to delete this "
			 "bitmap from disk"
		       : "";
}

int
complain_err(const struct q2_err *err)
{
	if (role_now != ROLE_QCOWIMG)
		return complain("%s%s", err->text, qemu_hint(err));
	(void)fflush(stdout);
	(void)fprintf(stderr, "qcowimg: ");
	print_reason(err);
	return 1;
}

int
complain_why(const struct q2_err *err, const char *fmt, ...)
{
	char before[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(before, sizeof(before), fmt, ap);
	va_end(ap);
	if (role_now != ROLE_QCOWIMG)
		return complain("%s: %s%s", before, err->text, qemu_hint(err));
	(void)fflush(stdout);
	(void)fprintf(stderr, "qcowimg: %s: ", before);
	print_reason(err);
	return 1;
}

int
complain_usage(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (role_now == ROLE_QCOWIMG)
		return complain("%s; try 'qcowimg --help'", text);
	(void)complain("%s", text);
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
hint(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
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
