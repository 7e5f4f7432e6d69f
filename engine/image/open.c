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

#include "engine/aio/debug.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/layers.h"
#include "engine/image/mark.h"
#include "engine/image/owners.h"
#include "engine/image/trim.h"

/* What is read at first: the first cluster of most images. */
#define HEADER_READ_BYTES (64 * KiB)

struct opening {
	struct image *img;
	const struct q2_open_opts *opts;
	struct q2_err *err;
};

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
load_tables(struct image *img, bool for_check, struct q2_err *err)
{
	const struct header *h = &img->header;
	uint64_t reft_bytes = (uint64_t)h->reftable_clusters << h->cluster_bits;
	int r;

	/* It would read as zeros, and so would all of the disk.  QEMU lets it. */
	if (!for_check && geom_l1_entries(&img->geom, img->size) &&
	    h->l1_offset >= (uint64_t)aio_size(img->file))
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Could not read L1 table: it begins "
					 "beyond the end of the file"),
				 "l1_table_offset", h->l1_offset);
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
	if (img->read_only)
		return 0;
	if (h->incompatible & INCOMPAT_CORRUPT)
		return q2_fail(err, -EACCES,
			       "qcow2: Image is corrupt; cannot be opened "
			       "read/write");
	return 0;
}

/* The image has bitmaps that do not tell what was written since. */
static void
warn_stale_bitmaps(const struct image *img, const struct q2_open_opts *opts)
{
	const struct header *h = &img->header;

	if (!opts->warning || !h->has_stale_bitmaps)
		return;
	opts->warning(
		opts->finding_arg,
		h->version < 3
			? "This qcow2 v2 image contains bitmaps, but they "
			  "may have been modified by software without "
			  "persistent bitmap support; so now these "
			  "bitmaps must all be considered inconsistent\n"
			  "Some clusters may be leaked, run 'qemu-img "
			  "check -r' on the image file to fix."
			: "a program lacking bitmap support modified "
			  "this file, so all bitmaps are now considered "
			  "inconsistent\n"
			  "Some clusters may be leaked, run 'qemu-img "
			  "check -r' on the image file to fix.");
}

/* The first bytes of a file of size bytes: up to *len of them. */
static int Q2_CO
read_start(struct image *img, uint64_t size, uint8_t **buf, size_t *len,
	   struct q2_err *err)
{
	int r;

	free(*buf);
	*len = (size_t)min_u64(size, *len);
	*buf = mem_aligned(*len + 1);
	if (!*buf)
		return q2_fail(err, -ENOMEM, "no memory for the header");
	r = file_read(img->file, AIO_HEADER, *buf, *len, 0);
	return r < 0 ? q2_fail(err, r, "Could not read qcow2 header") : 0;
}

/* All that belongs to the header lies in the first cluster. */
static int Q2_CO
open_header(struct image *img, const struct q2_open_opts *opts,
	    struct q2_err *err)
{
	Q2_AUTO_FREE uint8_t *buf = NULL;
	int64_t size = aio_size(img->file);
	size_t len = HEADER_READ_BYTES, cluster;
	int r;

	if (size < 0)
		return q2_fail(err, (int)size, "Could not read its length");
	r = read_start(img, (uint64_t)size, &buf, &len, err);
	if (r < 0)
		return r;
	cluster = header_cluster_bytes(buf, len);
	if (cluster > len) {
		len = cluster;
		r = read_start(img, (uint64_t)size, &buf, &len, err);
	}
	if (r < 0)
		return r;
	r = header_decode(buf, len, opts->flags & Q2_CHECK, &img->header, err);
	if (r < 0)
		return r;
	warn_stale_bitmaps(img, opts);
	img->geom = header_geom(&img->header);
	img->size = align_down(img->header.virtual_size, Q2_SECTOR);
	return refuse_unsupported(img, opts->flags, err);
}

static int Q2_CO
open_qcow2(void *arg)
{
	struct opening *o = arg;
	struct image *img = o->img;
	int r;

	r = open_header(img, o->opts, o->err);
	if (r == 0)
		r = load_tables(img, o->opts->flags & (Q2_CHECK | Q2_NO_IO),
				o->err);
	/* A check reads it by itself: there may be much to say. */
	if (r == 0 && !(o->opts->flags & Q2_CHECK))
		r = snapshots_load(img, o->err);
	if (r == 0 && !(o->opts->flags & Q2_CHECK))
		r = bitmaps_load(img, o->err);
	if (r == 0)
		r = open_caches(img, o->opts, o->err);
	if (r == 0)
		r = crypt_open(img, o->opts, o->err);
	if (r < 0)
		return r;
	/* The guest's writes are noted in them. */
	if (!img->read_only && !(o->opts->flags & Q2_NO_GUEST_WRITES))
		r = bitmaps_read_noting(img, o->err);
	if (r < 0)
		return r;
	r = alloc_init(img, (uint64_t)aio_size(img->file));
	if (r == 0)
		r = meta_init(img);
	if (r == -EFBIG)
		return q2_fail(o->err, r,
			       "the snapshots or bitmaps have too many tables "
			       "to be kept from being overwritten");
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
	compress_done(&img->compress);
	crypt_done(&img->crypt);
	meta_done(&img->meta);
	owners_done(img);
	snapshots_done(&img->snapshots);
	bitmaps_done(&img->bitmaps);
	if (img->data != img->file)
		aio_close(img->data);
	if (img->file)
		aio_close(img->file);
	free(img->data_path);
	free(img->path);
	free(img);
}

/* img and all layers below it. */
static void
chain_free(struct image *img)
{
	while (img) {
		struct image *next = img->backing;

		image_free(img);
		img = next;
	}
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
	img->no_guest_writes = o->flags & Q2_NO_GUEST_WRITES;
	img->unmap = o->flags & Q2_UNMAP;
	img->punch_request = o->pass_discard_request
				     ? o->pass_discard_request > 0
				     : img->unmap;
	img->punch_snapshot = o->pass_discard_snapshot >= 0;
	img->punch_other = o->pass_discard_other > 0;
	img->keep_clusters = o->discard_no_unref;
	img->detect_zeroes = o->detect_zeroes;
	img->compress_writes = o->compress;
	img->effort = o->compress_effort == Q2_EFFORT_SMALL ? CODEC_SMALL
							    : CODEC_FAST;
	trim_init(img, o->cache_clean_interval);
	img->cache_mode = o->cache ? o->cache : Q2_CACHE_WRITEBACK;
	img->sync_writes = o->cache == Q2_CACHE_WRITETHROUGH ||
			   o->cache == Q2_CACHE_DIRECTSYNC;
	img->zero = o->zero ? o->zero : Q2_ZERO_HOLE;
	gate_init(&img->gate);
	cache_init(img);
	inflight_init(&img->inflight);
	limbo_init(&img->limbo);
	compress_init(&img->compress);
	crypt_init(&img->crypt);
	bitmaps_init(&img->bitmaps);
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

/* Options that only version 3 has. */
static int
take_v3_options(struct image *img, const struct q2_open_opts *opts,
		struct q2_err *err)
{
	const struct header *h = &img->header;

	if (h->version < 3 && opts->lazy_refcounts > 0)
		return q2_fail(err, -EINVAL,
			       "Lazy refcounts require a qcow2 image with at "
			       "least qemu 1.1 compatibility level");
	if (h->version < 3 && opts->discard_no_unref)
		return q2_fail(err, -EINVAL,
			       "discard-no-unref is only supported since qcow2 "
			       "version 3");
	/* Who checks does not say that refcounts are right. */
	img->lazy = !img->read_only && h->version >= 3 &&
		    !(opts->flags & Q2_CHECK) &&
		    (opts->lazy_refcounts
			     ? opts->lazy_refcounts > 0
			     : (h->compatible & COMPAT_LAZY_REFCOUNTS) != 0);
	return 0;
}

static int
check_compress(const struct image *img, const struct q2_open_opts *opts,
	       struct q2_err *err)
{
	if (!opts->compress ||
	    (image_is_qcow2(img) && !img->geom.external_data &&
	     !img->header.crypt_method))
		return 0;
	return q2_fail(err, -ENOTSUP,
		       "compress=on: only a qcow2 image without encryption "
		       "and without an external data file has compressed "
		       "clusters");
}

static int
open_file(struct image *img, const struct q2_open_opts *opts,
	  struct q2_err *err)
{
	struct opening o = {.img = img, .opts = opts, .err = err};
	int r;

	r = aio_open(img->loop, img->path, file_flags(opts), &img->points,
		     &img->file, err);
	img->data = img->file;
	if (r == 0)
		r = aio_set_part(img->file, &opts->part, err);
	if (r == 0 && opts->debug && opts->debug_disk)
		debug_attach_disk((struct debug *)opts->debug, &img->points,
				  opts->debug_said);
	else if (r == 0 && opts->debug && !opts->debug_data_file)
		r = debug_attach((struct debug *)opts->debug, img->file, true,
				 opts->debug_said, err);
	if (r == 0)
		r = find_driver(img, opts, err);
	if (r == 0)
		r = lock_file(img, opts, err);
	if (r < 0)
		return r;
	r = image_is_qcow2(img) ? loop_call(img->loop, open_qcow2, &o)
				: open_raw(img, err);
	if (r == 0)
		r = check_compress(img, opts, err);
	if (r < 0 || !image_is_qcow2(img))
		return r;
	r = take_v3_options(img, opts, err);
	if (r == 0 && !(opts->flags & Q2_NO_IO))
		r = layers_open_data(img, opts, err);
	return r;
}

int
image_open_layer(struct loop *loop, const char *path,
		 const struct q2_open_opts *opts, struct image **ret_img,
		 struct q2_err *err)
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

/* B1: everything has been judged, so the image may be changed. */
static int Q2_CO
begin_writing(void *arg)
{
	struct opening *o = arg;
	int r = mark_clear_unknown(o->img);

	if (r < 0)
		return q2_fail(o->err, r,
			       "Could not clear unknown autoclear bits: %s",
			       strerror(-r));
	return 0;
}

int
image_open(struct loop *loop, const char *path, const struct q2_open_opts *opts,
	   struct image **ret_img, struct q2_err *err)
{
	struct opening o = {.opts = opts, .err = err};
	int r;

	r = image_open_layer(loop, path, opts, &o.img, err);
	if (r < 0)
		return r;
	assert(o.img);
	if (!(opts->flags & Q2_NO_IO))
		r = layers_open_backing(o.img, opts, err);
	if (r == 0 && image_is_qcow2(o.img) && !o.img->read_only &&
	    !(opts->flags & Q2_CHECK))
		r = loop_call(loop, begin_writing, &o);
	if (r < 0) {
		chain_free(o.img);
		return r;
	}
	owners_init(o.img);
	*ret_img = o.img;
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
	/* An image that was found corrupt takes no writes; if there was nothing
	 * to write, nothing is lost. */
	if (r == 0 && !(img->damaged && cache_is_clean(img)))
		r = cache_commit_all(img);
	/* E3: the refcounts have caught up. */
	if (r == 0 && img->lazy)
		r = mark_clear(img, INCOMPAT_DIRTY);
	bytes = compress_close_bytes(img, alloc_close_bytes(img));
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

static int
close_layer(struct image *img, struct q2_err *err)
{
	struct opening o = {.img = img, .err = err};

	assert(!img->requests);
	if (!img->file)
		return 0;
	return loop_call(img->loop,
			 image_is_qcow2(img) ? close_qcow2 : close_raw, &o);
}

int
image_close(struct image *img, struct q2_err *err)
{
	int r = close_layer(img, err);

	/* A commit has had one below open for writing. */
	for (struct image *i = img->backing; i; i = i->backing) {
		int other = i->read_only ? 0
					 : close_layer(i, r < 0 ? NULL : err);

		if (r == 0)
			r = other;
	}
	chain_free(img);
	return r;
}
