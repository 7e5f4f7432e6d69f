/* SPDX-License-Identifier: MIT */
/*
 * spec_expand.c - one line of [configurations] or [passes] becomes items
 */
#include <ctype.h>
#include <string.h>

#include "harness/spec_form.h"

#define LABEL_MAX 63

/* A key of the line with its values. */
struct assign {
	struct spec_axis axis;
	bool own; /* said for this line by name */
};

struct expansion {
	struct spec_form *form;
	struct spec_items *items;
	const struct spec_entry *line;
	struct assign v[SPEC_KEYS_MAX];
	size_t n;
};

/* ---- what the line says ------------------------------------------------ */

static struct assign *
find(struct expansion *x, const struct spec_key *key)
{
	for (size_t i = 0; i < x->n; i++) {
		if (x->v[i].axis.key == key)
			return &x->v[i];
	}
	return NULL;
}

/* The key of the word gets the word's values; a new key comes last. */
static int
put(struct expansion *x, const struct spec_word *word, bool own,
    struct q2_err *err)
{
	const struct spec_key *key;
	struct spec_word value;
	struct assign *to;
	int r;

	r = spec_assignment(x->form->mem, x->items->scope, word, &key, &value,
			    err);
	if (r < 0)
		return r;
	to = find(x, key);
	if (!to) {
		to = &x->v[x->n++];
		to->own = own;
	}
	return spec_axis_parse(x->form->mem, key, &value, &to->axis, err);
}

static int
put_own(struct expansion *x, struct q2_err *err)
{
	const struct spec_key *key;
	struct spec_word value;
	int r = 0;

	for (size_t i = 0; i < x->line->nwords && r >= 0; i++) {
		const struct spec_word *word = &x->line->words[i];

		r = spec_assignment(x->form->mem, x->items->scope, word, &key,
				    &value, err);
		if (r >= 0 && find(x, key))
			r = spec_fail(&word->pos, err,
				      "%s a second time on this line",
				      key->name);
		if (r >= 0)
			r = put(x, word, true, err);
	}
	return r;
}

/* Is the one word of an override for all a key of this scope? */
static bool
is_for_all(const struct expansion *x, const struct spec_override *over)
{
	const char *text = over->words[0].text;
	const char *name = spec_text(x->form->mem, text, strcspn(text, "="));

	return !over->name && spec_keys_find(name, SPEC_SCOPE(x->items->scope));
}

static int
put_overrides(struct expansion *x, struct q2_err *err)
{
	int r = 0;

	for (size_t i = 0; i < x->form->nover && r >= 0; i++) {
		struct spec_override *over = &x->form->over[i];
		bool own = over->name &&
			   spec_same(over->name, x->line->key.text);

		if (!own && !is_for_all(x, over))
			continue;
		over->used = true;
		for (size_t w = 0; w < over->nwords && r >= 0; w++)
			r = put(x, &over->words[w], own, err);
	}
	return r;
}

/* Keys by which it is known whether other keys apply. */
static bool
is_decisive(const struct spec_key *key)
{
	return strcmp(key->name, "target") == 0 ||
	       strcmp(key->name, "op") == 0 || strcmp(key->name, "rw") == 0;
}

static int
put_default(struct expansion *x, const struct spec_entry *entry, bool decisive,
	    struct q2_err *err)
{
	const struct spec_key *key = spec_keys_find(
		entry->key.text, SPEC_SCOPE(x->items->scope));
	struct assign *to = &x->v[x->n];

	if (!key || find(x, key) || is_decisive(key) != decisive)
		return 0;
	x->n++;
	to->own = false;
	return spec_axis_parse(x->form->mem, key, &entry->words[0], &to->axis,
			       err);
}

static int
put_defaults(struct expansion *x, struct q2_err *err)
{
	const struct spec_section *section =
		&x->form->file->sections[SPEC_IN_DEFAULTS];
	int r = 0;

	for (int decisive = 1; decisive >= 0; decisive--) {
		for (size_t i = 0; i < section->n && r >= 0; i++)
			r = put_default(x, &section->v[i], decisive, err);
	}
	return r;
}

/* What is not the line's own comes after it, decisive keys first. */
static void
sort(struct expansion *x)
{
	struct assign sorted[SPEC_KEYS_MAX] = {0};
	size_t n = 0;

	for (int rank = 0; rank < 3; rank++) {
		for (size_t i = 0; i < x->n; i++) {
			const struct assign *a = &x->v[i];
			int of = a->own ? 0 : is_decisive(a->axis.key) ? 1 : 2;

			if (of == rank)
				sorted[n++] = *a;
		}
	}
	memcpy(x->v, sorted, n * sizeof(sorted[0]));
}

/* ---- labels ------------------------------------------------------------ */

static bool
is_label(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > LABEL_MAX || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) &&
		    !strchr("-_.+", text[i]))
			return false;
	}
	return true;
}

/* The value of "${key}", whose name is given. */
static int
template_value(const struct expansion *x, const struct spec_item *item,
	       const char *name, const struct spec_pos *pos, const char **ret,
	       struct q2_err *err)
{
	const unsigned scopes = SPEC_SCOPE(x->items->scope);
	const struct spec_key *key = spec_keys_find(name, scopes);
	struct spec_word at = {name, *pos};

	if (!key)
		return spec_unknown_key(&at, name, scopes, err);
	if (!item->v[spec_keys_index(key)].set)
		return spec_fail(pos, err, "${%s}: %s is not said here",
				 key->name, key->name);
	*ret = item->v[spec_keys_index(key)].text;
	return 0;
}

static int
make_label(const struct expansion *x, struct spec_item *item,
	   struct q2_err *err)
{
	struct spec_mem *mem = x->form->mem;
	const struct spec_word *pattern = &x->line->key;
	const char *label = "", *at = pattern->text, *value = "";
	struct spec_pos pos = pattern->pos;
	char buf[SPEC_CUT];
	int r;

	while (*at && strlen(label) <= LABEL_MAX) {
		size_t len = strcspn(at, "$");
		const char *end;

		label = spec_format(mem, "%s%.*s", label, (int)len, at);
		at += len;
		if (!*at)
			break;
		end = at[1] == '{' ? strchr(at, '}') : NULL;
		pos.col = pattern->pos.col + (unsigned)(at - pattern->text);
		if (!end)
			return spec_fail(&pos, err,
					 "'$' is written ${key} in a label");
		r = template_value(
			x, item, spec_text(mem, at + 2, (size_t)(end - at - 2)),
			&pos, &value, err);
		if (r < 0)
			return r;
		label = spec_format(mem, "%s%s", label, value);
		at = end + 1;
	}
	if (!is_label(label))
		return spec_fail(
			&pattern->pos, err,
			"'%s' is not a label: letters, digits, - _ . "
			"and +, at most %d, beginning with a letter or "
			"digit",
			spec_cut(label, buf), LABEL_MAX);
	item->label = label;
	return 0;
}

/* ---- one item ---------------------------------------------------------- */

/* What is put over this one label of a line that has several. */
static int
put_over_label(const struct expansion *x, struct spec_item *item,
	       struct q2_err *err)
{
	int r = 0;

	for (size_t i = 0; i < x->form->nover && r >= 0; i++) {
		struct spec_override *over = &x->form->over[i];

		if (!over->name || !spec_same(over->name, item->label) ||
		    spec_same(over->name, x->line->key.text))
			continue;
		over->used = true;
		for (size_t w = 0; w < over->nwords && r >= 0; w++) {
			const struct spec_key *key;
			struct spec_word value;

			r = spec_assignment(x->form->mem, x->items->scope,
					    &over->words[w], &key, &value, err);
			if (r < 0)
				break;
			item->own[spec_keys_index(key)] = true;
			r = spec_value_parse(key, &value,
					     &item->v[spec_keys_index(key)],
					     err);
		}
	}
	return r;
}

/* What is said for this item by name must mean something there. */
static int
check_applies(const struct expansion *x, const struct spec_item *item,
	      struct q2_err *err)
{
	unsigned where = spec_item_where(x->items, item);

	for (size_t i = 0; i < spec_keys_count(); i++) {
		const struct spec_key *key = spec_keys_at(i);

		if (item->own[i] && !(key->applies & where))
			return spec_fail(&item->v[i].pos, err,
					 "%s=%s: %s is of %s, which %s is not",
					 key->name, item->v[i].text, key->name,
					 spec_where_text(key->applies),
					 item->label);
	}
	return 0;
}

static void
put_usual(const struct expansion *x, struct spec_item *item)
{
	unsigned where = spec_item_where(x->items, item);
	struct q2_err ignored;

	for (size_t i = 0; i < spec_keys_count(); i++) {
		const struct spec_key *key = spec_keys_at(i);
		struct spec_word word = {key->usual, x->line->key.pos};

		if ((key->applies & where) && key->scope == x->items->scope &&
		    !item->v[i].set && key->usual)
			(void)spec_value_parse(key, &word, &item->v[i],
					       &ignored);
	}
}

/* What has been said for all and means nothing here. */
static void
drop_idle(const struct expansion *x, struct spec_item *item)
{
	unsigned where = spec_item_where(x->items, item);

	for (size_t i = 0; i < spec_keys_count(); i++) {
		if (!(spec_keys_at(i)->applies & where))
			item->v[i] = (struct spec_value){0};
	}
}

static int
finish(const struct expansion *x, struct spec_item *item, struct q2_err *err)
{
	bool config = x->items->scope == SPEC_OF_CONFIG;
	int r;

	item->line = x->line;
	if (spec_item_where(x->items, item) == 0)
		return spec_fail(&x->line->key.pos, err,
				 config ? "'%s' has no target; add target=raw "
					  "or target=qcow2"
					: "'%s' has neither op nor rw; add "
					  "rw=randwrite or the like",
				 x->line->key.text);
	put_usual(x, item);
	r = make_label(x, item, err);
	if (r >= 0)
		r = put_over_label(x, item, err);
	if (r >= 0)
		r = check_applies(x, item, err);
	if (r < 0)
		return r;
	put_usual(x, item); /* target, op or rw may be another now */
	drop_idle(x, item);
	if (x->items->n == SPEC_ITEMS_MAX)
		return spec_fail(&x->line->key.pos, err, "more than %d %s",
				 SPEC_ITEMS_MAX,
				 config ? "configurations" : "passes");
	x->items->v = spec_grow(x->form->mem, x->items->v, x->items->n,
				&x->items->cap, sizeof(*item));
	x->items->v[x->items->n++] = *item;
	return 0;
}

/* ---- the product ------------------------------------------------------- */

/* All combinations of the keys from i on: the first one varies slowest. */
static int
multiply(const struct expansion *x, size_t i, struct spec_item *item,
	 struct q2_err *err)
{
	const struct assign *a = &x->v[i];
	struct spec_item one;
	size_t at;
	int r = 0;

	if (i == x->n) {
		/* finish() fills in more, which the next one must not see. */
		one = *item;
		return finish(x, &one, err);
	}
	at = spec_keys_index(a->axis.key);
	if (!a->own && !is_decisive(a->axis.key) &&
	    !(a->axis.key->applies & spec_item_where(x->items, item)))
		return multiply(x, i + 1, item, err);
	for (size_t n = 0; n < a->axis.n && r >= 0; n++) {
		item->v[at] = a->axis.v[n];
		item->own[at] = a->own;
		r = multiply(x, i + 1, item, err);
	}
	item->v[at] = (struct spec_value){0};
	item->own[at] = false;
	return r;
}

int
spec_expand(struct spec_form *form, struct spec_items *items,
	    const struct spec_entry *line, struct q2_err *err)
{
	struct expansion x = {.form = form, .items = items, .line = line};
	struct spec_item item = {0};
	int r = put_own(&x, err);

	if (r >= 0)
		r = put_overrides(&x, err);
	if (r >= 0)
		r = put_defaults(&x, err);
	if (r < 0)
		return r;
	sort(&x);
	return multiply(&x, 0, &item, err);
}
