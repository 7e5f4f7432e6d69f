/* SPDX-License-Identifier: MIT */
/*
 * mem.h - scope-bound release, and allocation that checks its arithmetic
 *
 * Three macros and no more: Q2_AUTO(type) calls type_done(&var) at the end of
 * the scope, Q2_AUTO_FREE frees, q2_take_ptr hands ownership out.
 */
#ifndef Q2_BASE_MEM_H
#define Q2_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define Q2_AUTO(type) __attribute__((cleanup(type##_done))) struct type

static inline void
mem_auto_free(void *p)
{
	free(*(void **)p);
}
#define Q2_AUTO_FREE __attribute__((cleanup(mem_auto_free)))

/* Return p's value and set p to NULL: its owner is now somebody else. */
#define q2_take_ptr(p)                         \
	({                                     \
		__typeof__(p) take_ptr_ = (p); \
		(p) = NULL;                    \
		take_ptr_;                     \
	})

/* Memory aligned for any O_DIRECT device, at least MEM_ALIGN; NULL when there
 * is none.  Released with free(). */
#define MEM_ALIGN 4096
void *mem_aligned(size_t bytes);
/*
 * The same for large requests, in huge pages: how fast the kernel transfers
 * small ones depends on which of them happen to be neighbours, by a factor of
 * three from one process to the next.
 */
void *mem_transfer(size_t bytes);
/* mem_aligned, zeroed. */
void *mem_aligned_zero(size_t bytes);

/* Are all bytes zero? */
bool mem_is_zero(const void *p, size_t bytes);

/* Zeros to write from. */
#define MEM_ZEROS_BYTES (64 * 1024)
extern const unsigned char mem_zeros[MEM_ZEROS_BYTES];

#endif
