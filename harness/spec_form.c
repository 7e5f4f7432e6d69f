/* SPDX-License-Identifier: MIT */
#include "harness/spec_form.h"

#include <assert.h>
#include <string.h>

#include "harness/options.h"

static size_t
index_of(const char *name)
{
	const struct spec_key *key = spec_keys_find(name, SPEC_ANY_SCOPE);

	assert(key);
	return spec_keys_index(key);
}

const struct spec_value *
spec_item_value(const struct spec_item *item, const char *key)
{
	return &item->v[index_of(key)];
}

const struct spec_value *
spec_form_value(const struct spec_form *form, const char *key)
{
	return &form->suite[index_of(key)];
}

const struct spec_entry *
spec_form_entry(const struct spec_form *form, const char *key)
{
	return form->entry[index_of(key)];
}

struct spec_item *
spec_items_find(const struct spec_items *items, const char *name)
{
	for (size_t i = 0; i < items->n; i++) {
		if (spec_same(items->v[i].label, name))
			return &items->v[i];
	}
	return NULL;
}

unsigned
spec_item_where(const struct spec_items *items, const struct spec_item *item)
{
	const struct spec_value *v;

	if (items->scope == SPEC_OF_CONFIG) {
		v = spec_item_value(item, "target");
		if (!v->set)
			return 0;
		return spec_where_of(
			spec_keys_find("target", SPEC_ANY_SCOPE)->words[v->n],
			spec_item_value(item, "state")->set);
	}
	v = spec_item_value(item, "op");
	if (v->set && v->n != PASS_STREAM)
		return SPEC_OTHER_OP;
	v = spec_item_value(item, "rw");
	/* read, write, randread, randwrite */
	return !v->set ? 0 : v->n < 2 ? SPEC_SEQ : SPEC_STREAMS;
}

/* ---- keys -------------------------------------------------------------- */

static const char *
scope_text(enum spec_scope scope)
{
	switch (scope) {
	case SPEC_OF_SUITE:
		return "[suite]";
	case SPEC_OF_QUICK:
		return "[quick]";
	case SPEC_OF_CONFIG:
		return "configurations";
	case SPEC_OF_PASS:
		return "passes";
	}
	return "";
}

int
spec_unknown_key(const struct spec_word *word, const char *name,
		 unsigned scopes, struct q2_err *err)
{
	const struct spec_key *other = spec_keys_find(name, SPEC_ANY_SCOPE);
	const char *near = spec_keys_nearest(name, scopes);
	char buf[SPEC_CUT];

	if (other)
		return spec_fail(&word->pos, err, "'%s' is a key of %s",
				 other->name, scope_text(other->scope));
	if (near)
		return spec_fail(&word->pos, err,
				 "unknown key '%s'; did you mean '%s'?",
				 spec_cut(name, buf), near);
	return spec_fail(&word->pos, err,
			 "unknown key '%s'; 'qcowbench explain' lists them",
			 spec_cut(name, buf));
}

int
spec_assignment(struct spec_mem *mem, enum spec_scope scope,
		const struct spec_word *word, const struct spec_key **ret,
		struct spec_word *ret_value, struct q2_err *err)
{
	const char *eq = strchr(word->text, '=');
	const char *name;
	char buf[SPEC_CUT];

	if (!eq || eq == word->text)
		return spec_fail(&word->pos, err,
				 "'%s' is not key=value (no blanks around '=' "
				 "and ',')",
				 spec_cut(word->text, buf));
	name = spec_text(mem, word->text, (size_t)(eq - word->text));
	*ret = spec_keys_find(name, SPEC_SCOPE(scope));
	if (!*ret)
		return spec_unknown_key(word, name, SPEC_SCOPE(scope), err);
	ret_value->text = eq + 1;
	ret_value->pos = word->pos;
	if (word->pos.line)
		ret_value->pos.col += (unsigned)(eq + 1 - word->text);
	return 0;
}

/* ---- [suite], [quick], [defaults] -------------------------------------- */

/* An entry of a key of suites. */
static int
take_suite_key(struct spec_form *form, const struct spec_key *key,
	       const struct spec_entry *entry, struct q2_err *err)
{
	size_t i = spec_keys_index(key);
	char buf[SPEC_CUT];

	form->entry[i] = entry;
	if (entry->nwords == 0)
		return spec_fail(&entry->key.pos, err, "%s has no value",
				 key->name);
	if (key->type == SPEC_NAMES || key->type == SPEC_TEXT)
		return 0;
	if (entry->nwords > 1)
		return spec_fail(&entry->words[1].pos, err,
				 "%s takes one value; '%s' is a second one",
				 key->name,
				 spec_cut(entry->words[1].text, buf));
	return spec_value_parse(key, &entry->words[0], &form->suite[i], err);
}

static int
take_suite(struct spec_form *form, struct q2_err *err)
{
	const struct spec_section *section =
		&form->file->sections[SPEC_IN_SUITE];
	const unsigned scopes = SPEC_SCOPE(SPEC_OF_SUITE);
	int r = 0;

	for (size_t i = 0; i < section->n && r >= 0; i++) {
		const struct spec_entry *entry = &section->v[i];
		const struct spec_key *key = spec_keys_find(entry->key.text,
							    scopes);

		r = key ? take_suite_key(form, key, entry, err)
			: spec_unknown_key(&entry->key, entry->key.text, scopes,
					   err);
	}
	return r;
}

/* drop and probe; all else there has become an override. */
static int
take_quick(struct spec_form *form, struct q2_err *err)
{
	const struct spec_section *section =
		&form->file->sections[SPEC_IN_QUICK];
	int r = 0;

	for (size_t i = 0; i < section->n && r >= 0 && form->quick; i++) {
		const struct spec_key *key = spec_keys_find(
			section->v[i].key.text, SPEC_SCOPE(SPEC_OF_QUICK));

		if (key)
			r = take_suite_key(form, key, &section->v[i], err);
	}
	return r;
}

static int
check_defaults(const struct spec_form *form, struct q2_err *err)
{
	const struct spec_section *section =
		&form->file->sections[SPEC_IN_DEFAULTS];
	const unsigned scopes = SPEC_SCOPE(SPEC_OF_CONFIG) |
				SPEC_SCOPE(SPEC_OF_PASS);
	char buf[SPEC_CUT];

	for (size_t i = 0; i < section->n; i++) {
		const struct spec_entry *entry = &section->v[i];

		if (!spec_keys_find(entry->key.text, scopes))
			return spec_unknown_key(&entry->key, entry->key.text,
						scopes, err);
		if (entry->nwords == 0)
			return spec_fail(&entry->key.pos, err,
					 "%s has no value", entry->key.text);
		if (entry->nwords > 1)
			return spec_fail(&entry->words[1].pos, err,
					 "%s takes one word, such as 1,2,4; "
					 "'%s' is a second one",
					 entry->key.text,
					 spec_cut(entry->words[1].text, buf));
	}
	return 0;
}

static void
take_usual(struct spec_form *form)
{
	struct q2_err ignored;

	for (size_t i = 0; i < spec_keys_count(); i++) {
		const struct spec_key *key = spec_keys_at(i);
		struct spec_word word = {key->usual, {"default", 0, 0}};

		if (key->scope == SPEC_OF_SUITE && key->usual)
			(void)spec_value_parse(key, &word, &form->suite[i],
					       &ignored);
	}
}

/* ---- lines ------------------------------------------------------------- */

static int
expand_section(struct spec_form *form, enum spec_section_id id,
	       struct spec_items *items, struct q2_err *err)
{
	const struct spec_section *section = &form->file->sections[id];
	int r = 0;

	if (section->n == 0)
		return q2_fail(err, -EINVAL, "%.200s: [%s] is %s",
			       form->file->name, spec_section_names[id],
			       section->there ? "empty" : "missing");
	for (size_t i = 0; i < section->n && r >= 0; i++)
		r = spec_expand(form, items, &section->v[i], err);
	return r;
}

int
spec_form_make(struct spec_form *form, struct spec_file *file, bool quick,
	       const struct suite_sets *sets, struct q2_err *err)
{
	int r;

	*form = (struct spec_form){
		.mem = file->mem,
		.file = file,
		.quick = quick,
		.configs.scope = SPEC_OF_CONFIG,
		.passes.scope = SPEC_OF_PASS,
	};
	take_usual(form);
	r = spec_over_collect(form, sets, err);
	if (r >= 0)
		r = take_suite(form, err);
	if (r >= 0)
		r = take_quick(form, err);
	if (r >= 0)
		r = check_defaults(form, err);
	if (r >= 0)
		r = expand_section(form, SPEC_IN_CONFIGS, &form->configs, err);
	if (r >= 0)
		r = expand_section(form, SPEC_IN_PASSES, &form->passes, err);
	return r < 0 ? r : spec_over_check(form, err);
}
