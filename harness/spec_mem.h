/* SPDX-License-Identifier: MIT */
/*
 * spec_mem.h - memory of one spec file: many small pieces, freed at once
 *
 * Used by everything that reads spec files; a suite owns one (suite.h).
 */
#ifndef HARNESS_SPEC_MEM_H
#define HARNESS_SPEC_MEM_H

#include <stddef.h>

struct spec_block;

/* All zero is empty. */
struct spec_mem {
	struct spec_block *blocks;
	size_t bytes; /* taken in all */
};

/* Zeroed, never NULL: without memory the program ends. */
void *spec_alloc(struct spec_mem *mem, size_t bytes);
char *spec_text(struct spec_mem *mem, const char *text, size_t len);
char *spec_format(struct spec_mem *mem, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* An array that has n of *cap elements gets room for one more. */
void *spec_grow(struct spec_mem *mem, void *v, size_t n, size_t *cap,
		size_t element);

void spec_mem_done(struct spec_mem *mem);

#endif
