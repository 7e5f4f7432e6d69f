/* SPDX-License-Identifier: MIT */
/*
 * file.c - opening and closing files; what is asked of them outside of the
 * stream of operations
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/backend.h"
#include "engine/aio/loop_priv.h"
#include "engine/base/err.h"

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

	return b->ops->size(b, file);
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

	return b->ops->extents(b, file, ret_ext, ret_n);
}

int
aio_lock(struct aio_file *file, enum aio_lock_mode mode, struct q2_err *err)
{
	struct aio_backend *b = file->loop->backend;

	return b->ops->lock(b, file, mode, err);
}
