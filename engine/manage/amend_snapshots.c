/* SPDX-License-Identifier: MIT */
/*
 * amend_snapshots.c - snapshots without zero clusters, as version 2 wants it
 *
 * The disk's own tables have none any more (amend_zeros.c), so that an L2 table
 * with a zero cluster is one of snapshots alone, and is changed in place.  Where
 * nothing is below, an entry becomes an unallocated one; else it names a cluster
 * of zeros, which as many share as a refcount can count.  Each step is durable
 * before the next:
 *
 *	clusters of zeros, with a reference for each entry that will name them
 *	the tables: an entry reads as zeros before and after
 *	a reference less for what preallocated zero clusters had
 *	COPIED flags of the disk where one reference is left
 *
 * So no refcount is below the references, and a crash leaves leaks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/damage.h"
#include "engine/image/data.h"
#include "engine/image/image.h"
#include "engine/manage/counts.h"
#include "engine/manage/manage.h"
#include "engine/manage/tree.h"

/* Clusters of zeros, in the order in which tables take references to them. */
struct zeros {
	uint64_t *hosts;
	uint64_t *names; /* entries that will name each */
	size_t n, room;
	/* Where the walk is: of the last cluster so many were taken. */
	size_t at;
	uint64_t taken;
};

struct expansion {
	struct image *img;
	struct zeros zeros;
	/* Bits by host cluster of the file: tables that this walk has seen.
	 * Several snapshots share them. */
	uint8_t *seen;
	uint64_t clusters;
	struct counts down;
	bool lowered; /* by down */
	bool changed; /* a table, perhaps in the file */
};

/* ---- walks ------------------------------------------------------------- */

/* Tables of all snapshots, those that are shared as often as they are named. */
static int Q2_CO
for_all(struct expansion *x, tree_fn fn)
{
	struct image *img = x->img;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < img->snapshots.n; i++) {
		struct table l1;

		r = snapshots_read_l1(img, &img->snapshots.v[i], 0, &l1);
		if (r < 0)
			break;
		r = tree_for_tables(img, &l1, fn, x);
		table_done(&l1);
	}
	return r;
}

static bool
is_zero(uint64_t word)
{
	return !(word & ENTRY_COMPRESSED) && (word & ENTRY_ZERO);
}

/* The first time? */
static int
see(struct expansion *x, uint64_t host, bool *ret_first)
{
	uint64_t cluster = host >> x->img->geom.cluster_bits;
	uint8_t bit = (uint8_t)(1U << (cluster & 7));

	if (cluster >= x->clusters)
		return -EIO;
	*ret_first = !(x->seen[cluster >> 3] & bit);
	x->seen[cluster >> 3] |= bit;
	return 0;
}

static int
forget_seen(struct expansion *x)
{
	const struct image *img = x->img;

	free(x->seen);
	x->clusters = div_up(img->alloc.file_bytes, img->geom.cluster_size);
	x->seen = calloc(x->clusters / 8 + 1, 1);
	x->zeros.at = 0;
	x->zeros.taken = 0;
	return x->seen ? 0 : -ENOMEM;
}

/* Every entry of the table will be one of each table that names it. */
static int Q2_CO
names_of(struct expansion *x, uint64_t host, uint64_t *ret_names)
{
	struct image *img = x->img;
	int r = alloc_refcount(img, host >> img->geom.cluster_bits, ret_names);

	if (r == 0 && *ret_names == 0)
		return damage_found(
			img, "L2 table at %#" PRIx64 " has refcount 0", host);
	return r;
}

/* Take so many references; the same ones in every walk. */
static size_t
take_zeros(struct zeros *z, uint64_t names, uint64_t max)
{
	if (z->taken + names > max) {
		z->at++;
		z->taken = 0;
	}
	z->taken += names;
	return z->at;
}

/* ---- before anything is written ------------------------------------------ */

static int
need_zeros(struct expansion *x, uint64_t names)
{
	struct zeros *z = &x->zeros;
	size_t at = take_zeros(z, names, x->img->geom.refcount_max);

	if (at >= z->room) {
		size_t room = 2 * at + 16;
		uint64_t *more = realloc(z->names, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		z->names = more;
		z->room = room;
	}
	z->names[at] = z->taken;
	z->n = at + 1;
	return 0;
}

static int Q2_CO
judge_table(void *arg, uint64_t host, uint8_t *table)
{
	struct expansion *x = arg;
	const struct geom *g = &x->img->geom;
	uint64_t names;
	bool first;
	int r = see(x, host, &first);

	if (r == 0 && first)
		r = names_of(x, host, &names);
	if (r < 0 || !first)
		return r;
	for (uint64_t i = 0; r == 0 && i < g->l2_entries; i++) {
		uint64_t word = load_be64(table + 8 * i);

		if (!is_zero(word))
			continue;
		if (!is_aligned(word & ENTRY_OFFSET_MASK, g->cluster_size))
			return damage_found(x->img,
					    "Preallocated zero cluster offset "
					    "%#" PRIx64
					    " unaligned (L2 offset: %#" PRIx64
					    ")",
					    word & ENTRY_OFFSET_MASK, host);
		if (x->img->backing)
			r = need_zeros(x, names);
	}
	return r;
}

/* ---- clusters of zeros --------------------------------------------------- */

static int Q2_CO
write_zeros(struct image *img, const struct host_run *run)
{
	struct data_place at = {
		.len = run->clusters << img->geom.cluster_bits,
		.host = run->host,
	};
	int r = img->crypt.on ? data_write_zeros(img, AIO_DATA, &at)
			      : file_zero(img->data, at.len, at.host, false);

	cache_data_written(img);
	return r;
}

/* In the file with one reference each; *ret_n of them. */
static int Q2_CO
place_zeros(struct expansion *x, size_t *ret_n)
{
	struct image *img = x->img;
	struct zeros *z = &x->zeros;
	int r = 0;

	*ret_n = 0;
	z->hosts = calloc(z->n, sizeof(*z->hosts));
	if (!z->hosts)
		return -ENOMEM;
	while (r == 0 && *ret_n < z->n) {
		struct host_run run;

		r = alloc_run(img, z->n - *ret_n, &run);
		if (r < 0)
			break;
		for (uint64_t i = 0; i < run.clusters; i++)
			z->hosts[(*ret_n)++] = run.host +
					       (i << img->geom.cluster_bits);
		r = write_zeros(img, &run);
	}
	if (r == 0)
		r = limbo_drain(img);
	return r == 0 ? cache_commit(img) : r;
}

/* References to the first n, from `from` of each to what names it. */
static int Q2_CO
count_zeros(struct expansion *x, struct counts *c, size_t n, uint64_t from,
	    bool up)
{
	const struct zeros *z = &x->zeros;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		for (uint64_t k = from; r == 0 && k < z->names[i]; k++)
			r = counts_change(
				c, z->hosts[i] >> x->img->geom.cluster_bits, 1,
				up);
	return r;
}

/* Each of the first n has one reference, and nobody names them. */
static void Q2_CO
free_zeros(struct expansion *x, size_t n)
{
	struct image *img = x->img;

	for (size_t i = 0; i < n && !img->failed; i++)
		(void)alloc_undo(img, x->zeros.hosts[i], 1);
	if (!img->failed)
		(void)cache_commit(img);
}

static int Q2_CO
make_zeros(struct expansion *x)
{
	struct image *img = x->img;
	struct counts up = {0};
	size_t n;
	int r = place_zeros(x, &n);

	if (r == 0)
		r = counts_init(&up, img);
	if (r == 0)
		r = count_zeros(x, &up, n, 1, true);
	if (r == 0) {
		r = counts_write(&up);
		/* Perhaps in part: as it was. */
		if (r < 0 && !img->failed &&
		    count_zeros(x, &up, n, 1, false) == 0)
			(void)counts_write(&up);
	}
	counts_done(&up);
	if (r < 0)
		free_zeros(x, n);
	return r;
}

/* All have their references, and nobody names them. */
static void Q2_CO
drop_zeros(struct expansion *x)
{
	struct counts c = {0};

	if (!x->img->failed && counts_init(&c, x->img) == 0 &&
	    count_zeros(x, &c, x->zeros.n, 0, false) == 0 &&
	    counts_free(&c) == 0)
		(void)counts_write(&c);
	counts_done(&c);
}

/* ---- the tables ---------------------------------------------------------- */

/* What it names will have a reference less; in memory. */
static int Q2_CO
count_table(void *arg, uint64_t host, uint8_t *table)
{
	struct expansion *x = arg;
	const struct geom *g = &x->img->geom;
	int r = 0;

	(void)host;
	for (uint64_t i = 0; r == 0 && i < g->l2_entries; i++) {
		uint64_t word = load_be64(table + 8 * i);

		if (!is_zero(word) || !(word & ENTRY_OFFSET_MASK))
			continue;
		x->lowered = true;
		r = counts_change(&x->down,
				  (word & ENTRY_OFFSET_MASK) >> g->cluster_bits,
				  1, false);
	}
	return r;
}

static int Q2_CO
expand_table(void *arg, uint64_t host, uint8_t *table)
{
	struct expansion *x = arg;
	const struct geom *g = &x->img->geom;
	struct zeros *z = &x->zeros;
	uint64_t names;
	bool first, changed = false;
	int r = see(x, host, &first);

	if (r == 0 && first)
		r = names_of(x, host, &names);
	if (r < 0 || !first)
		return r;
	for (uint64_t i = 0; i < g->l2_entries; i++) {
		uint64_t word = 0;

		if (!is_zero(load_be64(table + 8 * i)))
			continue;
		if (x->img->backing)
			word = z->hosts[take_zeros(z, names, g->refcount_max)];
		store_be64(table + 8 * i, word);
		changed = true;
	}
	x->changed |= changed;
	return changed;
}

/* ---- the whole ----------------------------------------------------------- */

static int Q2_CO
write_tables(struct expansion *x)
{
	int r = forget_seen(x);

	if (r == 0)
		r = for_all(x, expand_table);
	return r < 0 ? r : cache_sync(x->img);
}

static int Q2_CO
give_old_back(struct expansion *x)
{
	int r = counts_free(&x->down);

	if (r == 0)
		r = counts_write(&x->down);
	return r < 0 ? r : tree_flag_active(x->img, &x->down);
}

static int
fail(struct q2_err *err, int r, const char *state)
{
	return q2_fail(err, r,
		       "Could not expand the zero clusters of snapshots: %s; "
		       "%s",
		       strerror(-r), state);
}

/* Zeros are there for all that need them. */
static int Q2_CO
expand(struct expansion *x, struct q2_err *err)
{
	int r = counts_init(&x->down, x->img);

	if (r == 0)
		r = for_all(x, count_table);
	if (r == 0)
		r = write_tables(x);
	if (r < 0 && !x->changed) {
		drop_zeros(x);
		return fail(err, r, "they are unchanged");
	}
	if (r < 0)
		return fail(err, r,
			    "they hold what they held, and check -r leaks "
			    "frees what is not used");
	r = x->lowered ? give_old_back(x) : 0;
	if (r < 0)
		return fail(err, r,
			    "that is done, but not all of their space could "
			    "be given back");
	return 0;
}

int Q2_CO
amend_expand_snapshots(struct image *img, struct q2_err *err)
{
	struct expansion x = {.img = img};
	int r;

	if (!img->snapshots.n)
		return 0;
	r = forget_seen(&x);
	if (r == 0)
		r = for_all(&x, judge_table);
	if (r == 0 && x.zeros.n)
		r = make_zeros(&x);
	r = r < 0 ? fail(err, r, "they are unchanged") : expand(&x, err);
	counts_done(&x.down);
	free(x.zeros.hosts);
	free(x.zeros.names);
	free(x.seen);
	return r;
}
