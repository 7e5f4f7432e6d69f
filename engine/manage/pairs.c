/* SPDX-License-Identifier: MIT */
/*
 * pairs.c - options as a flat list of names and values
 */
#include "engine/manage/pairs.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/base/optval.h"

/* No image needs more; a text that does is a mistake or an attack. */
#define PAIRS_MAX 1024
#define DEPTH_MAX 16
#define KEY_MAX   1024

static struct pair *
find(const struct pairs *p, const char *key)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i].key, key) == 0)
			return &p->v[i];
	return NULL;
}

static struct pair *
add(struct pairs *p, const char *key)
{
	struct pair *v = reallocarray(p->v, p->n + 1, sizeof(*v));
	char *copy = v ? strdup(key) : NULL;

	if (v)
		p->v = v;
	if (!copy)
		return NULL;
	v[p->n] = (struct pair){.key = copy};
	return &v[p->n++];
}

int
pairs_set(struct pairs *p, const char *key, const char *value,
	  struct q2_err *err)
{
	struct pair *pair = find(p, key);
	char *copy = value ? strdup(value) : NULL;

	if (!pair && p->n < PAIRS_MAX)
		pair = add(p, key);
	if (!pair || (value && !copy)) {
		free(copy);
		return q2_fail(err, p->n < PAIRS_MAX ? -ENOMEM : -EINVAL,
			       p->n < PAIRS_MAX ? "no memory for option '%s'"
						: "too many options: '%s'",
			       key);
	}
	free(pair->value);
	pair->value = copy;
	return 0;
}

/* ---- lists ------------------------------------------------------------- */

static int
add_item(struct pairs *p, char *item, const char *implied, struct q2_err *err)
{
	char *value = strchr(item, '=');

	if (value) {
		*value = 0;
		return pairs_set(p, item, value + 1, err);
	}
	if (implied)
		return pairs_set(p, implied, item, err);
	if (strncmp(item, "no", 2) == 0)
		return pairs_set(p, item + 2, "off", err);
	return pairs_set(p, item, "on", err);
}

int
pairs_add_list(struct pairs *p, const char *text, const char *implied,
	       struct q2_err *err)
{
	Q2_AUTO_FREE char *item = NULL;
	int r = 0;

	if (!*text)
		return 0;
	item = malloc(strlen(text) + 1);
	if (!item)
		return q2_fail(err, -ENOMEM, "no memory for the options");
	while (text && r == 0) {
		text = optval_next(text, item);
		r = add_item(p, item, implied, err);
		implied = NULL;
	}
	return r;
}

/* ---- JSON -------------------------------------------------------------- */

/*
 * Copy a string in either kind of quotes to out, in double quotes.  Returns
 * the place behind it.
 */
static const char *
copy_string(const char *s, char **out)
{
	char quote = *s++;

	*(*out)++ = '"';
	while (*s && *s != quote) {
		if (s[0] == '\\' && s[1] == '\'') {
			s++;
		} else if (s[0] == '\\' && s[1]) {
			*(*out)++ = *s++;
		} else if (*s == '"') {
			*(*out)++ = '\\';
		}
		*(*out)++ = *s++;
	}
	if (*s == quote) {
		*(*out)++ = '"';
		s++;
	}
	return s;
}

static bool
is_keyword(const char *s, size_t len)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == len && strncmp(s, words[i], len) == 0)
			return true;
	return false;
}

/* The text as strict JSON in out, which has room for twice of it. */
static int
to_strict(const char *s, char *out, struct q2_err *err)
{
	while (*s) {
		size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz");

		if (*s == '"' || *s == '\'') {
			s = copy_string(s, &out);
			continue;
		}
		if (len && !is_keyword(s, len))
			return q2_fail(err, -EINVAL,
				       "Could not parse the JSON options: JSON "
				       "parse error, invalid keyword '%.*s'",
				       (int)min_u64(len, 80), s);
		len += !len;
		memcpy(out, s, len);
		out += len;
		s += len;
	}
	*out = 0;
	return 0;
}

static int
add_value(struct pairs *p, const char *key, const json_t *value,
	  struct q2_err *err)
{
	char text[64];

	switch (json_typeof(value)) {
	case JSON_STRING:
		return pairs_set(p, key, json_string_value(value), err);
	case JSON_INTEGER:
		(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
			       json_integer_value(value));
		return pairs_set(p, key, text, err);
	case JSON_REAL:
		(void)snprintf(text, sizeof(text), "%.17g",
			       json_real_value(value));
		return pairs_set(p, key, text, err);
	case JSON_TRUE:
		return pairs_set(p, key, "on", err);
	case JSON_FALSE:
		return pairs_set(p, key, "off", err);
	default:
		return pairs_set(p, key, NULL, err);
	}
}

/* Recursive, DEPTH_MAX deep at most. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int
flatten(struct pairs *p, const char *prefix, const json_t *value,
	unsigned depth, struct q2_err *err)
{
	char key[KEY_MAX];
	const json_t *item;
	const char *name;
	size_t i;
	int r = 0;

	if (depth > DEPTH_MAX)
		return q2_fail(err, -EINVAL,
			       "the JSON options are nested deeper than %d",
			       DEPTH_MAX);
	if (!json_is_object(value) && !json_is_array(value))
		return add_value(p, prefix, value, err);
	if (json_is_array(value)) {
		json_array_foreach(value, i, item)
		{
			(void)snprintf(key, sizeof(key), "%s%s%zu", prefix,
				       *prefix ? "." : "", i);
			r = flatten(p, key, item, depth + 1, err);
			if (r < 0)
				return r;
		}
		return 0;
	}
	json_object_foreach((json_t *)(uintptr_t)value, name, item)
	{
		if ((size_t)snprintf(key, sizeof(key), "%s%s%s", prefix,
				     *prefix ? "." : "", name) >= sizeof(key))
			return q2_fail(err, -EINVAL,
				       "the name of a JSON option is too long");
		r = flatten(p, key, item, depth + 1, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* QEMU's words for what jansson found. */
static const char *
json_trouble(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_premature_end_of_input:
		return "JSON parse error, premature EOI";
	case json_error_end_of_input_expected:
		return "Expecting at most one JSON value";
	case json_error_duplicate_key:
		return "JSON parse error, duplicate key";
	default:
		return NULL;
	}
}

int
pairs_add_json(struct pairs *p, const char *text, struct q2_err *err)
{
	Q2_AUTO_FREE char *strict = NULL;
	json_error_t error;
	const char *trouble;
	json_t *root;
	int r;

	if (!text[strspn(text, " \t\r\n")])
		return q2_fail(err, -EINVAL,
			       "Could not parse the JSON options: Expecting a "
			       "JSON value");
	strict = malloc(2 * strlen(text) + 3);
	if (!strict)
		return q2_fail(err, -ENOMEM, "no memory for the options");
	r = to_strict(text, strict, err);
	if (r < 0)
		return r;
	root = json_loads(strict, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
			  &error);
	if (!root) {
		trouble = json_trouble(&error);
		return q2_fail(err, -EINVAL,
			       "Could not parse the JSON options: %s%s",
			       trouble ? "" : "JSON parse error, ",
			       trouble ? trouble : error.text);
	}
	r = json_is_object(root)
		    ? flatten(p, "", root, 0, err)
		    : q2_fail(err, -EINVAL, "Invalid JSON object given");
	json_decref(root);
	return r;
}

/* ---- looking up -------------------------------------------------------- */

struct pair *
pairs_take(struct pairs *p, const char *key)
{
	struct pair *pair = find(p, key);

	if (pair)
		pair->used = true;
	return pair;
}

const char *
pairs_value(struct pairs *p, const char *key)
{
	const struct pair *pair = pairs_take(p, key);

	return pair ? pair->value : NULL;
}

bool
pairs_has(const struct pairs *p, const char *key)
{
	return find(p, key) != NULL;
}

bool
pairs_has_prefix(const struct pairs *p, const char *prefix)
{
	for (size_t i = 0; i < p->n; i++)
		if (strncmp(p->v[i].key, prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

const struct pair *
pairs_find(struct pairs *p, const char *key)
{
	return find(p, key);
}

void
pairs_lift(struct pairs *p, const char *prefix)
{
	size_t len = strlen(prefix), kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		char *key = p->v[i].key;

		if (strncmp(key, prefix, len) == 0) {
			memmove(key, key + len, strlen(key + len) + 1);
		} else if (*key &&
			   (p->v[i].used || strcmp(key, "driver") == 0)) {
			free(key);
			free(p->v[i].value);
			continue;
		}
		p->v[kept++] = p->v[i];
	}
	p->n = kept;
}

void
pairs_done(struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].key);
		free(p->v[i].value);
	}
	free(p->v);
	*p = (struct pairs){0};
}
