/* SPDX-License-Identifier: MIT */
#include "engine/base/bits.h"

#include <string.h>

/* Of the byte with bit first: the bits from there on, but n at most. */
static uint8_t
mask_at(uint64_t first, uint64_t n)
{
	unsigned from = first % 8;

	return n >= 8 - from ? (uint8_t)(0xff << from)
			     : (uint8_t)(((1U << n) - 1) << from);
}

/* Bits of [first, first + n) before the next whole byte. */
static uint64_t
head(uint64_t first, uint64_t n)
{
	uint64_t part = first % 8 ? 8 - first % 8 : 0;

	return part < n ? part : n;
}

void
bits_set(uint8_t *bits, uint64_t first, uint64_t n)
{
	uint64_t part = head(first, n);

	if (part)
		bits[first / 8] |= mask_at(first, part);
	first += part;
	n -= part;
	if (n >= 8)
		memset(bits + first / 8, 0xff, n / 8);
	if (n % 8)
		bits[(first + n) / 8] |= mask_at(0, n % 8);
}

void
bits_clear(uint8_t *bits, uint64_t first, uint64_t n)
{
	uint64_t part = head(first, n);

	if (part)
		bits[first / 8] &= (uint8_t)~mask_at(first, part);
	first += part;
	n -= part;
	if (n >= 8)
		memset(bits + first / 8, 0, n / 8);
	if (n % 8)
		bits[(first + n) / 8] &= (uint8_t)~mask_at(0, n % 8);
}

uint64_t
bits_next(const uint8_t *bits, uint64_t from, uint64_t end, bool value)
{
	static const uint8_t none[2][8] = {
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0},
	};

	while (from < end) {
		/* Eight bytes without it, at once. */
		if (from % 8 == 0 && end - from >= 64 &&
		    memcmp(bits + from / 8, none[value], 8) == 0)
			from += 64;
		else if (bits_test(bits, from) == value)
			return from;
		else
			from++;
	}
	return end;
}
