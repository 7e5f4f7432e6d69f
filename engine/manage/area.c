/* SPDX-License-Identifier: MIT */
#include "engine/manage/area.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/refcount.h"
#include "engine/image/data.h"
#include "engine/image/image.h"
#include "engine/manage/stream.h"

static uint64_t
bytes_of(const struct area *a, uint64_t clusters)
{
	return clusters << a->img->geom.cluster_bits;
}

/* ---- layout ------------------------------------------------------------ */

static bool
has_block(const struct image *img, uint64_t region)
{
	return region < img->reftable.n &&
	       (img->reftable.entries[region] & REFTABLE_OFFSET_MASK);
}

/* Regions that clusters [first, first + n) lie in, without refcount block. */
static uint64_t
missing_blocks(const struct image *img, uint64_t first, uint64_t n)
{
	unsigned bits = img->geom.refblock_bits;
	uint64_t last = (first + n - 1) >> bits, missing = 0;

	for (uint64_t i = first >> bits; i <= last; i++)
		missing += !has_block(img, i);
	return missing;
}

/* How many blocks and table clusters it takes to count them and the rest. */
static int
size_refcounts(const struct area *a, uint64_t rest, uint64_t *ret_blocks,
	       uint64_t *ret_table)
{
	const struct image *img = a->img;
	const struct geom *g = &img->geom;
	uint64_t blocks = 0, table = 0, last, regions;

	do {
		last = blocks + table;
		regions = ((a->first + last + rest - 1) >> g->refblock_bits) +
			  1;
		/* Bytes, not entries: the limit is one of bytes. */
		if (regions > Q2_MAX_REFTABLE_BYTES / 8)
			return -EFBIG;
		blocks = missing_blocks(img, a->first, last + rest);
		if (regions > img->reftable.n)
			table = div_up(regions * 8, g->cluster_size);
	} while (blocks + table != last);
	*ret_blocks = blocks;
	*ret_table = table;
	return 0;
}

static int
note_regions(struct area *a, uint64_t blocks)
{
	unsigned bits = a->img->geom.refblock_bits;
	uint64_t last = (a->end - 1) >> bits;

	a->regions = calloc(blocks + 1, sizeof(*a->regions));
	if (!a->regions)
		return -ENOMEM;
	for (uint64_t i = a->first >> bits; i <= last; i++)
		if (!has_block(a->img, i))
			a->regions[a->n_regions++] = (uint32_t)i;
	assert(a->n_regions == blocks);
	return 0;
}

/* Which L2 tables are new: all but one that maps the clusters before, too. */
static uint64_t
plan_l2(struct area *a)
{
	const struct image *img = a->img;
	unsigned bits = img->geom.l2_bits;
	uint64_t end = a->guest + a->guest_n;
	uint64_t index = a->guest >> bits;

	if (!a->guest_n)
		return 0;
	if (index < img->l1.n && (img->l1.entries[index] & ENTRY_OFFSET_MASK)) {
		index++;
		a->head_n = min_u64(a->guest_n, (index << bits) - a->guest);
	}
	a->l1_index = (uint32_t)index;
	return a->head_n < a->guest_n ? ((end - 1) >> bits) + 1 - index : 0;
}

int
area_plan(struct area *a, struct q2_err *err)
{
	const struct geom *g = &a->img->geom;
	uint64_t l1 = div_up((uint64_t)a->l1_entries * 8, g->cluster_size);
	uint64_t l2 = plan_l2(a), blocks, table;
	uint64_t rest;
	int r;

	/* In a data file a cluster has its own place. */
	a->data_n = a->zero || g->external_data ? 0 : a->guest_n;
	rest = l1 + l2 + a->data_n;
	a->table = a->l1 = a->l2 = a->data = a->end = a->first;
	if (!rest)
		return 0;
	r = size_refcounts(a, rest, &blocks, &table);
	if (r == 0) {
		a->table += blocks;
		a->l1 = a->table + table;
		a->l2 = a->l1 + l1;
		a->data = a->l2 + l2;
		a->end = a->data + a->data_n;
		if (a->end > Q2_MAX_HOST_OFFSET >> g->cluster_bits)
			r = -EFBIG;
	}
	if (r == 0)
		r = note_regions(a, blocks);
	if (r < 0)
		return q2_fail(err, r,
			       "Failed to resize refcount structures: %s",
			       strerror(-r));
	return 0;
}

/* ---- bytes ------------------------------------------------------------- */

/* The counts of the area's clusters in the block of a region. */
static void
count_in_block(const struct area *a, uint64_t region, uint64_t count,
	       uint8_t *block)
{
	const struct geom *g = &a->img->geom;
	uint64_t start = region << g->refblock_bits;
	uint64_t end = min_u64(a->end, start + g->refblock_entries);

	for (uint64_t i = max_u64(a->first, start); i < end; i++)
		refcount_set(block, g->refcount_order, i - start, count);
}

/* The first of the new blocks whose region is at least that; they ascend. */
static uint32_t
find_region(const struct area *a, uint64_t region)
{
	uint32_t low = 0, high = a->n_regions;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->regions[middle] < region)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
fill_table(const struct area *a, uint64_t n, uint8_t *buf)
{
	const struct table *t = &a->img->reftable;
	uint64_t per_cluster = a->img->geom.cluster_size / 8;
	uint64_t first = n * per_cluster;

	if (first < t->n)
		table_encode(t, (uint32_t)first,
			     (uint32_t)min_u64(per_cluster, t->n - first), buf);
	for (uint32_t i = find_region(a, first);
	     i < a->n_regions && a->regions[i] < first + per_cluster; i++)
		store_be64(buf + 8 * (a->regions[i] - first),
			   bytes_of(a, a->first + i));
}

static void
fill_l1(const struct area *a, uint64_t n, uint8_t *buf)
{
	const struct table *t = &a->img->l1;
	uint64_t per_cluster = a->img->geom.cluster_size / 8;
	uint64_t first = n * per_cluster;
	uint64_t end = min_u64(first + per_cluster,
			       a->l1_index + (a->data - a->l2));

	if (first < t->n)
		table_encode(t, (uint32_t)first,
			     (uint32_t)min_u64(per_cluster, t->n - first), buf);
	for (uint64_t i = max_u64(first, a->l1_index); i < end; i++)
		store_be64(buf + 8 * (i - first),
			   bytes_of(a, a->l2 + (i - a->l1_index)) |
				   ENTRY_COPIED);
}

struct l2_entry
area_entry(const struct area *a, uint64_t i)
{
	const struct geom *g = &a->img->geom;
	struct l2_entry e = {.kind = CLUSTER_NORMAL, .copied = true};

	if (a->zero)
		e = (struct l2_entry){.kind = g->subs > 1 ? CLUSTER_UNALLOCATED
							  : CLUSTER_ZERO_PLAIN};
	else
		e.host = bytes_of(a,
				  (g->external_data ? a->guest : a->data) + i);
	/* Zeros on the disk are none to the guest of an encrypted image. */
	if (!a->zero && a->img->header.crypt_method &&
	    a->img->header.version >= 3)
		e.kind = CLUSTER_ZERO_ALLOC;
	/* Else a backing file would shine through. */
	if (g->subs > 1)
		e.sub_zero = SUBS_ALL;
	return e;
}

/* The new L2 table with that number. */
static void
fill_l2(const struct area *a, uint64_t n, uint8_t *buf)
{
	const struct geom *g = &a->img->geom;
	uint64_t start = (a->l1_index + n) << g->l2_bits;
	uint64_t from = max_u64(start, a->guest);
	uint64_t end = min_u64(start + g->l2_entries, a->guest + a->guest_n);

	for (uint64_t i = from; i < end; i++) {
		struct l2_entry e = area_entry(a, i - a->guest);

		l2_store(g, &e, buf + g->l2_entry_size * (i - start));
	}
}

static void
fill_cluster(const struct area *a, uint64_t cluster, uint8_t *buf)
{
	memset(buf, 0, a->img->geom.cluster_size);
	if (cluster < a->table)
		count_in_block(a, a->regions[cluster - a->first], 1, buf);
	else if (cluster < a->l1)
		fill_table(a, cluster - a->table, buf);
	else if (cluster < a->l2)
		fill_l1(a, cluster - a->l1, buf);
	else
		fill_l2(a, cluster - a->l2, buf);
}

static void
fill(void *arg, uint64_t off, uint64_t len, uint8_t *buf)
{
	const struct area *a = arg;
	unsigned bits = a->img->geom.cluster_bits;

	for (uint64_t at = 0; at < len; at += a->img->geom.cluster_size)
		fill_cluster(a, (off + at) >> bits, buf + at);
}

static enum aio_class
class_at(void *arg, uint64_t off)
{
	const struct area *a = arg;
	uint64_t cluster = off >> a->img->geom.cluster_bits;

	if (cluster < a->l1)
		return AIO_REFCOUNT;
	return cluster < a->l2 ? AIO_L1 : AIO_L2;
}

/* ---- writing ----------------------------------------------------------- */

static uint64_t
new_file_bytes(const struct area *a)
{
	return max_u64(bytes_of(a, a->end), a->img->alloc.file_bytes);
}

struct space {
	int fd;
	uint64_t bytes; /* free */
};

/* Blocking. */
static int
look_for_space(void *arg)
{
	struct space *s = arg;
	struct statvfs fs;

	/* A file system without a size, such as ramfs, says nothing. */
	s->bytes = UINT64_MAX;
	if (fstatvfs(s->fd, &fs) == 0 && fs.f_blocks)
		s->bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int Q2_CO
area_check_space(struct aio_file *file, uint64_t bytes, struct q2_err *err)
{
	struct space s = {.fd = file->fd};
	int r;

	if (s.fd < 0)
		return 0;
	r = loop_offload(file->loop, look_for_space, &s);
	if (r < 0)
		return q2_fail(err, r, "no memory");
	if (bytes > s.bytes)
		return q2_fail(err, -ENOSPC,
			       "Could not resize the image: it needs %" PRIu64
			       " more bytes, and %" PRIu64 " are free; it is "
			       "unchanged",
			       bytes, s.bytes);
	return 0;
}

static int Q2_CO
check_space(const struct area *a, struct q2_err *err)
{
	struct image *img = a->img;
	uint64_t needed = bytes_of(a, a->data - a->first);

	if (img->file->is_block) {
		if (bytes_of(a, a->end) <= img->alloc.file_bytes)
			return 0;
		return q2_fail(err, -ENOSPC,
			       "Could not resize the image: it needs %" PRIu64
			       " bytes, and the device has %" PRIu64
			       "; it is unchanged",
			       bytes_of(a, a->end), img->alloc.file_bytes);
	}
	if (a->mode >= Q2_PREALLOC_FALLOC)
		needed += bytes_of(a, a->data_n);
	return area_check_space(img->file, needed, err);
}

static int Q2_CO
write_data(const struct area *a)
{
	struct aio_file *file = a->img->file;
	struct stream zeros = {.file = file,
			       .off = bytes_of(a, a->data),
			       .len = bytes_of(a, a->data_n)};
	int r = -ENOTSUP;

	if (!a->data_n)
		return 0;
	/* Without the zero flag, what a guest reads has to be written. */
	if (a->img->header.crypt_method && a->img->header.version < 3)
		return data_write_zeros(
			a->img, AIO_DATA,
			&(struct data_place){zeros.len, bytes_of(a, a->guest),
					     zeros.off});
	/* A file has a hole there; a device has something. */
	if (a->mode == Q2_PREALLOC_METADATA)
		return file->is_block
			       ? file_zero(file, zeros.len, zeros.off, false)
			       : 0;
	if (a->mode == Q2_PREALLOC_FALLOC && !file->is_block)
		r = file_allocate(file, zeros.len, zeros.off);
	return r == -ENOTSUP ? stream_write(&zeros) : r;
}

/*
 * Refcount blocks that exist get the counts of the area's clusters: those of
 * the first regions of the area.  *ret_done includes one that failed.
 */
static int Q2_CO
write_old_blocks(const struct area *a, uint64_t count, uint64_t regions,
		 uint64_t *ret_done)
{
	struct image *img = a->img;
	const struct geom *g = &img->geom;
	uint64_t first = a->first >> g->refblock_bits;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(g->cluster_size);
	int r = buf ? 0 : -ENOMEM;

	for (*ret_done = 0; r == 0 && *ret_done < regions; ++*ret_done) {
		uint64_t host, region = first + *ret_done;

		if (!has_block(img, region))
			continue;
		host = img->reftable.entries[region] & REFTABLE_OFFSET_MASK;
		r = file_read(img->file, AIO_REFCOUNT, buf, g->cluster_size,
			      host);
		if (r == 0)
			count_in_block(a, region, count, buf);
		/* Nothing is dirty: what the cache has is in the file. */
		if (r == 0)
			slice_drop(&img->refs, host, g->cluster_size);
		if (r == 0)
			r = file_write(img->file, AIO_REFCOUNT, buf,
				       g->cluster_size, host);
		cache_meta_written(img);
	}
	return r;
}

/* As it was: nothing of the file's end is in use. */
static void Q2_CO
undo(const struct area *a, uint64_t regions)
{
	struct image *img = a->img;
	uint64_t done;

	meta_remove(img, bytes_of(a, a->first), a->data - a->first);
	(void)write_old_blocks(a, 0, regions, &done);
	if (img->file->is_block) {
		alloc_took(img, a->first, area_clusters(a),
			   img->alloc.file_bytes);
		return;
	}
	if (file_truncate(img->file, bytes_of(a, a->first)) == 0)
		alloc_was_cut(img, bytes_of(a, a->first));
	else
		alloc_took(img, a->first, area_clusters(a), new_file_bytes(a));
	cache_meta_written(img);
}

static uint64_t
regions_of(const struct area *a)
{
	unsigned bits = a->img->geom.refblock_bits;

	return ((a->end - 1) >> bits) + 1 - (a->first >> bits);
}

void Q2_CO
area_undo(const struct area *a)
{
	if (area_clusters(a))
		undo(a, regions_of(a));
}

static int Q2_CO
write_parts(struct area *a, uint64_t *ret_regions)
{
	struct image *img = a->img;
	struct stream s = {.file = img->file,
			   .off = bytes_of(a, a->first),
			   .len = bytes_of(a, a->data - a->first),
			   .fill = fill,
			   .class_at = class_at,
			   .arg = a};
	int r = 0;

	*ret_regions = 0;
	if (new_file_bytes(a) > img->alloc.file_bytes)
		r = file_truncate(img->file, new_file_bytes(a));
	if (r == 0)
		r = write_data(a);
	if (r == 0)
		r = stream_write(&s);
	cache_meta_written(img);
	if (r < 0)
		return r;
	/* Last, because this alone changes what is in use. */
	r = write_old_blocks(a, 1, regions_of(a), ret_regions);
	return r < 0 ? r : cache_sync(img);
}

/* Does a table of the image name a cluster of the area?  Nothing can be right
 * then. */
static bool
names(const struct area *a, const struct table *t, uint64_t mask)
{
	uint64_t start = bytes_of(a, a->first), end = bytes_of(a, a->end);

	for (uint32_t i = 0; i < t->n; i++)
		if ((t->entries[i] & mask) >= start &&
		    (t->entries[i] & mask) < end)
			return true;
	return ranges_overlap(t->host, max_u64(t->bytes, 1), start,
			      end - start);
}

static bool
is_named(const struct area *a)
{
	const struct image *img = a->img;

	return names(a, &img->l1, ENTRY_OFFSET_MASK) ||
	       names(a, &img->reftable, REFTABLE_OFFSET_MASK);
}

int Q2_CO
area_write(struct area *a, struct q2_err *err)
{
	struct image *img = a->img;
	uint64_t regions;
	int r;

	if (!area_clusters(a))
		return 0;
	r = check_space(a, err);
	if (r < 0)
		return r;
	if (is_named(a))
		return q2_fail(err,
			       meta_refuse(img, bytes_of(a, a->first),
					   bytes_of(a, a->end) -
						   bytes_of(a, a->first)),
			       "Metadata of the image lies in clusters that "
			       "its refcounts say are free");
	r = write_parts(a, &regions);
	if (r == 0)
		r = meta_add(img, bytes_of(a, a->first), a->data - a->first);
	if (r < 0) {
		undo(a, regions);
		return q2_fail(err, r,
			       "Could not resize the image: %s; the image is "
			       "unchanged",
			       strerror(-r));
	}
	alloc_took(img, a->first, area_clusters(a), new_file_bytes(a));
	return 0;
}
