/* SPDX-License-Identifier: MIT */
#include "engine/image/slice.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/cache.h"
#include "engine/image/image.h"

/* More than any image needs; keeps the arithmetic within its types. */
#define SLOTS_MAX (UINT32_C(1) << 26)

static unsigned
bitmap_words(const struct slice_cache *c)
{
	return (c->pieces + 63) / 64;
}

int
slice_cache_init(struct slice_cache *c, enum aio_class cls,
		 const struct table *above, uint64_t bytes,
		 uint32_t slice_bytes, struct q2_err *err)
{
	unsigned words;

	assert(is_pow2(slice_bytes));
	if (bytes / slice_bytes > SLOTS_MAX)
		return q2_fail(err, -ENOMEM,
			       "Could not allocate metadata caches: %" PRIu64
			       " bytes are more than %u slices of %u",
			       bytes, SLOTS_MAX, slice_bytes);
	*c = (struct slice_cache){
		.cls = cls,
		.above = above,
		.slice_bytes = slice_bytes,
		.piece_bytes = (uint32_t)min_u64(PIECE_BYTES, slice_bytes),
		.n_slots = (unsigned)max_u64(2, bytes / slice_bytes),
	};
	c->pieces = slice_bytes / c->piece_bytes;
	words = bitmap_words(c);
	list_init(&c->dirty);
	co_queue_init(&c->slot_wait);
	c->hash_mask = 16;
	while (c->hash_mask < 2 * c->n_slots)
		c->hash_mask *= 2;
	c->hash = calloc(c->hash_mask--, sizeof(*c->hash));
	c->slots = calloc(c->n_slots, sizeof(*c->slots));
	c->bits = calloc((size_t)c->n_slots * words, sizeof(*c->bits));
	c->memory = mmap(NULL, (size_t)c->n_slots * slice_bytes,
			 PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->memory == MAP_FAILED)
		c->memory = NULL;
	if (!c->hash || !c->slots || !c->bits || !c->memory) {
		slice_cache_done(c);
		return q2_fail(err, -ENOMEM,
			       "no memory for a metadata cache of %u slices",
			       c->n_slots);
	}
	for (unsigned i = 0; i < c->n_slots; i++) {
		struct slice *s = &c->slots[i];

		s->data = c->memory + (size_t)i * slice_bytes;
		s->dirty = c->bits + (size_t)i * words;
		co_queue_init(&s->wait);
		list_init(&s->dirty_link);
		list_init(&s->commit_link);
		s->is_l2 = cls == AIO_L2;
	}
	return 0;
}

void
slice_cache_done(struct slice_cache *c)
{
	if (c->memory)
		(void)munmap(c->memory, (size_t)c->n_slots * c->slice_bytes);
	free(c->hash);
	free(c->slots);
	free(c->bits);
	c->memory = NULL;
	c->hash = NULL;
	c->slots = NULL;
	c->bits = NULL;
}

void
slice_cache_replace(struct slice_cache *c, struct slice_cache *with)
{
	assert(list_empty(&c->dirty) && co_queue_empty(&c->slot_wait));
	slice_cache_done(c);
	*c = *with;
	/* These point to their own place. */
	list_init(&c->dirty);
	co_queue_init(&c->slot_wait);
}

/* ---- hash -------------------------------------------------------------- */

static struct slice **
bucket(struct slice_cache *c, uint64_t host)
{
	return &c->hash[mix64(host / c->slice_bytes) & c->hash_mask];
}

static struct slice *
find(struct slice_cache *c, uint64_t host)
{
	struct slice *s = *bucket(c, host);

	while (s && s->host != host)
		s = s->hash_next;
	return s;
}

static void
insert(struct slice_cache *c, struct slice *s, uint64_t host)
{
	struct slice **head = bucket(c, host);

	s->host = host;
	s->hash_next = *head;
	*head = s;
}

static void
forget(struct slice_cache *c, struct slice *s)
{
	struct slice **p = bucket(c, s->host);

	while (*p != s)
		p = &(*p)->hash_next;
	*p = s->hash_next;
	s->host = 0;
}

/* ---- slots ------------------------------------------------------------- */

static bool
evictable(const struct slice *s)
{
	return !s->pins && !s->n_dirty && !s->committing && !s->loading;
}

/* By clock: an empty slot, or the first evictable one that was not used since
 * the hand last passed; NULL if nothing can be evicted. */
static struct slice *
clock_pick(struct slice_cache *c)
{
	for (unsigned i = 0; i < 2 * c->n_slots; i++) {
		struct slice *s = &c->slots[c->hand];

		c->hand = c->hand + 1 == c->n_slots ? 0 : c->hand + 1;
		if (!s->host)
			return s;
		if (!evictable(s))
			continue;
		if (!s->used)
			return s;
		s->used = false;
	}
	return NULL;
}

/* Does a commit make some slice evictable? */
static bool
commit_would_help(struct slice_cache *c)
{
	for (unsigned i = 0; i < c->n_slots; i++) {
		struct slice *s = &c->slots[i];

		if (!s->pins && (s->n_dirty || s->committing))
			return true;
	}
	return false;
}

/*
 * An empty slot in *ret_slice, or NULL there if the caller parked meanwhile
 * and must look again.
 */
static int Q2_CO
take_slot(struct image *img, struct slice_cache *c, struct slice **ret_slice)
{
	struct slice *s = clock_pick(c);

	*ret_slice = s;
	if (s) {
		if (!s->host)
			return 0;
		if (c->cls == AIO_L2)
			img->points.n.l2_evictions++;
		else
			img->points.n.refcount_evictions++;
		forget(c, s);
		return 0;
	}
	if (commit_would_help(c))
		return c->cls == AIO_L2 ? cache_commit(img)
					: cache_commit_all(img);
	co_queue_wait(&c->slot_wait);
	return 0;
}

static int Q2_CO
load(struct image *img, struct slice_cache *c, struct slice *s)
{
	int r;

	r = c->cls == AIO_L2 ? POINT_HIT(&img->points, l2_load)
			     : POINT_HIT(&img->points, refcount_load);
	if (r < 0)
		return r;
	return file_read(img->file, c->cls, s->data, c->slice_bytes, s->host);
}

struct slice *
slice_peek(struct slice_cache *c, uint64_t host)
{
	struct slice *s = find(c, host);

	if (!s || s->loading)
		return NULL;
	s->used = true;
	return s;
}

/* Wait for another's load of s; pinned on success. */
static int Q2_CO
join_load(struct slice_cache *c, struct slice *s)
{
	int r;

	s->pins++;
	co_queue_wait(&s->wait);
	assert(!s->loading);
	r = s->load_error;
	if (r < 0)
		slice_put(c, s);
	return r;
}

static void
count_lookup(struct image *img, const struct slice_cache *c, bool hit)
{
	struct q2_stats *n = &img->points.n;

	if (c->cls == AIO_L2)
		hit ? n->l2_hits++ : n->l2_misses++;
	else
		hit ? n->refcount_hits++ : n->refcount_misses++;
}

int Q2_CO
slice_get(struct image *img, struct slice_cache *c, uint64_t host,
	  uint32_t owner, struct slice **ret_slice)
{
	struct slice *s = NULL;
	bool counted = false;
	int r;

	assert(host && is_aligned(host, c->slice_bytes));
	for (;;) {
		struct slice *there = find(c, host);

		if (!counted)
			count_lookup(img, c, there != NULL);
		counted = true;
		if (there && !there->loading) {
			there->pins++;
			there->used = true;
			*ret_slice = there;
			return 0;
		}
		if (there) {
			r = join_load(c, there);
			if (r == 0)
				*ret_slice = there;
			return r;
		}
		r = take_slot(img, c, &s);
		if (r < 0)
			return r;
		if (s)
			break;
	}
	insert(c, s, host);
	s->pins = 1;
	s->used = true;
	s->load_error = 0;
	s->owner = owner;
	if (c->above->child[owner] != CHILD_WRITTEN) {
		/* The file does not hold this table yet: it is all zeros. */
		memset(s->data, 0, c->slice_bytes);
		*ret_slice = s;
		return 0;
	}
	s->loading = true;
	r = load(img, c, s);
	s->loading = false;
	s->load_error = r;
	co_queue_wake_all(&s->wait);
	if (r < 0) {
		/* Waiters that have not run yet still pin it; none can be
		 * added, since it cannot be found any more. */
		forget(c, s);
		s->host = UINT64_MAX;
		insert(c, s, UINT64_MAX);
		slice_put(c, s);
		return r;
	}
	*ret_slice = s;
	return 0;
}

void
slice_put(struct slice_cache *c, struct slice *s)
{
	assert(s->pins > 0);
	if (--s->pins > 0)
		return;
	if (s->host == UINT64_MAX)
		forget(c, s);
	/* Also when it is dirty: whoever waits must then start a commit. */
	(void)co_queue_wake(&c->slot_wait);
}

/* ---- dirty pieces ------------------------------------------------------ */

void
slice_dirty(struct slice_cache *c, struct slice *s, uint32_t at, uint32_t len)
{
	assert(len > 0 && at + len <= c->slice_bytes);
	for (uint32_t i = at / c->piece_bytes;
	     i <= (at + len - 1) / c->piece_bytes; i++) {
		uint64_t bit = UINT64_C(1) << (i % 64);

		if (s->dirty[i / 64] & bit)
			continue;
		s->dirty[i / 64] |= bit;
		if (s->n_dirty++ == 0)
			list_append(&c->dirty, &s->dirty_link);
	}
}

void
slice_drop(struct slice_cache *c, uint64_t host, uint64_t bytes)
{
	for (uint64_t at = host; at < host + bytes; at += c->slice_bytes) {
		struct slice *s = find(c, at);

		if (!s)
			continue;
		assert(!s->pins && !s->n_dirty && !s->committing);
		forget(c, s);
	}
}

void
slice_cleaned(struct slice_cache *c)
{
	co_queue_wake_all(&c->slot_wait);
}

void
slice_cache_trim(struct slice_cache *c)
{
	for (unsigned i = 0; i < c->n_slots; i++) {
		struct slice *s = &c->slots[i];

		if (!s->host || !evictable(s))
			continue;
		if (s->used) {
			s->used = false;
			continue;
		}
		forget(c, s);
		/* Slices below a page share it with others. */
		if (c->slice_bytes >= PIECE_BYTES)
			(void)madvise(s->data, c->slice_bytes, MADV_DONTNEED);
	}
}
