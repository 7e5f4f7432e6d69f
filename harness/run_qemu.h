/* SPDX-License-Identifier: MIT */
/*
 * run_qemu.h - after the rounds: the two best policies once more, through QEMU
 *
 * Advice is about the way QEMU writes, and QEMU is asked where it is installed:
 * its policy and the fastest rival do their first writes through target qemu,
 * beside a raw file on the same transport, in rounds of their own.  What comes
 * of it is a note, or takes the sentence's place (advice_qemu.h).  Nothing that
 * goes wrong here takes anything from the rounds that are done.
 */
#ifndef HARNESS_RUN_QEMU_H
#define HARNESS_RUN_QEMU_H

#include <stdio.h>

#include "harness/advice.h"
#include "harness/run.h"

/* Before sizes are settled: shall there be such rounds?  Looks for QEMU. */
void run_qemu_look(struct run *run);

/* What one of these rounds will take, by the warm-up; 0 if there are none. */
double run_qemu_round_s(const struct run *run, const struct rows *warm_up);

/*
 * Do them, when all rounds of the run are done and the folder of images is
 * empty.  BENCH_OK, BENCH_INTERRUPTED, or BENCH_ENVIRONMENT when the results
 * cannot be written.
 */
enum bench_exit run_qemu_rounds(struct run *run, struct q2_err *err);

/* Cells of these rounds, to add to those of the run. */
void run_qemu_cells(const struct run *run, struct rows *cells);

/* Their table, if there is any. */
void run_qemu_table(const struct run *run, FILE *f);

/* What is said now: changes the sentence, adds to the notes. */
void run_qemu_advise(const struct run *run, struct advice *advice);

#endif
