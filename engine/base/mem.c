/* SPDX-License-Identifier: MIT */
#include "engine/base/mem.h"

#include <string.h>
#include <sys/mman.h>

#include "engine/base/num.h"

#define HUGE_PAGE ((size_t)(2 * MiB))

void *
mem_aligned(size_t bytes)
{
	void *p;

	if (posix_memalign(&p, MEM_ALIGN, bytes ? bytes : 1) != 0)
		return NULL;
	return p;
}

void *
mem_transfer(size_t bytes)
{
	void *p;

	if (bytes < HUGE_PAGE)
		return mem_aligned(bytes);
	bytes = align_up(bytes, HUGE_PAGE);
	if (posix_memalign(&p, HUGE_PAGE, bytes) != 0)
		return NULL;
	/* A kernel without huge pages has small ones. */
	(void)madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

void *
mem_aligned_zero(size_t bytes)
{
	void *p = mem_aligned(bytes);

	if (p)
		memset(p, 0, bytes);
	return p;
}

const unsigned char mem_zeros[MEM_ZEROS_BYTES]
	__attribute__((aligned(MEM_ALIGN)));

bool
mem_is_zero(const void *p, size_t bytes)
{
	const unsigned char *b = p;

	/* Each byte equals the one before it, and the first is zero. */
	return !bytes || (!b[0] && memcmp(b, b + 1, bytes - 1) == 0);
}
