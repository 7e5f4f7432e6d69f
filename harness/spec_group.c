/* SPDX-License-Identifier: MIT */
#include "harness/spec_group.h"

#include <stdio.h>
#include <string.h>

#include "harness/options.h"

/* ---- drop -------------------------------------------------------------- */

static const char *
item_at(const void *arg, size_t i)
{
	const struct spec_form *form = arg;

	return i < form->configs.n ? form->configs.v[i].label
				   : form->passes.v[i - form->configs.n].label;
}

static bool
drop(struct spec_items *items, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < items->n; i++) {
		if (spec_same(items->v[i].label, name))
			items->v[i].dropped = found = true;
	}
	return found;
}

int
spec_drop(struct spec_form *form, struct q2_err *err)
{
	const struct spec_entry *entry = spec_form_entry(form, "drop");
	char buf[SPEC_CUT];

	for (size_t i = 0; entry && i < entry->nwords; i++) {
		const struct spec_word *word = &entry->words[i];
		bool found = drop(&form->configs, word->text);
		const char *near;

		found |= drop(&form->passes, word->text);
		if (found)
			continue;
		near = options_nearest(word->text,
				       form->configs.n + form->passes.n,
				       item_at, form);
		return spec_fail(&word->pos, err,
				 "drop: '%s' is no configuration and no pass%s"
				 "%s%s",
				 spec_cut(word->text, buf),
				 near ? "; did you mean '" : "",
				 near ? near : "", near ? "'?" : "");
	}
	return 0;
}

/* ---- split ------------------------------------------------------------- */

static bool
same_value(const struct spec_key *key, const struct spec_value *a,
	   const struct spec_value *b)
{
	if (key->type == SPEC_NAME)
		return spec_same(a->text, b->text);
	return a->n == b->n && a->percent == b->percent;
}

static void
add_value(struct spec_axis *axis, const struct spec_value *value)
{
	for (size_t i = 0; i < axis->n; i++) {
		if (same_value(axis->key, &axis->v[i], value))
			return;
	}
	/* There are no more values than items. */
	axis->v[axis->n++] = *value;
}

int
spec_split_values(const struct spec_form *form, struct spec_axis *ret,
		  struct q2_err *err)
{
	const struct spec_value *split = spec_form_value(form, "split");
	const unsigned scopes = SPEC_SCOPE(SPEC_OF_CONFIG) |
				SPEC_SCOPE(SPEC_OF_PASS);
	const struct spec_items *items;
	struct spec_word word;

	*ret = (struct spec_axis){0};
	if (!split->set)
		return 0;
	ret->key = spec_keys_find(split->text, scopes);
	word = (struct spec_word){split->text, split->pos};
	if (!ret->key)
		return spec_unknown_key(&word, split->text, scopes, err);
	if (ret->key->type == SPEC_URI)
		return spec_fail(&split->pos, err,
				 "split: %s cannot be part of a folder's name",
				 ret->key->name);
	items = ret->key->scope == SPEC_OF_CONFIG ? &form->configs
						  : &form->passes;
	ret->v = spec_alloc(form->mem, items->n * sizeof(*ret->v));
	for (size_t i = 0; i < items->n; i++) {
		const struct spec_value *v =
			&items->v[i].v[spec_keys_index(ret->key)];

		if (v->set && !items->v[i].dropped)
			add_value(ret, v);
	}
	if (ret->n == 0)
		return spec_fail(&split->pos, err,
				 "split: nothing has the key %s",
				 ret->key->name);
	if (ret->n > SUITE_GROUPS_MAX)
		return spec_fail(&split->pos, err,
				 "split: %s has %zu values; more than %d "
				 "groups",
				 ret->key->name, ret->n, SUITE_GROUPS_MAX);
	return 0;
}

/* ---- a group ----------------------------------------------------------- */

static bool
belongs(const struct spec_item *item, const struct spec_key *split,
	const struct spec_value *value)
{
	const struct spec_value *v = split ? &item->v[spec_keys_index(split)]
					   : NULL;

	return !item->dropped && (!v || !v->set || same_value(split, v, value));
}

/* Where items of a group go. */
struct chosen {
	const struct spec_item **v;
	size_t most; /* room */
	size_t n;
};

static int
choose(const struct spec_items *items, const struct spec_key *split,
       const struct spec_value *value, struct chosen *to, struct q2_err *err)
{
	const struct spec_item *beyond = NULL;

	for (size_t i = 0; i < items->n; i++) {
		if (!belongs(&items->v[i], split, value))
			continue;
		if (to->n < to->most)
			to->v[to->n] = &items->v[i];
		else if (!beyond)
			beyond = &items->v[i];
		to->n++;
	}
	if (!beyond)
		return 0;
	return spec_fail(&beyond->line->key.pos, err,
			 "%zu %s, at most %zu can be compared; drop some, or "
			 "make groups with split=KEY",
			 to->n,
			 items->scope == SPEC_OF_CONFIG ? "configurations"
							: "passes",
			 to->most);
}

int
spec_group_make(struct spec_group *group, const struct spec_form *form,
		const struct spec_key *split, const struct spec_value *value,
		struct q2_err *err)
{
	bool by_config = split && split->scope == SPEC_OF_CONFIG;
	bool by_pass = split && split->scope == SPEC_OF_PASS;
	struct chosen configs = {group->configs, SUITE_CONFIGS_MAX, 0};
	struct chosen passes = {group->passes, SUITE_PASSES_MAX, 0};
	int r;

	*group = (struct spec_group){.form = form};
	if (split)
		group->name = spec_format(form->mem, "%s=%s", split->name,
					  value->text);
	r = choose(&form->configs, by_config ? split : NULL, value, &configs,
		   err);
	if (r >= 0)
		r = choose(&form->passes, by_pass ? split : NULL, value,
			   &passes, err);
	group->nconfigs = configs.n;
	group->npasses = passes.n;
	if (r >= 0 && (group->nconfigs == 0 || group->npasses == 0))
		r = q2_fail(err, -EINVAL, "%.200s: all %s are dropped",
			    form->file->name,
			    group->nconfigs ? "passes" : "configurations");
	return r;
}

int
spec_group_pass(const struct spec_group *group, const char *name)
{
	for (size_t i = 0; i < group->npasses; i++) {
		if (spec_same(group->passes[i]->label, name))
			return (int)i;
	}
	return -1;
}

static const char *
pass_at(const void *arg, size_t i)
{
	return ((const struct spec_group *)arg)->passes[i]->label;
}

const char *
spec_group_hint(const struct spec_group *group, const char *name, size_t n,
		char *buf, size_t size)
{
	const char *near = options_nearest(name, n, pass_at, group);
	size_t at = 0;

	buf[0] = '\0';
	if (near) {
		(void)snprintf(buf, size, "; did you mean '%s'?", near);
		return buf;
	}
	for (size_t i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s",
				       i ? ", " : "; there is ",
				       group->passes[i]->label);
	return buf;
}

int
spec_group_config(const struct spec_group *group, const char *label)
{
	for (size_t i = 0; i < group->nconfigs; i++) {
		if (spec_same(group->configs[i]->label, label))
			return (int)i;
	}
	return -1;
}
