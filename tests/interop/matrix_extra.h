/* SPDX-License-Identifier: MIT */
/*
 * matrix_extra.h - the snapshot or the bitmap that an image of the matrix has
 *
 * A snapshot is taken by one side; the other one applies or deletes it, while
 * both write on.  A bitmap is added by one side, and notes what both write.
 */
#ifndef TESTS_INTEROP_MATRIX_EXTRA_H
#define TESTS_INTEROP_MATRIX_EXTRA_H

#include "tests/interop/matrix_image.h"

/* Before a turn, of which 0 is the first: take, add, apply, delete, or
 * nothing. */
void extra_before_turn(struct image *img, unsigned turn);

/* After all turns: what the other side has yet to do with the snapshot; false:
 * nothing, the image is as it was. */
bool extra_end(struct image *img);

/* Our engine says what it must of it; the image is open read-only. */
void extra_judge_ours(const struct image *img, struct q2_image *image);

/* QEMU: start a program that only reads, and look at what it did; slot is of
 * spawn().  -1: there is nothing to be asked. */
pid_t extra_ask_qemu(const struct image *img, unsigned slot);
void extra_judge_qemu(const struct image *img, pid_t pid, unsigned slot);

/* What the bitmap has noted, by QEMU's NBD server. */
void extra_judge_bitmap(const struct image *img);

/* Forget the snapshot. */
void extra_done(struct image *img);

#endif
