/* SPDX-License-Identifier: MIT */
/*
 * resize_raw.c - files that hold the guest's data alone: raw images, and the
 * data files of qcow2 images
 */
#include <errno.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/manage/area.h"
#include "engine/manage/manage.h"
#include "engine/manage/stream.h"

static int Q2_CO
grow(struct aio_file *file, uint64_t old, uint64_t size, enum q2_prealloc mode)
{
	struct stream zeros = {.file = file, .off = old, .len = size - old};
	int r = 0;

	if (mode == Q2_PREALLOC_FALLOC) {
		r = file_allocate(file, zeros.len, old);
		if (r == -ENOTSUP)
			mode = Q2_PREALLOC_FULL;
	}
	if (mode != Q2_PREALLOC_FALLOC)
		r = file_truncate(file, size);
	if (mode == Q2_PREALLOC_FULL && r == 0)
		r = stream_write(&zeros);
	/* Where writes are aligned they make a file longer. */
	if (mode == Q2_PREALLOC_FULL && r == 0)
		r = file_truncate(file, size);
	if (r < 0)
		(void)file_truncate(file, old);
	return r;
}

int Q2_CO
resize_file(struct aio_file *file, uint64_t size, enum q2_prealloc mode)
{
	int64_t old = aio_size(file);

	if (old < 0)
		return (int)old;
	/* A device has the length that it has; a smaller image fits. */
	if (file->is_block)
		return size <= (uint64_t)old ? 0 : -ENOSPC;
	if (size > (uint64_t)old)
		return grow(file, (uint64_t)old, size, mode);
	return size < (uint64_t)old ? file_truncate(file, size) : 0;
}

int Q2_CO
resize_zero_device(struct aio_file *file, uint64_t from, uint64_t to,
		   enum q2_prealloc mode)
{
	struct stream zeros = {.file = file, .off = from, .len = to - from};

	/* Who asks for it gets blocks that are there, also on thin devices. */
	return mode >= Q2_PREALLOC_FALLOC
		       ? stream_write(&zeros)
		       : file_zero(file, zeros.len, from, false);
}

int Q2_CO
resize_raw(struct image *img, uint64_t size, enum q2_prealloc mode,
	   struct q2_err *err)
{
	int64_t old = aio_size(img->file);
	int r = 0;

	if (old < 0)
		return q2_fail(err, (int)old, "Could not read its length");
	if (mode == Q2_PREALLOC_METADATA)
		return q2_fail(err, -ENOTSUP,
			       "Unsupported preallocation mode: metadata");
	if (img->file->is_block && (uint64_t)old != size)
		return q2_fail(err, -ENOTSUP,
			       !img->file->end
				       ? "Cannot resize device files"
				       : "Cannot resize fixed-size raw disks");
	if (mode && size > (uint64_t)old)
		r = area_check_space(img->file, size - (uint64_t)old, err);
	if (r < 0)
		return r;
	r = resize_file(img->file, size, mode);
	cache_data_written(img);
	if (r < 0)
		return q2_fail(err, r,
			       "Failed to resize the file: %s; it is unchanged",
			       strerror(-r));
	r = cache_sync(img);
	if (r < 0)
		return q2_fail(err, r,
			       "Failed to resize the file: %s; it has its old "
			       "or its new size",
			       strerror(-r));
	img->size = align_up(size, Q2_SECTOR);
	return 0;
}
