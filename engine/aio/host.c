/* SPDX-License-Identifier: MIT */
/*
 * host.c - open, look at and do blocking I/O on files of the host
 *
 * Nothing is changed by an open that fails: a file is made without O_DIRECT,
 * which is switched on afterwards, and is removed again if that cannot be; an
 * existing file is emptied only when nobody else holds it.
 */
#include "engine/aio/host.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"

/* Extents asked for at once. */
#define FIEMAP_BATCH 512

/* ---- open and close ---------------------------------------------------- */

/* *ret_made: the file was not there before. */
static int
open_fd(const char *path, unsigned flags, bool *ret_made, struct q2_err *err)
{
	int how = O_CLOEXEC | (flags & AIO_RDONLY ? O_RDONLY : O_RDWR);
	int fd = -1;

	*ret_made = false;
	if (flags & AIO_CREATE) {
		fd = open(path, how | O_CREAT | O_EXCL, 0644);
		*ret_made = fd >= 0;
		if (fd < 0 && errno == EEXIST)
			fd = open(path, how | O_CREAT, 0644);
	} else {
		fd = open(path, how);
	}
	if (fd >= 0)
		return fd;
	return q2_fail(err, -errno, "Could not %s '%s': %s",
		       flags & AIO_CREATE ? "create" : "open", path,
		       strerror(errno));
}

static int
set_direct(int fd, const char *path, struct q2_err *err)
{
	int how = fcntl(fd, F_GETFL);

	if (how >= 0 && fcntl(fd, F_SETFL, how | O_DIRECT) == 0)
		return 0;
	return q2_fail(err, -EINVAL,
		       "'%s' is on %s, which does not support O_DIRECT; use "
		       "cache=writeback",
		       path, host_fs_name(fd));
}

/* Is fd something that can hold an image? */
static int
look_at(struct aio_file *file, const char *path, struct q2_err *err)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return q2_fail(err, -errno, "Could not stat '%s': %s", path,
			       strerror(errno));
	if (S_ISDIR(st.st_mode))
		return q2_fail(err, -EISDIR, "Could not open '%s': %s", path,
			       strerror(EISDIR));
	file->is_block = S_ISBLK(st.st_mode);
	file->is_device = file->is_block;
	if (!S_ISREG(st.st_mode) && !file->is_block)
		return q2_fail(err, -EINVAL,
			       "'%s' is neither a regular file nor a block "
			       "device",
			       path);
	return 0;
}

static int
make_empty(struct aio_file *file, const char *path, struct q2_err *err)
{
	int r = host_lock_for_create(file->fd, path, err);

	if (r < 0 || file->is_block)
		return r;
	if (ftruncate(file->fd, 0) < 0)
		return q2_fail(err, -errno, "Could not empty '%s': %s", path,
			       strerror(errno));
	return 0;
}

/*
 * What may be punched or zeroed as a range.  A block device takes its logical
 * blocks, also without O_DIRECT.  Of a file any bytes; but parts of a page are
 * zeroed in the page cache, which O_DIRECT writes to the same page collide
 * with: they can fail then (seen with ext4).
 */
static void
detect_range_align(struct aio_file *file)
{
	int bytes;

	file->range_align = 1;
	if (file->is_block && ioctl(file->fd, BLKSSZGET, &bytes) == 0 &&
	    bytes > 0 && is_pow2((uint64_t)bytes))
		file->range_align = (uint32_t)bytes;
	if (!file->is_block && (file->flags & AIO_DIRECT))
		file->range_align = (uint32_t)sysconf(_SC_PAGESIZE);
}

int
host_open(struct aio_backend *b, const char *path, struct aio_file *file,
	  struct q2_err *err)
{
	bool made;
	int r;

	(void)b;
	r = open_fd(path, file->flags, &made, err);
	if (r < 0)
		return r;
	file->fd = r;
	file->align = 1;
	file->mem_align = 1;
	r = look_at(file, path, err);
	if (r == 0 && (file->flags & AIO_DIRECT))
		r = set_direct(file->fd, path, err);
	if (r == 0 && (file->flags & AIO_CREATE) && !made)
		r = make_empty(file, path, err);
	if (r < 0) {
		if (made)
			(void)unlink(path);
		(void)close(file->fd);
		file->fd = -1;
		return r;
	}
	if (file->flags & AIO_DIRECT)
		host_detect_align(file);
	detect_range_align(file);
	return 0;
}

void
host_close(struct aio_backend *b, struct aio_file *file)
{
	(void)b;
	(void)close(file->fd);
	file->fd = -1;
}

/* ---- looking ----------------------------------------------------------- */

int64_t
host_size(struct aio_backend *b, struct aio_file *file)
{
	struct stat st;
	uint64_t bytes;

	(void)b;
	if (file->is_device) {
		if (ioctl(file->fd, BLKGETSIZE64, &bytes) < 0)
			return -errno;
		return (int64_t)bytes;
	}
	return fstat(file->fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

int64_t
host_allocated(struct aio_backend *b, struct aio_file *file)
{
	struct stat st;

	(void)b;
	if (fstat(file->fd, &st) < 0)
		return -errno;
	return (int64_t)st.st_blocks * 512;
}

int
host_sync_dir(struct aio_backend *b, struct aio_file *file)
{
	Q2_AUTO_FREE char *dir = NULL;
	const char *slash = strrchr(file->name, '/');
	int fd, r = 0;

	(void)b;
	if (!slash)
		dir = strdup(".");
	else if (slash == file->name)
		dir = strdup("/");
	else
		dir = strndup(file->name, (size_t)(slash - file->name));
	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Some file systems cannot sync a directory and need not. */
	if (fsync(fd) < 0 && errno != EINVAL)
		r = -errno;
	(void)close(fd);
	return r;
}

/* A growing array of extents without gaps. */
struct extents {
	struct aio_extent *v;
	size_t n, max;
	uint64_t end; /* of the last one */
};

static int
add_extent(struct extents *x, uint64_t end, enum aio_extent_state state)
{
	struct aio_extent *last = x->n ? &x->v[x->n - 1] : NULL;

	if (end <= x->end)
		return 0;
	if (last && last->state == state && state == AIO_EXT_HOLE) {
		last->len = end - last->off;
		x->end = end;
		return 0;
	}
	if (x->n == x->max) {
		size_t max = x->max ? 2 * x->max : 64;
		void *v = reallocarray(x->v, max, sizeof(x->v[0]));

		if (!v)
			return -ENOMEM;
		x->v = v;
		x->max = max;
	}
	x->v[x->n++] = (struct aio_extent){
		.off = x->end, .len = end - x->end, .state = state};
	x->end = end;
	return 0;
}

static int
add_fiemap(struct extents *x, const struct fiemap_extent *fe, uint64_t size)
{
	uint64_t start = min_u64(fe->fe_logical, size);
	uint64_t end = min_u64(fe->fe_logical + fe->fe_length, size);
	int r = add_extent(x, start, AIO_EXT_HOLE);

	if (r == 0)
		r = add_extent(x, end,
			       fe->fe_flags & FIEMAP_EXTENT_UNWRITTEN
				       ? AIO_EXT_UNWRITTEN
				       : AIO_EXT_WRITTEN);
	return r;
}

/* One call; *ret_more is false when the file system said that it was the
 * last. */
static int
fiemap_batch(int fd, struct fiemap *fm, struct extents *x, uint64_t size,
	     bool *ret_more)
{
	*ret_more = false;
	memset(fm, 0, sizeof(*fm));
	fm->fm_start = x->end;
	fm->fm_length = size - x->end;
	fm->fm_flags = FIEMAP_FLAG_SYNC;
	fm->fm_extent_count = FIEMAP_BATCH;
	if (ioctl(fd, FS_IOC_FIEMAP, fm) < 0)
		return errno == ENOTTY ? -ENOTSUP : -errno;
	for (unsigned i = 0; i < fm->fm_mapped_extents; i++) {
		const struct fiemap_extent *fe = &fm->fm_extents[i];
		int r = add_fiemap(x, fe, size);

		if (r < 0)
			return r;
		*ret_more = !(fe->fe_flags & FIEMAP_EXTENT_LAST);
	}
	return 0;
}

int
host_extents(struct aio_backend *b, struct aio_file *file,
	     struct aio_extent **ret_ext, size_t *ret_n)
{
	Q2_AUTO_FREE struct fiemap *fm = NULL;
	struct extents x = {0};
	int64_t size = host_size(b, file);
	bool more = size > 0;
	int r = 0;

	if (size < 0)
		return (int)size;
	fm = malloc(sizeof(*fm) + FIEMAP_BATCH * sizeof(struct fiemap_extent));
	if (!fm)
		return -ENOMEM;
	while (r == 0 && more && x.end < (uint64_t)size)
		r = fiemap_batch(file->fd, fm, &x, (uint64_t)size, &more);
	if (r == 0)
		r = add_extent(&x, (uint64_t)size, AIO_EXT_HOLE);
	if (r < 0) {
		free(x.v);
		return r;
	}
	*ret_ext = x.v;
	*ret_n = x.n;
	return 0;
}

/* ---- blocking I/O ------------------------------------------------------ */

int64_t
host_attempt(const struct aio_op *op)
{
	const struct iovec *iov;
	int cnt, fd = op->file->fd;
	uint64_t off, len;
	int64_t r = -1;

	aio_attempt(op, &iov, &cnt, &off, &len);
	switch (op->kind) {
	case AIO_READ:
		r = preadv(fd, iov, cnt, (off_t)off);
		break;
	case AIO_WRITE:
		r = pwritev(fd, iov, cnt, (off_t)off);
		break;
	case AIO_SYNC:
		r = fdatasync(fd);
		break;
	case AIO_DISCARD:
		r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)off, (off_t)len);
		break;
	case AIO_ZERO:
		r = fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)off, (off_t)len);
		break;
	case AIO_TRUNCATE:
		r = ftruncate(fd, (off_t)off);
		break;
	case AIO_ALLOCATE:
		r = fallocate(fd, 0, (off_t)off, (off_t)len);
		break;
	}
	return r < 0 ? -errno : r;
}

/* In op->priv. */
struct host_op {
	struct work work;
	struct aio_op *op;
};
static_assert(sizeof(struct host_op) <= sizeof(((struct aio_op *)0)->priv),
	      "fits");

static void
host_op_run(struct work *work)
{
	struct aio_op *op = container_of(work, struct host_op, work)->op;

	op->raw = host_attempt(op);
}

static void
host_op_done(struct work *work)
{
	struct aio_op *op = container_of(work, struct host_op, work)->op;

	op->file->loop->syscalls++;
	aio_complete(op, op->raw);
}

void
host_submit(struct workers *pool, struct aio_op *op)
{
	struct host_op *hop = (struct host_op *)(void *)op->priv;

	hop->op = op;
	hop->work.run = host_op_run;
	hop->work.done = host_op_done;
	workers_submit(pool, &hop->work);
}

/* Copying this much takes longer than handing it to a thread, and threads copy
 * at the same time.  So it does from SHARE_BYTES on if there is something else
 * to do here; but those who write to one file wait for each other. */
#define POOL_BYTES  (256 * KiB)
#define SHARE_BYTES (32 * KiB)

/* Reads and writes are mixed while there are at most this many of the one kind
 * between two of the other: a queue of requests, each of which does both, comes
 * as so many reads and then as many writes. */
#define MIX_OPS 64

/* Has the loop's thread anything else to do? */
static bool
has_work(const struct loop *loop)
{
	return !list_empty(&loop->completed) ||
	       !list_empty(&loop->sched.ready) || !list_empty(&loop->tasks);
}

/* Counts op, which is large. */
static bool
is_mixed(const struct aio_op *op)
{
	struct aio_mix *mix = &op->file->loop->mix;
	bool read = op->kind == AIO_READ;
	unsigned *mine = read ? &mix->reads : &mix->writes;
	unsigned *other = read ? &mix->writes : &mix->reads;

	*mine = MIX_OPS;
	if (*other)
		--*other;
	return *other > 0;
}

/*
 * Where both are going on, as in a copy-on-write, the reads are done here and
 * the writes by one thread of the kernel's, which makes the pages meanwhile: a
 * quarter faster than any other share of the two.  Where there are only writes,
 * there is nothing to do meanwhile.
 */
enum host_place
host_place(const struct aio_op *op, const struct workers *pool)
{
	bool read = op->kind == AIO_READ;

	if (op->len < SHARE_BYTES)
		return HOST_HERE;
	if (op->len >= POOL_BYTES)
		return HOST_POOL;
	if ((!read && op->kind != AIO_WRITE) || !workers_are_parallel(pool))
		return HOST_HERE;
	if (is_mixed(op))
		return read ? HOST_HERE : HOST_KERNEL;
	return read && has_work(op->file->loop) ? HOST_POOL : HOST_HERE;
}

bool
host_never_waits(const struct aio_file *file)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct statfs st;

	if (fstatfs(file->fd, &st) < 0 ||
	    (st.f_type != TMPFS_MAGIC && st.f_type != RAMFS_MAGIC))
		return false;
	return preadv2(file->fd, &iov, 1, 0, RWF_NOWAIT) < 0 &&
	       errno == EOPNOTSUPP;
}
