/* SPDX-License-Identifier: MIT */
/*
 * optlist.c - lists of options, as in -o
 */
#include "engine/img/optlist.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"

bool
opt_is_list(const char *text)
{
	size_t len = strlen(text), commas = 0;

	while (commas < len && text[len - 1 - commas] == ',')
		commas++;
	return len && text[0] != ',' && commas % 2 == 0;
}

bool
opt_wants_help(const char *text)
{
	Q2_AUTO_FREE char *item = malloc(strlen(text) + 1);
	const char *at = item ? text : NULL;

	while (at) {
		at = optval_next(at, item);
		if (strcmp(item, "help") == 0 || strcmp(item, "?") == 0)
			return true;
	}
	return false;
}

static struct opt *
find(const struct opt_table *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->opts[i].name, name) == 0)
			return &t->opts[i];
	return NULL;
}

const struct opt *
opt_find(const struct opt_table *t, const char *name)
{
	const struct opt *o = find(t, name);

	assert(o);
	return o;
}

int
opt_set(struct opt_table *t, const char *name, const char *value,
	struct q2_err *err)
{
	struct opt *o = find(t, name);
	uint64_t number = 0;
	bool on = false;
	char *copy;
	int r = 0;

	if (!o)
		return q2_fail(err, -EINVAL, "%s '%s'",
			       t->unknown ? t->unknown : "Invalid parameter",
			       name);
	if (o->type == OPT_BOOL)
		r = optval_bool(name, value, &on, err);
	else if (o->type == OPT_NUMBER)
		r = optval_number(name, value, &number, err);
	else if (o->type == OPT_SIZE)
		r = optval_size(name, value, &number, err);
	if (r < 0)
		return r;
	copy = strdup(value);
	if (!copy)
		return q2_fail(err, -ENOMEM, "no memory for option '%s'", name);
	free(o->value);
	o->value = copy;
	o->number = o->type == OPT_BOOL ? on : number;
	return 0;
}

static int
set_item(struct opt_table *t, char *item, struct q2_err *err)
{
	char *value = strchr(item, '=');

	if (value) {
		*value = 0;
		return opt_set(t, item, value + 1, err);
	}
	if (strncmp(item, "no", 2) == 0)
		return opt_set(t, item + 2, "off", err);
	return opt_set(t, item, "on", err);
}

int
opt_parse(struct opt_table *t, const char *text, struct q2_err *err)
{
	Q2_AUTO_FREE char *item = malloc(strlen(text) + 1);
	int r = 0;

	if (!item)
		return q2_fail(err, -ENOMEM, "no memory for the options");
	while (text && r == 0) {
		text = optval_next(text, item);
		r = set_item(t, item, err);
	}
	return r;
}

static void
print_escaped(const char *value)
{
	for (; *value; value++)
		say(*value == ',' ? ",," : "%c", *value);
}

void
opt_print(const struct opt_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct opt *o = &t->opts[i];

		if (!o->value && !o->standard)
			continue;
		say(" %s=", o->name);
		if (!o->value)
			say("%s", o->standard);
		else if (o->type == OPT_STRING)
			print_escaped(o->value);
		else if (o->type == OPT_BOOL)
			say("%s", o->value);
		else
			say("%" PRId64, (int64_t)o->number);
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct opt *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

void
opt_print_help(const struct opt_table *t)
{
	static const char *const types[] = {
		[OPT_STRING] = "str",
		[OPT_NUMBER] = "num",
		[OPT_SIZE] = "size",
		[OPT_BOOL] = "bool (on/off)",
	};
	const struct opt *sorted[32];
	char left[64];

	assert(t->n <= ARRAY_SIZE(sorted));
	for (size_t i = 0; i < t->n; i++)
		sorted[i] = &t->opts[i];
	qsort(sorted, t->n, sizeof(sorted[0]), by_name);
	for (size_t i = 0; i < t->n; i++) {
		(void)snprintf(left, sizeof(left), "%s=<%s>", sorted[i]->name,
			       types[sorted[i]->type]);
		say("  %-22s - %s\n", left, sorted[i]->help);
	}
}

void
opt_free(struct opt_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->opts[i].value);
}
