/* SPDX-License-Identifier: MIT */
/*
 * csv.h - RFC 4180, written and read
 *
 * Lines end in LF (the reader takes CRLF too), text is UTF-8, a header is
 * always there, fields are quoted only where they must be.  Used by the
 * harness and by plots.
 */
#ifndef RESULTS_CSV_H
#define RESULTS_CSV_H

#include <stdio.h>

#include "results/record.h"

/* One field, quoted if it holds a comma, a quote or a line break. */
void csv_write_field(FILE *f, const char *text);

void csv_write_header(FILE *f, const struct table *table);
void csv_write_record(FILE *f, const struct record *rec);

/* A whole file: header and rows, written beside path, synced and renamed over
 * it, so that a reader never sees half of it. */
int csv_write_file(const char *path, const struct table *table,
		   const struct rows *rows, struct q2_err *err);

/* The same for rows that are not all in memory: csv_begin(), as many
 * csv_write_record(out.f, ...) as there are, csv_end(), which must follow. */
struct csv_out {
	FILE *f;
	const char *path; /* the caller's */
	char *tmp;
};
int csv_begin(struct csv_out *out, const char *path, const struct table *table,
	      struct q2_err *err);
int csv_end(struct csv_out *out, struct q2_err *err);

/* Longer lines are refused. Ours have a few KiB. */
#define CSV_LINE_MOST (4 << 20)

/* A parsed line: fields are '\0'-terminated inside buf. */
struct csv_line {
	char *buf;
	size_t size;
	char **fields;
	size_t n, room;
	unsigned long number; /* line of the file on which it began, from 1 */
	unsigned long next;   /* lines of the file read so far */
};
/* 1: a line was read; 0: end of file; negative errno with a reason. Reuses and
 * grows the line's memory; initialise with {0}. */
int csv_read_line(FILE *f, struct csv_line *line, struct q2_err *err);
void csv_line_done(struct csv_line *line);

/*
 * Read a result file.  Columns are found by the names in its header: unknown
 * ones are ignored (a later version has appended them), missing ones stay
 * empty.  Rows are added to *rows, also those before an error.
 */
int csv_read_file(const char *path, const struct table *table,
		  struct rows *rows, struct q2_err *err);

#endif
