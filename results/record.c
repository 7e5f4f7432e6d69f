/* SPDX-License-Identifier: MIT */
#include "results/record.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/number.h"

struct field {
	bool set;
	union {
		uint64_t u; /* int, bool */
		double d;
		char *s; /* text, enum */
	};
};

struct record {
	const struct table *table;
	struct field fields[];
};

static bool
type_is_text(enum column_type type)
{
	return type == COLUMN_TEXT || type == COLUMN_ENUM;
}

static enum column_type
type_of(const struct record *rec, int col)
{
	assert(col >= 0 && (size_t)col < rec->table->ncolumns);
	return rec->table->columns[col].type;
}

struct record *
record_new(const struct table *table)
{
	struct record *rec = calloc(
		1, sizeof(*rec) + table->ncolumns * sizeof(struct field));

	if (!rec)
		abort();
	rec->table = table;
	record_set_int(rec, column_find(table, "schema"), RESULTS_SCHEMA);
	return rec;
}

struct record *
record_copy(const struct record *rec)
{
	struct record *copy = record_new(rec->table);

	for (size_t i = 0; i < rec->table->ncolumns; i++) {
		if (rec->fields[i].set &&
		    type_is_text(rec->table->columns[i].type))
			record_set_text(copy, (int)i, rec->fields[i].s);
		else
			copy->fields[i] = rec->fields[i];
	}
	return copy;
}

void
record_free(struct record *rec)
{
	if (!rec)
		return;
	for (size_t i = 0; i < rec->table->ncolumns; i++)
		record_clear(rec, (int)i);
	free(rec);
}

const struct table *
record_table(const struct record *rec)
{
	return rec->table;
}

void
record_clear(struct record *rec, int col)
{
	if (type_is_text(type_of(rec, col)) && rec->fields[col].set)
		free(rec->fields[col].s);
	memset(&rec->fields[col], 0, sizeof(rec->fields[col]));
}

void
record_set_int(struct record *rec, int col, uint64_t value)
{
	assert(type_of(rec, col) == COLUMN_INT);
	rec->fields[col] = (struct field){.set = true, .u = value};
}

void
record_set_real(struct record *rec, int col, double value)
{
	assert(type_of(rec, col) == COLUMN_REAL);
	rec->fields[col] = (struct field){.set = isfinite(value), .d = value};
}

void
record_set_bool(struct record *rec, int col, bool value)
{
	assert(type_of(rec, col) == COLUMN_BOOL);
	rec->fields[col] = (struct field){.set = true, .u = value};
}

/* The files are UTF-8, and a path or an error text may be anything.  What is
 * not UTF-8 loses its upper half. */
static void
make_utf8(char *text)
{
	json_t *probe = json_string(text);

	if (probe) {
		json_decref(probe);
		return;
	}
	for (; *text; text++) {
		if ((unsigned char)*text >= 0x80)
			*text = '?';
	}
}

void
record_set_text(struct record *rec, int col, const char *value)
{
	char *copy = NULL;

	assert(type_is_text(type_of(rec, col)));
	if (value && value[0]) {
		copy = strdup(value);
		if (!copy)
			abort();
		make_utf8(copy);
	}
	record_clear(rec, col);
	rec->fields[col] = (struct field){.set = copy != NULL, .s = copy};
}

bool
record_has(const struct record *rec, int col)
{
	(void)type_of(rec, col);
	return rec->fields[col].set;
}

uint64_t
record_int(const struct record *rec, int col)
{
	assert(type_of(rec, col) == COLUMN_INT);
	return rec->fields[col].set ? rec->fields[col].u : 0;
}

bool
record_bool(const struct record *rec, int col)
{
	assert(type_of(rec, col) == COLUMN_BOOL);
	return rec->fields[col].set && rec->fields[col].u;
}

double
record_real(const struct record *rec, int col)
{
	enum column_type type = type_of(rec, col);

	assert(!type_is_text(type));
	if (!rec->fields[col].set)
		return NAN;
	return type == COLUMN_REAL ? rec->fields[col].d
				   : (double)rec->fields[col].u;
}

const char *
record_text(const struct record *rec, int col)
{
	assert(type_is_text(type_of(rec, col)));
	return rec->fields[col].set ? rec->fields[col].s : "";
}

bool
record_has_flag(const struct record *rec, int col, const char *flag)
{
	const char *at = record_text(rec, col);
	size_t len = strlen(flag);

	while (*at) {
		size_t word = strcspn(at, "+");

		if (word == len && memcmp(at, flag, len) == 0)
			return true;
		at += word + (at[word] == '+');
	}
	return false;
}

void
record_add_flag(struct record *rec, int col, const char *flag)
{
	const char *old = record_text(rec, col);
	char *joined;

	if (record_has_flag(rec, col, flag))
		return;
	if (asprintf(&joined, "%s%s%s", old, old[0] ? "+" : "", flag) < 0)
		abort();
	record_set_text(rec, col, joined);
	free(joined);
}

const char *
record_missing(const struct record *rec)
{
	for (size_t i = 0; i < rec->table->ncolumns; i++) {
		const struct column *col = &rec->table->columns[i];

		if (!rec->fields[i].set && column_is_required(col))
			return col->name;
	}
	return NULL;
}

int
record_format(const struct record *rec, int col, char *text, size_t size)
{
	char number[NUMBER_SIZE];

	if (!record_has(rec, col))
		return snprintf(text, size, "%s", "");
	switch (type_of(rec, col)) {
	case COLUMN_INT:
	case COLUMN_BOOL:
		return snprintf(text, size, "%" PRIu64, rec->fields[col].u);
	case COLUMN_REAL:
		number_format(rec->fields[col].d, number);
		return snprintf(text, size, "%s", number);
	case COLUMN_TEXT:
	case COLUMN_ENUM:
		break;
	}
	return snprintf(text, size, "%s", rec->fields[col].s);
}

static int
parse_int(const char *text, uint64_t *ret)
{
	unsigned long long value;

	/* strtoull would take blanks and a minus sign. */
	if (!text[0] || text[strspn(text, "0123456789")])
		return -EINVAL;
	errno = 0;
	value = strtoull(text, NULL, 10);
	if (errno)
		return -EINVAL;
	*ret = value;
	return 0;
}

int
record_parse(struct record *rec, int col, const char *text, struct q2_err *err)
{
	enum column_type type = type_of(rec, col);
	const char *name = rec->table->columns[col].name;
	uint64_t u;
	double d;

	if (!text[0]) {
		record_clear(rec, col);
		return 0;
	}
	if (type_is_text(type)) {
		record_set_text(rec, col, text);
		return 0;
	}
	if (type == COLUMN_REAL) {
		if (!number_parse(text, &d))
			return q2_fail(err, -EINVAL,
				       "column %s: '%s' is not a number", name,
				       text);
		record_set_real(rec, col, d);
		return 0;
	}
	if (parse_int(text, &u) < 0 || (type == COLUMN_BOOL && u > 1))
		return q2_fail(
			err, -EINVAL, "column %s: '%s' is not %s", name, text,
			type == COLUMN_BOOL ? "0 or 1" : "an unsigned integer");
	rec->fields[col] = (struct field){.set = true, .u = u};
	return 0;
}

static json_t *
field_to_json(const struct record *rec, int col)
{
	const struct field *f = &rec->fields[col];
	char text[24];

	switch (type_of(rec, col)) {
	case COLUMN_BOOL:
		return json_boolean(f->u);
	case COLUMN_REAL:
		return json_real(f->d);
	case COLUMN_TEXT:
	case COLUMN_ENUM:
		return json_string(f->s);
	case COLUMN_INT:
		break;
	}
	if (f->u <= INT64_MAX)
		return json_integer((json_int_t)f->u);
	(void)snprintf(text, sizeof(text), "%" PRIu64, f->u);
	return json_string(text);
}

json_t *
record_to_json(const struct record *rec)
{
	json_t *json = json_object();

	for (size_t i = 0; i < rec->table->ncolumns; i++) {
		if (rec->fields[i].set &&
		    json_object_set_new(json, rec->table->columns[i].name,
					field_to_json(rec, (int)i)) < 0)
			abort();
	}
	return json;
}

static int
field_from_json(struct record *rec, int col, const json_t *value,
		struct q2_err *err)
{
	const struct column *c = &rec->table->columns[col];

	if (json_is_null(value))
		return 0;
	if (type_is_text(c->type)
		    ? json_is_string(value)
		    : c->type == COLUMN_INT && json_is_string(value))
		return record_parse(rec, col, json_string_value(value), err);
	if (c->type == COLUMN_REAL && json_is_number(value))
		record_set_real(rec, col, json_number_value(value));
	else if (c->type == COLUMN_BOOL && json_is_boolean(value))
		record_set_bool(rec, col, json_is_true(value));
	else if (c->type == COLUMN_INT && json_is_integer(value) &&
		 json_integer_value(value) >= 0)
		record_set_int(rec, col, (uint64_t)json_integer_value(value));
	else
		return q2_fail(err, -EINVAL, "member %s is not of type %s",
			       c->name, column_type_name(c->type));
	return 0;
}

int
record_from_json(const struct table *table, const json_t *json,
		 struct record **ret_rec, struct q2_err *err)
{
	struct record *rec;
	const json_t *value;
	int r = 0;

	if (!json_is_object(json))
		return q2_fail(err, -EINVAL, "a row of %s is not an object",
			       table->file);
	rec = record_new(table);
	for (size_t i = 0; i < table->ncolumns && r == 0; i++) {
		value = json_object_get(json, table->columns[i].name);
		if (value)
			r = field_from_json(rec, (int)i, value, err);
	}
	if (r < 0)
		record_free(rec);
	else
		*ret_rec = rec;
	return r;
}

const char *
record_unknown(const struct table *table, const json_t *json)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)json, key, value)
	{
		(void)value;
		if (column_find(table, key) < 0)
			return key;
	}
	return NULL;
}

void
rows_add(struct rows *rows, struct record *rec)
{
	if (rows->n == rows->room) {
		size_t room = rows->room ? 2 * rows->room : 64;
		struct record **v = reallocarray(rows->v, room,
						 sizeof(struct record *));

		if (!v)
			abort();
		rows->v = v;
		rows->room = room;
	}
	rows->v[rows->n++] = rec;
}

void
rows_done(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		record_free(rows->v[i]);
	free(rows->v);
	*rows = (struct rows){0};
}

void
rows_move(struct rows *from, struct rows *to)
{
	for (size_t i = 0; i < from->n; i++)
		rows_add(to, from->v[i]);
	from->n = 0;
	rows_done(from);
}

void
rows_join(const struct rows *a, const struct rows *b, struct rows *ret)
{
	*ret = (struct rows){.n = a->n + b->n, .room = a->n + b->n};
	ret->v = calloc(ret->n + 1, sizeof(struct record *));
	if (!ret->v)
		abort();
	for (size_t i = 0; i < ret->n; i++)
		ret->v[i] = i < a->n ? a->v[i] : b->v[i - a->n];
}

void
rows_take(struct rows *from, int col, const char *value, struct rows *to)
{
	size_t left = 0;

	for (size_t i = 0; i < from->n; i++) {
		if (strcmp(record_text(from->v[i], col), value) == 0)
			rows_add(to, from->v[i]);
		else
			from->v[left++] = from->v[i];
	}
	from->n = left;
}
