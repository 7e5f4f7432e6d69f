/* SPDX-License-Identifier: MIT */
/*
 * map.c - from guest offsets to host offsets, and the entries behind them
 */
#include "engine/image/map.h"

#include <assert.h>

#include "engine/base/num.h"
#include "engine/image/image.h"

static uint64_t
l2_host(const struct image *img, uint64_t guest)
{
	return img->l1.entries[geom_l1_index(&img->geom, guest)] &
	       ENTRY_OFFSET_MASK;
}

/* Host offset of the slice with guest's entry, and its index there. */
static uint64_t
slice_place(const struct image *img, uint64_t guest, uint32_t *ret_index)
{
	uint32_t per_slice = img->l2.slice_bytes / 8;
	uint64_t index = geom_l2_index(&img->geom, guest);

	*ret_index = (uint32_t)(index & (per_slice - 1));
	return l2_host(img, guest) + index / per_slice * img->l2.slice_bytes;
}

uint64_t
map_slice_end(const struct image *img, uint64_t guest)
{
	uint64_t covers = (uint64_t)(img->l2.slice_bytes / 8)
			  << img->geom.cluster_bits;

	return align_down(guest, covers) + covers;
}

static bool
l2_table_is_valid(const struct image *img, uint64_t host)
{
	return is_aligned(host, img->geom.cluster_size);
}

int Q2_CO
map_get(struct image *img, uint64_t guest, struct slice **ret_slice,
	uint32_t *ret_index)
{
	uint64_t host;

	assert(guest < img->size);
	if (!l2_host(img, guest)) {
		*ret_slice = NULL;
		return 0;
	}
	if (!l2_table_is_valid(img, l2_host(img, guest)))
		return -Q2_ECORRUPT;
	host = slice_place(img, guest, ret_index);
	return slice_get(img, &img->l2, host,
			 (uint32_t)geom_l1_index(&img->geom, guest), ret_slice);
}

struct l2_entry
map_entry(const struct image *img, const struct slice *s, uint32_t index)
{
	return l2_decode(&img->geom, load_be64(s->data + 8 * (size_t)index));
}

void
map_set_entry(struct image *img, struct slice *s, uint32_t index,
	      const struct l2_entry *e)
{
	store_be64(s->data + 8 * (size_t)index, l2_encode(e));
	slice_dirty(&img->l2, s, index * 8, 8);
}

/* Do two entries, one cluster apart, make one extent? */
static bool
continues(const struct image *img, const struct l2_entry *a,
	  const struct l2_entry *b, uint64_t clusters)
{
	if (a->kind != b->kind || a->copied != b->copied ||
	    a->kind == CLUSTER_COMPRESSED)
		return false;
	if (a->kind != CLUSTER_NORMAL && a->kind != CLUSTER_ZERO_ALLOC)
		return true;
	return b->host == a->host + (clusters << img->geom.cluster_bits);
}

void
map_extent(const struct image *img, const struct slice *s, uint32_t index,
	   uint64_t guest, uint64_t len, struct map_extent *ret_ext)
{
	const struct geom *g = &img->geom;
	uint32_t per_slice = img->l2.slice_bytes / 8;
	uint64_t in = geom_in_cluster(g, guest);
	uint64_t want = div_up(in + len, g->cluster_size);
	uint64_t n = 1;

	ret_ext->entry = map_entry(img, s, index);
	while (n < want && index + n < per_slice) {
		struct l2_entry e = map_entry(img, s, (uint32_t)(index + n));

		if (!continues(img, &ret_ext->entry, &e, n))
			break;
		n++;
	}
	ret_ext->clusters = n;
	ret_ext->len = min_u64(len, (n << g->cluster_bits) - in);
	ret_ext->host = ret_ext->entry.host + in;
}

/* No L2 table: nothing up to the end of what it would map. */
static void
extent_without_table(const struct image *img, uint64_t guest, uint64_t len,
		     struct map_extent *ret_ext)
{
	uint64_t covers = UINT64_C(1)
			  << (img->geom.l2_bits + img->geom.cluster_bits);

	*ret_ext = (struct map_extent){
		.entry.kind = CLUSTER_UNALLOCATED,
		.len = min_u64(len, covers - (guest & (covers - 1))),
	};
}

static bool
host_is_valid(const struct image *img, const struct l2_entry *e)
{
	return (e->kind != CLUSTER_NORMAL && e->kind != CLUSTER_ZERO_ALLOC) ||
	       is_aligned(e->host, img->geom.cluster_size);
}

bool
map_peek(struct image *img, uint64_t guest, uint64_t len,
	 struct map_extent *ret_ext)
{
	uint64_t table = l2_host(img, guest);
	struct slice *s;
	uint32_t index;

	if (!table) {
		extent_without_table(img, guest, len, ret_ext);
		return true;
	}
	if (!l2_table_is_valid(img, table))
		return false;
	s = slice_peek(&img->l2, slice_place(img, guest, &index));
	if (!s)
		return false;
	img->points.n.l2_hits++;
	map_extent(img, s, index, guest, len, ret_ext);
	return host_is_valid(img, &ret_ext->entry);
}

int Q2_CO
map_lookup(struct image *img, uint64_t guest, uint64_t len,
	   struct map_extent *ret_ext)
{
	struct slice *s;
	uint32_t index;
	int r;

	r = map_get(img, guest, &s, &index);
	if (r < 0)
		return r;
	if (!s) {
		extent_without_table(img, guest, len, ret_ext);
		return 0;
	}
	map_extent(img, s, index, guest, len, ret_ext);
	slice_put(&img->l2, s);
	return host_is_valid(img, &ret_ext->entry) ? 0 : -Q2_ECORRUPT;
}

/*
 * Make the L2 table for guest.  Two requests may want the same one: the mutex
 * lets the second find what the first has made.
 */
static int Q2_CO
make_l2_locked(struct image *img, uint64_t guest)
{
	uint32_t i = (uint32_t)geom_l1_index(&img->geom, guest);
	struct host_run run;
	int r;

	if (l2_host(img, guest))
		return 0;
	r = POINT_HIT(&img->points, l2_alloc);
	if (r < 0)
		return r;
	r = alloc_run(img, 1, &run);
	if (r < 0)
		return r;
	table_set_new(&img->l1, i, run.host | ENTRY_COPIED);
	return 0;
}

int Q2_CO
map_get_for_change(struct image *img, uint64_t guest, struct slice **ret_slice,
		   uint32_t *ret_index)
{
	uint64_t entry = img->l1.entries[geom_l1_index(&img->geom, guest)];
	int r = 0;

	if (!(entry & ENTRY_OFFSET_MASK)) {
		co_mutex_lock(&img->l2_mutex);
		r = make_l2_locked(img, guest);
		co_mutex_unlock(&img->l2_mutex);
	} else if (!(entry & ENTRY_COPIED)) {
		/* Shared with a snapshot: must be copied before it changes. */
		r = -ENOTSUP;
	}
	if (r < 0)
		return r;
	return map_get(img, guest, ret_slice, ret_index);
}

static bool
same_state(const struct map_extent *a, const struct map_extent *b)
{
	if (a->entry.kind != b->entry.kind ||
	    a->entry.kind == CLUSTER_COMPRESSED)
		return false;
	if (a->entry.kind != CLUSTER_NORMAL &&
	    a->entry.kind != CLUSTER_ZERO_ALLOC)
		return true;
	return b->host == a->host + a->len;
}

int Q2_CO
image_map(struct image *img, uint64_t off, uint64_t len,
	  struct q2_extent *ret_ext)
{
	struct map_extent all, next;
	enum cluster_kind kind;
	int r;

	r = map_lookup(img, off, len, &all);
	while (r == 0 && all.len < len) {
		r = map_lookup(img, off + all.len, len - all.len, &next);
		if (r < 0 || !same_state(&all, &next))
			break;
		all.len += next.len;
	}
	if (r < 0)
		return r;
	kind = all.entry.kind;
	*ret_ext = (struct q2_extent){
		.off = off,
		.len = all.len,
		.present = kind != CLUSTER_UNALLOCATED,
		.allocated = kind != CLUSTER_UNALLOCATED &&
			     kind != CLUSTER_ZERO_PLAIN,
		.zero = kind != CLUSTER_NORMAL && kind != CLUSTER_COMPRESSED,
		.data = kind == CLUSTER_NORMAL || kind == CLUSTER_COMPRESSED,
		.compressed = kind == CLUSTER_COMPRESSED,
		.has_host = kind == CLUSTER_NORMAL ||
			    kind == CLUSTER_ZERO_ALLOC,
		.host = all.host,
	};
	return 0;
}
