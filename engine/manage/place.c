/* SPDX-License-Identifier: MIT */
#include "engine/manage/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/manage/area.h"
#include "engine/manage/crop.h"

/* Gaps of the file that are tried before room is made at its end. */
#define TRIES 8

/* Among the free clusters.  -EAGAIN: not in the gaps that were tried. */
static int Q2_CO
take_gap(struct image *img, uint64_t n, uint64_t *ret_host)
{
	struct host_run runs[TRIES];
	unsigned tried = 0;
	bool found = false;
	int r = 0;

	while (tried < TRIES && !found) {
		r = alloc_run(img, n, &runs[tried]);
		if (r < 0)
			break;
		found = runs[tried++].clusters == n;
	}
	if (found)
		*ret_host = runs[--tried].host;
	/* Not before all were tried: the same would be found again. */
	while (tried-- > 0)
		(void)alloc_undo(img, runs[tried].host, runs[tried].clusters);
	return r < 0 || found ? r : -EAGAIN;
}

/* Behind all that is in use, with new refcount blocks before it. */
static int Q2_CO
take_end(struct image *img, uint64_t n, uint64_t *ret_host)
{
	const struct geom *g = &img->geom;
	struct area a = {.img = img,
			 .l1_entries = (uint32_t)(n * g->cluster_size / 8)};
	uint64_t used = 0;
	/* The area changes refcount blocks in the file. */
	int r = limbo_drain(img);

	if (r == 0)
		r = crop_used_end(img, &used);
	if (r < 0)
		return r;
	a.first = max_u64(used, alloc_virgin_end(img) >> g->cluster_bits);
	r = area_plan(&a, NULL);
	if (r == 0)
		r = area_write(&a, NULL);
	if (r == 0)
		r = area_name(&a);
	free(a.regions);
	*ret_host = a.l1 << g->cluster_bits;
	if (r < 0 && a.named)
		place_free(img, *ret_host, n);
	if (r < 0)
		*ret_host = 0;
	return r;
}

int Q2_CO
place_take(struct image *img, uint64_t n, uint64_t *ret_host)
{
	int r;

	*ret_host = 0;
	if (!n)
		return 0;
	r = take_gap(img, n, ret_host);
	if (r == -EAGAIN)
		return take_end(img, n, ret_host);
	if (r == 0)
		r = meta_add(img, *ret_host, n);
	if (r < 0 && *ret_host)
		(void)alloc_undo(img, *ret_host, n);
	if (r < 0)
		*ret_host = 0;
	return r;
}

void
place_free(struct image *img, uint64_t host, uint64_t n)
{
	if (!n)
		return;
	meta_remove(img, host, n);
	limbo_add(img, host, n, false);
}

int Q2_CO
place_write(struct image *img, enum aio_class cls, const void *bytes,
	    uint64_t len, uint64_t *ret_host)
{
	uint64_t size = img->geom.cluster_size, n = div_up(len, size);
	Q2_AUTO_FREE uint8_t *buf = mem_aligned_zero(n * size + 1);
	int r = buf ? place_take(img, n, ret_host) : -ENOMEM;

	if (r < 0 || !n)
		return r;
	/* Whole clusters: nothing of others stays behind a table's end. */
	memcpy(buf, bytes, len);
	r = file_write(img->file, cls, buf, n * size, *ret_host);
	cache_meta_written(img);
	/* A larger refcount table may have left the old one in limbo. */
	if (r == 0)
		r = limbo_drain(img);
	if (r < 0) {
		place_free(img, *ret_host, n);
		(void)limbo_drain(img);
		*ret_host = 0;
	}
	return r;
}

int Q2_CO
place_table(struct image *img, struct table *t)
{
	Q2_AUTO_FREE uint8_t *bytes = mem_aligned_zero(t->bytes + 1);

	if (!bytes)
		return -ENOMEM;
	table_encode(t, 0, t->n, bytes);
	return place_write(img, AIO_L1, bytes, t->bytes, &t->host);
}
