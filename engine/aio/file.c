/* SPDX-License-Identifier: MIT */
/*
 * file.c - opening and closing files; what is asked of them outside of the
 * stream of operations
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/backend.h"
#include "engine/aio/loop_priv.h"
#include "engine/base/err.h"
#include "engine/base/num.h"

/* What the size of a part of a file is a multiple of: a guest's sectors. */
#define PART_UNIT 512

static void
file_free(struct aio_file *file)
{
	if (!file)
		return;
	free(file->name);
	free(file);
}

int
aio_open(struct loop *loop, const char *path, unsigned flags,
	 struct points *points, struct aio_file **ret_file, struct q2_err *err)
{
	struct loop_priv *priv = loop->priv;
	struct aio_file *file = calloc(1, sizeof(*file));
	int r = -ENOMEM;

	if (file)
		file->name = strdup(path);
	if (!file || !file->name) {
		file_free(file);
		return q2_fail(err, r, "no memory for a file");
	}
	file->loop = loop;
	file->fd = -1;
	file->flags = flags;
	file->points = points;
	list_init(&file->writing);
	list_init(&file->locked);
	co_queue_init(&file->lock_wait);
	r = loop->backend->ops->open(loop->backend, path, file, err);
	if (r < 0) {
		file_free(file);
		return r;
	}
	if (file->inline_io)
		priv->any_inline = true;
	*ret_file = file;
	return 0;
}

int
aio_check_part(const struct q2_part *part, uint64_t size, struct q2_err *err)
{
	if (part->offset > size)
		return q2_fail(err, -EINVAL,
			       "Offset (%" PRIu64 ") cannot be greater than "
			       "size of the containing file (%" PRIu64 ")",
			       part->offset, size);
	if (!part->has_size)
		return 0;
	if (part->size > size - part->offset)
		return q2_fail(err, -EINVAL,
			       "The sum of offset (%" PRIu64 ") and size "
			       "(%" PRIu64 ") has to be smaller or equal to "
			       "the  actual size of the containing file "
			       "(%" PRIu64 ")",
			       part->offset, part->size, size);
	if (!is_aligned(part->size, PART_UNIT))
		return q2_fail(err, -EINVAL,
			       "Specified size is not multiple of %u",
			       PART_UNIT);
	return 0;
}

int
aio_set_part(struct aio_file *file, const struct q2_part *part,
	     struct q2_err *err)
{
	int64_t size = aio_size(file);
	int r;

	assert(!file->base && !file->end);
	if (!part->offset && !part->has_size)
		return 0;
	if (size < 0)
		return q2_fail(err, (int)size, "Could not read its length");
	/* As QEMU counts; what the last sector lacks reads as zeros. */
	r = aio_check_part(part, align_up((uint64_t)size, PART_UNIT), err);
	if (r < 0)
		return r;
	if (!is_aligned(part->offset | part->size, file->align))
		return q2_fail(err, -EINVAL,
			       "offset %" PRIu64 " or size %" PRIu64
			       " is not a multiple of %u, which O_DIRECT needs "
			       "on '%s'; use another cache mode",
			       part->offset, part->size, file->align,
			       file->name);
	/* A device of no bytes is not told from one without an end. */
	if (part->has_size && !part->size)
		return q2_fail(err, -EINVAL,
			       "a part of 0 bytes of '%s' cannot be opened; "
			       "use a larger size",
			       file->name);
	file->base = part->offset;
	file->end = part->size;
	file->is_block |= part->has_size;
	/* Ranges are whole blocks of the file, not of the part. */
	if (!is_aligned(file->base, file->range_align))
		file->no_zero_range = file->no_discard = true;
	return 0;
}

void
aio_close(struct aio_file *file)
{
	struct aio_backend *b;

	if (!file)
		return;
	assert(list_empty(&file->writing) && list_empty(&file->locked));
	assert(co_queue_empty(&file->lock_wait));
	b = file->loop->backend;
	b->ops->close(b, file);
	file_free(file);
}

int64_t
aio_size(struct aio_file *file)
{
	struct aio_backend *b = file->loop->backend;
	int64_t size = b->ops->size(b, file);

	if (size < 0 || !(file->base | file->end))
		return size;
	if (file->end)
		return (int64_t)file->end;
	return size > (int64_t)file->base ? size - (int64_t)file->base : 0;
}

int64_t
aio_allocated(struct aio_file *file)
{
	struct aio_backend *b = file->loop->backend;

	return b->ops->allocated(b, file);
}

int
aio_sync_dir(struct aio_file *file)
{
	struct aio_backend *b = file->loop->backend;

	if (file->flags & AIO_NOSYNC)
		return 0;
	return b->ops->sync_dir(b, file);
}

int
aio_extents(struct aio_file *file, struct aio_extent **ret_ext, size_t *ret_n)
{
	struct aio_backend *b = file->loop->backend;

	/* Those of the rest are nobody's business. */
	if (file->base | file->end)
		return -ENOTSUP;
	return b->ops->extents(b, file, ret_ext, ret_n);
}

int
aio_lock(struct aio_file *file, enum aio_lock_mode mode, struct q2_err *err)
{
	struct aio_backend *b = file->loop->backend;

	return b->ops->lock(b, file, mode, err);
}
