/* SPDX-License-Identifier: MIT */
/*
 * map.c - from guest offsets to host offsets, and the entries behind them
 */
#include "engine/image/map.h"

#include <assert.h>
#include <inttypes.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/damage.h"
#include "engine/image/image.h"

static uint64_t
l2_host(const struct image *img, uint64_t guest)
{
	return img->l1.entries[geom_l1_index(&img->geom, guest)] &
	       ENTRY_OFFSET_MASK;
}

static uint32_t
entries_per_slice(const struct image *img)
{
	return img->l2.slice_bytes / img->geom.l2_entry_size;
}

/* Host offset of the slice with guest's entry, and its index there. */
static uint64_t
slice_place(const struct image *img, uint64_t guest, uint32_t *ret_index)
{
	uint32_t per_slice = entries_per_slice(img);
	uint64_t index = geom_l2_index(&img->geom, guest);

	*ret_index = (uint32_t)(index & (per_slice - 1));
	return l2_host(img, guest) + index / per_slice * img->l2.slice_bytes;
}

uint64_t
map_slice_end(const struct image *img, uint64_t guest)
{
	uint64_t covers = (uint64_t)entries_per_slice(img)
			  << img->geom.cluster_bits;

	return align_down(guest, covers) + covers;
}

static bool
l2_table_is_valid(const struct image *img, uint64_t host)
{
	return is_aligned(host, img->geom.cluster_size);
}

/* Is [host, host + 1) behind the end of the image file?  It may have grown
 * under somebody else's hands since it was opened. */
static bool
is_outside(const struct image *img, uint64_t host)
{
	return host >= img->alloc.file_bytes &&
	       host >= (uint64_t)aio_size(img->file);
}

int Q2_CO
map_check_table(struct image *img, uint64_t guest)
{
	uint64_t host = l2_host(img, guest);
	uint64_t index = geom_l1_index(&img->geom, guest);

	if (!l2_table_is_valid(img, host))
		return damage_found(img,
				    "L2 table offset %#" PRIx64
				    " unaligned (L1 index: %#" PRIx64 ")",
				    host, index);
	/* It reads as zeros, like all that is there. */
	if (host && is_outside(img, host))
		damage_note(img,
			    "L2 table offset %#" PRIx64
			    " beyond the end of the image file (L1 index: "
			    "%#" PRIx64 ")",
			    host, index);
	return 0;
}

int Q2_CO
map_get(struct image *img, uint64_t guest, struct slice **ret_slice,
	uint32_t *ret_index)
{
	uint64_t host;
	int r;

	assert(geom_l1_index(&img->geom, guest) < img->l1.n);
	if (!l2_host(img, guest)) {
		*ret_slice = NULL;
		return 0;
	}
	r = map_check_table(img, guest);
	if (r < 0)
		return r;
	host = slice_place(img, guest, ret_index);
	return slice_get(img, &img->l2, host,
			 (uint32_t)geom_l1_index(&img->geom, guest), ret_slice);
}

struct l2_entry
map_entry(const struct image *img, const struct slice *s, uint32_t index)
{
	return l2_load(&img->geom,
		       s->data + (size_t)index * img->geom.l2_entry_size);
}

void
map_set_entry(struct image *img, struct slice *s, uint32_t index,
	      const struct l2_entry *e)
{
	uint32_t bytes = img->geom.l2_entry_size;

	l2_store(&img->geom, e, s->data + (size_t)index * bytes);
	slice_dirty(&img->l2, s, index * bytes, bytes);
}

/* ---- extents ----------------------------------------------------------- */

/* How many subclusters from sub on are in the same state. */
static unsigned
same_subs(const struct geom *g, const struct l2_entry *e, unsigned sub)
{
	uint32_t differs;

	if (g->subs == 1)
		return 1;
	differs = (e->sub_alloc >> sub & 1 ? ~e->sub_alloc : e->sub_alloc) |
		  (e->sub_zero >> sub & 1 ? ~e->sub_zero : e->sub_zero);
	differs >>= sub;
	return differs ? (unsigned)__builtin_ctz(differs) : g->subs - sub;
}

/* Does the first subcluster of b continue the extent of kind that is at the
 * end of a, so many clusters earlier? */
static bool
continues(const struct geom *g, enum cluster_kind kind,
	  const struct l2_entry *a, const struct l2_entry *b, uint64_t clusters)
{
	if (kind == CLUSTER_COMPRESSED || l2_sub_kind(g, b, 0) != kind ||
	    !l2_subs_are_valid(b))
		return false;
	if (!kind_has_host(kind))
		return true;
	return a->copied == b->copied &&
	       b->host == a->host + (clusters << g->cluster_bits);
}

/* The extent that begins at guest, whose entry is index of s: at most len
 * bytes, and not beyond the slice.  Does not park. */
static void
map_extent(const struct image *img, const struct slice *s, uint32_t index,
	   uint64_t guest, uint64_t len, struct map_extent *ret_ext)
{
	const struct geom *g = &img->geom;
	struct l2_entry first = map_entry(img, s, index), e = first;
	bool ours = img->l1.entries[geom_l1_index(g, guest)] & ENTRY_COPIED;
	uint32_t per_slice = entries_per_slice(img);
	unsigned sub = (unsigned)(geom_in_cluster(g, guest) >> g->sub_bits);
	enum cluster_kind kind = l2_sub_kind(g, &first, sub);
	uint64_t clusters = 0, bytes;

	sub += same_subs(g, &first, sub);
	while (sub == g->subs) {
		clusters++;
		sub = 0;
		if (index + clusters == per_slice ||
		    clusters << g->cluster_bits >=
			    geom_in_cluster(g, guest) + len)
			break;
		e = map_entry(img, s, index + (uint32_t)clusters);
		if (!continues(g, kind, &first, &e, clusters))
			break;
		sub = same_subs(g, &e, 0);
	}
	bytes = (clusters << g->cluster_bits) + ((uint64_t)sub << g->sub_bits) -
		geom_in_cluster(g, guest);
	*ret_ext = (struct map_extent){
		.kind = kind,
		/* What a shared table names is shared. */
		.copied = first.copied && ours,
		.host = first.host + geom_in_cluster(g, guest),
		.len = min_u64(len, bytes),
		.entry = first,
	};
}

/* No L2 table: nothing up to the end of what it would map. */
static void
extent_without_table(const struct image *img, uint64_t guest, uint64_t len,
		     struct map_extent *ret_ext)
{
	uint64_t covers = UINT64_C(1)
			  << (img->geom.l2_bits + img->geom.cluster_bits);

	*ret_ext = (struct map_extent){
		.kind = CLUSTER_UNALLOCATED,
		.len = min_u64(len, covers - (guest & (covers - 1))),
	};
}

/* May the extent at guest be used?  The file may say anything. */
static bool
extent_is_valid(const struct image *img, uint64_t guest,
		const struct map_extent *ext)
{
	const struct geom *g = &img->geom;
	const struct l2_entry *e = &ext->entry;

	if (img->header.version < 3 && (ext->kind == CLUSTER_ZERO_PLAIN ||
					ext->kind == CLUSTER_ZERO_ALLOC))
		return false;
	if (!l2_subs_are_valid(e))
		return false;
	if (!kind_has_host(ext->kind))
		return true;
	if (g->external_data)
		return e->host == geom_cluster_start(g, guest);
	return is_aligned(e->host, g->cluster_size);
}

/* Is the last cluster of ext behind the end of the image file? */
static bool
extent_is_outside(const struct image *img, const struct map_extent *ext)
{
	return (ext->kind == CLUSTER_NORMAL ||
		ext->kind == CLUSTER_ZERO_ALLOC) &&
	       img->data == img->file &&
	       is_outside(img, geom_cluster_start(&img->geom,
						  ext->host + ext->len - 1));
}

bool
map_entry_is_valid(const struct image *img, const struct l2_entry *e)
{
	if (img->header.version < 3 &&
	    (e->kind == CLUSTER_ZERO_PLAIN || e->kind == CLUSTER_ZERO_ALLOC))
		return false;
	return l2_subs_are_valid(e) &&
	       (img->geom.external_data || e->kind == CLUSTER_COMPRESSED ||
		is_aligned(e->host, img->geom.cluster_size));
}

/* What is wrong with guest's entry e, which is not valid; invalid is how QEMU
 * begins where no other words fit. */
static int Q2_CO
tell_damage(struct image *img, uint64_t guest, const struct l2_entry *e,
	    const char *invalid)
{
	uint64_t table = l2_host(img, guest);
	uint64_t index = geom_l2_index(&img->geom, guest);
	const char *what = invalid;

	if (img->header.version < 3 && e->kind != CLUSTER_NORMAL)
		what = "Zero cluster entry found in pre-v3 image";
	else if (img->geom.external_data && l2_subs_are_valid(e))
		return damage_found(img,
				    "External data file host cluster offset "
				    "%#" PRIx64 " does not match guest cluster "
				    "offset: %#" PRIx64,
				    e->host,
				    geom_cluster_start(&img->geom, guest));
	else if (!is_aligned(e->host, img->geom.cluster_size))
		return damage_found(img,
				    "Cluster allocation offset %#" PRIx64
				    " unaligned (L2 offset: %#" PRIx64
				    ", L2 index: %#" PRIx64 ")",
				    e->host, table, index);
	return damage_found(
		img, "%s (L2 offset: %#" PRIx64 ", L2 index: %#" PRIx64 ")",
		what, table, index);
}

int Q2_CO
map_tell(struct image *img, uint64_t guest, const struct l2_entry *e)
{
	return tell_damage(img, guest, e, "Invalid cluster entry found");
}

/* It reads as zeros, like all that is there. */
static void
tell_outside(struct image *img, uint64_t guest, const struct map_extent *ext)
{
	if (extent_is_outside(img, ext))
		damage_note(img,
			    "Cluster allocation offset %#" PRIx64
			    " beyond the end of the image file (L2 offset: "
			    "%#" PRIx64 ", L2 index: %#" PRIx64 ")",
			    ext->entry.host, l2_host(img, guest),
			    geom_l2_index(&img->geom, guest));
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
	return extent_is_valid(img, guest, ret_ext) &&
	       !extent_is_outside(img, ret_ext);
}

/* The extent at guest, whatever its entry says. */
static int Q2_CO
find_extent(struct image *img, uint64_t guest, uint64_t len,
	    struct map_extent *ret_ext)
{
	struct slice *s = NULL;
	uint32_t index = 0;
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
	return 0;
}

int Q2_CO
map_lookup(struct image *img, uint64_t guest, uint64_t len,
	   struct map_extent *ret_ext)
{
	int r = find_extent(img, guest, len, ret_ext);

	if (r < 0)
		return r;
	if (!extent_is_valid(img, guest, ret_ext))
		/* Two spaces follow in QEMU. */
		return tell_damage(img, guest, &ret_ext->entry,
				   "Invalid cluster entry found ");
	tell_outside(img, guest, ret_ext);
	return 0;
}

int Q2_CO
map_lookup_to_write(struct image *img, uint64_t guest, uint64_t len,
		    struct map_extent *ret_ext)
{
	const struct geom *g = &img->geom;
	const struct l2_entry *e = &ret_ext->entry;
	int r = find_extent(img, guest, len, ret_ext);

	if (r < 0)
		return r;
	if (extent_is_valid(img, guest, ret_ext)) {
		tell_outside(img, guest, ret_ext);
		return 0;
	}
	if (g->external_data || !l2_subs_are_valid(e))
		return map_tell(img, guest, e);
	if (e->copied && !is_aligned(e->host, g->cluster_size))
		return damage_found(img,
				    "%s cluster offset %#" PRIx64
				    " unaligned (guest offset: %#" PRIx64 ")",
				    e->kind == CLUSTER_NORMAL
					    ? "Data"
					    : "Preallocated zero",
				    e->host, guest);
	if (geom_in_cluster(g, guest) || len < g->cluster_size)
		return map_tell(img, guest, e);
	*ret_ext = (struct map_extent){.kind = CLUSTER_UNALLOCATED,
				       .len = g->cluster_size};
	return 0;
}

/* There may have been a table of the disk's that it left to a snapshot, which
 * is gone now: nobody reads that any more (I1). */
static void
forget_slices(struct image *img, uint64_t host)
{
	slice_drop(&img->l2, host, img->geom.cluster_size);
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
	r = meta_own(img, META_L1, img->l1.host, img->l1.bytes);
	if (r == 0)
		r = POINT_HIT(&img->points, l2_alloc);
	if (r < 0)
		return r;
	r = alloc_run(img, 1, &run);
	if (r < 0)
		return r;
	r = alloc_reserve(img, run.host);
	if (r == 0)
		r = meta_add(img, run.host, 1);
	if (r < 0) {
		(void)alloc_undo(img, run.host, 1);
		return r;
	}
	forget_slices(img, run.host);
	table_set_new(&img->l1, i, run.host | ENTRY_COPIED);
	return 0;
}

/* The copy of a shared table: what it names is shared, whatever it says. */
static void
clear_copied(const struct geom *g, uint8_t *table)
{
	for (uint64_t i = 0; i < g->l2_entries; i++) {
		uint8_t *p = table + i * g->l2_entry_size;

		store_be64(p, load_be64(p) & ~ENTRY_COPIED);
	}
}

/* The table at old, with flags cleared, to host: the file holds it, so that it
 * is no new table for a commit, whose first sync covers it (W2). */
static int Q2_CO
write_copy(struct image *img, uint64_t old, uint64_t host)
{
	const struct geom *g = &img->geom;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(g->cluster_size);
	int r = buf ? POINT_HIT(&img->points, l2_copy) : -ENOMEM;

	/* Nobody changes a shared table: the cache has the same. */
	if (r == 0)
		r = file_read(img->file, AIO_L2, buf, g->cluster_size, old);
	if (r < 0)
		return r;
	clear_copied(g, buf);
	r = file_write(img->file, AIO_L2, buf, g->cluster_size, host);
	cache_meta_written(img);
	return r;
}

/*
 * The L2 table for guest is shared with snapshots: give the disk a copy.  What
 * it names has as many references as before, only by another table.
 */
static int Q2_CO
copy_l2_locked(struct image *img, uint64_t guest)
{
	uint32_t i = (uint32_t)geom_l1_index(&img->geom, guest);
	uint64_t old = l2_host(img, guest);
	struct host_run run;
	int r;

	if (img->l1.entries[i] & ENTRY_COPIED)
		return 0;
	r = alloc_run(img, 1, &run);
	if (r < 0)
		return r;
	r = write_copy(img, old, run.host);
	if (r == 0)
		r = meta_add(img, run.host, 1);
	if (r < 0) {
		(void)alloc_undo(img, run.host, 1);
		return r;
	}
	forget_slices(img, run.host);
	table_set(&img->l1, i, run.host | ENTRY_COPIED);
	meta_remove(img, old, 1);
	limbo_add(img, old, 1, false);
	return 0;
}

int Q2_CO
map_may_change(struct image *img, uint64_t guest)
{
	uint64_t index = geom_l1_index(&img->geom, guest);
	uint64_t entry = img->l1.entries[index];
	int r;

	if (!l2_host(img, guest))
		return 0;
	r = map_check_table(img, guest);
	if (r < 0)
		return r;
	if (!(entry & ENTRY_COPIED)) {
		/* It will be copied, and the L1 entry changed. */
		r = meta_own(img, META_L1, img->l1.host, img->l1.bytes);
		if (r < 0)
			return r;
	}
	return meta_own(img, META_L2, l2_host(img, guest),
			img->geom.cluster_size);
}

static bool
has_own_table(const struct image *img, uint64_t guest)
{
	return l2_host(img, guest) &&
	       (img->l1.entries[geom_l1_index(&img->geom, guest)] &
		ENTRY_COPIED);
}

int Q2_CO
map_own_table(struct image *img, uint64_t guest)
{
	int r = map_may_change(img, guest);

	if (r == 0 && !has_own_table(img, guest)) {
		co_mutex_lock(&img->l2_mutex);
		r = l2_host(img, guest) ? copy_l2_locked(img, guest)
					: make_l2_locked(img, guest);
		co_mutex_unlock(&img->l2_mutex);
	}
	return r;
}

int Q2_CO
map_get_for_change(struct image *img, uint64_t guest, struct slice **ret_slice,
		   uint32_t *ret_index)
{
	int r = map_own_table(img, guest);

	return r < 0 ? r : map_get(img, guest, ret_slice, ret_index);
}
