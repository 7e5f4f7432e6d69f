/* SPDX-License-Identifier: MIT */
/*
 * measure.c - how large the file of an image will be
 *
 * The figures are QEMU's estimate: metadata for the whole disk, in the best
 * packed layout, and the clusters that hold something.  A file that is really
 * made may be a little longer (growth.h).
 */
#include <inttypes.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/bitmap.h"
#include "engine/format/plan.h"
#include "engine/image/chain.h"
#include "engine/image/image.h"
#include "engine/image/raw.h"
#include "engine/manage/create_crypt.h"
#include "engine/manage/manage.h"

struct measuring {
	const struct q2_create_opts *opts;
	struct image *img; /* NULL: an empty disk */
	struct geom geom;  /* of the new image; its size is whole clusters */
	struct q2_err *err;
};

/* ---- an image without a source ----------------------------------------- */

/* Clusters of refcount blocks and their table for `rest` clusters and
 * themselves. */
static uint64_t
refcount_clusters(const struct geom *g, uint64_t rest)
{
	uint64_t blocks, table = 0, sum = 0, last;

	do {
		last = sum;
		blocks = div_up(rest + last, g->refblock_entries);
		table = div_up(blocks * 8, g->cluster_size);
		sum = blocks + table;
	} while (sum != last);
	return sum;
}

/* Header, L1, L2, refcounts; tables are counted in whole clusters. */
static uint64_t
metadata_bytes(const struct geom *g)
{
	uint64_t data = g->virtual_size >> g->cluster_bits;
	uint64_t l2 = div_up(data, g->l2_entries);
	uint64_t l1 = div_up(l2 * 8, g->cluster_size);
	uint64_t clusters = 1 + l1 + l2;

	clusters += refcount_clusters(g, clusters + data);
	return clusters << g->cluster_bits;
}

static int
check_size(uint64_t size, uint64_t unit, struct q2_err *err)
{
	if (size <= INT64_MAX - unit)
		return 0;
	return q2_fail(err, -EFBIG,
		       "The image size is too large (try using a larger "
		       "cluster size)");
}

static int
make_geom(struct measuring *m, uint64_t size)
{
	const struct q2_create_opts *o = m->opts;
	uint64_t cluster = o->cluster_size ? o->cluster_size
					   : Q2_DEFAULT_CLUSTER_SIZE;
	unsigned order;
	int r = plan_check_shape(o, m->err);

	if (r == 0)
		r = check_size(size, cluster, m->err);
	if (r < 0)
		return r;
	order = o->refcount_bits ? log2_u64(o->refcount_bits) : 4;
	m->geom = geom_init(log2_u64(cluster), order, o->extended_l2,
			    align_up(size, cluster));
	if (geom_l1_entries(&m->geom, m->geom.virtual_size) * 8 >
	    Q2_MAX_L1_BYTES)
		return check_size(UINT64_MAX, cluster, m->err);
	return 0;
}

/* ---- what the source holds --------------------------------------------- */

static int Q2_CO
look_at(struct image *img, uint64_t off, struct q2_extent *ret)
{
	uint64_t len = img->size - off;

	if (image_is_qcow2(img))
		return chain_map(img, off, len, ret);
	if (img->file)
		return raw_map(img, off, len, ret);
	*ret = (struct q2_extent){.off = off, .len = len, .zero = true};
	return 0;
}

/* Bytes of the new image's clusters that have data in the source. */
static int Q2_CO
count_data(struct measuring *m, uint64_t *ret)
{
	uint64_t size = m->img->size, off = 0, sum = 0;

	while (off < size) {
		struct q2_extent ext;
		uint64_t end;
		int r = look_at(m->img, off, &ext);

		if (r < 0)
			return q2_fail(m->err, r,
				       "Unable to get block status at offset "
				       "%" PRIu64 ": %s",
				       off, strerror(-r));
		end = ext.off + ext.len;
		if (ext.data && !ext.zero) {
			end = align_up(end, m->geom.cluster_size);
			sum += end - geom_cluster_start(&m->geom, off);
		}
		off = end;
	}
	*ret = sum;
	return 0;
}

/* Its bits, its table; *dir grows by its entry of the directory. */
static uint64_t
bitmap_bytes(const struct measuring *m, const struct bitmap *b, uint64_t *dir)
{
	uint64_t cluster = m->geom.cluster_size;
	uint64_t bits = div_up(m->img->size, UINT64_C(1)
						     << b->granularity_bits);
	uint64_t clusters = div_up(div_up(bits, 8), cluster);

	*dir += align_up(BITMAP_FIXED_BYTES + b->name_len, 8);
	return clusters * cluster + align_up(clusters * 8, cluster);
}

/* What the source's bitmaps would take.  As QEMU does, those are counted, too,
 * that were in use at a crash, though they cannot be copied. */
static int Q2_CO
count_bitmaps(struct measuring *m, uint64_t *ret)
{
	const struct header *h = &m->img->header;
	Q2_AUTO_FREE uint8_t *dir = NULL;
	uint64_t at = 0, sum = 0, new_dir = 0;
	int r;

	dir = mem_aligned(h->bitmaps_bytes);
	if (!dir)
		return q2_fail(m->err, -ENOMEM,
			       "no memory for the bitmap directory");
	r = h->bitmaps_offset > INT64_MAX - h->bitmaps_bytes
		    ? -EIO
		    : file_read(m->img->file, AIO_HEADER, dir, h->bitmaps_bytes,
				h->bitmaps_offset);
	if (r < 0)
		return q2_fail(m->err, r, "Failed to read bitmap directory");
	for (uint32_t i = 0; i < h->bitmaps; i++) {
		struct bitmap b;

		r = bitmap_decode(dir + at, h->bitmaps_bytes - at, &b);
		if (r < 0 || !bitmap_is_valid(&b, &m->img->geom))
			return q2_fail(m->err, -Q2_ECORRUPT,
				       "Broken bitmap directory");
		at += b.bytes;
		sum += bitmap_bytes(m, &b, &new_dir);
	}
	*ret = sum + align_up(new_dir, m->geom.cluster_size);
	return 0;
}

/* ---- measuring --------------------------------------------------------- */

static int Q2_CO
measure_qcow2(struct measuring *m, struct q2_measure *ret)
{
	const struct q2_create_opts *o = m->opts;
	uint64_t data = 0;
	struct new_crypt crypt = {0};
	int r = make_geom(m, m->img ? m->img->size : o->virtual_size);

	if (r == 0)
		r = new_crypt_plan(&crypt, o, false, m->err);
	/* How much of the source is in the backing file, nobody knows. */
	if (r == 0 && m->img && o->backing_file)
		data = m->geom.virtual_size;
	else if (r == 0 && m->img)
		r = count_data(m, &data);
	if (r < 0)
		return r;
	if (o->preallocation >= Q2_PREALLOC_FALLOC)
		data = m->geom.virtual_size;
	ret->required = metadata_bytes(&m->geom) +
			align_up(crypt.bytes, m->geom.cluster_size);
	ret->fully_allocated = ret->required + m->geom.virtual_size;
	ret->required += data;
	ret->has_bitmaps = m->img && o->compat != 2 && image_is_qcow2(m->img) &&
			   m->img->header.version > 2;
	if (ret->has_bitmaps && m->img->header.has_bitmaps)
		r = count_bitmaps(m, &ret->bitmaps);
	return r;
}

int Q2_CO
measure_image(const struct q2_create_opts *opts, struct image *img,
	      struct q2_measure *ret_measure, struct q2_err *err)
{
	struct measuring m = {.opts = opts, .img = img, .err = err};
	struct q2_measure result = {0};
	uint64_t size = img ? img->size : opts->virtual_size;
	int r = 0;

	if (!opts->driver || strcmp(opts->driver, "qcow2") == 0) {
		r = measure_qcow2(&m, &result);
	} else if (strcmp(opts->driver, "raw") == 0) {
		r = check_size(size, Q2_SECTOR, err);
		if (r == 0)
			result.required = align_up(size, Q2_SECTOR);
		result.fully_allocated = result.required;
	} else {
		r = q2_fail(err, -EINVAL, "Unknown file format '%s'",
			    opts->driver);
	}
	if (r == 0)
		*ret_measure = result;
	return r;
}
