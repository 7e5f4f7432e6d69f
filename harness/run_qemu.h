/* SPDX-License-Identifier: MIT */
/*
 * run_qemu.h - after the rounds: the two best policies once more, through QEMU
 *
 * Advice is about the way QEMU writes, and QEMU is asked where it is installed:
 * its policy and the fastest rival do their first writes through target qemu,
 * beside a raw file on the same transport, in rounds of their own.  What comes
 * of it is a note, or takes the sentence's place (report_qemu.h).  Nothing that
 * goes wrong here takes anything from the rounds that are done.
 */
#ifndef HARNESS_RUN_QEMU_H
#define HARNESS_RUN_QEMU_H

#include "harness/run.h"

/* What run.json of a run that is taken up says of them. */
void run_qemu_take(struct run *run);

/* Before sizes are settled: shall there be such rounds?  Looks for QEMU, unless
 * an earlier session has done them all. */
void run_qemu_look(struct run *run);

/* By what run_qemu_take() has found: are any missing? */
bool run_qemu_is_due(const struct run *run);

/* What one of these rounds will take, by what trials of the suite have taken; 0
 * if there are none. */
double run_qemu_round_s(const struct run *run, const struct rows *trials);

/* ... and all of them that are to come, if QEMU has something to say. */
double run_qemu_left_s(const struct run *run, const struct rows *trials);

/*
 * Do them, when all rounds of the run are done and the folder of images is
 * empty.  BENCH_OK, BENCH_INTERRUPTED, or BENCH_ENVIRONMENT when the results
 * cannot be written.
 */
enum bench_exit run_qemu_rounds(struct run *run, struct q2_err *err);

#endif
