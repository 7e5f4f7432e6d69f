/* SPDX-License-Identifier: MIT */
/*
 * cache.c - the only file that orders writes
 *
 * Terms.  *Linked*: a mapping in memory points at a cluster.  *Durable*: a
 * sync that began after the write completed has returned.  *New table*: an L2
 * table or refcount block that the file does not hold yet.
 *
 * Rules (docs/ordering.md has the whole set and the proof)
 *
 *	W1  data, copied bytes and refcount before the L2 entry
 *	W2  an L2 table before the L1 entry that names it
 *	W3  a refcount block before the refcount-table entry that names it
 *	E1  a commit is sealed without parking: it copies every dirty piece and
 *	    takes a number.  Its phases write the copies, never the live
 *	    slices; what changes later belongs to the next commit.  One runs at
 *	    a time.  A flush joins the first one sealed after it arrived.
 *	E2  the phases; an empty one costs nothing:
 *	      1  dirty refcount pieces, new refcount blocks, new L2 tables; sync
 *	      2  refcount-table entries; sync
 *	      3  pieces of L2 tables in use, L1 entries; sync
 *	E3, D1  with lazy refcounts, phases 1 and 2 carry none of them until
 *	    the image is closed; the dirty bit is durable before the first
 *	    commit that leaves them out
 *	X1  guest data in a file of its own is synced before phase 3
 *
 * Why this is enough.  An entry is linked after its data write completed
 * (write.c), so a commit that carries the entry in phase 3 was sealed after
 * that, and the sync of phase 1 covers the data: W1.  The refcount was raised
 * before the link, so its piece is in phase 1 of this commit or of an earlier
 * one: W1.  A new table is written whole in phase 1, its entry in the table
 * above in phase 2 or 3: W2, W3.  A crash between phases leaves refcounts
 * without references (leaks), never the reverse.
 *
 * A failed write marks the pieces dirty again and fails the commit; the next
 * one carries them.  A failed sync latches (aio.h): nothing succeeds after it.
 */
#include "engine/image/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/mark.h"

/* Writes of one phase in flight at once. */
#define PHASE_DEPTH 32

/* Adjacent pieces are written together up to this. */
#define MERGE_MAX (1 * MiB)

/* A copy of bytes that go to host. */
struct piece {
	uint64_t host;
	uint32_t len;
	enum aio_class cls;
	uint8_t *data;
};

struct phase {
	struct piece *pieces;
	size_t n, room;
};

struct commit {
	uint64_t number;
	struct phase refcounts, reftable, mapping;
	struct list slices;  /* with copies in it, by commit_link */
	bool with_refcounts; /* E3: lazy ones stay out */
	bool tables_durable; /* phase 1 has ended */
};

void
cache_init(struct image *img)
{
	img->commits = (struct commits){0};
	co_queue_init(&img->commits.wait);
}

void
cache_meta_written(struct image *img)
{
	img->commits.file.done++;
}

void
cache_data_written(struct image *img)
{
	if (img->data == img->file)
		img->commits.file.done++;
	else
		img->commits.data.done++;
}

static bool
with_refcounts(const struct image *img)
{
	return !img->lazy || img->commits.want_refcounts;
}

static bool
metadata_is_clean(const struct image *img)
{
	if (!list_empty(&img->l2.dirty) || img->l1.n_dirty || img->l1.n_new)
		return false;
	return !with_refcounts(img) ||
	       (list_empty(&img->refs.dirty) && !img->reftable.n_dirty &&
		!img->reftable.n_new);
}

bool
cache_is_clean(const struct image *img)
{
	const struct commits *c = &img->commits;

	return !c->running && c->file.done == c->file.synced &&
	       c->data.done == c->data.synced && metadata_is_clean(img);
}

/* ---- sealing: copies, without parking ---------------------------------- */

/* Room for one more piece of len bytes, to be filled by the caller; NULL when
 * there is no memory. */
static uint8_t *
phase_add(struct phase *ph, uint64_t host, uint32_t len, enum aio_class cls)
{
	uint8_t *data;

	if (ph->n == ph->room) {
		size_t room = ph->room ? 2 * ph->room : 64;
		struct piece *p = realloc(ph->pieces, room * sizeof(*p));

		if (!p)
			return NULL;
		ph->pieces = p;
		ph->room = room;
	}
	data = malloc(len);
	if (!data)
		return NULL;
	ph->pieces[ph->n++] = (struct piece){
		.host = host, .len = len, .cls = cls, .data = data};
	return data;
}

static void
phase_done(struct phase *ph)
{
	for (size_t i = 0; i < ph->n; i++)
		free(ph->pieces[i].data);
	free(ph->pieces);
	*ph = (struct phase){0};
}

/* Copies of the dirty pieces of s. */
static int
copy_slice(struct phase *ph, const struct slice_cache *c, const struct slice *s)
{
	for (unsigned i = 0; i < c->pieces; i++) {
		uint32_t at = i * c->piece_bytes;
		uint8_t *data;

		if (!(s->dirty[i / 64] >> (i % 64) & 1))
			continue;
		data = phase_add(ph, s->host + at, c->piece_bytes, c->cls);
		if (!data)
			return -ENOMEM;
		memcpy(data, s->data + at, c->piece_bytes);
	}
	return 0;
}

/* Dirty slices of tables that the file holds already. */
static int
copy_dirty_slices(struct phase *ph, const struct slice_cache *c)
{
	list_for_each (el, &c->dirty) {
		struct slice *s = container_of(el, struct slice, dirty_link);
		int r;

		if (c->above->child[s->owner] == CHILD_NEW)
			continue;
		r = copy_slice(ph, c, s);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A new table is written whole: what is not in the cache is zero. */
static int
copy_new_tables(struct image *img, struct phase *ph, struct slice_cache *c)
{
	const struct table *above = c->above;
	uint64_t size = img->geom.cluster_size;

	if (!above->n_new)
		return 0;
	for (uint32_t i = 0; i < above->n; i++) {
		uint64_t host = above->entries[i] & ENTRY_OFFSET_MASK;
		uint8_t *data;

		if (above->child[i] != CHILD_NEW)
			continue;
		data = phase_add(ph, host, (uint32_t)size, c->cls);
		if (!data)
			return -ENOMEM;
		memset(data, 0, size);
		for (uint64_t at = 0; at < size; at += c->slice_bytes) {
			struct slice *s = slice_peek(c, host + at);

			if (s)
				memcpy(data + at, s->data, c->slice_bytes);
		}
	}
	return 0;
}

/* Copies of the dirty pieces of a table that is whole in memory. */
static int
copy_table(struct phase *ph, const struct table *t, enum aio_class cls)
{
	uint32_t per_piece = t->piece_bytes / 8;

	for (uint32_t i = 0; t->n_dirty && i < t->n_pieces; i++) {
		uint32_t first = i * per_piece;
		uint32_t count = (uint32_t)min_u64(per_piece, t->n - first);
		uint8_t *data;

		if (!(t->dirty[i] & PIECE_DIRTY))
			continue;
		data = phase_add(ph, t->host + (uint64_t)first * 8, count * 8,
				 cls);
		if (!data)
			return -ENOMEM;
		table_encode(t, first, count, data);
	}
	return 0;
}

static int
copy_refcounts(struct image *img, struct commit *c)
{
	int r;

	r = copy_dirty_slices(&c->refcounts, &img->refs);
	if (r == 0)
		r = copy_new_tables(img, &c->refcounts, &img->refs);
	if (r == 0)
		r = copy_table(&c->reftable, &img->reftable, AIO_REFCOUNT);
	return r;
}

static int
make_copies(struct image *img, struct commit *c)
{
	int r = c->with_refcounts ? copy_refcounts(img, c) : 0;

	if (r == 0)
		r = copy_new_tables(img, &c->refcounts, &img->l2);
	if (r == 0)
		r = copy_dirty_slices(&c->mapping, &img->l2);
	if (r == 0)
		r = copy_table(&c->mapping, &img->l1, AIO_L1);
	return r;
}

/* All dirty slices are in the commit now, and clean. */
static void
mark_slices_sealed(struct commit *c, struct slice_cache *cache)
{
	struct list *el;

	while ((el = list_pop(&cache->dirty))) {
		struct slice *s = container_of(el, struct slice, dirty_link);

		memset(s->dirty, 0, (cache->pieces + 63) / 64 * 8);
		s->n_dirty = 0;
		s->committing = true;
		list_append(&c->slices, &s->commit_link);
	}
}

static void
mark_table_sealed(struct table *t)
{
	for (uint32_t i = 0; t->n_dirty && i < t->n_pieces; i++)
		if (t->dirty[i] & PIECE_DIRTY)
			t->dirty[i] = PIECE_SEALED;
	for (uint32_t i = 0; t->n_new && i < t->n; i++)
		if (t->child[i] == CHILD_NEW)
			t->child[i] = CHILD_SEALED;
	t->n_dirty = 0;
	t->n_new = 0;
}

/* E1.  Either everything is in the commit or nothing has changed. */
static int
seal(struct image *img, struct commit *c)
{
	int r;

	list_init(&c->slices);
	(void)POINT_HIT(&img->points, commit_seal);
	c->number = ++img->commits.sealed;
	c->with_refcounts = with_refcounts(img);
	r = make_copies(img, c);
	if (r < 0)
		return r;
	mark_slices_sealed(c, &img->l2);
	mark_table_sealed(&img->l1);
	if (!c->with_refcounts)
		return 0;
	img->commits.want_refcounts = false;
	mark_slices_sealed(c, &img->refs);
	mark_table_sealed(&img->reftable);
	return 0;
}

/* tables: the new tables below t have reached the file, durably.  Then they
 * are in use whatever became of their entries: one that is said to have failed
 * may be there, and what comes into the table now must not precede its
 * refcounts and data. */
static void
unseal_table(struct table *t, bool written, bool tables)
{
	for (uint32_t i = 0; i < t->n_pieces; i++) {
		if (!(t->dirty[i] & PIECE_SEALED))
			continue;
		t->dirty[i] &= (uint8_t)~PIECE_SEALED;
		if (!written && !(t->dirty[i] & PIECE_DIRTY)) {
			t->dirty[i] |= PIECE_DIRTY;
			t->n_dirty++;
		}
	}
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->child[i] != CHILD_SEALED)
			continue;
		t->child[i] = tables ? CHILD_WRITTEN : CHILD_NEW;
		t->n_new += !tables;
	}
}

/* The commit has ended: its slices may be evicted, or are dirty again. */
static void
unseal(struct image *img, struct commit *c, bool written)
{
	struct list *el;

	while ((el = list_pop(&c->slices))) {
		struct slice *s = container_of(el, struct slice, commit_link);
		struct slice_cache *cache = s->is_l2 ? &img->l2 : &img->refs;

		s->committing = false;
		if (!written)
			slice_dirty(cache, s, 0, cache->slice_bytes);
	}
	if (c->mapping.n || c->refcounts.n)
		unseal_table(&img->l1, written, c->tables_durable);
	if (c->reftable.n || c->refcounts.n)
		unseal_table(&img->reftable, written, c->tables_durable);
	slice_cleaned(&img->l2);
	slice_cleaned(&img->refs);
}

/* ---- phases: writing the copies ---------------------------------------- */

struct phase_run {
	struct image *img;
	struct phase *phase;
	size_t next;
	struct co_join join;
};

static int
by_host(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->host < y->host ? -1 : x->host > y->host;
}

/* Take the next pieces that follow each other in the file. */
static int
take_run(struct phase_run *run, struct iovec *iov, int max, uint64_t *ret_len)
{
	struct phase *ph = run->phase;
	uint64_t len = 0;
	int n = 0;

	while (run->next < ph->n && n < max && len < MERGE_MAX) {
		struct piece *p = &ph->pieces[run->next];

		if (n &&
		    (p->host != p[-1].host + p[-1].len || p->cls != p[-1].cls))
			break;
		iov[n++] = (struct iovec){p->data, p->len};
		len += p->len;
		run->next++;
	}
	*ret_len = len;
	return n;
}

static void
phase_writer(void *arg)
{
	struct phase_run *run = arg;
	int result = 0;

	while (run->next < run->phase->n) {
		struct piece *first = &run->phase->pieces[run->next];
		struct iovec iov[32];
		struct iov_iter it;
		uint64_t len;
		int n, r;

		n = take_run(run, iov, (int)ARRAY_SIZE(iov), &len);
		it = iov_iter_init(iov, n);
		r = file_writev(run->img->file, first->cls, &it, len,
				first->host);
		cache_meta_written(run->img);
		if (r < 0 && result == 0)
			result = r;
	}
	co_join_end(&run->join, result);
}

/* Write all pieces of ph, many at once. */
static int Q2_CO
phase_write(struct image *img, struct phase *ph)
{
	struct phase_run run = {.img = img, .phase = ph};
	int r;

	if (!ph->n)
		return 0;
	qsort(ph->pieces, ph->n, sizeof(*ph->pieces), by_host);
	co_join_init(&run.join);
	for (unsigned i = 0; i < PHASE_DEPTH && run.next < ph->n; i++) {
		co_join_add(&run.join);
		r = co_start(&img->loop->sched, phase_writer, &run);
		if (r < 0) {
			co_join_end(&run.join, i ? 0 : r);
			break;
		}
	}
	return co_join_wait(&run.join);
}

static int Q2_CO
sync_one(struct image *img, struct aio_file *file, struct sync_count *c)
{
	uint64_t done = c->done;
	int r;

	if (done == c->synced)
		return 0;
	r = file_sync(file);
	if (r < 0) {
		img->failed = r;
		return r;
	}
	c->synced = max_u64(c->synced, done);
	return 0;
}

/* Everything completed before this call is durable after it.  X1: the guest's
 * data first, so that a mapping never precedes it. */
int Q2_CO
cache_sync(struct image *img)
{
	struct commits *c = &img->commits;
	int r = img->failed;

	if (r == 0 && img->data != img->file)
		r = sync_one(img, img->data, &c->data);
	if (r == 0)
		r = sync_one(img, img->file, &c->file);
	return r;
}

/* D1: refcounts that are put off must not be believed after a crash. */
static int Q2_CO
mark_dirty(struct image *img, const struct commit *c)
{
	if (c->with_refcounts || (!c->mapping.n && !c->refcounts.n))
		return 0;
	return mark_set(img, INCOMPAT_DIRTY);
}

/* E2. */
static int Q2_CO
run_phases(struct image *img, struct commit *c)
{
	int r = mark_dirty(img, c);

	if (r == 0 && c->refcounts.n)
		r = POINT_HIT(&img->points, commit_refcounts);
	if (r == 0)
		r = phase_write(img, &c->refcounts);
	if (r == 0)
		r = cache_sync(img);
	c->tables_durable = r == 0;
	if (r == 0 && c->reftable.n) {
		r = POINT_HIT(&img->points, commit_reftable);
		if (r == 0)
			r = phase_write(img, &c->reftable);
		if (r == 0)
			r = cache_sync(img);
	}
	if (r == 0 && c->mapping.n) {
		r = POINT_HIT(&img->points, commit_l2);
		if (r == 0)
			r = phase_write(img, &c->mapping);
		if (r == 0)
			r = cache_sync(img);
	}
	return r;
}

static int Q2_CO
commit_run(struct image *img)
{
	struct commits *cs = &img->commits;
	struct commit c = {0};
	int r;

	assert(!cs->running);
	cs->running = true;
	r = seal(img, &c);
	if (r == 0) {
		r = run_phases(img, &c);
		unseal(img, &c, r == 0);
	}
	phase_done(&c.refcounts);
	phase_done(&c.reftable);
	phase_done(&c.mapping);
	cs->running = false;
	cs->ended = c.number;
	cs->result = r;
	if (r == 0)
		cs->durable = c.number;
	if (r == 0)
		(void)POINT_HIT(&img->points, commit_done);
	co_queue_wake_all(&cs->wait);
	limbo_kick(img);
	return r;
}

int Q2_CO
cache_commit(struct image *img)
{
	struct commits *cs = &img->commits;
	uint64_t need = cs->sealed + 1;

	if (img->failed)
		return img->failed;
	if (cache_is_clean(img))
		return 0;
	while (cs->ended < need) {
		if (!cs->running)
			return commit_run(img);
		(void)POINT_HIT(&img->points, flush_join);
		co_queue_wait(&cs->wait);
	}
	return cs->result;
}

int Q2_CO
cache_commit_all(struct image *img)
{
	img->commits.want_refcounts = img->lazy;
	return cache_commit(img);
}
