/* SPDX-License-Identifier: MIT */
/* column.c - the columns of the result files; see column.h */
#include "results/column.h"

#include <string.h>

#define COL(name, type, unit, meaning, empty) \
	{#name, COLUMN_##type, unit, meaning, empty},

#define TRIAL(name, type, unit, meaning, empty) \
	COL(name, type, unit, meaning, empty)
#define CELL(name, type, unit, meaning, empty)
#define SERIES(name, type, unit, meaning, empty)
#define HIST(name, type, unit, meaning, empty)
static const struct column trial_columns[] = {
#include "results/columns.def"
};

#undef TRIAL
#undef CELL
#define TRIAL(name, type, unit, meaning, empty)
#define CELL(name, type, unit, meaning, empty) \
	COL(name, type, unit, meaning, empty)
static const struct column cell_columns[] = {
#include "results/columns.def"
};

#undef CELL
#undef SERIES
#define CELL(name, type, unit, meaning, empty)
#define SERIES(name, type, unit, meaning, empty) \
	COL(name, type, unit, meaning, empty)
static const struct column series_columns[] = {
#include "results/columns.def"
};

#undef SERIES
#undef HIST
#define SERIES(name, type, unit, meaning, empty)
#define HIST(name, type, unit, meaning, empty) \
	COL(name, type, unit, meaning, empty)
static const struct column hist_columns[] = {
#include "results/columns.def"
};

const struct table table_trials = {"trials.csv", TRIAL_COLUMNS, trial_columns};
const struct table table_cells = {"cells.csv", CELL_COLUMNS, cell_columns};
const struct table table_series = {"series.csv", SERIES_COLUMNS,
				   series_columns};
const struct table table_hist = {"hist.csv", HIST_COLUMNS, hist_columns};

int
column_find(const struct table *table, const char *name)
{
	for (size_t i = 0; i < table->ncolumns; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return (int)i;
	return -1;
}

int
column_is_required(const struct column *col)
{
	return strcmp(col->empty_means, "never empty") == 0;
}

const char *
column_type_name(enum column_type type)
{
	switch (type) {
	case COLUMN_INT:
		return "int";
	case COLUMN_REAL:
		return "real";
	case COLUMN_BOOL:
		return "bool";
	case COLUMN_TEXT:
		return "text";
	case COLUMN_ENUM:
		return "enum";
	}
	return "";
}
