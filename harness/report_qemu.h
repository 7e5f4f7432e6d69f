/* SPDX-License-Identifier: MIT */
/*
 * report_qemu.h - what comes of the rounds through QEMU: cells, table, words
 *
 * From run.json's member "qemu" and the rows of those rounds; see run_qemu.h.
 * Used by report.c.
 */
#ifndef HARNESS_REPORT_QEMU_H
#define HARNESS_REPORT_QEMU_H

#include <stdio.h>

#include "harness/advice.h"
#include "harness/measured.h"

/* The label of what the policies are compared with there. */
#define REPORT_QEMU_RAW "qemu-raw-written"

/* Cells of these rounds, added to what is there; margin: plan.margin. */
void report_qemu_cells(const struct measured *m, double margin,
		       struct rows *cells);

/* Their table, if there is any. */
void report_qemu_table(const struct measured *m, const struct rows *cells,
		       const char *color, FILE *f);

/* What is said now: changes the sentence, adds to the notes.  cheaper: the
 * advice for all policies but that of the advice. */
void report_qemu_advise(const struct measured *m, double margin,
			const struct advice *cheaper, struct advice *advice);

#endif
