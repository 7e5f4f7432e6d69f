/* SPDX-License-Identifier: MIT */
#include "engine/manage/shape.h"

#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/mark.h"

struct shape
shape_of(const struct header *h)
{
	return (struct shape){
		.size = h->virtual_size,
		.l1_offset = h->l1_offset,
		.l1_entries = h->l1_entries,
	};
}

/* Where the header's byte off is, in a buffer that begins with its size. */
static uint8_t *
at(uint8_t *field, unsigned off)
{
	return field + (off - HEADER_OFF_SIZE);
}

int Q2_CO
shape_write(struct image *img, const struct shape *s)
{
	uint8_t field[HEADER_OFF_L1_SIZE + 12 - HEADER_OFF_SIZE];

	store_be64(at(field, HEADER_OFF_SIZE), s->size);
	store_be32(at(field, HEADER_OFF_SIZE + 8), img->header.crypt_method);
	store_be32(at(field, HEADER_OFF_L1_SIZE), s->l1_entries);
	store_be64(at(field, HEADER_OFF_L1_SIZE + 4), s->l1_offset);
	return mark_tables(img, field, sizeof(field), HEADER_OFF_SIZE);
}

void
shape_take(struct image *img, const struct shape *s)
{
	struct header *h = &img->header;

	h->virtual_size = s->size;
	h->l1_offset = s->l1_offset;
	h->l1_entries = s->l1_entries;
	img->geom.virtual_size = s->size;
	img->size = align_down(s->size, Q2_SECTOR);
}
