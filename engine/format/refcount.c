/* SPDX-License-Identifier: MIT */
/* refcount.c - packed refcounts */
#include "engine/format/refcount.h"

#include "engine/base/num.h"

uint64_t
refcount_get(const void *block, unsigned order, uint64_t index)
{
	const uint8_t *p = block;
	unsigned shift;

	switch (order) {
	case 3:
		return p[index];
	case 4:
		return load_be16(p + index * 2);
	case 5:
		return load_be32(p + index * 4);
	case 6:
		return load_be64(p + index * 8);
	default:
		assert(order < 3);
		shift = (unsigned)(index << order) & 7;
		return (p[(index << order) / 8] >> shift) &
		       ((1U << (1U << order)) - 1);
	}
}

void
refcount_set(void *block, unsigned order, uint64_t index, uint64_t value)
{
	uint8_t *p = block;
	unsigned mask, shift;

	assert(order == 6 || value >> (1U << order) == 0);
	switch (order) {
	case 3:
		p[index] = (uint8_t)value;
		break;
	case 4:
		store_be16(p + index * 2, (uint16_t)value);
		break;
	case 5:
		store_be32(p + index * 4, (uint32_t)value);
		break;
	case 6:
		store_be64(p + index * 8, value);
		break;
	default:
		assert(order < 3);
		mask = (1U << (1U << order)) - 1;
		shift = (unsigned)(index << order) & 7;
		p += (index << order) / 8;
		*p = (uint8_t)((*p & ~(mask << shift)) | (value << shift));
	}
}
