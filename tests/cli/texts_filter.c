/* SPDX-License-Identifier: MIT */
/*
 * texts_filter.c - what differs between two runs of the same command
 */
#include "tests/cli/texts.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"

/* On each line, what pattern matches becomes text; \1 in it is the first
 * group. */
struct filter {
	const char *pattern, *text;
};

static const struct filter filters[] = {
	{"^(.* ops; )[^ ]+( sec)? \\(.*/sec and .* ops/sec\\)$",
	 "\\1T sec (R/sec and O ops/sec)"},
	{"^([0-9]+,[0-9]+),[0-9][0-9.:]*( sec)?,[^,]+,[^,]+$", "\\1,T,R,O"},
	{"^( *disk size: ).*$", "\\1SIZE"},
	{"(\"actual-size\": )[0-9]+", "\\10"},
	{"(\"date-n?sec\": )[0-9]+", "\\10"},
	{"^([^ ].* )[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}( )",
	 "\\12000-01-01 00:00:00 "},
	{"^(qemu-(img|io)) version .*$", "\\1 version V"},
	{"^(    \\(0\\.00/100%\\)\r)(    \\([0-9.]+/100%\\)\r)*"
	 "    \\(100\\.00/100%\\)\r",
	 "\\1    (100.00/100%)\r"},
	{"^(Run completed in )[0-9.]+ seconds", "\\1T seconds"},
	{"(uuid\"?: \"?)[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
	 "[0-9a-f]{12}",
	 "\\1UUID"},
	{"(iters\"?: )[0-9]{4,}", "\\10"},
	{"(#block)[0-9]+", "\\1N"},
};

static void
append(char *out, size_t size, const char *text, size_t len)
{
	size_t have = strlen(out);

	assert_true(have + len < size);
	memcpy(out + have, text, len);
	out[have + len] = 0;
}

static void
filter_line(const struct filter *f, char *line, size_t size)
{
	static char out[65536];
	const char *group = strstr(f->text, "\\1");
	regmatch_t m[2];
	regex_t re;

	assert_int_equal(regcomp(&re, f->pattern, REG_EXTENDED), 0);
	if (regexec(&re, line, ARRAY_SIZE(m), m, 0) == 0) {
		out[0] = 0;
		append(out, sizeof(out), line, (size_t)m[0].rm_so);
		append(out, sizeof(out), line + m[1].rm_so,
		       (size_t)(m[1].rm_eo - m[1].rm_so));
		append(out, sizeof(out), group + 2, strlen(group + 2));
		append(out, sizeof(out), line + m[0].rm_eo,
		       strlen(line + m[0].rm_eo));
		assert_true(strlen(out) < size);
		strcpy(line, out);
	}
	regfree(&re);
}

/* Of qemu-io's help, captured is the first line; of qemu-img's, only the
 * version above it. */
static bool
is_help_of(const char *line, const char *program)
{
	size_t len = strlen(program);

	return strncmp(line, "Usage: ", 7) == 0 &&
	       strncmp(line + 7, program, len) == 0;
}

static bool
is_help(const char *line)
{
	return is_help_of(line, "qemu-io ") ||
	       is_help_of(line, "qemu-img COMMAND ");
}

/* The text after the filters; the caller frees it. */
char *
texts_filtered(const char *text)
{
	size_t size = strlen(text) * 2 + 1024;
	char *out = calloc(1, size), *line = malloc(size);

	assert_non_null(out);
	assert_non_null(line);
	while (*text) {
		size_t len = strcspn(text, "\n");

		memcpy(line, text, len);
		line[len] = 0;
		for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
			filter_line(&filters[i], line, size);
		if (!is_help_of(line, "qemu-img COMMAND ")) {
			append(out, size, line, strlen(line));
			append(out, size, "\n", text[len] == '\n');
		}
		if (is_help(line)) {
			append(out, size, "(help)\n", 7);
			break;
		}
		text += len + (text[len] == '\n');
	}
	free(line);
	return out;
}
