/* SPDX-License-Identifier: MIT */
#include "engine/image/mark.h"

#include "engine/base/num.h"
#include "engine/image/image.h"

/* The three feature fields are adjacent and in the first sector: one write of
 * them is atomic (A2). */
static int Q2_CO
write_features(struct image *img, uint64_t incompatible, uint64_t autoclear)
{
	struct header *h = &img->header;
	uint8_t field[24];
	int r;

	if (h->version < 3 ||
	    (h->incompatible == incompatible && h->autoclear == autoclear))
		return 0;
	store_be64(field, incompatible);
	store_be64(field + 8, h->compatible);
	store_be64(field + 16, autoclear);
	r = file_write(img->file, AIO_HEADER, field, sizeof(field),
		       HEADER_OFF_INCOMPAT);
	/* At once, also for an image that takes no more writes. */
	if (r == 0)
		r = file_sync(img->file);
	if (r < 0)
		return r;
	h->incompatible = incompatible;
	h->autoclear = autoclear;
	return 0;
}

int Q2_CO
mark_set(struct image *img, uint64_t bits)
{
	return write_features(img, img->header.incompatible | bits,
			      img->header.autoclear);
}

int Q2_CO
mark_clear(struct image *img, uint64_t bits)
{
	return write_features(img, img->header.incompatible & ~bits,
			      img->header.autoclear);
}

int Q2_CO
mark_clear_unknown(struct image *img)
{
	return write_features(img, img->header.incompatible,
			      img->header.autoclear & AUTOCLEAR_KNOWN);
}

int Q2_CO
mark_tables(struct image *img, const void *field, size_t bytes, uint64_t off)
{
	int r = file_write(img->file, AIO_HEADER, field, bytes, off);

	cache_meta_written(img);
	if (r == 0)
		r = cache_sync(img);
	if (r < 0)
		img->failed = r;
	return r;
}
