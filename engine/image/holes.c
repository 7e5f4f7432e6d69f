/* SPDX-License-Identifier: MIT */
#include "engine/image/holes.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/refcount.h"
#include "engine/image/image.h"

/* Used clusters that a refcount block counts, up to a limit. */
static uint64_t
count_used(const struct image *img, const uint8_t *block, uint64_t limit)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < img->geom.refblock_entries && n < limit; i++)
		n += refcount_get(block, img->geom.refcount_order, i) != 0;
	return n;
}

/* Are at least so many clusters in use? */
static bool Q2_CO
has_used(struct image *img, uint64_t threshold)
{
	Q2_AUTO_FREE uint8_t *block = mem_aligned(img->geom.cluster_size);
	uint64_t n = 0;

	for (uint32_t i = 0; block && i < img->reftable.n && n < threshold;
	     i++) {
		uint64_t host = img->reftable.entries[i] & REFTABLE_OFFSET_MASK;

		/* As the file has them: what is newer makes no difference. */
		if (host && file_read(img->file, AIO_REFCOUNT, block,
				      img->geom.cluster_size, host) == 0)
			n += count_used(img, block, threshold - n);
	}
	return n >= threshold;
}

static bool Q2_CO
look(struct image *img)
{
	int64_t bytes = aio_size(img->file);
	int64_t allocated = aio_allocated(img->file);
	uint64_t clusters, there, threshold;

	/* Also where the clusters are in another file, QEMU counts in this. */
	if (bytes < 0 || allocated < 0 || img->file->fd < 0 ||
	    img->file->base || img->file->end)
		return false;
	clusters = div_up((uint64_t)bytes, img->geom.cluster_size);
	there = (uint64_t)allocated >> img->geom.cluster_bits;
	/* A file system may need some blocks more than it shows. */
	threshold = max_u64(there * 10 / 9, there + 2);
	return threshold <= clusters && has_used(img, threshold);
}

bool Q2_CO
holes_expected(struct image *img)
{
	if (img->holes == HOLES_UNKNOWN)
		img->holes = look(img) ? HOLES_YES : HOLES_NO;
	return img->holes == HOLES_YES;
}

bool
holes_at(const struct aio_file *file, uint64_t off, uint64_t len,
	 uint64_t *ret_len)
{
	/* The end of a part of a file is none of holes. */
	bool knows = file->fd >= 0 && !(file->base | file->end);
	int64_t data = knows ? lseek(file->fd, (off_t)off, SEEK_DATA)
			     : (int64_t)off;
	int64_t end = INT64_MAX;

	/* No data until the end of the file, or a file system that does not
	 * know. */
	if (data < 0)
		data = errno == ENXIO ? INT64_MAX : (int64_t)off;
	if (data != (int64_t)off) {
		*ret_len = min_u64(len, (uint64_t)data - off);
		return true;
	}
	if (knows)
		end = lseek(file->fd, (off_t)off, SEEK_HOLE);
	*ret_len = end > (int64_t)off ? min_u64(len, (uint64_t)end - off) : len;
	return false;
}
