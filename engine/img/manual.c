/* SPDX-License-Identifier: MIT */
#include "engine/img/manual.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "engine/img/msg.h"

#define OPTIONS_MAX 32

/* Columns of the help. */
#define INDENT 24
#define WIDTH  79

/* ---- getopt ------------------------------------------------------------ */

int
manual_next(const struct manual *m, int argc, char **argv)
{
	struct option longs[OPTIONS_MAX + 1] = {0};
	char shorts[2 * OPTIONS_MAX + 2], *s = shorts;
	size_t nlongs = 0;

	assert(m->n <= OPTIONS_MAX);
	if (!m->getopt_complains)
		*s++ = ':';
	for (size_t i = 0; i < m->n; i++) {
		const struct manual_option *o = &m->options[i];

		if (o->code > 0 && o->code < 256) {
			*s++ = (char)o->code;
			if (o->value)
				*s++ = ':';
		}
		if (o->name)
			longs[nlongs++] = (struct option){
				.name = o->name,
				.has_arg = o->value ? required_argument
						    : no_argument,
				.val = o->code,
			};
	}
	*s = '\0';
	return getopt_long(argc, argv, shorts, longs, NULL);
}

/* ---- help -------------------------------------------------------------- */

/* "-f, --format=FORMAT" into buf. */
static void
option_text(const struct manual_option *o, char *buf, size_t size)
{
	const char *value = o->value ? o->value : "";

	if (!o->name)
		(void)snprintf(buf, size, "-%c%s%s", o->code,
			       o->value ? " " : "", value);
	else if (o->code >= 256)
		(void)snprintf(buf, size, "--%s%s%s", o->name,
			       o->value ? "=" : "", value);
	else
		(void)snprintf(buf, size, "-%c, --%s%s%s", o->code, o->name,
			       o->value ? "=" : "", value);
}

/* Words of text from column `at` on, each line but the first indented. */
static void
say_wrapped(const char *text, size_t at)
{
	size_t column = at;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > at && column + 1 + len > WIDTH) {
			say("\n%*s", (int)at, "");
			column = at;
		} else if (column > at) {
			say(" ");
			column++;
		}
		say("%.*s", (int)len, text);
		column += len;
		text += len;
		text += *text == ' ';
	}
	say("\n");
}

static void
print_option(const struct manual_option *o)
{
	char text[64];

	option_text(o, text, sizeof(text));
	if (strlen(text) + 4 <= INDENT)
		say("  %-*s", INDENT - 2, text);
	else
		say("  %s\n%*s", text, INDENT, "");
	say_wrapped(o->help, INDENT);
}

static void
print_options(const struct manual *m)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->options[i].code == 0)
			say("%s\n", m->options[i].help);
		else if (m->options[i].help)
			print_option(&m->options[i]);
	}
}

void
manual_print(const struct manual *m)
{
	/* Scripts look for this form of qemu-io's. */
	if (m == &manual_io)
		say("Usage: %s%s [OPTIONS]... [-c STRING]... [file]\n",
		    msg_name(), msg_role() == ROLE_QEMU_IO ? "" : " io");
	else
		say("Usage: %s %s [OPTION]... %s\n", msg_name(), m->name,
		    m->operands);
	say_wrapped(m->text, 0);
	say("\n");
	print_options(m);
	if (m->more)
		say("\n%s", m->more);
}

/* ---- for scripts ------------------------------------------------------- */

static void
dump_lines(const char *kind, const char *text)
{
	while (text && *text) {
		size_t len = strcspn(text, "\n");

		say("%s\t%.*s\n", kind, (int)len, text);
		text += len;
		text += *text == '\n';
	}
}

void
manual_dump(const struct manual *m)
{
	say("command\t%s\t%s\t%s\n", m->name, m->operands, m->brief);
	dump_lines("text", m->text);
	for (size_t i = 0; i < m->n; i++) {
		const struct manual_option *o = &m->options[i];

		if (!o->help || o->code == 0)
			continue;
		say("option\t%s\t", m->name);
		if (o->code < 256)
			say("-%c", o->code);
		say("\t%s%s\t%s\t%s\t%s\n", o->name ? "--" : "",
		    o->name ? o->name : "", o->value ? o->value : "",
		    o->words ? o->words : "", o->help);
	}
	dump_lines("more", m->more);
}
