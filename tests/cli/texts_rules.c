/* SPDX-License-Identifier: MIT */
/*
 * texts_rules.c - which of QEMU's cases apply to this version, and their file
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

/* What a rule looks at, all as one line of words. */
enum where {
	IN_ID,
	IN_ARGV,
	IN_SETUP,
	IN_BOTH
};

/*
 * A case is left out by the first rule that fits: where matches pattern, and
 * the command matches on (NULL: any).
 */
struct rule {
	const char *reason;
	enum where where;
	const char *pattern;
	const char *on;
};

static const struct rule rules[] = {
	{"compressed writes to encrypted images are refused", IN_ID,
	 "^io/luks-write-compressed", NULL},
	{"help is in our own words", IN_ID,
	 "/o-help|/no-file-help|^create/o-question|^help/io-[^v]", NULL},
	{"holes of the host file in map", IN_ID, "^map/mixed-json", NULL},
	{"a rebase that cannot be copies nothing", IN_ID, "rebase/safe-no-F",
	 NULL},
	{"a create that cannot be empties no file", IN_ID,
	 "raw-preallocation-meta|raw-bad-9223372036854775807", NULL},
};

/* The words of a list of strings (or of lists of them), joined by spaces. */
void
texts_join(const json_t *list, char *out, size_t size)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		size_t have = strlen(out);

		if (json_is_array(item))
			texts_join(item, out, size);
		else
			(void)snprintf(out + have, size - have, "%s%s",
				       have ? " " : "",
				       json_string_value(item));
	}
}

bool
texts_matches(const char *pattern, const char *text)
{
	regex_t re;
	int r = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);

	assert_int_equal(r, 0);
	r = regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	return r == 0;
}

static const char *
why_left_out(const json_t *c)
{
	static char argv[16384], setup[16384];
	const char *id = json_string_value(json_object_get(c, "id"));

	argv[0] = setup[0] = 0;
	texts_join(json_object_get(c, "argv"), argv, sizeof(argv));
	texts_join(json_object_get(c, "setup"), setup, sizeof(setup));
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *r = &rules[i];
		bool in_argv = r->where == IN_ARGV || r->where == IN_BOTH;
		bool in_setup = r->where == IN_SETUP || r->where == IN_BOTH;

		if (r->on && !texts_matches(r->on, argv))
			continue;
		if ((r->where == IN_ID && texts_matches(r->pattern, id)) ||
		    (in_argv && texts_matches(r->pattern, argv)) ||
		    (in_setup && texts_matches(r->pattern, setup)))
			return r->reason;
	}
	return NULL;
}

/* ---- the file of cases ------------------------------------------------- */

json_t *
texts_load(const char *path)
{
	FILE *f = fopen(path, "re");
	json_t *list = json_array(), *line;
	json_error_t error;

	if (!f) {
		perror(path);
		exit(1);
	}
	while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, &error)))
		json_array_append_new(list, line);
	(void)fclose(f);
	return list;
}

int
texts_select(const char *path)
{
	json_t *all = texts_load(path), *head = json_object();
	json_t *left = json_object(), *c;
	size_t i, n = 0;

	json_array_foreach(all, i, c)
	{
		const char *why = why_left_out(c);
		json_t *count = why ? json_object_get(left, why) : NULL;

		n += !why;
		if (why)
			json_object_set_new(
				left, why,
				json_integer(json_integer_value(count) + 1));
	}
	json_object_set_new(head, "cases", json_integer((json_int_t)n));
	json_object_set_new(head, "of",
			    json_integer((json_int_t)json_array_size(all)));
	json_object_set_new(head, "left_out", left);
	(void)json_dumpf(head, stdout, 0);
	(void)printf("\n");
	json_array_foreach(all, i, c)
	{
		if (why_left_out(c))
			continue;
		(void)json_dumpf(c, stdout, JSON_ENSURE_ASCII);
		(void)printf("\n");
	}
	json_decref(head);
	json_decref(all);
	return 0;
}

void
texts_print_head(const json_t *head)
{
	const json_t *count;
	const char *why;

	(void)printf("%lld of %lld cases apply; left out:\n",
		     json_integer_value(json_object_get(head, "cases")),
		     json_integer_value(json_object_get(head, "of")));
	json_object_foreach(json_object_get(head, "left_out"), why, count)(void)
		printf("  %4lld  %s\n", json_integer_value(count), why);
}
