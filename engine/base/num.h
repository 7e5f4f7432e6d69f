/* SPDX-License-Identifier: MIT */
/*
 * num.h - rounding, powers of two, checked arithmetic; big-endian bytes
 *
 * The align functions take a power of two.  Nothing here overflows silently:
 * align_up() asserts that it does not, and what comes from a file goes through
 * the *_overflows forms first.
 */
#ifndef Q2_BASE_NUM_H
#define Q2_BASE_NUM_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define KiB UINT64_C(1024)
#define MiB (UINT64_C(1024) * KiB)
#define GiB (UINT64_C(1024) * MiB)
#define TiB (UINT64_C(1024) * GiB)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define add_overflows(a, b, ret) __builtin_add_overflow(a, b, ret)
#define mul_overflows(a, b, ret) __builtin_mul_overflow(a, b, ret)

static inline bool
is_pow2(uint64_t n)
{
	return n && !(n & (n - 1));
}

static inline uint64_t
align_down(uint64_t n, uint64_t to)
{
	return n & ~(to - 1);
}

static inline uint64_t
align_up(uint64_t n, uint64_t to)
{
	assert(n <= UINT64_MAX - (to - 1));
	return (n + to - 1) & ~(to - 1);
}

static inline bool
is_aligned(uint64_t n, uint64_t to)
{
	return !(n & (to - 1));
}

static inline uint64_t
div_up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

static inline uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* log2 of a power of two. */
static inline unsigned
log2_u64(uint64_t n)
{
	assert(is_pow2(n));
	return (unsigned)__builtin_ctzll(n);
}

/* Do [a, a + a_len) and [b, b + b_len) share a byte? */
static inline bool
ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* Big-endian integers at any address. */
static inline uint16_t
load_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t
load_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t
load_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline void
store_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
store_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
store_be64(void *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "the be helpers swap unconditionally");

#endif
