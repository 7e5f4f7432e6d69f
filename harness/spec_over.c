/* SPDX-License-Identifier: MIT */
/*
 * spec_over.c - what is put over the lines of a spec file
 *
 *	[quick]					--set
 *	rounds = 6		of the suite	rounds=6, suite.rounds=6
 *	image_size = 1g		all that have	image_size=1g
 *				the key
 *	seq-write = size=20%	one line, or	seq-write.size=20%,
 *				one label	passes.seq-write=size=20%
 *
 * --set comes later, so it wins.  defaults.KEY= and quick.KEY= replace an entry
 * of these sections, before anything is put over anything.
 */
#include <stdio.h>
#include <string.h>

#include "harness/options.h"
#include "harness/spec_form.h"

static void
put_over(struct spec_form *form, const struct spec_override *over)
{
	form->over = spec_grow(form->mem, form->over, form->nover,
			       &form->over_cap, sizeof(*form->over));
	form->over[form->nover++] = *over;
}

static bool
is_line(const struct spec_form *form, const char *name)
{
	return spec_find(&form->file->sections[SPEC_IN_CONFIGS], name) ||
	       spec_find(&form->file->sections[SPEC_IN_PASSES], name);
}

/* For a key of all configurations or passes: "key=" before its one word. */
static int
put_over_all(struct spec_form *form, const struct spec_entry *entry,
	     const struct spec_key *key, struct q2_err *err)
{
	struct spec_override over = {.pos = entry->key.pos, .nwords = 1};

	if (entry->nwords != 1)
		return spec_fail(&entry->key.pos, err, "%s takes one value",
				 key->name);
	over.words = spec_alloc(form->mem, sizeof(*over.words));
	over.words[0].text = spec_format(form->mem, "%s=%s", key->name,
					 entry->words[0].text);
	over.words[0].pos = entry->key.pos;
	put_over(form, &over);
	return 0;
}

/* An entry of [quick], or a --set of that shape. */
static int
put_entry(struct spec_form *form, const struct spec_entry *entry,
	  struct q2_err *err)
{
	const char *name = entry->key.text;
	const struct spec_key *key = spec_keys_find(name, SPEC_ANY_SCOPE);
	struct spec_override over = {.name = name,
				     .words = entry->words,
				     .nwords = entry->nwords,
				     .pos = entry->key.pos};
	char buf[SPEC_CUT];

	if (entry->nwords == 0)
		return spec_fail(&entry->key.pos, err, "'%s' has no value",
				 spec_cut(name, buf));
	if (!key || is_line(form, name)) {
		put_over(form, &over);
		return 0;
	}
	if (key->scope == SPEC_OF_SUITE) {
		spec_replace(form->file, SPEC_IN_SUITE, entry);
		return 0;
	}
	/* Read where they stand, and not from --set. */
	if (key->scope == SPEC_OF_QUICK && entry->key.pos.line)
		return 0;
	if (key->scope == SPEC_OF_QUICK)
		return spec_fail(&entry->key.pos, err,
				 "%s is of [quick]: --set quick.%s=", key->name,
				 key->name);
	return put_over_all(form, entry, key, err);
}

/* ---- --set ------------------------------------------------------------- */

/* One --set, in pieces. */
struct set {
	struct spec_word left; /* of the first '=' */
	struct spec_word *words;
	size_t nwords;
};

static int
parse_set(struct spec_form *form, const char *text, struct set *ret,
	  struct q2_err *err)
{
	const char *eq = strchr(text, '=');
	char buf[SPEC_CUT];
	struct spec_pos pos = {
		.file = spec_format(form->mem, "--set %s", spec_cut(text, buf)),
	};
	struct spec_lexer lex;
	int r;

	r = spec_lex_init(&lex, form->mem, pos.file, text, strlen(text), err);
	if (r < 0)
		return spec_fail(&pos, err, "it is not UTF-8 text");
	if (!eq || eq == text)
		return spec_fail(&pos, err,
				 "it takes key=value, or section.key=value");
	ret->left.text = spec_text(form->mem, text, (size_t)(eq - text));
	ret->left.pos = pos;
	ret->nwords = spec_lex_words(form->mem, eq + 1, pos, &ret->words);
	if (ret->nwords == 0)
		return spec_fail(&pos, err, "the value is empty");
	return 0;
}

/* The section that the left side begins with, or SPEC_SECTIONS. */
static enum spec_section_id
set_section(const struct set *set, const char **ret_rest)
{
	const char *dot = strchr(set->left.text, '.');

	for (int i = 0; dot && i < SPEC_SECTIONS; i++) {
		size_t len = (size_t)(dot - set->left.text);

		if (strlen(spec_section_names[i]) == len &&
		    strncmp(spec_section_names[i], set->left.text, len) == 0) {
			*ret_rest = dot + 1;
			return (enum spec_section_id)i;
		}
	}
	*ret_rest = set->left.text;
	return SPEC_SECTIONS;
}

/* "name.key" = one value. */
static void
put_named(struct spec_form *form, const struct set *set, const char *rest,
	  const char *dot)
{
	struct spec_override over = {
		.name = spec_text(form->mem, rest, (size_t)(dot - rest)),
		.words = set->words,
		.nwords = set->nwords,
		.pos = set->left.pos,
	};

	over.words[0].text = spec_format(form->mem, "%s=%s", dot + 1,
					 set->words[0].text);
	put_over(form, &over);
}

static int
put_set(struct spec_form *form, const struct set *set, struct q2_err *err)
{
	const char *rest, *dot;
	enum spec_section_id id = set_section(set, &rest);
	struct spec_entry entry = {
		.key = {rest, set->left.pos},
		.words = set->words,
		.nwords = set->nwords,
	};

	if (id == SPEC_IN_QUICK || id == SPEC_IN_DEFAULTS)
		return 0; /* done before */
	if (id == SPEC_IN_SUITE) {
		spec_replace(form->file, SPEC_IN_SUITE, &entry);
		return 0;
	}
	dot = strrchr(rest, '.');
	if (dot && !is_line(form, rest)) {
		put_named(form, set, rest, dot);
		return 0;
	}
	return put_entry(form, &entry, err);
}

/* Those that replace entries of [defaults] and [quick]. */
static void
replace_entries(struct spec_form *form, const struct set *set)
{
	const char *rest;
	enum spec_section_id id = set_section(set, &rest);
	struct spec_entry entry = {
		.key = {rest, set->left.pos},
		.words = set->words,
		.nwords = set->nwords,
	};

	if (id == SPEC_IN_DEFAULTS || id == SPEC_IN_QUICK)
		spec_replace(form->file, id, &entry);
}

/* ---- all --------------------------------------------------------------- */

int
spec_over_collect(struct spec_form *form, const struct suite_sets *sets,
		  struct q2_err *err)
{
	const struct spec_section *quick = &form->file->sections[SPEC_IN_QUICK];
	size_t n = sets ? sets->n : 0;
	struct set *v = spec_alloc(form->mem, n * sizeof(*v));
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		r = parse_set(form, sets->v[i], &v[i], err);
		if (r >= 0)
			replace_entries(form, &v[i]);
	}
	for (size_t i = 0; form->quick && i < quick->n && r >= 0; i++)
		r = put_entry(form, &quick->v[i], err);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = put_set(form, &v[i], err);
	return r;
}

/* Names of lines, items and keys, for the nearest one. */
static const char *
name_at(const void *arg, size_t i)
{
	const struct spec_form *form = arg;

	if (i < form->configs.n)
		return form->configs.v[i].label;
	i -= form->configs.n;
	if (i < form->passes.n)
		return form->passes.v[i].label;
	return spec_keys_at(i - form->passes.n)->name;
}

/* Nothing is called as the override says. */
static int
no_such_name(const struct spec_form *form, const struct spec_override *over,
	     struct q2_err *err)
{
	size_t n = form->configs.n + form->passes.n + spec_keys_count();
	const char *near = options_nearest(over->name, n, name_at, form);
	char buf[SPEC_CUT];

	return spec_fail(
		&over->pos, err, "'%s' is no configuration, pass or key%s%s%s",
		spec_cut(over->name, buf), near ? "; did you mean '" : "",
		near ? near : "", near ? "'?" : "");
}

/* What is put over all that have a key is lost where nothing can have it. */
static int
check_for_all(const struct spec_form *form, const struct spec_override *over,
	      struct q2_err *err)
{
	const char *text = over->words[0].text;
	const struct spec_key *key = spec_keys_find(
		spec_text(form->mem, text, strcspn(text, "=")), SPEC_ANY_SCOPE);
	bool config = key->scope == SPEC_OF_CONFIG;
	const struct spec_items *items = config ? &form->configs
						: &form->passes;

	for (size_t i = 0; i < items->n; i++) {
		if (key->applies & spec_item_where(items, &items->v[i]))
			return 0;
	}
	return spec_fail(&over->pos, err, "%s is of %s, and there is none",
			 key->name, spec_where_text(key->applies));
}

int
spec_over_check(const struct spec_form *form, struct q2_err *err)
{
	int r = 0;

	for (size_t i = 0; i < form->nover && r >= 0; i++) {
		const struct spec_override *over = &form->over[i];

		if (!over->name)
			r = check_for_all(form, over, err);
		else if (!over->used)
			r = no_such_name(form, over, err);
	}
	return r;
}
