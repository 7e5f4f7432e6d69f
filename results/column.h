/* SPDX-License-Identifier: MIT */
/*
 * column.h - the columns of the result files
 *
 * results/columns.def is the one list of them: file, name, type, unit, meaning,
 * and what an empty field means.  Columns are only ever appended; a test
 * compares the list with its frozen copy in tests/golden/columns.csv.
 *
 * A column is addressed by its number in its table: TRIAL_iops, CELL_median,
 * SERIES_ops, HIST_count.
 */
#ifndef RESULTS_COLUMN_H
#define RESULTS_COLUMN_H

#include <stddef.h>

#define RESULTS_SCHEMA 1

enum column_type {
	COLUMN_INT, /* unsigned, 64 bits */
	COLUMN_REAL,
	COLUMN_BOOL, /* 1 or 0 */
	COLUMN_TEXT,
	COLUMN_ENUM, /* one of the words that meaning lists */
};

struct column {
	const char *name;
	enum column_type type;
	const char *unit; /* "" for none */
	const char *meaning;
	const char *empty_means; /* "never empty": the field is required */
};

struct table {
	const char *file; /* "trials.csv" */
	size_t ncolumns;
	const struct column *columns;
};

extern const struct table table_trials, table_cells, table_series, table_hist;

#define TRIAL(name, type, unit, meaning, empty) TRIAL_##name,
#define CELL(name, type, unit, meaning, empty)
#define SERIES(name, type, unit, meaning, empty)
#define HIST(name, type, unit, meaning, empty)
enum trial_column {
#include "results/columns.def"
	TRIAL_COLUMNS
};
#undef TRIAL
#undef CELL
#define TRIAL(name, type, unit, meaning, empty)
#define CELL(name, type, unit, meaning, empty) CELL_##name,
enum cell_column {
#include "results/columns.def"
	CELL_COLUMNS
};
#undef CELL
#undef SERIES
#define CELL(name, type, unit, meaning, empty)
#define SERIES(name, type, unit, meaning, empty) SERIES_##name,
enum series_column {
#include "results/columns.def"
	SERIES_COLUMNS
};
#undef SERIES
#undef HIST
#define SERIES(name, type, unit, meaning, empty)
#define HIST(name, type, unit, meaning, empty) HIST_##name,
enum hist_column {
#include "results/columns.def"
	HIST_COLUMNS
};
#undef TRIAL
#undef CELL
#undef SERIES
#undef HIST

/* Number of the column of that name, or -1. */
int column_find(const struct table *table, const char *name);

/* May the column be empty? */
int column_is_required(const struct column *col);

/* "int", "real", "bool", "text", "enum", as in columns.csv. */
const char *column_type_name(enum column_type type);

#endif
