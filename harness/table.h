/* SPDX-License-Identifier: MIT */
/*
 * table.h - the table that a run prints
 *
 * A row per configuration, a column per pass: median, ratio to the reference
 * in percent, and below them the interval.  At most 100 columns wide; when
 * passes do not fit, the table goes on below.  Pure but for the FILE.
 */
#ifndef HARNESS_TABLE_H
#define HARNESS_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "results/record.h"

#define TABLE_WIDTH 100

struct table_opts {
	bool color;           /* dim intervals; never colour alone */
	unsigned width;       /* 0: TABLE_WIDTH */
	const char *baseline; /* policies are ranked against it; may be NULL */
};

void table_print(FILE *f, const struct rows *cells,
		 const struct table_opts *opts);

/* 48210 -> "48.2k", for rates; at least three digits; at most 6 characters. */
void table_number(double v, char *text, size_t size);
/* Seconds, as "85 ms", "1.24 s", "3 min 20 s". */
void table_seconds(double s, char *text, size_t size);
/* Bytes, as "196 KiB", "1.25 GiB". */
void table_bytes(double b, char *text, size_t size);

#endif
