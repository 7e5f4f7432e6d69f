/* SPDX-License-Identifier: MIT */
#include "engine/image/refblock.h"

#include <errno.h>
#include <inttypes.h>

#include "engine/base/num.h"
#include "engine/image/damage.h"
#include "engine/image/image.h"

/* A block behind the end of the file has no refcounts: all that is in use
 * there would look free. */
static int Q2_CO
beyond_end(struct image *img, uint64_t index, uint64_t host,
	   enum refblock_use use)
{
	static const char fmt[] = "Refblock offset %#" PRIx64
				  " beyond the end of the image file "
				  "(reftable index: %#" PRIx64 ")";

	/* No file has that offset: nothing could be read or written there. */
	if (use == REFBLOCK_ALLOC && host <= INT64_MAX)
		return damage_found(img, fmt, host, index);
	damage_note(img, fmt, host, index);
	return -EIO;
}

int Q2_CO
refblock_host(struct image *img, uint64_t index, enum refblock_use use,
	      uint64_t *ret_host)
{
	uint64_t size = img->geom.cluster_size;
	uint64_t host = img->reftable.entries[index] & REFTABLE_OFFSET_MASK;

	*ret_host = host;
	if (!is_aligned(host, size))
		return damage_found(img,
				    "Refblock offset %#" PRIx64
				    " unaligned (reftable index: %#" PRIx64 ")",
				    host, index);
	if (host >= img->alloc.file_bytes)
		return beyond_end(img, index, host, use);
	return use == REFBLOCK_READ ? 0
				    : meta_own(img, META_REFBLOCK, host, size);
}
