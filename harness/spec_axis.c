/* SPDX-License-Identifier: MIT */
#include "harness/spec_axis.h"

#include <inttypes.h>
#include <string.h>

#include "engine/base/num.h"

/* A range that is being gone through. */
struct range {
	struct spec_value first, last;
	char step; /* '+' or '*' */
	uint64_t by;
};

static int
add(struct spec_mem *mem, struct spec_axis *axis,
    const struct spec_value *value, struct q2_err *err)
{
	if (axis->n == SPEC_AXIS_MAX)
		return spec_fail(&value->pos, err, "%s has more than %d values",
				 axis->key->name, SPEC_AXIS_MAX);
	if (!axis->v)
		axis->v = spec_alloc(mem, SPEC_AXIS_MAX * sizeof(*axis->v));
	axis->v[axis->n++] = *value;
	return 0;
}

static const char *
number_text(struct spec_mem *mem, const struct spec_key *key, uint64_t n)
{
	return key->type == SPEC_SIZE ? spec_size_text(mem, n)
				      : spec_format(mem, "%" PRIu64, n);
}

/* "1..1024*2", of which dots points at "..". */
static int
parse_range(struct spec_mem *mem, const struct spec_key *key,
	    const struct spec_word *word, const char *dots, struct range *ret,
	    struct q2_err *err)
{
	struct spec_word from = *word, to = *word, by = *word;
	const char *step = strpbrk(dots, "+*");
	struct spec_key number = {.name = key->name,
				  .type = key->type,
				  .least = 1,
				  .most = INT64_MAX};
	struct spec_value v = {.n = 1};
	char buf[SPEC_CUT];
	int r;

	if (key->type != SPEC_SIZE && key->type != SPEC_COUNT)
		return spec_fail(&word->pos, err,
				 "%s: '%s': only numbers and sizes have ranges",
				 key->name, spec_cut(word->text, buf));
	from.text = spec_text(mem, word->text, (size_t)(dots - word->text));
	to.text = spec_text(mem, dots + 2,
			    step ? (size_t)(step - dots - 2)
				 : strlen(dots + 2));
	to.pos.col += (unsigned)(dots + 2 - word->text);
	r = spec_value_parse(key, &from, &ret->first, err);
	if (r >= 0)
		r = spec_value_parse(&number, &to, &ret->last, err);
	if (r >= 0 && step) {
		by.text = step + 1;
		by.pos.col += (unsigned)(step + 1 - word->text);
		/* A factor is a number, of sizes too. */
		if (*step == '*')
			number.type = SPEC_COUNT;
		r = spec_value_parse(&number, &by, &v, err);
	}
	if (r < 0)
		return r;
	ret->step = '+';
	if (step)
		ret->step = *step;
	ret->by = v.n;
	if (ret->step == '*' && (ret->by < 2 || ret->first.n == 0))
		return spec_fail(&by.pos, err,
				 "%s: the range '%s' never ends: *%" PRIu64
				 " from %" PRIu64,
				 key->name, spec_cut(word->text, buf), ret->by,
				 ret->first.n);
	if (ret->first.n > ret->last.n)
		return spec_fail(&word->pos, err,
				 "%s: the range '%s' ends before it begins",
				 key->name, spec_cut(word->text, buf));
	return 0;
}

static int
add_range(struct spec_mem *mem, struct spec_axis *axis,
	  const struct spec_word *word, const char *dots, struct q2_err *err)
{
	struct range range = {0};
	uint64_t n;
	int r = parse_range(mem, axis->key, word, dots, &range, err);
	bool over = false;

	for (n = range.first.n; r >= 0 && !over && n <= range.last.n;) {
		struct spec_word one = {number_text(mem, axis->key, n),
					word->pos};
		struct spec_value value;

		r = spec_value_parse(axis->key, &one, &value, err);
		if (r >= 0)
			r = add(mem, axis, &value, err);
		over = range.step == '*' ? mul_overflows(n, range.by, &n)
					 : add_overflows(n, range.by, &n);
	}
	return r;
}

static int
add_element(struct spec_mem *mem, struct spec_axis *axis,
	    const struct spec_word *word, struct q2_err *err)
{
	const char *dots = strstr(word->text, "..");
	struct spec_value value;
	int r;

	if (dots && axis->key->type != SPEC_NAME &&
	    axis->key->type != SPEC_TEXT && axis->key->type != SPEC_URI)
		return add_range(mem, axis, word, dots, err);
	r = spec_value_parse(axis->key, word, &value, err);
	return r < 0 ? r : add(mem, axis, &value, err);
}

static bool
equal(const struct spec_key *key, const struct spec_value *a,
      const struct spec_value *b)
{
	if (key->type == SPEC_NAME)
		return spec_same(a->text, b->text);
	return a->n == b->n && a->percent == b->percent;
}

static int
no_value_twice(const struct spec_axis *axis, struct q2_err *err)
{
	char buf[SPEC_CUT];

	for (size_t i = 0; i < axis->n; i++) {
		for (size_t j = 0; j < i; j++) {
			if (equal(axis->key, &axis->v[i], &axis->v[j]))
				return spec_fail(
					&axis->v[i].pos, err,
					"%s has the value %s twice",
					axis->key->name,
					spec_cut(axis->v[i].text, buf));
		}
	}
	return 0;
}

int
spec_axis_parse(struct spec_mem *mem, const struct spec_key *key,
		const struct spec_word *word, struct spec_axis *ret,
		struct q2_err *err)
{
	const char *at = word->text;
	size_t len;
	int r;

	*ret = (struct spec_axis){.key = key};
	do {
		struct spec_word element = *word;

		/* A comma may be part of a socket's name. */
		len = key->type == SPEC_URI ? strlen(at) : strcspn(at, ",");
		element.text = spec_text(mem, at, len);
		if (word->pos.line)
			element.pos.col += (unsigned)(at - word->text);
		r = add_element(mem, ret, &element, err);
		at += len + 1;
	} while (r >= 0 && at[-1] == ',');
	return r < 0 ? r : no_value_twice(ret, err);
}
