/* SPDX-License-Identifier: MIT */
/*
 * record.h - one row of a result file, in memory and as JSON
 *
 *	struct record *rec = record_new(&table_trials);
 *
 *	record_set_int(rec, TRIAL_round, 3);
 *	record_set_real(rec, TRIAL_duration_s, 0.412);
 *	record_set_text(rec, TRIAL_label, "qcow2-off");
 *	json_t *json = record_to_json(rec);
 *	record_free(rec);
 *
 * Every field is empty until set.  Setters and getters assert that the column
 * has their type: a mistake of ours, not of a file's.  Used by trial children
 * (they send rows as JSON), the coordinator, cells.c, plots.
 */
#ifndef RESULTS_RECORD_H
#define RESULTS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "engine/base/err.h"
#include "results/column.h"

struct record;

/* Empty but for the column schema. Out of memory stops the program, here and
 * in the setters: a harness has nothing better to do. */
struct record *record_new(const struct table *table);
struct record *record_copy(const struct record *rec);
void record_free(struct record *rec);
const struct table *record_table(const struct record *rec);

void record_clear(struct record *rec, int col);
void record_set_int(struct record *rec, int col, uint64_t value);
/* A value that is not finite leaves the field empty. */
void record_set_real(struct record *rec, int col, double value);
void record_set_bool(struct record *rec, int col, bool value);
/* Text and enum; copied.  NULL and "" leave the field empty. */
void record_set_text(struct record *rec, int col, const char *value);

bool record_has(const struct record *rec, int col);
uint64_t record_int(const struct record *rec, int col); /* 0 if empty */
bool record_bool(const struct record *rec, int col);
/* Real, int or bool, as a double; NAN if empty. */
double record_real(const struct record *rec, int col);
const char *record_text(const struct record *rec, int col); /* "" if empty */

/* Add a word to the column flags, once; words are joined by +. */
void record_add_flag(struct record *rec, int col, const char *flag);
bool record_has_flag(const struct record *rec, int col, const char *flag);

/* The name of the first required column that is empty, or NULL. */
const char *record_missing(const struct record *rec);

/* The field as CSV and tables show it: no quoting, "" if empty. Returns what
 * snprintf() does. */
int record_format(const struct record *rec, int col, char *text, size_t size);
/* The reverse; -EINVAL with a reason. "" empties the field. */
int record_parse(struct record *rec, int col, const char *text,
		 struct q2_err *err);

/*
 * An object with a member for every field that is not empty, in the order of
 * the columns.  Integers beyond 2^63 become strings.  The reader ignores
 * members that it does not know: they are columns of a later version.
 */
json_t *record_to_json(const struct record *rec);
int record_from_json(const struct table *table, const json_t *json,
		     struct record **ret_rec, struct q2_err *err);

/* The first member of the object that is no column, or NULL: in a file of this
 * schema there is none. */
const char *record_unknown(const struct table *table, const json_t *json);

/* A growing list of records that owns them; initialise with {0}. */
struct rows {
	struct record **v;
	size_t n, room;
};
void rows_add(struct rows *rows, struct record *rec); /* takes rec */
void rows_done(struct rows *rows);
/* All of from to the end of to; from is empty then. */
void rows_move(struct rows *from, struct rows *to);
/* Both, one after the other, in a list of its own that borrows them: the caller
 * frees ret->v alone. */
void rows_join(const struct rows *a, const struct rows *b, struct rows *ret);
/* Those whose text column is value, in their order. */
void rows_take(struct rows *from, int col, const char *value, struct rows *to);

#endif
