/* SPDX-License-Identifier: MIT */
/*
 * refcount.h - refcounts of 1 to 64 bits inside a refcount block
 *
 * Widths below a byte are packed from the least significant bit; wider ones
 * are big-endian.
 */
#ifndef Q2_FORMAT_REFCOUNT_H
#define Q2_FORMAT_REFCOUNT_H

#include <stdint.h>

/* order is log2 of the width in bits, 0..6; index counts entries of block. */
uint64_t refcount_get(const void *block, unsigned order, uint64_t index);
/* value must fit the width. */
void refcount_set(void *block, unsigned order, uint64_t index, uint64_t value);

#endif
