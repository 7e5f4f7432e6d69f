/* SPDX-License-Identifier: MIT */
#include "engine/image/mark.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
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

/* ---- a whole header ---------------------------------------------------- */

/* The first cluster of the file, or all of a shorter one. */
static int Q2_CO
read_header(struct image *img, struct header_bytes *ret, uint8_t **ret_memory,
	    struct q2_err *err)
{
	int64_t size = aio_size(img->file);
	size_t len;
	int r;

	if (size < 0)
		return q2_fail(err, (int)size, "Could not read its length");
	len = (size_t)min_u64((uint64_t)size, img->geom.cluster_size);
	*ret_memory = mem_aligned(len + 1);
	if (!*ret_memory)
		return q2_fail(err, -ENOMEM, "no memory for the header");
	r = file_read(img->file, AIO_HEADER, *ret_memory, len, 0);
	if (r < 0)
		return q2_fail(err, r, "Could not read the header: %s",
			       strerror(-r));
	*ret = (struct header_bytes){.p = *ret_memory, .len = len};
	return 0;
}

static int Q2_CO
plan(struct image *img, const struct header *h, struct header_switch *ret,
     struct q2_err *err)
{
	Q2_AUTO_FREE uint8_t *memory = NULL;
	struct header_bytes old;
	int r = read_header(img, &old, &memory, err);

	if (r < 0)
		return r;
	return header_plan_switch(h, &old, img->geom.cluster_size, ret, err);
}

int Q2_CO
mark_header_fits(struct image *img, const struct header *h, struct q2_err *err)
{
	struct header_switch s = {0};
	int r = plan(img, h, &s, err);

	free(s.memory);
	return r;
}

/* One of the writes, durably. */
static int Q2_CO
run_write(struct image *img, const struct header_write *w)
{
	int r = file_write(img->file, AIO_HEADER, w->bytes, w->len, w->off);

	cache_meta_written(img);
	return r < 0 ? r : cache_sync(img);
}

int Q2_CO
mark_header(struct image *img, const struct header *h, struct q2_err *err)
{
	struct header_switch s;
	int r = plan(img, h, &s, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < s.n && r == 0; i++) {
		r = run_write(img, &s.v[i]);
		if (r < 0 && i == s.decisive)
			img->failed = r;
		/* The header is the new one; what is left is its order. */
		if (r < 0 && i > s.decisive && !img->failed) {
			r = 0;
			break;
		}
	}
	free(s.memory);
	if (r < 0)
		return q2_fail(err, r, "Could not write the header: %s; %s",
			       strerror(-r),
			       img->failed ? "it is the old one or the new one"
					   : "it is the old one");
	img->header = *h;
	return 0;
}
