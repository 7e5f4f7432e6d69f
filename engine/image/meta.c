/* SPDX-License-Identifier: MIT */
#include "engine/image/meta.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/damage.h"
#include "engine/image/image.h"

/* Clusters; far above what images have. */
#define META_MAX (UINT64_C(1) << 24)

/* Of a LUKS header there are at most 2 MiB: a longer area is none. */
#define CRYPTO_CLUSTERS_MAX (4 * MiB / 512)

static size_t
start_of(const struct meta *m, uint64_t cluster)
{
	return (size_t)mix64(cluster) & m->mask;
}

/* The slot that holds cluster, or the empty one where it would be. */
static size_t
find(const struct meta *m, uint64_t cluster)
{
	size_t i = start_of(m, cluster);

	while (m->slots[i] && m->slots[i] != cluster + 1)
		i = (i + 1) & m->mask;
	return i;
}

static void
insert(struct meta *m, uint64_t cluster)
{
	size_t i = find(m, cluster);

	m->shared |= m->slots[i] != 0;
	m->n += !m->slots[i];
	m->slots[i] = cluster + 1;
}

/* Room for more clusters, at most two thirds full. */
static int
reserve(struct meta *m, uint64_t more)
{
	struct meta larger = {.mask = m->slots ? m->mask : 63,
			      .shared = m->shared};

	if (m->slots && (m->n + more) * 3 / 2 <= m->mask)
		return 0;
	while ((m->n + more) * 3 / 2 > larger.mask)
		larger.mask = 2 * larger.mask + 1;
	larger.slots = calloc(larger.mask + 1, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; m->slots && i <= m->mask; i++)
		if (m->slots[i])
			insert(&larger, m->slots[i] - 1);
	free(m->slots);
	*m = larger;
	return 0;
}

int
meta_add(struct image *img, uint64_t host, uint64_t clusters)
{
	uint64_t first = host >> img->geom.cluster_bits;
	int r = reserve(&img->meta, clusters);

	for (uint64_t i = 0; r == 0 && i < clusters; i++)
		insert(&img->meta, first + i);
	return r;
}

/* Those behind an emptied slot may have been put off by it: move them up. */
static void
remove_one(struct meta *m, uint64_t cluster)
{
	size_t hole = find(m, cluster), i = hole;

	if (!m->slots[hole])
		return;
	m->n--;
	m->slots[hole] = 0;
	for (i = (i + 1) & m->mask; m->slots[i]; i = (i + 1) & m->mask) {
		uint64_t moved = m->slots[i];

		m->slots[i] = 0;
		m->slots[find(m, moved - 1)] = moved;
	}
}

void
meta_remove(struct image *img, uint64_t host, uint64_t clusters)
{
	uint64_t first = host >> img->geom.cluster_bits;

	for (uint64_t i = 0; i < clusters; i++)
		remove_one(&img->meta, first + i);
}

bool
meta_hit(const struct image *img, uint64_t host, uint64_t len)
{
	unsigned bits = img->geom.cluster_bits;
	uint64_t last = (host + len - 1) >> bits;

	assert(len > 0);
	for (uint64_t c = host >> bits; c <= last; c++)
		if (img->meta.slots[find(&img->meta, c)])
			return true;
	return false;
}

/* Does entry i?  One that is unaligned names nothing that is ever used. */
static bool
names_cluster(const struct image *img, const struct table *t, uint32_t i,
	      uint64_t mask)
{
	uint64_t host = t->entries[i] & mask;

	return host && is_aligned(host, img->geom.cluster_size);
}

/* How many entries of t name a cluster in [host, host + len). */
static uint32_t
naming(const struct image *img, const struct table *t, uint64_t mask,
       uint64_t host, uint64_t len)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n; i++)
		n += names_cluster(img, t, i, mask) &&
		     ranges_overlap(host, len, t->entries[i] & mask,
				    img->geom.cluster_size);
	return n;
}

/* Clusters of the LUKS header and its slots, as far as the file has them. */
static uint64_t
crypto_clusters(const struct image *img)
{
	const struct header *h = &img->header;
	uint64_t end = img->alloc.file_bytes;

	if (!h->has_crypto || h->crypto_offset >= end)
		return 0;
	return div_up(min_u64(h->crypto_bytes, end - h->crypto_offset),
		      img->geom.cluster_size);
}

static bool
inactive_l1_at(const struct image *img, uint64_t host, uint64_t len)
{
	const struct snapshots *s = &img->snapshots;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->v[i].l1_entries &&
		    ranges_overlap(host, len, s->v[i].l1_offset,
				   (uint64_t)s->v[i].l1_entries * 8))
			return true;
	return false;
}

static bool
bitmaps_at(const struct image *img, uint64_t host, uint64_t len)
{
	const struct bitmaps *b = &img->bitmaps;

	if (b->n && ranges_overlap(host, len, img->header.bitmaps_offset,
				   img->header.bitmaps_bytes))
		return true;
	for (uint32_t i = 0; i < b->n; i++)
		if (ranges_overlap(host, len, b->v[i].table_offset,
				   (uint64_t)b->v[i].table_entries * 8))
			return true;
	return false;
}

/* What the metadata at host is, other than the one piece of kind own (-1:
 * none) that is known to be there; in QEMU's words.  NULL: nothing. */
static const char *
class_at(const struct image *img, int own, uint64_t host, uint64_t len)
{
	const struct table *l1 = &img->l1, *refs = &img->reftable;

	if (host < img->geom.cluster_size)
		return "qcow2_header";
	if (own != META_L1 && ranges_overlap(host, len, l1->host, l1->bytes))
		return "active L1 table";
	if (own != META_REFTABLE &&
	    ranges_overlap(host, len, refs->host, refs->bytes))
		return "refcount table";
	if (img->snapshots.n &&
	    ranges_overlap(host, len, img->header.snapshots_offset,
			   img->snapshots.bytes))
		return "snapshot table";
	if (inactive_l1_at(img, host, len))
		return "inactive L1 table";
	if (own != META_BITMAPS && bitmaps_at(img, host, len))
		return "bitmap directory";
	if (naming(img, l1, ENTRY_OFFSET_MASK, host, len) > (own == META_L2))
		return "active L2 table";
	if (naming(img, refs, REFTABLE_OFFSET_MASK, host, len) >
	    (own == META_REFBLOCK))
		return "refcount block";
	if (ranges_overlap(host, len, img->header.crypto_offset,
			   crypto_clusters(img) << img->geom.cluster_bits))
		return "encryption header";
	return NULL;
}

bool
meta_has_l2(const struct image *img, uint64_t host, uint64_t len)
{
	return naming(img, &img->l1, ENTRY_OFFSET_MASK, host, len) > 0;
}

int Q2_CO
meta_own(struct image *img, enum meta_kind own, uint64_t host, uint64_t len)
{
	static const char *const names[] = {
		[META_L1] = "active L1 table",
		[META_L2] = "L2 table",
		[META_REFTABLE] = "refcount table",
		[META_REFBLOCK] = "refblock",
		[META_BITMAPS] = "bitmap directory",
	};
	const char *class;

	if (!img->meta.shared)
		return 0;
	class = class_at(img, (int)own, host, len);
	if (!class)
		return 0;
	(void)POINT_HIT(&img->points, metadata_overlap);
	return damage_found(img,
			    "Preventing invalid write on metadata (%s at "
			    "%#" PRIx64 " overlaps with %s)",
			    names[own], host, class);
}

int Q2_CO
meta_refuse(struct image *img, uint64_t host, uint64_t len)
{
	const char *class = class_at(img, -1, host, len);

	(void)POINT_HIT(&img->points, metadata_overlap);
	return damage_found(img,
			    "Preventing invalid write on metadata (overlaps "
			    "with %s)",
			    class ? class : "metadata");
}

static uint64_t
count_children(const struct table *t, uint64_t mask)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < t->n; i++)
		n += (t->entries[i] & mask) != 0;
	return n;
}

static int
add_table(struct image *img, const struct table *t, uint64_t mask)
{
	uint64_t own = div_up(t->bytes, img->geom.cluster_size);
	int r = reserve(&img->meta, own + count_children(t, mask));

	if (r == 0 && own)
		r = meta_add(img, t->host, own);
	for (uint32_t i = 0; r == 0 && i < t->n; i++)
		if (names_cluster(img, t, i, mask))
			r = meta_add(img, t->entries[i] & mask, 1);
	return r;
}

/* One by one: damaged entries may claim far more than there is. */
static int
add_snapshot_l1(struct image *img, const struct snapshot *sn)
{
	uint64_t first = sn->l1_offset >> img->geom.cluster_bits;
	uint64_t n = snapshots_l1_clusters(img, sn);
	int r = 0;

	/* It names nothing that is ever used. */
	if (snapshots_check_l1(img, sn, NULL) < 0)
		return 0;
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		r = reserve(&img->meta, 1);
		if (r == 0)
			insert(&img->meta, first + i);
		if (img->meta.n > META_MAX)
			r = -EFBIG;
	}
	return r;
}

/* Who does not write needs none of it. */
static int
add_snapshots(struct image *img)
{
	const struct snapshots *s = &img->snapshots;
	int r = 0;

	if (img->read_only)
		return 0;
	if (s->n)
		r = meta_add(img, img->header.snapshots_offset,
			     div_up(s->bytes, img->geom.cluster_size));
	for (uint32_t i = 0; r == 0 && i < s->n; i++)
		r = add_snapshot_l1(img, &s->v[i]);
	return r;
}

static int
add_bitmaps(struct image *img)
{
	const struct bitmaps *b = &img->bitmaps;
	uint64_t size = img->geom.cluster_size;
	int r = 0;

	if (img->read_only || !b->n)
		return 0;
	r = meta_add(img, img->header.bitmaps_offset,
		     div_up(img->header.bitmaps_bytes, size));
	for (uint32_t i = 0; r == 0 && i < b->n; i++) {
		r = meta_add(img, b->v[i].table_offset,
			     div_up((uint64_t)b->v[i].table_entries * 8, size));
		if (img->meta.n > META_MAX)
			r = -EFBIG;
	}
	return r;
}

int
meta_init(struct image *img)
{
	int r = meta_add(img, 0, 1);

	if (r == 0)
		r = add_table(img, &img->l1, ENTRY_OFFSET_MASK);
	if (r == 0)
		r = add_table(img, &img->reftable, REFTABLE_OFFSET_MASK);
	if (r == 0 && crypto_clusters(img) <= CRYPTO_CLUSTERS_MAX)
		r = meta_add(img, img->header.crypto_offset,
			     crypto_clusters(img));
	if (r == 0)
		r = add_snapshots(img);
	if (r == 0)
		r = add_bitmaps(img);
	return r;
}

void
meta_done(struct meta *m)
{
	free(m->slots);
	*m = (struct meta){0};
}
