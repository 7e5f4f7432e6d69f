/* SPDX-License-Identifier: MIT */
/* each_row.c - read a long result file row by row; see each_row.h */
#include "plots/each_row.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "results/csv.h"

/* Which column each field is; -1: one that we do not need to know. */
static int *
columns_of(const struct table *table, const struct csv_line *header)
{
	int *cols = zeroed(header->n, sizeof(*cols));

	for (size_t i = 0; i < header->n; i++)
		cols[i] = column_find(table, header->fields[i]);
	return cols;
}

static int
parse_row(const struct csv_line *line, const int *cols, struct record *row,
	  struct q2_err *err)
{
	for (size_t i = 0; i < line->n; i++) {
		int r = cols[i] < 0 ? 0
				    : record_parse(row, cols[i],
						   line->fields[i], err);

		if (r < 0)
			return err_prefix(err, r, "line %lu", line->number);
	}
	return 0;
}

static int
read_rows(FILE *f, struct record *row, each_row_fn *fn, void *arg,
	  struct q2_err *err)
{
	Q2_AUTO(csv_line) line = {0};
	Q2_AUTO_FREE int *cols = NULL;
	size_t ncols;
	int r = csv_read_line(f, &line, err);

	if (r <= 0)
		return r;
	cols = columns_of(record_table(row), &line);
	ncols = line.n;
	while ((r = csv_read_line(f, &line, err)) > 0) {
		if (line.n != ncols)
			return q2_fail(err, -EINVAL,
				       "line %lu has %zu fields, the header "
				       "%zu",
				       line.number, line.n, ncols);
		r = parse_row(&line, cols, row, err);
		if (r < 0)
			return r;
		fn(arg, row);
	}
	return r;
}

int
each_row(const struct drawing *d, const struct table *table, each_row_fn *fn,
	 void *arg, struct q2_err *err)
{
	struct record *row;
	char path[PATH_MAX + 32];
	FILE *f;
	int r;

	(void)snprintf(path, sizeof(path), "%.4000s/%s", d->opts->out,
		       table->file);
	f = fopen(path, "re");
	if (!f && errno == ENOENT)
		return 0;
	if (!f)
		return q2_fail(err, -errno, "cannot read %s: %s", path,
			       strerror(errno));
	row = record_new(table);
	r = read_rows(f, row, fn, arg, err);
	record_free(row);
	(void)fclose(f);
	return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}
