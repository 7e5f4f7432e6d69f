/* SPDX-License-Identifier: MIT */
/*
 * spec_form.h - one form of a spec file: its lines with everything merged
 *
 * From sections of words (spec_file.h) to items of values: [defaults] go under
 * the line's own keys, [quick] and --set over them, key by key; axes are
 * multiplied out, in the order in which they are written; labels get their
 * ${values}.  What the items mean together is for spec_check.c and
 * spec_suite.c.
 */
#ifndef HARNESS_SPEC_FORM_H
#define HARNESS_SPEC_FORM_H

#include "harness/spec_axis.h"
#include "harness/spec_file.h"

#define SPEC_ITEMS_MAX 256 /* configurations, or passes, of all groups */

/* A configuration or a pass. */
struct spec_item {
	const char *label;
	const struct spec_entry *line;
	struct spec_value v[SPEC_KEYS_MAX]; /* by spec_keys_index() */
	/* Said for this item by name, on its line or over it. */
	bool own[SPEC_KEYS_MAX];
	bool dropped;
};

struct spec_items {
	enum spec_scope scope;
	struct spec_item *v;
	size_t n, cap;
};

/* What [quick] or --set puts over lines. */
struct spec_override {
	const char *name; /* of a line or an item; NULL: all of the key's */
	struct spec_word *words;
	size_t nwords;
	struct spec_pos pos;
	bool used;
};

struct spec_form {
	struct spec_mem *mem;
	struct spec_file *file;
	bool quick;
	struct spec_override *over;
	size_t nover, over_cap;
	struct spec_items configs, passes;
	/* of [suite] and [quick]: the entry, and its value if it is one word */
	const struct spec_entry *entry[SPEC_KEYS_MAX];
	struct spec_value suite[SPEC_KEYS_MAX];
};

/* file is changed.  -EINVAL with place and remedy. */
int spec_form_make(struct spec_form *form, struct spec_file *file, bool quick,
		   const struct suite_sets *sets, struct q2_err *err);

/* spec_over.c: what is put over lines; keys of suites are replaced in file. */
int spec_over_collect(struct spec_form *form, const struct suite_sets *sets,
		      struct q2_err *err);
/* Every override has met something. */
int spec_over_check(const struct spec_form *form, struct q2_err *err);

/* spec_expand.c: one line. */
int spec_expand(struct spec_form *form, struct spec_items *items,
		const struct spec_entry *line, struct q2_err *err);

/* "key=value": the key, which is of that scope, and the value. */
int spec_assignment(struct spec_mem *mem, enum spec_scope scope,
		    const struct spec_word *word, const struct spec_key **ret,
		    struct spec_word *ret_value, struct q2_err *err);

/* "'bss' is not a key; did you mean 'bs'?" */
int spec_unknown_key(const struct spec_word *word, const char *name,
		     unsigned scopes, struct q2_err *err);

/* The item of that name, or NULL. */
struct spec_item *spec_items_find(const struct spec_items *items,
				  const char *name);

/* The value of a key by its name, which the table has. */
const struct spec_value *spec_item_value(const struct spec_item *item,
					 const char *key);
/* Of [suite] and [quick]. */
const struct spec_value *spec_form_value(const struct spec_form *form,
					 const char *key);
const struct spec_entry *spec_form_entry(const struct spec_form *form,
					 const char *key);

/* enum spec_where of an item whose target, op and rw are known, else 0. */
unsigned spec_item_where(const struct spec_items *items,
			 const struct spec_item *item);

#endif
