/* SPDX-License-Identifier: MIT */
/*
 * table.h - the table that a run prints
 *
 * A row per configuration, as the cells stand; a column per pass: median, ratio to the reference
 * in percent, a sign for the verdict against the baseline, and below them the
 * interval of the ratio.  When the passes do not fit into the width, the table
 * goes on below.  Plain ASCII.  Pure but for the FILE.
 */
#ifndef HARNESS_TABLE_H
#define HARNESS_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "results/record.h"

#define TABLE_WIDTH     100 /* where f is no terminal */
#define TABLE_WIDTH_MIN 60
#define TABLE_WIDTH_MAX 240

struct table_opts {
	bool color;           /* dim intervals; never colour alone */
	unsigned width;       /* 0: TABLE_WIDTH */
	const char *baseline; /* policies are ranked against it; may be NULL */
};

/* Width and colour for f: those of the terminal if it is one, else TABLE_WIDTH
 * and none; color is a word of --color or NULL, see color.h. */
void table_opts_for(FILE *f, const char *color, struct table_opts *ret);

void table_print(FILE *f, const struct rows *cells,
		 const struct table_opts *opts);

/* 48210 -> "48.2k", for rates; at least three digits; at most 6 characters. */
void table_number(double v, char *text, size_t size);
/* Seconds, as "85 ms", "1.24 s", "3 min 20 s". */
void table_seconds(double s, char *text, size_t size);
/* In the unit in which another time is shown, so that both can be compared. */
void table_seconds_like(double like, double s, char *text, size_t size);
/* Bytes, as "196 KiB", "1.25 GiB". */
void table_bytes(double b, char *text, size_t size);

#endif
