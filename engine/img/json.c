/* SPDX-License-Identifier: MIT */
/*
 * json.c - JSON on stdout
 */
#include "engine/img/json.h"

#include <inttypes.h>

#include "engine/img/msg.h"

#define REPLACEMENT 0xfffd

/*
 * The code point at *s, and *s moved behind it.  A byte that is not UTF-8
 * becomes the replacement character: a file name may hold any.
 */
static uint32_t
next_code(const unsigned char **s)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	unsigned char c = *(*s)++;
	unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
	uint32_t code = c & (0x3fu >> more);

	if (c < 0x80)
		return c;
	if (c < 0xc0 || c > 0xf7)
		return REPLACEMENT;
	for (unsigned i = 0; i < more; i++) {
		if (((*s)[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		code = code << 6 | ((*s)[i] & 0x3fu);
	}
	if (code < least[more] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return REPLACEMENT;
	*s += more;
	return code;
}

static void
put_code(uint32_t code)
{
	static const char plain[] = "\b\f\n\r\t", letters[] = "bfnrt";

	for (unsigned i = 0; plain[i]; i++) {
		if (code == (unsigned char)plain[i]) {
			say("\\%c", letters[i]);
			return;
		}
	}
	if (code == '"' || code == '\\')
		say("\\%c", (char)code);
	else if (code >= 0x20 && code < 0x7f)
		say("%c", (char)code);
	else if (code < 0x10000)
		say("\\u%04" PRIX32, code);
	else
		say("\\u%04" PRIX32 "\\u%04" PRIX32,
		    0xd800 + ((code - 0x10000) >> 10),
		    0xdc00 + ((code - 0x10000) & 0x3ff));
}

static void
put_str(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	say("\"");
	while (*s)
		put_code(next_code(&s));
	say("\"");
}

/* What stands before a value: comma, new line, indentation, name. */
static void
lead(struct json *j, const char *name)
{
	if (j->has_member)
		say(",");
	if (j->depth)
		say("\n%*s", (int)j->depth * 4, "");
	if (name) {
		put_str(name);
		say(": ");
	}
	j->has_member = true;
}

void
json_open(struct json *j, const char *name, char bracket)
{
	lead(j, name);
	say("%c", bracket);
	j->depth++;
	j->has_member = false;
}

void
json_close(struct json *j, char bracket)
{
	j->depth--;
	say("\n%*s%c", (int)j->depth * 4, "", bracket);
	if (!j->depth)
		say("\n");
	j->has_member = true;
}

void
json_u64(struct json *j, const char *name, uint64_t value)
{
	lead(j, name);
	say("%" PRIu64, value);
}

void
json_bool(struct json *j, const char *name, bool value)
{
	lead(j, name);
	say("%s", value ? "true" : "false");
}

void
json_str(struct json *j, const char *name, const char *value)
{
	lead(j, name);
	put_str(value);
}
