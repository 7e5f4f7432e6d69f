/* SPDX-License-Identifier: MIT */
/*
 * create.c - making images
 *
 * N1: everything but the magic is written, in large pieces, and synced; then
 * the sector with the magic, and synced.  Until that sector is there the file
 * is no image; when it is there, so is all the rest.  (A file that was there
 * before has been emptied first, which the file system journals before it can
 * give the blocks to anything else.  A block device cannot be emptied: an old
 * header on it is removed, and that synced, before anything else is written.)
 *
 * An external data file is opened before anything is changed, so that it fails
 * early, and emptied after the first sync: an image that was there before must
 * not outlive its data.  It is complete and synced before the magic.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/plan.h"
#include "engine/manage/create_crypt.h"
#include "engine/manage/manage.h"
#include "engine/manage/target.h"

/* What QEMU asks file systems for that take such hints. */
#define EXTENT_SIZE_DEFAULT MiB

struct creation {
	struct loop *loop;
	const struct q2_create_opts *opts;
	struct q2_err *err;
	struct plan plan; /* qcow2 only */
	struct target image, data;
	struct new_crypt crypt;
	bool raw, external;
	bool data_reached; /* the data file is no longer what it was */
	int hint_error;
};

/* ---- what it will be --------------------------------------------------- */

/* A file of guest bytes and nothing else: a raw image, a data file. */
static void
plan_plain(struct target *t, enum q2_prealloc mode, uint64_t size)
{
	t->file_bytes = size;
	t->mode = mode;
	if (mode != Q2_PREALLOC_OFF)
		t->data_n = size;
	if (mode >= Q2_PREALLOC_FALLOC)
		t->needed = size;
}

static int
plan_data_file(struct creation *c)
{
	enum q2_prealloc mode = c->opts->preallocation;
	const struct geom *g = &c->plan.geom;
	uint64_t size = g->virtual_size;

	if (strcmp(c->image.path, c->data.path) == 0)
		return q2_fail(c->err, -EINVAL,
			       "the data file '%s' is the image itself",
			       c->data.path);
	/* Its clusters are mapped then: what is in them is read. */
	if (c->opts->data_file_raw && mode == Q2_PREALLOC_OFF)
		mode = Q2_PREALLOC_METADATA;
	/* QEMU gives it what it allocates: whole clusters, or subclusters. */
	if (mode != Q2_PREALLOC_OFF)
		size = align_up(size, g->cluster_size) - geom_spare_bytes(g);
	plan_plain(&c->data, mode, size);
	return 0;
}

static int
plan_qcow2(struct creation *c)
{
	int r = new_crypt_plan(&c->crypt, c->opts, false, c->err);
	const struct plan *p = &c->plan;
	struct target *t = &c->image;

	if (r == 0)
		r = plan_make_encrypted(c->opts, c->crypt.bytes, &c->plan,
					c->err);
	/* QEMU asks for it last. */
	if (r == 0)
		r = new_crypt_plan(&c->crypt, c->opts, true, c->err);
	if (r < 0)
		return r;
	t->plan = p;
	t->file_bytes = p->file_bytes;
	t->needed = p->metadata_bytes + c->crypt.bytes;
	if (c->external)
		return plan_data_file(c);
	t->mode = c->opts->preallocation;
	t->data = p->data.host;
	t->data_n = p->data.clusters << p->geom.cluster_bits;
	if (t->mode >= Q2_PREALLOC_FALLOC)
		t->needed += t->data_n;
	return 0;
}

static int
plan_raw(struct creation *c)
{
	const struct q2_create_opts *o = c->opts;

	if (o->preallocation == Q2_PREALLOC_METADATA)
		return q2_fail(c->err, -EINVAL,
			       "Unsupported preallocation mode: metadata");
	if (o->backing_file || o->backing_format)
		return q2_fail(c->err, -EINVAL,
			       "Backing file not supported for file format "
			       "'raw'");
	if (o->encryption)
		return q2_fail(c->err, -EINVAL,
			       "Encryption not supported for file format "
			       "'raw'");
	if (o->data_file || o->data_file_raw || o->extended_l2)
		return q2_fail(c->err, -EINVAL,
			       "a raw image has neither an external data file "
			       "nor L2 entries");
	if (o->virtual_size > INT64_MAX - (Q2_SECTOR - 1))
		return q2_fail(c->err, -EINVAL,
			       "Invalid image size specified. Must be between "
			       "0 and %" PRId64 ".",
			       INT64_MAX);
	plan_plain(&c->image, o->preallocation,
		   align_up(o->virtual_size, Q2_SECTOR));
	return 0;
}

static int Q2_CO
look(struct creation *c)
{
	const struct target *other = c->external ? &c->data : NULL;
	int r = target_look(&c->image);

	if (r == 0 && other)
		r = target_look(&c->data);
	if (r == 0)
		r = target_check_space(&c->image, other);
	if (r == 0 && other)
		r = target_check_space(&c->data, NULL);
	return r;
}

/* ---- hints ------------------------------------------------------------- */

struct hints {
	struct aio_file *file;
	bool nocow;
	uint32_t extent_size;
};

static int
set_hints(void *arg)
{
	const struct hints *h = arg;

	return aio_set_hints(h->file, h->nocow, h->extent_size);
}

/* A file system that takes no hint is no reason to fail; who asked for one is
 * told. */
static void Q2_CO
give_hints(struct creation *c, struct target *t)
{
	int64_t wish = c->opts->extent_size_hint;
	struct hints h = {
		.file = t->file,
		.nocow = c->opts->nocow,
		.extent_size = wish > 0    ? (uint32_t)wish
			       : wish == 0 ? EXTENT_SIZE_DEFAULT
					   : 0,
	};
	int r = t->is_host ? loop_offload(c->loop, set_hints, &h) : 0;

	if (r < 0 && wish > 0)
		c->hint_error = r;
}

/* ---- making it --------------------------------------------------------- */

static unsigned
file_flags(const struct q2_create_opts *o)
{
	unsigned flags = 0;

	if (o->cache == Q2_CACHE_NONE || o->cache == Q2_CACHE_DIRECTSYNC)
		flags |= AIO_DIRECT;
	if (o->cache == Q2_CACHE_UNSAFE)
		flags |= AIO_NOSYNC;
	return flags;
}

/*
 * See the top: only what cannot be emptied needs this.  The guest's bytes on a
 * device stay what they were, but for the first sector, as with QEMU: nobody
 * may take them for an image later whose header somebody else has left.
 */
static int Q2_CO
remove_old_header(struct target *t)
{
	uint8_t sector[Q2_SECTOR];
	int r;

	if (!t->file->is_block || !t->file_bytes)
		return 0;
	r = file_read(t->file, AIO_HEADER, sector, sizeof(sector), 0);
	if (r == 0 && t->plan && load_be32(sector) != HEADER_MAGIC)
		return 0;
	memset(sector, 0, sizeof(sector));
	if (r == 0)
		r = file_write(t->file, AIO_HEADER, sector, sizeof(sector), 0);
	if (r == 0)
		r = file_sync(t->file);
	return r < 0 ? target_fail(t, r, "remove the old header of") : 0;
}

/* All that the file holds but the magic, durable. */
static int Q2_CO
fill(struct creation *c, struct target *t)
{
	int r;

	give_hints(c, t);
	r = target_set_length(t);
	if (r == 0)
		r = remove_old_header(t);
	if (r == 0 && t->plan)
		r = target_write_metadata(t);
	if (r == 0)
		r = target_preallocate(t);
	if (r == 0 && t->plan)
		r = target_write_crypto(t, c->crypt.area, c->crypt.used);
	/* Where writes are aligned, the last may have made the file longer. */
	if (r == 0)
		r = target_set_length(t);
	if (r == 0)
		r = target_sync(t);
	return r;
}

/* Without emptying it yet, if it is there. */
static int Q2_CO
open_data_file(struct creation *c)
{
	unsigned flags = file_flags(c->opts);
	struct target *t = &c->data;
	int r;

	r = aio_open(c->loop, t->path, flags, &t->points, &t->file, c->err);
	if (r == -ENOENT)
		r = aio_open(c->loop, t->path, flags | AIO_CREATE, &t->points,
			     &t->file, c->err);
	return r < 0 ? r : aio_lock(t->file, AIO_LOCK_WRITE, c->err);
}

static int Q2_CO
make_data_file(struct creation *c)
{
	struct target *t = &c->data;
	int r = 0;

	c->data_reached = true;
	if (!t->file->is_block && aio_size(t->file) != 0)
		r = file_truncate(t->file, 0);
	if (r < 0)
		return target_fail(t, r, "empty");
	r = fill(c, t);
	return r < 0 ? r : target_sync_dir(t);
}

static int Q2_CO
make_image(struct creation *c)
{
	struct target *t = &c->image;
	int r = aio_lock(t->file, AIO_LOCK_WRITE, c->err);

	if (r == 0)
		r = fill(c, t);
	if (r == 0 && c->external)
		r = make_data_file(c);
	if (r == 0 && t->plan)
		r = target_write_magic(t);
	/* Where writes are aligned, that may have made a small file longer,
	 * which does no harm should it stay so. */
	if (r == 0)
		r = target_set_length(t);
	if (r == 0 && t->plan)
		r = target_sync(t);
	return r < 0 ? r : target_sync_dir(t);
}

static int Q2_CO
create(struct creation *c)
{
	struct target *t = &c->image;
	int r = look(c);

	if (r == 0)
		r = new_crypt_make(&c->crypt, c->loop, c->opts, c->err);
	if (r == 0 && c->external)
		r = open_data_file(c);
	if (r == 0)
		r = aio_open(c->loop, t->path, file_flags(c->opts) | AIO_CREATE,
			     &t->points, &t->file, c->err);
	if (r == 0)
		r = make_image(c);
	if (r < 0 && t->file)
		target_undo(t);
	if (r < 0 && c->data.file &&
	    (c->data_reached || (c->data.is_host && !c->data.existed)))
		target_undo(&c->data);
	return r;
}

static void
init(struct creation *c, const char *path, const struct q2_create_opts *opts)
{
	c->opts = opts;
	c->external = !c->raw && opts->data_file;
	c->image = (struct target){
		.loop = c->loop, .path = path, .err = c->err};
	c->data = (struct target){
		.loop = c->loop, .path = opts->data_file, .err = c->err};
}

static void
tell(const struct creation *c, struct q2_create_result *ret)
{
	*ret = (struct q2_create_result){
		.emulated_falloc = c->image.emulated_falloc ||
				   c->data.emulated_falloc,
		.file_bytes = (uint64_t)aio_size(c->image.file),
		.fdatasyncs = (unsigned)c->image.points.n.fdatasyncs,
		.hint_error = c->hint_error,
	};
}

int Q2_CO
create_image(struct loop *loop, const char *path,
	     const struct q2_create_opts *opts,
	     struct q2_create_result *ret_result, struct q2_err *err)
{
	bool raw = opts->driver && strcmp(opts->driver, "raw") == 0;
	/* Too large for a coroutine's stack: the plan holds a header. */
	Q2_AUTO_FREE struct creation *c = NULL;
	int r;

	if (opts->driver && !raw && strcmp(opts->driver, "qcow2") != 0)
		return q2_fail(err, -EINVAL, "Unknown file format '%s'",
			       opts->driver);
	if (opts->extent_size_hint > UINT32_MAX)
		return q2_fail(err, -EINVAL, "Extent size hint is too large");
	c = calloc(1, sizeof(*c));
	if (!c)
		return q2_fail(err, -ENOMEM, "no memory to create an image");
	c->loop = loop;
	c->err = err;
	c->raw = raw;
	init(c, path, opts);
	r = c->raw ? plan_raw(c) : plan_qcow2(c);
	if (r == 0)
		r = create(c);
	if (r == 0 && ret_result)
		tell(c, ret_result);
	aio_close(c->image.file);
	aio_close(c->data.file);
	new_crypt_done(&c->crypt);
	return r;
}
