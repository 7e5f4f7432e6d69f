/* SPDX-License-Identifier: MIT */
/*
 * open.c - opening and closing an image
 *
 * B1: everything is validated before anything is modified; a refused image is
 * left as it was.
 */
#include "engine/image/open.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"

/* Enough for the first cluster of any image. */
#define HEADER_READ_MAX (2 * MiB)

/* QEMU's default for images whose L2 tables are larger than this. */
#define L2_CACHE_DEFAULT (32 * MiB)

struct opening {
	struct image *img;
	const struct q2_open_opts *opts;
	struct q2_err *err;
};

/* ---- geometry of the caches (qcow2-reference.md 3) --------------------- */

struct cache_sizes {
	uint64_t l2, l2_entry, refs;
};

static int
cache_sizes(const struct image *img, const struct q2_open_opts *o,
	    struct cache_sizes *ret, struct q2_err *err)
{
	uint64_t cluster = img->geom.cluster_size;
	uint64_t refs_min = 4 * cluster;
	uint64_t l2_full = align_up(
		div_up(img->size, cluster) * img->geom.l2_entry_size, cluster);

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
	ret->refs = max_u64(ret->refs, refs_min);
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
make_caches(struct image *img, const struct q2_open_opts *o, struct q2_err *err)
{
	struct cache_sizes sizes;
	int r;

	r = cache_sizes(img, o, &sizes, err);
	if (r == 0)
		r = slice_cache_init(&img->l2, AIO_L2, &img->l1, sizes.l2,
				     (uint32_t)sizes.l2_entry, err);
	if (r == 0)
		r = slice_cache_init(
			&img->refs, AIO_REFCOUNT, &img->reftable, sizes.refs,
			(uint32_t)min_u64(img->geom.cluster_size, PIECE_BYTES),
			err);
	return r;
}

/* ---- tables ------------------------------------------------------------ */

static int Q2_CO
load_table(struct image *img, struct table *t, enum aio_class cls, uint32_t n,
	   uint64_t host)
{
	Q2_AUTO_FREE void *bytes = NULL;
	int r;

	r = table_init(t, n, host, img->geom.cluster_size);
	if (r < 0 || !n)
		return r;
	bytes = mem_aligned(t->bytes);
	if (!bytes)
		return -ENOMEM;
	r = file_read(img->file, cls, bytes, t->bytes, host);
	if (r < 0)
		return r;
	table_decode(t, bytes);
	return 0;
}

static int Q2_CO
load_tables(struct image *img, struct q2_err *err)
{
	const struct header *h = &img->header;
	uint64_t reft_bytes = (uint64_t)h->reftable_clusters << h->cluster_bits;
	int r;

	r = load_table(img, &img->l1, AIO_L1, h->l1_entries, h->l1_offset);
	if (r < 0)
		return q2_fail(err, r,
			       "Could not read the L1 table of %u entries",
			       h->l1_entries);
	r = load_table(img, &img->reftable, AIO_REFCOUNT,
		       (uint32_t)(reft_bytes / 8), h->reftable_offset);
	if (r < 0)
		return q2_fail(err, r,
			       "Could not read the refcount table of %u "
			       "clusters",
			       h->reftable_clusters);
	return 0;
}

/* ---- opening ----------------------------------------------------------- */

/* Features that this engine does not have yet: refuse, never guess. */
static int
refuse_unsupported(const struct image *img, unsigned flags, struct q2_err *err)
{
	const struct header *h = &img->header;

	if (flags & (Q2_NO_IO | Q2_CHECK))
		return 0;
	if (h->backing_file[0])
		return q2_fail(err, -ENOTSUP,
			       "the image has a backing file ('%s'), which is "
			       "not supported yet",
			       h->backing_file);
	if (h->incompatible & INCOMPAT_DATA_FILE)
		return q2_fail(err, -ENOTSUP,
			       "the image has an external data file, which is "
			       "not supported yet");
	if (h->crypt_method)
		return q2_fail(err, -ENOTSUP,
			       "the image is encrypted, which is not "
			       "supported yet");
	if (h->incompatible & INCOMPAT_EXTENDED_L2)
		return q2_fail(err, -ENOTSUP,
			       "the image has extended L2 entries, which are "
			       "not supported yet");
	if (img->read_only)
		return 0;
	if (h->incompatible & INCOMPAT_CORRUPT)
		return q2_fail(err, -EACCES,
			       "qcow2: Image is corrupt; cannot be opened "
			       "read/write");
	if (h->incompatible & INCOMPAT_DIRTY)
		return q2_fail(err, -ENOTSUP,
			       "the image was not closed cleanly and must be "
			       "repaired before it can be written");
	if (h->snapshots || h->version < 3 || h->has_bitmaps || h->autoclear)
		return q2_fail(err, -ENOTSUP,
			       "writing to images of version 2, with "
			       "snapshots or with bitmaps is not supported "
			       "yet");
	return 0;
}

static int Q2_CO
open_header(struct image *img, unsigned flags, struct q2_err *err)
{
	Q2_AUTO_FREE void *buf = NULL;
	int64_t size = aio_size(img->file);
	size_t len;
	int r;

	if (size < 0)
		return q2_fail(err, (int)size, "Could not read its length");
	len = (size_t)min_u64((uint64_t)size, HEADER_READ_MAX);
	buf = mem_aligned(len + 1);
	if (!buf)
		return q2_fail(err, -ENOMEM, "no memory for the header");
	r = file_read(img->file, AIO_HEADER, buf, len, 0);
	if (r < 0)
		return q2_fail(err, r, "Could not read qcow2 header");
	r = header_decode(buf, len, flags & Q2_CHECK, &img->header, err);
	if (r < 0)
		return r;
	img->geom = header_geom(&img->header);
	img->size = align_down(img->header.virtual_size, Q2_SECTOR);
	return refuse_unsupported(img, flags, err);
}

static int Q2_CO
open_qcow2(void *arg)
{
	struct opening *o = arg;
	struct image *img = o->img;
	int r;

	r = open_header(img, o->opts->flags, o->err);
	if (r == 0)
		r = load_tables(img, o->err);
	if (r == 0)
		r = make_caches(img, o->opts, o->err);
	if (r < 0)
		return r;
	r = alloc_init(img, (uint64_t)aio_size(img->file));
	if (r < 0)
		return q2_fail(o->err, r, "no memory for the allocator");
	return 0;
}

static unsigned
file_flags(const struct q2_open_opts *o)
{
	unsigned flags = o->flags & Q2_RDONLY ? AIO_RDONLY : 0;

	if (o->cache == Q2_CACHE_NONE || o->cache == Q2_CACHE_DIRECTSYNC)
		flags |= AIO_DIRECT;
	if (o->cache == Q2_CACHE_UNSAFE)
		flags |= AIO_NOSYNC;
	return flags;
}

static void
image_free(struct image *img)
{
	alloc_done(img);
	slice_cache_done(&img->l2);
	slice_cache_done(&img->refs);
	table_done(&img->l1);
	table_done(&img->reftable);
	inflight_done(&img->inflight);
	limbo_done(&img->limbo);
	if (img->file)
		aio_close(img->file);
	free(img->path);
	free(img);
}

static struct image *
image_new(struct loop *loop, const char *path, const struct q2_open_opts *o)
{
	struct image *img = calloc(1, sizeof(*img));

	if (!img)
		return NULL;
	img->loop = loop;
	img->driver = o->driver ? o->driver : "";
	img->path = strdup(path);
	img->read_only = o->flags & Q2_RDONLY;
	img->unmap = o->flags & Q2_UNMAP;
	img->cache_mode = o->cache ? o->cache : Q2_CACHE_WRITEBACK;
	img->sync_writes = o->cache == Q2_CACHE_WRITETHROUGH ||
			   o->cache == Q2_CACHE_DIRECTSYNC;
	img->zero = o->zero ? o->zero : Q2_ZERO_HOLE;
	cache_init(img);
	inflight_init(&img->inflight);
	limbo_init(&img->limbo);
	co_mutex_init(&img->l2_mutex);
	return img;
}

struct probing {
	struct aio_file *file;
	const char *driver;
};

static int Q2_CO
read_magic(void *arg)
{
	struct probing *p = arg;
	uint8_t magic[4];
	int r = file_read(p->file, AIO_HEADER, magic, sizeof(magic), 0);

	if (r == 0)
		p->driver = load_be32(magic) == HEADER_MAGIC ? "qcow2" : "raw";
	return r;
}

int
image_probe(struct loop *loop, struct aio_file *file, const char **ret_driver,
	    struct q2_err *err)
{
	struct probing p = {.file = file};
	int r = loop_call(loop, read_magic, &p);

	if (r < 0)
		return q2_fail(err, r,
			       "Could not read image for determining "
			       "its format");
	*ret_driver = p.driver;
	return 0;
}

/* The driver asked for, as a static string. */
static int
find_driver(struct image *img, const struct q2_open_opts *opts,
	    struct q2_err *err)
{
	static const char *const drivers[] = {"qcow2", "raw", "null"};

	if (!opts->driver)
		return image_probe(img->loop, img->file, &img->driver, err);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (strcmp(opts->driver, drivers[i]) == 0) {
			img->driver = drivers[i];
			return 0;
		}
	}
	return q2_fail(err, -EINVAL, "Unknown driver '%s'", opts->driver);
}

static int
lock_file(struct image *img, const struct q2_open_opts *opts,
	  struct q2_err *err)
{
	enum aio_lock_mode mode;

	if (opts->flags & (Q2_FORCE_SHARE | Q2_NO_LOCK))
		return 0;
	if (image_is_qcow2(img))
		mode = img->read_only ? AIO_LOCK_READ : AIO_LOCK_WRITE;
	else
		mode = img->read_only ? AIO_LOCK_RAW_READ : AIO_LOCK_RAW_WRITE;
	return aio_lock(img->file, mode, err);
}

static int
open_raw(struct image *img, struct q2_err *err)
{
	int64_t bytes = aio_size(img->file);

	if (bytes < 0)
		return q2_fail(err, (int)bytes, "Could not read its length");
	img->size = align_up((uint64_t)bytes, Q2_SECTOR);
	return 0;
}

static int
open_file(struct image *img, const struct q2_open_opts *opts,
	  struct q2_err *err)
{
	struct opening o = {.img = img, .opts = opts, .err = err};
	int r;

	r = aio_open(img->loop, img->path, file_flags(opts), &img->points,
		     &img->file, err);
	if (r == 0)
		r = find_driver(img, opts, err);
	if (r == 0)
		r = lock_file(img, opts, err);
	if (r < 0)
		return r;
	return image_is_qcow2(img) ? loop_call(img->loop, open_qcow2, &o)
				   : open_raw(img, err);
}

int
image_open(struct loop *loop, const char *path, const struct q2_open_opts *opts,
	   struct image **ret_img, struct q2_err *err)
{
	struct image *img = image_new(loop, path, opts);
	int r = 0;

	if (!img)
		return q2_fail(err, -ENOMEM, "no memory for an image");
	if (opts->driver && strcmp(opts->driver, "null") == 0) {
		img->driver = "null";
		img->size = opts->virtual_size;
	} else {
		r = open_file(img, opts, err);
	}
	if (r < 0) {
		image_free(img);
		return r;
	}
	*ret_img = img;
	return 0;
}

/* ---- closing ----------------------------------------------------------- */

static int Q2_CO
close_qcow2(void *arg)
{
	struct opening *o = arg;
	struct image *img = o->img;
	uint64_t bytes;
	int r;

	r = limbo_drain(img);
	bytes = alloc_close_bytes(img);
	if (r < 0)
		return q2_fail(o->err, r, "Could not write the metadata");
	/* Z2: the file grew ahead of need; no more than what is in use stays. */
	if (!img->read_only && !img->file->is_block &&
	    bytes < img->alloc.file_bytes)
		r = file_truncate(img->file, bytes);
	if (r < 0)
		return q2_fail(o->err, r, "Could not set the file's length");
	return 0;
}

static int Q2_CO
close_raw(void *arg)
{
	struct opening *o = arg;
	int r = cache_sync(o->img);

	return r < 0 ? q2_fail(o->err, r, "Could not sync the file") : 0;
}

int
image_close(struct image *img, struct q2_err *err)
{
	struct opening o = {.img = img, .err = err};
	int r = 0;

	assert(!img->requests);
	if (img->file)
		r = loop_call(img->loop,
			      image_is_qcow2(img) ? close_qcow2 : close_raw,
			      &o);

	image_free(img);
	return r;
}
