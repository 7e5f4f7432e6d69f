/* SPDX-License-Identifier: MIT */
#include "harness/options.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "harness/wrap.h"

#define INDENT 21 /* of what an option does */

#define WORD_MAX 31 /* longer words are near to nothing */

/* Edit distance where exchanged neighbours count as one edit. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= la; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			unsigned best = d[i - 1][j - 1] +
					(a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

const char *
options_nearest(const char *word, size_t n,
		const char *(*name)(const void *arg, size_t i), const void *arg)
{
	const char *best = NULL;
	unsigned best_d = 0;

	for (size_t i = 0; i < n; i++) {
		const char *candidate = name(arg, i);
		unsigned d = distance(word, candidate);

		/* What was begun and not finished is near, however long. */
		if (strlen(word) >= 2 &&
		    strncmp(word, candidate, strlen(word)) == 0)
			d = 1;
		/* A third of the letters may be wrong, and at least two. */
		if (d > 2 && d * 3 > strlen(candidate))
			continue;
		/* Nothing in common is not near, however short. */
		if (d >= max_u64(strlen(word), strlen(candidate)))
			continue;
		if (!best || d < best_d) {
			best = candidate;
			best_d = d;
		}
	}
	return best;
}

int
options_size(const char *text, uint64_t *ret_bytes, struct q2_err *err)
{
	static const char units[] = "kmgt";
	uint64_t factor = 1, bytes;
	unsigned long long n;
	const char *unit;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || errno)
		return q2_fail(err, -EINVAL, "'%s' is not a size", text);
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit || (strcmp(end + 1, "iB") != 0 && end[1] != '\0'))
			return q2_fail(err, -EINVAL,
				       "'%s' is not a size: after the number "
				       "comes nothing, k, m, g or t",
				       text);
		factor <<= 10 * (unit - units + 1);
	}
	if (mul_overflows((uint64_t)n, factor, &bytes))
		return q2_fail(err, -EINVAL, "the size '%s' is too large",
			       text);
	if (bytes == 0)
		return q2_fail(err, -EINVAL, "the size is 0");
	*ret_bytes = bytes;
	return 0;
}

static int
parse_number(const char *text, uint64_t least, uint64_t *ret,
	     struct q2_err *err)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (!isdigit((unsigned char)text[0]) || *end || errno)
		return q2_fail(err, -EINVAL, "'%s' is not a number", text);
	if (n < least)
		return q2_fail(err, -EINVAL, "%llu is less than %llu", n,
			       (unsigned long long)least);
	*ret = n;
	return 0;
}

static const char *
word_at(const void *arg, size_t i)
{
	return ((const char *const *)arg)[i];
}

static int
parse_word(const char *const *words, const char *text, const char **ret,
	   struct q2_err *err)
{
	char list[256] = "";
	const char *near;
	size_t n;

	for (n = 0; words[n]; n++) {
		if (strcmp(words[n], text) == 0) {
			*ret = words[n];
			return 0;
		}
		(void)snprintf(list + strlen(list), sizeof(list) - strlen(list),
			       "%s%s", n ? ", " : "", words[n]);
	}
	near = options_nearest(text, n, word_at, words);
	if (near)
		return q2_fail(err, -EINVAL,
			       "'%s' is not known; did you mean '%s'? "
			       "(one of %s)",
			       text, near, list);
	return q2_fail(err, -EINVAL, "'%s' is not known; it is one of %s", text,
		       list);
}

static int
append(struct option_list *list, const char *text, struct q2_err *err)
{
	if (list->n == OPTION_LIST_MAX)
		return q2_fail(err, -EINVAL, "given more than %d times",
			       OPTION_LIST_MAX);
	list->v[list->n++] = text;
	return 0;
}

static int
store(const struct option_spec *opt, const char *text, void *args,
      struct q2_err *err)
{
	void *to = (char *)args + opt->offset;
	int r = 0;

	switch (opt->kind) {
	case OPTION_FLAG:
		*(bool *)to = true;
		break;
	case OPTION_TEXT:
		if (!*text)
			r = q2_fail(err, -EINVAL, "the value is empty");
		*(const char **)to = text;
		break;
	case OPTION_WORD:
		r = parse_word(opt->words, text, to, err);
		break;
	case OPTION_COUNT:
		r = parse_number(text, 1, to, err);
		break;
	case OPTION_NUMBER:
		r = parse_number(text, 0, to, err);
		break;
	case OPTION_SIZE:
		r = options_size(text, to, err);
		break;
	case OPTION_LIST:
		r = append(to, text, err);
		break;
	}
	return r < 0 ? err_prefix(err, r, "--%s", opt->name) : 0;
}

static const char *
option_at(const void *arg, size_t i)
{
	return ((const struct options *)arg)->v[i].name;
}

/* The option that word (without dashes, up to len) names. */
static const struct option_spec *
find(const struct options *opts, const char *word, size_t len,
     struct q2_err *err)
{
	char name[WORD_MAX + 1];
	const char *near;

	for (size_t i = 0; i < opts->n; i++) {
		if (strlen(opts->v[i].name) == len &&
		    strncmp(opts->v[i].name, word, len) == 0)
			return &opts->v[i];
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, word);
	near = options_nearest(name, opts->n, option_at, opts);
	if (near)
		(void)q2_fail(err, -EINVAL,
			      "unknown option --%s; did you mean --%s?", name,
			      near);
	else
		(void)q2_fail(err, -EINVAL, "unknown option --%s", name);
	return NULL;
}

/* One option at argv[i]; returns how many words it took. */
static int
parse_option(const struct options *opts, char **argv, int left, void *args,
	     struct q2_err *err)
{
	const char *word = argv[0] + 2;
	size_t len = strcspn(word, "=");
	const char *value = word[len] ? word + len + 1 : NULL;
	const struct option_spec *opt = find(opts, word, len, err);
	int used = 1;
	int r;

	if (!opt)
		return -EINVAL;
	if (opt->kind == OPTION_FLAG && value)
		return q2_fail(err, -EINVAL, "--%s takes no value", opt->name);
	if (opt->kind != OPTION_FLAG && !value) {
		if (left < 2)
			return q2_fail(err, -EINVAL, "--%s needs a value: %s",
				       opt->name, opt->value);
		value = argv[1];
		used = 2;
	}
	r = store(opt, value, args, err);
	return r < 0 ? r : used;
}

int
options_parse(const struct options *opts, int argc, char **argv, void *args,
	      struct operands operands, struct q2_err *err)
{
	int n = 0;
	int r;

	for (int i = 0; i < argc; i += r) {
		r = 1;
		if (strncmp(argv[i], "--", 2) == 0) {
			r = parse_option(opts, argv + i, argc - i, args, err);
			if (r < 0)
				return r;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			return q2_fail(err, -EINVAL,
				       "unknown option %s; options begin with "
				       "two dashes",
				       argv[i]);
		} else if (n == operands.max) {
			return q2_fail(err, -EINVAL, "unexpected word '%s'",
				       argv[i]);
		} else {
			operands.v[n++] = argv[i];
		}
	}
	return n;
}

void
options_help(const struct options *opts, FILE *f)
{
	for (size_t i = 0; i < opts->n; i++) {
		const struct option_spec *opt = &opts->v[i];
		char head[64], text[512];
		int n = snprintf(text, sizeof(text), "%s", opt->help);

		(void)snprintf(head, sizeof(head), "--%s %s", opt->name,
			       opt->value ? opt->value : "");
		for (size_t w = 0; opt->words && opt->words[w]; w++)
			n += snprintf(text + n, sizeof(text) - (size_t)n,
				      "%s%s", w ? ", " : ": ", opt->words[w]);
		assert((size_t)n < sizeof(text));
		wrap_entry(f, head, INDENT, text);
	}
}
