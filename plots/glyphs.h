/* SPDX-License-Identifier: MIT */
/*
 * glyphs.h - characters that not every font has
 *
 * For one that no font has, gnuplot draws a box with its number, as large as
 * the picture.  The script asks fontconfig for a font that has them all, and
 * else shows question marks in the PNG.
 */
#ifndef PLOTS_GLYPHS_H
#define PLOTS_GLYPHS_H

#include <stdint.h>

#include "plots/drawing.h"

/* Different ones in one run; more become question marks, or a box. */
#define GLYPHS_MAX 256

/* The unusual ones of all texts of the run, each once. */
struct glyphs {
	uint32_t v[GLYPHS_MAX];
	size_t n;
};
void glyphs_find(const struct drawing *d, struct glyphs *ret);

/* As fontconfig wants them: "65e5 672c". */
#define GLYPHS_NUMBERS (8 * GLYPHS_MAX)
void glyphs_numbers(const struct glyphs *g, char text[GLYPHS_NUMBERS]);
/* In UTF-8. */
#define GLYPHS_TEXT (4 * GLYPHS_MAX + 1)
void glyphs_text(const struct glyphs *g, char text[GLYPHS_TEXT]);

#endif
