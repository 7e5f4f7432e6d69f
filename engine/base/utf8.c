/* SPDX-License-Identifier: MIT */
#include "engine/base/utf8.h"

#include <stdint.h>

/* Bytes of the character at p, of which n are there; 0 if it is none. */
static size_t
char_bytes(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
	size_t len = p[0] < 0x80             ? 1
		     : (p[0] & 0xe0) == 0xc0 ? 2
		     : (p[0] & 0xf0) == 0xe0 ? 3
		     : (p[0] & 0xf8) == 0xf0 ? 4
					     : 0;
	uint32_t c = len == 1 ? p[0] : p[0] & (0x7fU >> len);

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fU);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return len;
}

bool
utf8_is_valid(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n) {
		size_t len = char_bytes(p, n);

		if (!len)
			return false;
		p += len;
		n -= len;
	}
	return true;
}
