/* SPDX-License-Identifier: MIT */
#include "engine/manage/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/damage.h"
#include "engine/image/image.h"
#include "engine/manage/counts.h"

/* L2 tables that follow each other in the file are read together. */
#define BATCH (2 * MiB)
static_assert(BATCH >= UINT64_C(1) << Q2_MAX_CLUSTER_BITS,
	      "a batch holds a table");

/* ---- tables ------------------------------------------------------------ */

struct walk {
	struct image *img;
	const struct geom *g;
	struct table *l1;
	struct counts *counts;
	bool up, copied;
	uint64_t flags; /* that are looked for */
	/* Table i of buf: 1 if it was changed. */
	int Q2_CO (*change)(struct walk *w, uint32_t i);
	tree_fn fn;
	void *arg;
	uint8_t *buf; /* BATCH bytes: n tables from host on */
	uint64_t host;
	uint32_t i, n; /* named by l1 entries i, i + 1, ... */
};

static uint64_t
host_of(const struct walk *w, uint32_t i)
{
	return w->l1->entries[i] & ENTRY_OFFSET_MASK;
}

/* The tables from l1 entry w->i on, which names one. */
static int Q2_CO
read_tables(struct walk *w)
{
	unsigned bits = w->g->cluster_bits;
	uint32_t max = (uint32_t)min_u64(BATCH >> bits, w->l1->n - w->i);

	w->host = host_of(w, w->i);
	if (!is_aligned(w->host, w->g->cluster_size))
		return damage_found(w->img,
				    "L2 table offset %#" PRIx64
				    " unaligned (L1 index: %#" PRIx32 ")",
				    w->host, w->i);
	w->n = entry_run(w->g, &w->l1->entries[w->i], max, ENTRY_OFFSET_MASK);
	return file_read(w->img->file, AIO_L2, w->buf, (uint64_t)w->n << bits,
			 w->host);
}

static int Q2_CO
for_all_tables(struct walk *w, int Q2_CO (*fn)(struct walk *w))
{
	int r = 0;

	w->g = &w->img->geom;
	w->buf = mem_aligned(BATCH);
	if (!w->buf)
		return -ENOMEM;
	for (w->i = 0; r == 0 && w->i < w->l1->n; w->i += w->n) {
		w->n = 1;
		if (!host_of(w, w->i))
			continue;
		r = read_tables(w);
		if (r == 0)
			r = fn(w);
	}
	free(w->buf);
	return r;
}

/* ---- references -------------------------------------------------------- */

static int Q2_CO
is_unaligned(const struct walk *w, uint64_t table, uint64_t index,
	     uint64_t host)
{
	return damage_found(w->img,
			    "Cluster allocation offset %#" PRIx64
			    " unaligned (L2 offset: %#" PRIx64
			    ", L2 index: %#" PRIx64 ")",
			    host, table, index);
}

/* Entries from i on that name clusters one behind the other from host on. */
static uint64_t
run_of(struct walk *w, const uint8_t *table, uint64_t i, uint64_t host)
{
	uint64_t n = 0, word = load_be64(table + i * w->g->l2_entry_size);

	do {
		w->copied |= (word & ENTRY_COPIED) != 0;
		host += w->g->cluster_size;
		if (i + ++n == w->g->l2_entries)
			break;
		word = load_be64(table + (i + n) * w->g->l2_entry_size);
	} while ((word & (ENTRY_OFFSET_MASK | ENTRY_COMPRESSED)) == host);
	return n;
}

static int Q2_CO
count_table(struct walk *w, const uint8_t *table, uint64_t table_host)
{
	unsigned bits = w->g->cluster_bits;
	uint64_t n = 1;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < w->g->l2_entries; i += n) {
		uint64_t word = load_be64(table + i * w->g->l2_entry_size);
		struct l2_entry e = l2_decode(w->g, word);
		uint64_t first = e.host >> bits;

		n = 1;
		if (!e.host)
			continue;
		if (e.kind == CLUSTER_COMPRESSED) {
			uint64_t last = (e.host + e.len - 1) >> bits;

			r = counts_change(w->counts, first, last - first + 1,
					  w->up);
			continue;
		}
		if (!is_aligned(e.host, w->g->cluster_size))
			return is_unaligned(w, table_host, i, e.host);
		n = run_of(w, table, i, e.host);
		r = counts_change(w->counts, first, n, w->up);
	}
	return r;
}

static int Q2_CO
count_tables(struct walk *w)
{
	unsigned bits = w->g->cluster_bits;
	int r = counts_change(w->counts, w->host >> bits, w->n, w->up);

	for (uint32_t i = 0; r == 0 && i < w->n; i++)
		r = count_table(w, w->buf + ((uint64_t)i << bits),
				w->host + ((uint64_t)i << bits));
	return r;
}

int Q2_CO
tree_count(struct image *img, const struct table *l1, struct counts *c, bool up,
	   bool *ret_copied)
{
	/* Counting changes no flag. */
	struct walk w = {.img = img,
			 .l1 = (struct table *)(uintptr_t)l1,
			 .counts = c,
			 .up = up};
	int r = for_all_tables(&w, count_tables);

	if (ret_copied)
		*ret_copied = w.copied;
	return r;
}

/* ---- looking ----------------------------------------------------------- */

static int Q2_CO
find_flags(struct walk *w)
{
	uint64_t n = (uint64_t)w->n << w->g->l2_bits;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t word = load_be64(w->buf + 8 * i);

		/* Low bits of a compressed cluster's are part of its place. */
		if (word & w->flags &
		    (word & ENTRY_COMPRESSED ? ENTRY_COMPRESSED : ~UINT64_C(0)))
			return 1;
	}
	return 0;
}

int Q2_CO
tree_has(struct image *img, struct table *l1, uint64_t flags)
{
	struct walk w = {.img = img, .l1 = l1, .flags = flags};

	return for_all_tables(&w, find_flags);
}

/* ---- changing ---------------------------------------------------------- */

/* Only if it is an L2 table, and nothing else. */
static int Q2_CO
write_tables(const struct walk *w, uint32_t i, uint32_t n)
{
	struct image *img = w->img;
	unsigned bits = w->g->cluster_bits;
	uint64_t at = (uint64_t)i << bits, len = (uint64_t)n << bits;
	uint64_t host = w->host + at;
	int r = 0;

	for (uint64_t h = host; r == 0 && h < host + len;
	     h += w->g->cluster_size)
		if (meta_hit(img, h, 1))
			r = meta_has_l2(img, h, 1)
				    ? meta_own(img, META_L2, h,
					       w->g->cluster_size)
				    : meta_refuse(img, h, w->g->cluster_size);
	if (r == 0)
		r = POINT_HIT(&img->points, flags_write);
	if (r < 0)
		return r;
	slice_drop(&img->l2, host, len);
	r = file_write(img->file, AIO_L2, w->buf + at, len, host);
	cache_meta_written(img);
	return r;
}

static int Q2_CO
change_tables(struct walk *w)
{
	uint32_t first = 0;
	int r = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		int changed = w->change(w, i);

		if (changed < 0)
			return changed;
		if (changed)
			continue;
		/* Those before it that have changed go together. */
		if (first < i)
			r = write_tables(w, first, i - first);
		if (r < 0)
			return r;
		first = i + 1;
	}
	return first < w->n ? write_tables(w, first, w->n - first) : 0;
}

static int Q2_CO
call_fn(struct walk *w, uint32_t i)
{
	uint64_t at = (uint64_t)i << w->g->cluster_bits;

	return w->fn(w->arg, w->host + at, w->buf + at);
}

int Q2_CO
tree_for_tables(struct image *img, struct table *l1, tree_fn fn, void *arg)
{
	struct walk w = {
		.img = img, .l1 = l1, .change = call_fn, .fn = fn, .arg = arg};

	return for_all_tables(&w, change_tables);
}

/* ---- flags ------------------------------------------------------------- */

/* What an entry that names the cluster at host should say. */
static int Q2_CO
flag_for(const struct walk *w, uint64_t host, uint64_t *ret_flag)
{
	uint64_t count;
	int r;

	*ret_flag = 0;
	if (!w->counts)
		return 0;
	r = counts_get(w->counts, host >> w->g->cluster_bits, &count);
	if (r == 0 && count == 1)
		*ret_flag = ENTRY_COPIED;
	return r;
}

static int Q2_CO
flag_table(const struct walk *w, uint8_t *table, bool *ret_changed)
{
	uint64_t flag = 0;
	int r = 0;

	*ret_changed = false;
	for (uint64_t i = 0; r == 0 && i < w->g->l2_entries; i++) {
		uint8_t *p = table + i * w->g->l2_entry_size;
		uint64_t word = load_be64(p);

		if ((word & ENTRY_COMPRESSED) || !(word & ENTRY_OFFSET_MASK))
			continue;
		if (w->counts)
			r = flag_for(w, word & ENTRY_OFFSET_MASK, &flag);
		if (r < 0 || (word & ENTRY_COPIED) == flag)
			continue;
		store_be64(p, word ^ ENTRY_COPIED);
		*ret_changed = true;
	}
	return r;
}

/* Its flags, and in memory that of the L1 entry which names it. */
static int Q2_CO
flag_one(struct walk *w, uint32_t i)
{
	uint64_t at = (uint64_t)i << w->g->cluster_bits, flag = 0;
	uint64_t *entry = &w->l1->entries[w->i + i];
	bool changed;
	int r = flag_table(w, w->buf + at, &changed);

	if (r == 0)
		r = flag_for(w, w->host + at, &flag);
	if (r < 0)
		return r;
	*entry = (*entry & ~ENTRY_COPIED) | flag;
	return changed;
}

int Q2_CO
tree_flag(struct image *img, struct table *l1, struct counts *c)
{
	struct walk w = {.img = img, .l1 = l1, .counts = c, .change = flag_one};

	return for_all_tables(&w, change_tables);
}

/* Flags of the L1 table have changed in memory. */
static int Q2_CO
write_l1(struct image *img)
{
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(img->l1.bytes + 1);
	int r = buf ? 0 : -ENOMEM;

	if (r == 0)
		r = meta_own(img, META_L1, img->l1.host, img->l1.bytes);
	if (r < 0 || !img->l1.n)
		return r;
	table_encode(&img->l1, 0, img->l1.n, buf);
	r = file_write(img->file, AIO_L1, buf, img->l1.bytes, img->l1.host);
	cache_meta_written(img);
	return r;
}

int Q2_CO
tree_flag_active(struct image *img, struct counts *c)
{
	int r = tree_flag(img, &img->l1, c);

	if (r == 0)
		r = write_l1(img);
	return r < 0 ? r : cache_sync(img);
}
