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
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/plan.h"
#include "engine/manage/manage.h"

/* What one write carries, and how many are under way: large enough for a disk
 * to be busy all the time, small enough not to count as memory. */
#define CHUNK_BYTES (2 * MiB)
#define WRITERS     4

struct creation {
	struct loop *loop;
	const char *path;
	const struct q2_create_opts *opts;
	struct q2_err *err;
	struct points points;
	struct aio_file *file;
	struct plan plan; /* qcow2 only */
	bool raw;
	uint64_t file_bytes;   /* length wanted */
	uint64_t data, data_n; /* host bytes that are preallocated */
	uint64_t needed;       /* bytes that will be taken from the disk */
	bool emulated_falloc;

	/* of the path, before anything was done */
	bool is_host; /* the backend has its files in the file system */
	bool existed;
	uint64_t free_bytes; /* UINT64_MAX: not known */
};

/* ---- writing in large pieces ------------------------------------------- */

/* The bytes [next, end) of the file, written by several coroutines. */
struct stream {
	struct aio_file *file;
	const struct plan *plan; /* NULL: zeros */
	uint64_t next, end;
	int result;
	struct co_join join;
};

static uint64_t
chunk_end(const struct stream *s)
{
	return min_u64(align_down(s->next, CHUNK_BYTES) + CHUNK_BYTES, s->end);
}

/* The metadata at off, without the magic. */
static void
encode(const struct plan *plan, uint64_t off, uint64_t len, uint8_t *buf)
{
	plan_encode(plan, off, align_up(len, plan->geom.cluster_size), buf);
	if (off == 0)
		store_be32(buf, 0);
}

static enum aio_class
class_at(const struct stream *s, uint64_t off)
{
	if (!s->plan)
		return AIO_DATA;
	if (s->plan->l2.clusters && off >= s->plan->l2.host)
		return AIO_L2;
	return off ? AIO_REFCOUNT : AIO_HEADER;
}

static void
write_chunks(void *arg)
{
	struct stream *s = arg;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned_zero(CHUNK_BYTES);
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && s->result == 0 && s->next < s->end) {
		uint64_t off = s->next, end = chunk_end(s);

		s->next = end;
		if (s->plan)
			encode(s->plan, off, end - off, buf);
		r = file_write(s->file, class_at(s, off), buf, end - off, off);
	}
	if (r < 0 && s->result == 0)
		s->result = r;
	co_join_end(&s->join, r);
}

static int Q2_CO
write_stream(struct aio_file *file, const struct plan *plan, uint64_t off,
	     uint64_t len)
{
	struct stream s = {
		.file = file, .plan = plan, .next = off, .end = off + len};
	uint64_t chunks = div_up(len, CHUNK_BYTES);

	co_join_init(&s.join);
	for (uint64_t i = 0; i < min_u64(chunks, WRITERS); i++) {
		int r;

		co_join_add(&s.join);
		r = co_start(&file->loop->sched, write_chunks, &s);
		if (r < 0)
			co_join_end(&s.join, r);
	}
	return co_join_wait(&s.join);
}

/* ---- before anything is changed ---------------------------------------- */

/* What is at the path, and the space around it.  Blocking. */
static int
look_at_path(void *arg)
{
	struct creation *c = arg;
	const char *slash = strrchr(c->path, '/');
	Q2_AUTO_FREE char *dir = NULL;
	struct statvfs fs;
	struct stat st;

	/* A symbolic link that leads nowhere is not ours to remove either. */
	c->existed = lstat(c->path, &st) == 0;
	c->free_bytes = UINT64_MAX;
	if (c->existed && stat(c->path, &st) == 0 && !S_ISREG(st.st_mode))
		return 0;
	dir = slash ? strndup(c->path, (size_t)(slash - c->path) + 1)
		    : strdup(".");
	if (!dir)
		return -ENOMEM;
	/* A file system without a size, such as ramfs, says nothing. */
	if (statvfs(dir, &fs) < 0 || fs.f_blocks == 0)
		return 0;
	c->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (c->existed) /* they will be given back */
		c->free_bytes += (uint64_t)st.st_blocks * 512;
	return 0;
}

static int Q2_CO
check_space(struct creation *c)
{
	const char *aio = loop_aio(c->loop);
	int r;

	/* Files of these exist only while the loop does. */
	c->is_host = strcmp(aio, "memory") != 0 && strcmp(aio, "sim") != 0;
	if (!c->is_host)
		return 0;
	r = loop_offload(c->loop, look_at_path, c);
	if (r < 0)
		return q2_fail(c->err, r, "no memory");
	if (c->needed > c->free_bytes)
		return q2_fail(c->err, -ENOSPC,
			       "Could not create '%s': it needs %" PRIu64
			       " bytes, and %" PRIu64 " are free",
			       c->path, c->needed, c->free_bytes);
	return 0;
}

static int
plan_qcow2(struct creation *c)
{
	int r = plan_make(c->opts, &c->plan, c->err);
	const struct plan *p = &c->plan;

	if (r < 0)
		return r;
	c->file_bytes = p->file_bytes;
	c->data = p->data.host;
	c->data_n = p->data.clusters << p->geom.cluster_bits;
	c->needed = p->metadata_bytes;
	if (c->opts->preallocation >= Q2_PREALLOC_FALLOC)
		c->needed += c->data_n;
	return 0;
}

static int
plan_raw(struct creation *c)
{
	if (c->opts->preallocation == Q2_PREALLOC_METADATA)
		return q2_fail(c->err, -EINVAL,
			       "Unsupported preallocation mode: metadata");
	if (c->opts->virtual_size > INT64_MAX - (Q2_SECTOR - 1))
		return q2_fail(c->err, -EINVAL,
			       "Invalid image size specified. Must be between "
			       "0 and %" PRId64 ".",
			       INT64_MAX);
	c->file_bytes = align_up(c->opts->virtual_size, Q2_SECTOR);
	if (c->opts->preallocation != Q2_PREALLOC_OFF)
		c->needed = c->data_n = c->file_bytes;
	return 0;
}

/* ---- making it --------------------------------------------------------- */

static unsigned
file_flags(const struct q2_create_opts *o)
{
	unsigned flags = AIO_CREATE;

	if (o->cache == Q2_CACHE_NONE || o->cache == Q2_CACHE_DIRECTSYNC)
		flags |= AIO_DIRECT;
	if (o->cache == Q2_CACHE_UNSAFE)
		flags |= AIO_NOSYNC;
	return flags;
}

static int
fail_io(const struct creation *c, int r, const char *what)
{
	return q2_fail(c->err, r, "Could not %s '%s': %s", what, c->path,
		       strerror(-r));
}

static int Q2_CO
set_length(struct creation *c)
{
	int64_t now = aio_size(c->file);
	int r = now < 0 ? (int)now : 0;

	if (c->file->is_block && r == 0 && (uint64_t)now < c->file_bytes)
		return q2_fail(c->err, -ENOSPC,
			       "Could not create '%s': it needs %" PRIu64
			       " bytes, and the device has %" PRId64,
			       c->path, c->file_bytes, now);
	if (r == 0 && !c->file->is_block && (uint64_t)now != c->file_bytes)
		r = file_truncate(c->file, c->file_bytes);
	return r < 0 ? fail_io(c, r, "set the length of") : 0;
}

/* See the top: only what cannot be emptied needs this. */
static int Q2_CO
remove_old_header(struct creation *c)
{
	uint8_t sector[Q2_SECTOR];
	int r;

	if (!c->file->is_block)
		return 0;
	r = file_read(c->file, AIO_HEADER, sector, sizeof(sector), 0);
	if (r == 0 && load_be32(sector) != HEADER_MAGIC)
		return 0;
	memset(sector, 0, sizeof(sector));
	if (r == 0)
		r = file_write(c->file, AIO_HEADER, sector, sizeof(sector), 0);
	if (r == 0)
		r = file_sync(c->file);
	return r < 0 ? fail_io(c, r, "remove the old header of") : 0;
}

static int Q2_CO
preallocate(struct creation *c)
{
	enum q2_prealloc mode = c->opts->preallocation;
	int r = 0;

	if (!c->data_n)
		return 0;
	switch (mode) {
	case Q2_PREALLOC_OFF:
		break;
	case Q2_PREALLOC_METADATA:
		/* A device has something there, which would be read. */
		if (c->file->is_block)
			r = file_zero(c->file, c->data_n, c->data, false);
		break;
	case Q2_PREALLOC_FALLOC:
		r = c->file->is_block
			    ? -ENOTSUP
			    : file_allocate(c->file, c->data_n, c->data);
		if (r != -ENOTSUP)
			break;
		c->emulated_falloc = true;
		r = write_stream(c->file, NULL, c->data, c->data_n);
		break;
	case Q2_PREALLOC_FULL:
		r = write_stream(c->file, NULL, c->data, c->data_n);
		break;
	}
	return r < 0 ? fail_io(c, r, "preallocate") : 0;
}

/* The sector that makes the file an image. */
static int Q2_CO
write_magic(struct creation *c)
{
	size_t size = c->plan.geom.cluster_size;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(size);

	if (!buf)
		return -ENOMEM;
	plan_encode(&c->plan, 0, size, buf);
	return file_write(c->file, AIO_HEADER, buf, Q2_SECTOR, 0);
}

static int Q2_CO
write_metadata(struct creation *c)
{
	int r;

	if (c->raw)
		return 0;
	r = write_stream(c->file, &c->plan, 0, c->plan.metadata_bytes);
	return r < 0 ? fail_io(c, r, "write") : 0;
}

static int
sync_dir(void *arg)
{
	const struct creation *c = arg;

	return aio_sync_dir(c->file);
}

static int Q2_CO
finish(struct creation *c)
{
	int r = file_sync(c->file);

	if (r == 0 && !c->raw)
		r = write_magic(c);
	if (r < 0)
		return fail_io(c, r, "write");
	/* Where writes are aligned, that may have made a small file longer,
	 * which does no harm should it stay so. */
	r = set_length(c);
	if (r < 0)
		return r;
	if (!c->raw)
		r = file_sync(c->file);
	if (r == 0)
		r = loop_offload(c->loop, sync_dir, c);
	return r < 0 ? fail_io(c, r, "write") : 0;
}

static int Q2_CO
write_all(struct creation *c)
{
	int r = aio_lock(c->file, AIO_LOCK_WRITE, c->err);

	if (r == 0)
		r = set_length(c);
	if (r == 0)
		r = remove_old_header(c);
	if (r == 0)
		r = write_metadata(c);
	if (r == 0)
		r = preallocate(c);
	/* Where writes are aligned, the last may have made the file longer. */
	if (r == 0)
		r = set_length(c);
	if (r == 0)
		r = finish(c);
	return r;
}

/* Leave nothing that looks like an image: a file that we have made goes, one
 * that was there stays, empty. */
static void Q2_CO
undo(struct creation *c)
{
	if (c->is_host && !c->existed)
		(void)unlink(c->path);
	else if (!c->file->is_block)
		(void)file_truncate(c->file, 0);
}

static int Q2_CO
create(struct creation *c)
{
	int r = check_space(c);

	if (r == 0)
		r = aio_open(c->loop, c->path, file_flags(c->opts), &c->points,
			     &c->file, c->err);
	if (r < 0)
		return r;
	r = write_all(c);
	if (r < 0)
		undo(c);
	return r;
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
	c = calloc(1, sizeof(*c));
	if (!c)
		return q2_fail(err, -ENOMEM, "no memory to create an image");
	c->loop = loop;
	c->path = path;
	c->opts = opts;
	c->err = err;
	c->raw = raw;
	r = c->raw ? plan_raw(c) : plan_qcow2(c);
	if (r == 0)
		r = create(c);
	if (r == 0 && ret_result)
		*ret_result = (struct q2_create_result){
			.emulated_falloc = c->emulated_falloc,
			.file_bytes = (uint64_t)aio_size(c->file),
			.fdatasyncs = (unsigned)c->points.n.fdatasyncs,
		};
	aio_close(c->file);
	return r;
}
