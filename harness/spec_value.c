/* SPDX-License-Identifier: MIT */
/*
 * spec_value.c - one value of a key: from text to number, and what is said when
 * it is none
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/options.h"
#include "harness/spec_keys.h"

#define SIZE_TEXT 24

static void
size_text(uint64_t bytes, char buf[SIZE_TEXT])
{
	static const char units[] = "tgmk";
	uint64_t unit = TiB;

	for (size_t i = 0; units[i]; i++, unit /= KiB) {
		if (bytes >= unit && bytes % unit == 0) {
			(void)snprintf(buf, SIZE_TEXT, "%" PRIu64 "%c",
				       bytes / unit, units[i]);
			return;
		}
	}
	(void)snprintf(buf, SIZE_TEXT, "%" PRIu64, bytes);
}

const char *
spec_size_text(struct spec_mem *mem, uint64_t bytes)
{
	char buf[SIZE_TEXT];

	size_text(bytes, buf);
	return spec_text(mem, buf, strlen(buf));
}

/* A bound as the key's values are written; 8 EiB is as good as no bound. */
static void
bound_text(const struct spec_key *key, uint64_t n, char buf[SIZE_TEXT])
{
	if (key->type == SPEC_SIZE || key->type == SPEC_SHARE)
		size_text(n, buf);
	else if (key->type == SPEC_PERCENT)
		(void)snprintf(buf, SIZE_TEXT, "%g%%", (double)n / 100);
	else
		(void)snprintf(buf, SIZE_TEXT, "%" PRIu64, n);
}

static void
list_words(const struct spec_key *key, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; key->words[i] && at < size; i++) {
		const char *before = i == 0              ? ""
				     : key->words[i + 1] ? ", "
							 : " or ";

		at += (size_t)snprintf(buf + at, size - at, "%s%s", before,
				       key->words[i]);
	}
}

static void
list_numbers(const struct spec_key *key, char *buf, size_t size)
{
	char least[SIZE_TEXT], most[SIZE_TEXT], multiple[SIZE_TEXT];
	size_t at;

	bound_text(key, key->least, least);
	bound_text(key, key->most, most);
	if (key->most >= UINT32_MAX)
		at = (size_t)snprintf(buf, size, "at least %s", least);
	else
		at = (size_t)snprintf(buf, size, "%s to %s", least, most);
	if (key->power && at < size)
		at += (size_t)snprintf(buf + at, size - at, ", a power of two");
	if (key->multiple > 1 && at < size) {
		size_text(key->multiple, multiple);
		(void)snprintf(buf + at, size - at, ", a multiple of %s",
			       multiple);
	}
}

void
spec_key_values(const struct spec_key *key, char *buf, size_t size)
{
	switch (key->type) {
	case SPEC_ONE_OF:
		list_words(key, buf, size);
		break;
	case SPEC_SIZE:
	case SPEC_COUNT:
	case SPEC_PERCENT:
		list_numbers(key, buf, size);
		break;
	case SPEC_SWITCH:
		(void)snprintf(buf, size, "on or off");
		break;
	case SPEC_SHARE:
		(void)snprintf(buf, size,
			       "0%% to 100%% of the image, or bytes "
			       "such as 1g");
		break;
	case SPEC_NAME:
		(void)snprintf(buf, size, "a name");
		break;
	case SPEC_NAMES:
		(void)snprintf(buf, size, "names");
		break;
	case SPEC_TEXT:
		(void)snprintf(buf, size, "text");
		break;
	case SPEC_URI:
		(void)snprintf(buf, size,
			       "nbd://HOST[:PORT]/EXPORT, "
			       "nbd+unix:///EXPORT?socket=PATH or another that "
			       "libnbd knows");
		break;
	}
}

/* ---- parsing ----------------------------------------------------------- */

static int
is_not(const struct spec_key *key, const struct spec_word *word,
       struct q2_err *err)
{
	char buf[SPEC_CUT], values[256];

	spec_key_values(key, values, sizeof(values));
	return spec_fail(&word->pos, err, "%s: '%s' is not %s%s", key->name,
			 spec_cut(word->text, buf),
			 key->type == SPEC_COUNT || key->type == SPEC_SIZE
				 ? ""
				 : "one of ",
			 values);
}

static const char *
word_at(const void *arg, size_t i)
{
	return ((const char *const *)arg)[i];
}

static int
parse_word(const struct spec_key *key, const struct spec_word *word,
	   struct spec_value *ret, struct q2_err *err)
{
	char buf[SPEC_CUT], values[256];
	const char *near;
	size_t n;

	for (n = 0; key->words[n]; n++) {
		if (spec_same(key->words[n], word->text)) {
			ret->n = n;
			return 0;
		}
	}
	spec_key_values(key, values, sizeof(values));
	near = options_nearest(word->text, n, word_at, key->words);
	if (near)
		return spec_fail(&word->pos, err,
				 "%s: '%s' is not known; did you mean '%s'? "
				 "(%s)",
				 key->name, spec_cut(word->text, buf), near,
				 values);
	return spec_fail(&word->pos, err, "%s: '%s' is not known; it is %s",
			 key->name, spec_cut(word->text, buf), values);
}

/* Digits, and for a size a unit; false if it is no number, or too large. */
static bool
read_number(const char *text, bool size, uint64_t *ret)
{
	static const char units[] = "kmgt";
	const char *unit;
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || errno)
		return false;
	*ret = n;
	if (!*end)
		return true;
	unit = size ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (!unit || end[1])
		return false;
	return !mul_overflows(*ret, UINT64_C(1) << 10 * (unit - units + 1),
			      ret);
}

static int
parse_number(const struct spec_key *key, const struct spec_word *word,
	     struct spec_value *ret, struct q2_err *err)
{
	char buf[SPEC_CUT], values[256];
	bool below; /* what any key takes */

	spec_key_values(key, values, sizeof(values));
	below = word->text[0] == '-' &&
		read_number(word->text + 1, key->type == SPEC_SIZE, &ret->n);
	if (!below && !read_number(word->text, key->type == SPEC_SIZE, &ret->n))
		return spec_fail(&word->pos, err, "%s: '%s' is not a %s (%s)",
				 key->name, spec_cut(word->text, buf),
				 key->type == SPEC_SIZE
					 ? "size: a number, then nothing, k, "
					   "m, g or t"
					 : "number",
				 values);
	if (below || ret->n < key->least || ret->n > key->most ||
	    (key->power && !is_pow2(ret->n)) ||
	    (key->multiple && ret->n % key->multiple))
		return spec_fail(&word->pos, err, "%s: %s is not %s%s",
				 key->name, spec_cut(word->text, buf),
				 strncmp(values, "at", 2) == 0 ? "" : "from ",
				 values);
	return 0;
}

static int
parse_switch(const struct spec_key *key, const struct spec_word *word,
	     struct spec_value *ret, struct q2_err *err)
{
	static const char *const names[] = {"off",   "on",   "no", "yes",
					    "false", "true", NULL};

	for (size_t i = 0; names[i]; i++) {
		if (strcmp(names[i], word->text) == 0) {
			ret->n = i % 2;
			return 0;
		}
	}
	return is_not(key, word, err);
}

/* "5%" and "2.5%", in hundredths of a percent. */
static bool
read_percent(const char *text, uint64_t *ret)
{
	char *end;
	double n;

	if (!isdigit((unsigned char)text[0]))
		return false;
	n = strtod(text, &end);
	if (strcmp(end, "%") != 0 || !(n <= 1e6))
		return false;
	*ret = (uint64_t)(n * 100 + 0.5);
	return true;
}

static int
parse_percent(const struct spec_key *key, const struct spec_word *word,
	      struct spec_value *ret, struct q2_err *err)
{
	char buf[SPEC_CUT], values[256];

	if (read_percent(word->text, &ret->n) && ret->n >= key->least &&
	    ret->n <= key->most)
		return 0;
	spec_key_values(key, values, sizeof(values));
	return spec_fail(&word->pos, err,
			 "%s: '%s' is not a percentage from "
			 "%s",
			 key->name, spec_cut(word->text, buf), values);
}

static int
parse_share(const struct spec_key *key, const struct spec_word *word,
	    struct spec_value *ret, struct q2_err *err)
{
	char buf[SPEC_CUT];
	uint64_t n;

	if (read_percent(word->text, &n)) {
		ret->percent = true;
		ret->n = n / 100;
		if (n % 100)
			return spec_fail(&word->pos, err,
					 "%s: %s is not a whole number of "
					 "percent",
					 key->name, spec_cut(word->text, buf));
		if (ret->n > 100)
			return spec_fail(&word->pos, err,
					 "%s: %s is beyond 100%%", key->name,
					 spec_cut(word->text, buf));
	} else if (!read_number(word->text, true, &ret->n) ||
		   ret->n > INT64_MAX) {
		return spec_fail(
			&word->pos, err,
			"%s: '%s' is neither a percentage such as 80%% "
			"nor a size such as 1g",
			key->name, spec_cut(word->text, buf));
	}
	if (ret->n < key->least)
		return spec_fail(&word->pos, err, "%s is 0", key->name);
	return 0;
}

/* What comes before "://"; libnbd judges the rest of it. */
static int
parse_uri(const struct spec_key *key, const struct spec_word *word,
	  struct q2_err *err)
{
	static const char *const schemes[] = {
		"nbd://",       "nbds://",       "nbd+unix://", "nbds+unix://",
		"nbd+vsock://", "nbds+vsock://", "nbd+ssh://",  "nbds+ssh://"};
	char buf[SPEC_CUT], values[256];

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (strncmp(word->text, schemes[i], strlen(schemes[i])) == 0)
			return 0;
	}
	spec_key_values(key, values, sizeof(values));
	return spec_fail(&word->pos, err, "%s: '%s' is not an export: it is %s",
			 key->name, spec_cut(word->text, buf), values);
}

int
spec_value_parse(const struct spec_key *key, const struct spec_word *word,
		 struct spec_value *ret, struct q2_err *err)
{
	*ret = (struct spec_value){
		.set = true, .text = word->text, .pos = word->pos};
	if (!*word->text)
		return spec_fail(&word->pos, err, "%s has an empty value",
				 key->name);
	switch (key->type) {
	case SPEC_ONE_OF:
		return parse_word(key, word, ret, err);
	case SPEC_SIZE:
	case SPEC_COUNT:
		return parse_number(key, word, ret, err);
	case SPEC_SWITCH:
		return parse_switch(key, word, ret, err);
	case SPEC_PERCENT:
		return parse_percent(key, word, ret, err);
	case SPEC_SHARE:
		return parse_share(key, word, ret, err);
	case SPEC_NAME:
	case SPEC_NAMES:
	case SPEC_TEXT:
		return 0;
	case SPEC_URI:
		return parse_uri(key, word, err);
	}
	return 0;
}
