/* SPDX-License-Identifier: MIT */
/*
 * growth.c - a replay of QEMU's allocations during a creation
 *
 * What is kept of the image: which clusters are free, as a list of gaps; which
 * refcount blocks exist; the size and place of the refcount table; where
 * searches for free clusters begin.  Units are clusters.
 */
#include "engine/format/growth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/limits.h"

/* Never more than a few gaps for each growth of the table, and it grows by
 * half each time. */
#define MAX_GAPS 256

/* What QEMU allocates at once: INT_MAX bytes, in whole clusters. */
#define MAX_CHUNK UINT64_C(0x7fffffff)

struct gap {
	uint64_t start, end;
};

struct replay {
	const struct geom *g;
	struct gap gaps[MAX_GAPS]; /* ascending; the last is endless */
	unsigned n_gaps;
	uint64_t next;      /* searches begin here */
	uint64_t file_end;  /* bytes */
	uint8_t *has_block; /* one byte an entry of the refcount table */
	uint64_t entries;   /* of the refcount table */
	uint64_t table, table_clusters;
};

static void
extend(struct replay *r, uint64_t end)
{
	r->file_end = max_u64(r->file_end, end << r->g->cluster_bits);
}

static uint64_t
region_of(const struct replay *r, uint64_t cluster)
{
	return cluster >> r->g->refblock_bits;
}

/* ---- free clusters ----------------------------------------------------- */

/* The first n adjacent free clusters; the next search begins behind them. */
static uint64_t
find_free(struct replay *r, uint64_t n)
{
	for (unsigned i = 0;; i++) {
		const struct gap *gap = &r->gaps[i];
		uint64_t start = max_u64(gap->start, r->next);

		assert(i < r->n_gaps);
		if (start < gap->end && gap->end - start >= n) {
			r->next = start + n;
			return start;
		}
	}
}

/* How many clusters are free from start on. */
static uint64_t
free_at(const struct replay *r, uint64_t start)
{
	for (unsigned i = 0; i < r->n_gaps; i++)
		if (r->gaps[i].start <= start && start < r->gaps[i].end)
			return r->gaps[i].end - start;
	return 0;
}

static void
insert_gap(struct replay *r, unsigned at, struct gap gap)
{
	assert(r->n_gaps < MAX_GAPS);
	memmove(&r->gaps[at + 1], &r->gaps[at],
		(r->n_gaps - at) * sizeof(r->gaps[0]));
	r->gaps[at] = gap;
	r->n_gaps++;
}

/* [start, start + n), which is free, is in use from now on. */
static void
take(struct replay *r, uint64_t start, uint64_t n)
{
	struct gap *gap = r->gaps;

	while (gap->end <= start)
		gap++;
	assert(gap->start <= start && start + n <= gap->end);
	if (gap->start < start) {
		insert_gap(r, (unsigned)(gap - r->gaps),
			   (struct gap){gap->start, start});
		gap++;
	}
	gap->start = start + n;
	if (gap->start == gap->end) {
		r->n_gaps--;
		memmove(gap, gap + 1,
			(r->n_gaps - (size_t)(gap - r->gaps)) * sizeof(*gap));
	}
}

/* Neighbouring gaps stay apart only if a used cluster lies between. */
static void
give_back(struct replay *r, uint64_t start, uint64_t n)
{
	unsigned i = 0;

	while (r->gaps[i].end < start)
		i++;
	if (r->gaps[i].end == start) {
		r->gaps[i].end = start + n;
		if (r->gaps[i + 1].start == start + n) {
			r->gaps[i].end = r->gaps[i + 1].end;
			r->n_gaps--;
			memmove(&r->gaps[i + 1], &r->gaps[i + 2],
				(r->n_gaps - i - 1) * sizeof(r->gaps[0]));
		}
	} else if (r->gaps[i].start == start + n) {
		r->gaps[i].start = start;
	} else {
		insert_gap(r, i, (struct gap){start, start + n});
	}
	r->next = min_u64(r->next, start);
}

/* ---- the refcount structures ------------------------------------------- */

/*
 * Blocks for `clusters` clusters and for themselves and their table; generous:
 * with room for half of such a table more.
 */
static uint64_t
blocks_for(const struct geom *g, uint64_t clusters, bool generous)
{
	uint64_t per_table_cluster = g->cluster_size / 8;
	uint64_t blocks = 0, table = 0, all = 0, last;

	do {
		last = all;
		blocks = div_up(clusters + table + blocks, g->refblock_entries);
		table = div_up(blocks, per_table_cluster);
		all = clusters + blocks + table;
		if (all == last && generous) {
			clusters += div_up(table, 2);
			all = 0;
			generous = false;
		}
	} while (all != last);
	return blocks;
}

/*
 * A new table at `start`, with all blocks that it and `more` clusters behind
 * it need.  *ret_end: where the area ends.
 */
static int
make_area(struct replay *r, uint64_t start, uint64_t more, bool exact,
	  uint64_t *ret_end)
{
	uint64_t blocks = blocks_for(r->g, start + more, !exact);
	uint64_t entries = exact ? blocks : blocks + div_up(blocks, 2);
	uint64_t at = start, clusters;
	uint8_t *has_block;

	entries = align_up(entries, r->g->cluster_size / 8);
	clusters = entries * 8 >> r->g->cluster_bits;
	has_block = realloc(r->has_block, entries);
	if (!has_block)
		return -ENOMEM;
	if (entries > r->entries)
		memset(has_block + r->entries, 0, entries - r->entries);
	r->has_block = has_block;
	for (uint64_t i = region_of(r, start); i < blocks; i++) {
		at += !has_block[i];
		has_block[i] = true;
	}
	take(r, start, at + clusters - start);
	give_back(r, r->table, r->table_clusters);
	r->entries = entries;
	r->table = at;
	r->table_clusters = clusters;
	*ret_end = at + clusters;
	extend(r, *ret_end);
	return 0;
}

static int take_counted(struct replay *r, uint64_t start, uint64_t n);

/* Make the block for `region`, wanted by `cluster`.  Always ends with -EAGAIN,
 * or -ENOMEM: what the caller was about to take may be gone. */
static int
make_block(struct replay *r, uint64_t region, uint64_t cluster)
{
	uint64_t block = find_free(r, 1);
	uint64_t end, used;
	int ret;

	if (region_of(r, block) == region) {
		take(r, block, 1);
	} else {
		ret = take_counted(r, block, 1);
		if (ret < 0)
			return ret;
	}
	extend(r, block + 1);
	if (region < r->entries) {
		r->has_block[region] = true;
		return -EAGAIN;
	}
	/* The table is too small: make the next one behind all that is used. */
	used = div_up(max_u64(cluster + 1, block), r->g->refblock_entries);
	ret = make_area(r, used << r->g->refblock_bits, 0, false, &end);
	if (ret < 0)
		return ret;
	r->has_block[region] = true;
	return -EAGAIN;
}

/* Take [start, start + n); -EAGAIN when a block had to be made for it, and
 * nothing has been taken. */
static int
take_counted(struct replay *r, uint64_t start, uint64_t n)
{
	uint64_t last = region_of(r, start + n - 1);

	for (uint64_t i = region_of(r, start); i <= last; i++) {
		int ret;

		if (i < r->entries && r->has_block[i])
			continue;
		ret = make_block(r, i,
				 max_u64(start, i << r->g->refblock_bits));
		r->next = min_u64(r->next, start);
		return ret;
	}
	take(r, start, n);
	return 0;
}

static int
alloc(struct replay *r, uint64_t n, uint64_t *ret_start)
{
	int ret;

	do {
		*ret_start = find_free(r, n);
		ret = take_counted(r, *ret_start, n);
	} while (ret == -EAGAIN);
	return ret;
}

/* Up to n clusters at start; 0 if it is in use. */
static int
alloc_at(struct replay *r, uint64_t start, uint64_t n, uint64_t *ret_n)
{
	int ret;

	do {
		*ret_n = min_u64(n, free_at(r, start));
		ret = *ret_n ? take_counted(r, start, *ret_n) : 0;
	} while (ret == -EAGAIN);
	return ret;
}

/* ---- the modes --------------------------------------------------------- */

static int
start(struct replay *r, const struct geom *g)
{
	*r = (struct replay){
		.g = g,
		.gaps[0] = {3, UINT64_MAX},
		.n_gaps = 1,
		.next = 3,
		.entries = g->cluster_size / 8,
		.table = 1,
		.table_clusters = 1,
	};
	r->has_block = calloc(r->entries, 1);
	if (!r->has_block)
		return -ENOMEM;
	r->has_block[0] = true;
	extend(r, 3);
	return 0;
}

static int
add_l1(struct replay *r)
{
	uint64_t bytes = geom_l1_entries(r->g, r->g->virtual_size) * 8;
	uint64_t at;
	int ret;

	if (!bytes)
		return 0;
	ret = alloc(r, div_up(bytes, r->g->cluster_size), &at);
	if (ret == 0)
		r->file_end = max_u64(r->file_end,
				      (at << r->g->cluster_bits) + bytes);
	return ret;
}

/* Data in progress: guest clusters [done, total), l2 tables made so far. */
struct filling {
	uint64_t done, total, tables;
};

/* The file reaches the end of what was allocated; with extended L2 entries,
 * that is counted in subclusters. */
static void
extend_data(struct replay *r, const struct filling *f, uint64_t end)
{
	uint64_t bytes = end << r->g->cluster_bits;

	if (f->done == f->total)
		bytes -= geom_spare_bytes(r->g);
	r->file_end = max_u64(r->file_end, bytes);
}

/*
 * One run of data, and the L2 tables that it passes: up to max clusters, as
 * long as they are adjacent in the file.
 */
static int
add_run(struct replay *r, struct filling *f, uint64_t max)
{
	uint64_t at = 0, end = 0, n, got;
	int ret;

	while (max) {
		if (f->tables == f->done >> r->g->l2_bits) {
			ret = alloc(r, 1, &n);
			if (ret < 0)
				return ret;
			extend(r, n + 1);
			f->tables++;
		}
		n = (f->tables << r->g->l2_bits) - f->done;
		n = got = min_u64(n, max);
		if (!end)
			ret = alloc(r, n, &at);
		else
			ret = alloc_at(r, at = end, n, &got);
		if (ret < 0)
			return ret;
		if (!got)
			return 0;
		end = at + got;
		f->done += got;
		max -= got;
		extend_data(r, f, end);
	}
	return 0;
}

static int
add_interleaved(struct replay *r, uint64_t clusters)
{
	struct filling f = {.total = clusters};
	int ret = 0;

	while (ret == 0 && f.done < f.total)
		ret = add_run(r, &f,
			      min_u64(f.total - f.done,
				      MAX_CHUNK >> r->g->cluster_bits));
	return ret;
}

static int
add_tables(struct replay *r, uint64_t clusters)
{
	uint64_t tables = div_up(clusters, r->g->l2_entries), at;
	int ret = 0;

	while (ret == 0 && tables--) {
		ret = alloc(r, 1, &at);
		extend(r, at + 1);
	}
	return ret;
}

/* Refcounts for all that comes, the data, then the L2 tables. */
static int
add_in_one_run(struct replay *r, uint64_t clusters)
{
	uint64_t tables = div_up(clusters, r->g->l2_entries);
	uint64_t at = div_up(r->file_end, r->g->cluster_size);
	int ret;

	ret = make_area(r, at, clusters + tables + 1, true, &at);
	if (ret < 0)
		return ret;
	if (clusters)
		take(r, at, clusters);
	extend(r, at + clusters);
	return add_tables(r, clusters);
}

static int
preallocate(struct replay *r, enum q2_prealloc preallocation)
{
	uint64_t clusters = div_up(r->g->virtual_size, r->g->cluster_size);

	if (r->g->external_data)
		return add_tables(r, clusters);
	if (preallocation == Q2_PREALLOC_METADATA)
		return add_interleaved(r, clusters);
	return add_in_one_run(r, clusters);
}

int
growth_file_bytes(const struct geom *g, enum q2_prealloc preallocation,
		  uint64_t last, uint64_t *ret_bytes)
{
	struct replay *r = malloc(sizeof(*r));
	uint64_t at = 0;
	int ret;

	if (!r)
		return -ENOMEM;
	ret = start(r, g);
	if (ret == 0)
		ret = add_l1(r);
	if (ret == 0 && preallocation != Q2_PREALLOC_OFF)
		ret = preallocate(r, preallocation);
	if (ret == 0 && last) {
		ret = alloc(r, last, &at);
		extend(r, at + last);
	}
	if (ret == 0)
		*ret_bytes = r->file_end;
	free(r->has_block);
	free(r);
	return ret;
}
