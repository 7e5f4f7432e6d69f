/* SPDX-License-Identifier: MIT */
/* content.c - what the write passes write; see content.h */
#include "workloads/content.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"

#define SECTOR_WORDS (CONTENT_SECTOR / 8)

/* The first three words of a sector: offset, seed, and a check of both, so
 * that random bytes are not taken for a stamp. */
enum {
	WORD_OFF,
	WORD_SEED,
	WORD_CHECK,
	WORD_FILL
};

static uint64_t
stamp_check(uint64_t off, uint64_t seed)
{
	return mix64(off ^ mix64(seed + UINT64_C(0x9e3779b97f4a7c15)));
}

static void
sector_fill(uint64_t *words, uint64_t off, uint64_t seed)
{
	uint64_t check = stamp_check(off, seed), x = check;

	words[WORD_OFF] = off;
	words[WORD_SEED] = seed;
	words[WORD_CHECK] = check;
	/* One multiplication a word (Weyl steps, then half of a mixer) is
	 * random enough for any compressor and keeps up with memory. */
	for (unsigned i = WORD_FILL; i < SECTOR_WORDS; i++) {
		uint64_t z;

		x += UINT64_C(0x9e3779b97f4a7c15);
		z = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
		words[i] = z ^ (z >> 29);
	}
}

void
content_fill(void *buf, size_t len, uint64_t off, uint64_t seed)
{
	assert(len % CONTENT_SECTOR == 0 && off % CONTENT_SECTOR == 0);
	assert((uintptr_t)buf % sizeof(uint64_t) == 0);
	for (size_t pos = 0; pos < len; pos += CONTENT_SECTOR)
		sector_fill((uint64_t *)(void *)((char *)buf + pos), off + pos,
			    seed);
}

void
content_fill_partly(void *buf, size_t len, uint64_t off, uint64_t seed,
		    unsigned percent)
{
	size_t zeros = CONTENT_SECTOR * percent / 100 / 8 * 8;

	content_fill(buf, len, off, seed);
	zeros = min_u64(zeros, CONTENT_SECTOR - WORD_FILL * 8);
	for (size_t pos = 0; pos < len; pos += CONTENT_SECTOR)
		memset((char *)buf + pos + CONTENT_SECTOR - zeros, 0, zeros);
}

static bool
sector_is(const void *sector, uint64_t off, uint64_t seed)
{
	uint64_t want[SECTOR_WORDS];

	sector_fill(want, off, seed);
	return memcmp(sector, want, sizeof(want)) == 0;
}

static bool
sector_is_zero(const void *sector)
{
	static const char zeros[CONTENT_SECTOR];

	return memcmp(sector, zeros, sizeof(zeros)) == 0;
}

/* Say what a wrong sector holds. */
static void
sector_diagnose(const void *sector, uint64_t off, struct content_fault *ret)
{
	uint64_t stamp[WORD_FILL];

	memcpy(stamp, sector, sizeof(stamp));
	ret->off = off;
	ret->stamp_off = stamp[WORD_OFF];
	ret->stamp_seed = stamp[WORD_SEED];
	if (sector_is_zero(sector))
		ret->state = CONTENT_ZERO;
	else if (!sector_is(sector, stamp[WORD_OFF], stamp[WORD_SEED]))
		ret->state = CONTENT_DAMAGED;
	else if (stamp[WORD_OFF] == off)
		ret->state = CONTENT_OTHER;
	else
		ret->state = CONTENT_ELSEWHERE;
}

uint64_t
content_check(const void *buf, size_t len, uint64_t off, uint64_t seed,
	      struct content_fault *ret_fault)
{
	uint64_t wrong = 0;

	assert(len % CONTENT_SECTOR == 0 && off % CONTENT_SECTOR == 0);
	for (size_t pos = 0; pos < len; pos += CONTENT_SECTOR) {
		const char *sector = (const char *)buf + pos;

		if (sector_is(sector, off + pos, seed))
			continue;
		if (wrong++ == 0 && ret_fault)
			sector_diagnose(sector, off + pos, ret_fault);
	}
	return wrong;
}

void
content_describe(const struct content_fault *fault, char *text, size_t size)
{
	switch (fault->state) {
	case CONTENT_OK:
		(void)snprintf(text, size, "content is right");
		break;
	case CONTENT_ZERO:
		(void)snprintf(text, size,
			       "guest offset %" PRIu64 " reads as zeros",
			       fault->off);
		break;
	case CONTENT_ELSEWHERE:
		(void)snprintf(text, size,
			       "guest offset %" PRIu64
			       " holds what belongs to %" PRIu64,
			       fault->off, fault->stamp_off);
		break;
	case CONTENT_OTHER:
		(void)snprintf(text, size,
			       "guest offset %" PRIu64
			       " holds the write of another pass (seed %" PRIu64
			       ")",
			       fault->off, fault->stamp_seed);
		break;
	case CONTENT_DAMAGED:
		(void)snprintf(text, size,
			       "guest offset %" PRIu64 " is damaged",
			       fault->off);
		break;
	}
}
