/* SPDX-License-Identifier: MIT */
#include "harness/spec_mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"

#define BLOCK_BYTES 16384

struct spec_block {
	struct spec_block *next;
	size_t used, size;
	_Alignas(max_align_t) char bytes[];
};

static struct spec_block *
new_block(struct spec_mem *mem, size_t size)
{
	struct spec_block *block = calloc(1, sizeof(*block) + size);

	if (!block) {
		(void)fprintf(stderr, "qcowbench: no memory for a spec file\n");
		abort();
	}
	block->size = size;
	block->next = mem->blocks;
	mem->blocks = block;
	mem->bytes += size;
	return block;
}

void *
spec_alloc(struct spec_mem *mem, size_t bytes)
{
	struct spec_block *block = mem->blocks;
	void *p;

	bytes = align_up(max_u64(bytes, 1), _Alignof(max_align_t));
	if (!block || block->size - block->used < bytes)
		block = new_block(mem, max_u64(bytes, BLOCK_BYTES));
	p = block->bytes + block->used;
	block->used += bytes;
	return p;
}

char *
spec_text(struct spec_mem *mem, const char *text, size_t len)
{
	char *copy = spec_alloc(mem, len + 1);

	memcpy(copy, text, len);
	return copy;
}

char *
spec_format(struct spec_mem *mem, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	text = spec_alloc(mem, (size_t)max_u64(0, (uint64_t)n) + 1);
	va_start(ap, fmt);
	(void)vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return text;
}

void *
spec_grow(struct spec_mem *mem, void *v, size_t n, size_t *cap, size_t element)
{
	void *bigger;

	if (n < *cap)
		return v;
	*cap = *cap ? *cap * 2 : 8;
	bigger = spec_alloc(mem, *cap * element);
	if (n)
		memcpy(bigger, v, n * element);
	return bigger;
}

void
spec_mem_done(struct spec_mem *mem)
{
	while (mem->blocks) {
		struct spec_block *next = mem->blocks->next;

		free(mem->blocks);
		mem->blocks = next;
	}
	*mem = (struct spec_mem){0};
}
