/* SPDX-License-Identifier: MIT */
/* glyphs.c - characters that not every font has; see glyphs.h */
#include "plots/glyphs.h"

#include <stdio.h>
#include <string.h>

/* The next character of UTF-8; texts of a run are known to be that. */
static uint32_t
next(const char **text)
{
	const unsigned char *at = (const unsigned char *)*text;
	unsigned more = *at < 0xc0 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
	uint32_t c = more ? *at & (0x3fU >> more) : *at;

	for (at++; more && (*at & 0xc0) == 0x80; more--)
		c = c << 6 | (*at++ & 0x3fU);
	*text = (const char *)at;
	return c;
}

/* Latin, Greek, Cyrillic, punctuation, currency, letter-like, arrows and
 * operators are in every font for screens. */
static bool
is_usual(uint32_t c)
{
	return c < 0x530 || (c >= 0x1e00 && c < 0x20d0) ||
	       (c >= 0x2100 && c < 0x2300);
}

static bool
is_there(const struct glyphs *g, uint32_t c)
{
	for (size_t i = 0; i < g->n; i++) {
		if (g->v[i] == c)
			return true;
	}
	return false;
}

static void
add_text(struct glyphs *g, const char *text)
{
	while (*text) {
		uint32_t c = next(&text);

		if (!is_usual(c) && !is_there(g, c) && g->n < GLYPHS_MAX)
			g->v[g->n++] = c;
	}
}

void
glyphs_find(const struct drawing *d, struct glyphs *ret)
{
	ret->n = 0;
	for (size_t k = 0; k < d->labels.n; k++)
		add_text(ret, d->labels.v[k]);
	add_text(ret, d->opts->device ? d->opts->device : "");
	for (size_t i = 0; i < d->cells->n; i++)
		add_text(ret, record_text(d->cells->v[i], CELL_pass));
}

void
glyphs_numbers(const struct glyphs *g, char text[GLYPHS_NUMBERS])
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < g->n; i++)
		used += (size_t)snprintf(text + used, GLYPHS_NUMBERS - used,
					 "%s%x", i ? " " : "",
					 g->v[i] & 0x1fffff);
}

void
glyphs_text(const struct glyphs *g, char text[GLYPHS_TEXT])
{
	/* All from 0x530 on: two bytes or more. */
	for (size_t i = 0; i < g->n; i++) {
		uint32_t c = g->v[i];

		if (c >= 0x10000) {
			*text++ = (char)(0xf0 | (c >> 18 & 7));
			*text++ = (char)(0x80 | (c >> 12 & 0x3f));
			*text++ = (char)(0x80 | (c >> 6 & 0x3f));
		} else if (c >= 0x800) {
			*text++ = (char)(0xe0 | c >> 12);
			*text++ = (char)(0x80 | (c >> 6 & 0x3f));
		} else {
			*text++ = (char)(0xc0 | c >> 6);
		}
		*text++ = (char)(0x80 | (c & 0x3f));
	}
	*text = '\0';
}
