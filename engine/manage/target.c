/* SPDX-License-Identifier: MIT */
/*
 * target.c - a file that is being made
 */
#include "engine/manage/target.h"

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
#include "engine/manage/stream.h"

/* ---- bytes in large pieces --------------------------------------------- */

/* The metadata at off, without the magic. */
static void
encode(void *arg, uint64_t off, uint64_t len, uint8_t *buf)
{
	const struct plan *plan = arg;

	plan_encode(plan, off, align_up(len, plan->geom.cluster_size), buf);
	if (off == 0)
		store_be32(buf, 0);
}

static enum aio_class
class_at(void *arg, uint64_t off)
{
	const struct plan *plan = arg;

	if (plan->l2.clusters && off >= plan->l2.host)
		return AIO_L2;
	return off ? AIO_REFCOUNT : AIO_HEADER;
}

static int Q2_CO
write_zeros(struct aio_file *file, uint64_t off, uint64_t len)
{
	struct stream zeros = {.file = file, .off = off, .len = len};

	return stream_write(&zeros);
}

/* ---- the space around it ----------------------------------------------- */

/* Blocking. */
static int
look_at_path(void *arg)
{
	struct target *t = arg;
	const char *slash = strrchr(t->path, '/');
	Q2_AUTO_FREE char *dir = NULL;
	struct statvfs fs;
	struct stat st;

	/* A symbolic link that leads nowhere is not ours to remove either. */
	t->existed = lstat(t->path, &st) == 0;
	t->free_bytes = UINT64_MAX;
	if (t->existed && stat(t->path, &st) == 0 && !S_ISREG(st.st_mode))
		return 0;
	dir = slash ? strndup(t->path, (size_t)(slash - t->path) + 1)
		    : strdup(".");
	if (!dir)
		return -ENOMEM;
	/* A file system without a size, such as ramfs, says nothing. */
	if (statvfs(dir, &fs) < 0 || fs.f_blocks == 0)
		return 0;
	t->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (t->existed) /* they will be given back */
		t->given_back = (uint64_t)st.st_blocks * 512;
	if (stat(dir, &st) == 0)
		t->device = (uint64_t)st.st_dev;
	return 0;
}

int Q2_CO
target_look(struct target *t)
{
	const char *aio = loop_aio(t->loop);
	int r;

	/* Files of these exist only while the loop does. */
	t->is_host = strcmp(aio, "memory") != 0 && strcmp(aio, "sim") != 0;
	if (!t->is_host)
		return 0;
	r = loop_offload(t->loop, look_at_path, t);
	return r < 0 ? q2_fail(t->err, r, "no memory") : 0;
}

int
target_check_space(const struct target *t, const struct target *other)
{
	uint64_t needed = t->needed, back = t->given_back;

	if (!t->is_host || t->free_bytes == UINT64_MAX)
		return 0;
	if (other && other->free_bytes != UINT64_MAX &&
	    other->device == t->device) {
		needed += other->needed;
		back += other->given_back;
	}
	if (needed <= t->free_bytes + back)
		return 0;
	return q2_fail(t->err, -ENOSPC,
		       "Could not create '%s': it needs %" PRIu64
		       " bytes, and %" PRIu64 " are free",
		       t->path, needed, t->free_bytes + back);
}

/* ---- its length and its bytes ------------------------------------------ */

int
target_fail(const struct target *t, int r, const char *what)
{
	return q2_fail(t->err, r, "Could not %s '%s': %s", what, t->path,
		       strerror(-r));
}

int Q2_CO
target_set_length(struct target *t)
{
	int64_t now = aio_size(t->file);
	int r = now < 0 ? (int)now : 0;

	if (t->file->is_block && r == 0 && (uint64_t)now < t->file_bytes)
		return q2_fail(t->err, -ENOSPC,
			       "Could not create '%s': it needs %" PRIu64
			       " bytes, and the device has %" PRId64,
			       t->path, t->file_bytes, now);
	if (r == 0 && !t->file->is_block && (uint64_t)now != t->file_bytes)
		r = file_truncate(t->file, t->file_bytes);
	return r < 0 ? target_fail(t, r, "set the length of") : 0;
}

int Q2_CO
target_write_metadata(struct target *t)
{
	struct stream s = {.file = t->file,
			   .len = t->plan->metadata_bytes,
			   .fill = encode,
			   .grain = t->plan->geom.cluster_size,
			   .class_at = class_at,
			   .arg = (void *)(uintptr_t)t->plan};
	int r = stream_write(&s);

	return r < 0 ? target_fail(t, r, "write") : 0;
}

int Q2_CO
target_write_magic(struct target *t)
{
	size_t size = t->plan->geom.cluster_size;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(size);
	int r = -ENOMEM;

	if (buf) {
		plan_encode(t->plan, 0, size, buf);
		r = file_write(t->file, AIO_HEADER, buf, Q2_SECTOR, 0);
	}
	return r < 0 ? target_fail(t, r, "write") : 0;
}

/* A new file has zeros behind it; on a device the whole area is written, so
 * that nothing old looks like a key. */
int Q2_CO
target_write_crypto(struct target *t, const uint8_t *area, size_t bytes)
{
	const struct plan_area *a = &t->plan->crypto;
	uint64_t all = a->clusters << t->plan->geom.cluster_bits;
	int r;

	if (!bytes)
		return 0;
	r = file_write(t->file, AIO_HEADER, area, bytes, a->host);
	if (r == 0 && t->file->is_block)
		r = file_zero(t->file, all - bytes, a->host + bytes, false);
	return r < 0 ? target_fail(t, r, "write") : 0;
}

int Q2_CO
target_preallocate(struct target *t)
{
	int r = 0;

	if (!t->data_n)
		return 0;
	switch (t->mode) {
	case Q2_PREALLOC_OFF:
		break;
	case Q2_PREALLOC_METADATA:
		/* A device has something there, which would be read. */
		if (t->file->is_block)
			r = file_zero(t->file, t->data_n, t->data, false);
		break;
	case Q2_PREALLOC_FALLOC:
		r = t->file->is_block
			    ? -ENOTSUP
			    : file_allocate(t->file, t->data_n, t->data);
		if (r != -ENOTSUP)
			break;
		t->emulated_falloc = true;
		r = write_zeros(t->file, t->data, t->data_n);
		break;
	case Q2_PREALLOC_FULL:
		r = write_zeros(t->file, t->data, t->data_n);
		break;
	}
	return r < 0 ? target_fail(t, r, "preallocate") : 0;
}

/* ---- its end ----------------------------------------------------------- */

int Q2_CO
target_sync(struct target *t)
{
	int r = file_sync(t->file);

	return r < 0 ? target_fail(t, r, "write") : 0;
}

static int
sync_dir(void *arg)
{
	const struct target *t = arg;

	return aio_sync_dir(t->file);
}

int Q2_CO
target_sync_dir(struct target *t)
{
	int r = loop_offload(t->loop, sync_dir, t);

	return r < 0 ? target_fail(t, r, "write") : 0;
}

void Q2_CO
target_undo(struct target *t)
{
	if (t->is_host && !t->existed)
		(void)unlink(t->path);
	else if (!t->file->is_block)
		(void)file_truncate(t->file, 0);
}
