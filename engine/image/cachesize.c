/* SPDX-License-Identifier: MIT */
/*
 * cachesize.c - how large the metadata caches are: QEMU's options and defaults
 * (qcow2-reference.md 3)
 */
#include <inttypes.h>
#include <limits.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/open.h"

/* QEMU's default for images whose L2 tables are larger than this. */
#define L2_CACHE_DEFAULT (32 * MiB)

struct cache_sizes {
	uint64_t l2, l2_entry, refs;
};

static int
cache_sizes(const struct image *img, const struct q2_open_opts *o,
	    struct cache_sizes *ret, struct q2_err *err)
{
	uint64_t cluster = img->geom.cluster_size;
	uint64_t refs_min = 4 * cluster, refs_full;
	int64_t file_bytes = aio_size(img->file);
	uint64_t l2_full = align_up(
		div_up(img->size, cluster) * img->geom.l2_entry_size, cluster);

	if (file_bytes < 0)
		return q2_fail(err, (int)file_bytes,
			       "Could not read its length");
	*ret = (struct cache_sizes){.l2 = o->l2_cache_size};
	ret->refs = o->refcount_cache_size;
	if (o->cache_size && ret->l2 && ret->refs)
		return q2_fail(err, -EINVAL,
			       "cache-size, l2-cache-size and "
			       "refcount-cache-size may not be set at the "
			       "same time");
	if (ret->l2 > o->cache_size && o->cache_size)
		return q2_fail(err, -EINVAL,
			       "l2-cache-size may not exceed cache-size");
	if (ret->refs > o->cache_size && o->cache_size)
		return q2_fail(err, -EINVAL,
			       "refcount-cache-size may not exceed cache-size");
	if (o->cache_size && ret->l2)
		ret->refs = o->cache_size - ret->l2;
	else if (o->cache_size && ret->refs)
		ret->l2 = o->cache_size - ret->refs;
	else if (o->cache_size >= l2_full + refs_min)
		ret->refs = o->cache_size - l2_full;
	else if (o->cache_size)
		ret->refs = min_u64(o->cache_size, refs_min);
	if (o->cache_size && !ret->l2)
		ret->l2 = o->cache_size - ret->refs;
	if (!ret->l2)
		ret->l2 = L2_CACHE_DEFAULT;
	ret->l2 = min_u64(ret->l2, l2_full);
	if (ret->refs / cluster > INT_MAX)
		return q2_fail(err, -EINVAL, "Refcount cache size too big");
	/* More than all refcounts of a file twice as large is of no use. */
	refs_full = align_up(2 * max_u64(img->size, (uint64_t)file_bytes) /
				     cluster * img->geom.refcount_bits / 8,
			     cluster);
	ret->refs = max_u64(min_u64(ret->refs, refs_full), refs_min);
	ret->l2_entry = o->l2_cache_entry_size;
	if (!ret->l2_entry)
		ret->l2_entry = ret->l2 == l2_full ? cluster
						   : min_u64(cluster, 4096);
	if (!is_pow2(ret->l2_entry) || ret->l2_entry < 512 ||
	    ret->l2_entry > cluster)
		return q2_fail(err, -EINVAL,
			       "L2 cache entry size must be a power of two "
			       "between 512 and the cluster size (%" PRIu64 ")",
			       cluster);
	return 0;
}

static int
make_caches(struct image *img, struct slice_cache *ret_l2,
	    struct slice_cache *ret_refs, struct q2_err *err)
{
	uint64_t piece = min_u64(img->geom.cluster_size, PIECE_BYTES);
	struct cache_sizes sizes = {0};
	int r;

	r = cache_sizes(img, &img->opts, &sizes, err);
	if (r == 0)
		r = slice_cache_init(ret_l2, AIO_L2, &img->l1, sizes.l2,
				     (uint32_t)sizes.l2_entry, err);
	if (r < 0)
		return r;
	r = slice_cache_init(ret_refs, AIO_REFCOUNT, &img->reftable, sizes.refs,
			     (uint32_t)piece, err);
	if (r < 0)
		slice_cache_done(ret_l2);
	return r;
}

int
open_caches(struct image *img, const struct q2_open_opts *o, struct q2_err *err)
{
	img->opts = *o;
	/* The caller's, and gone by the time that these are used again. */
	img->opts.key = NULL;
	return make_caches(img, &img->l2, &img->refs, err);
}

void
image_fit_caches(struct image *img)
{
	struct slice_cache l2, refs;

	/* Clusters may just be leaving limbo. */
	if (!list_empty(&img->l2.dirty) || !list_empty(&img->refs.dirty) ||
	    img->commits.running || img->limbo.working ||
	    make_caches(img, &l2, &refs, NULL) < 0)
		return;
	slice_cache_replace(&img->l2, &l2);
	slice_cache_replace(&img->refs, &refs);
}
