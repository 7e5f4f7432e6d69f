/* SPDX-License-Identifier: MIT */
/*
 * bits.h - arrays of bits, the lowest one of each byte first
 */
#ifndef Q2_BASE_BITS_H
#define Q2_BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

/* Set, or clear, [first, first + n). */
void bits_set(uint8_t *bits, uint64_t first, uint64_t n);
void bits_clear(uint8_t *bits, uint64_t first, uint64_t n);

static inline bool
bits_test(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

/* The first bit from `from` on that has this value; end if none before it
 * has. */
uint64_t bits_next(const uint8_t *bits, uint64_t from, uint64_t end,
		   bool value);

#endif
