/* SPDX-License-Identifier: MIT */
/*
 * layout.c - which preallocation does an image really have?
 *
 * Two things are measured: how much of the disk has host clusters, from the L2
 * tables, and what the file system has for these clusters, from FIEMAP.  The
 * name is what holds for 99 % of the disk: a preallocated image whose clusters
 * the guest has written in part is what it was; where falloc has been extended
 * with holes, only metadata holds for all.  What a snapshot has too is not
 * preallocated at all: the next write goes elsewhere.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/image/image.h"
#include "engine/manage/manage.h"

/* L2 tables that are adjacent in the file are read together. */
#define BATCH_BYTES (2 * MiB)

struct looking {
	struct image *img;
	struct q2_layout *ret;
	struct aio_extent *ext; /* all of the file, in order */
	size_t n_ext;
	uint8_t *batch;
	uint64_t run, run_len; /* host bytes not yet counted */
};

/* ---- the host's view --------------------------------------------------- */

static int
get_extents(void *arg)
{
	struct looking *l = arg;

	return aio_extents(l->img->file, &l->ext, &l->n_ext);
}

/* The first extent that ends behind off. */
static size_t
find_extent(const struct looking *l, uint64_t off)
{
	size_t low = 0, high = l->n_ext;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->ext[mid].off + l->ext[mid].len <= off)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void
count_state(struct q2_layout *ret, enum aio_extent_state state, uint64_t bytes)
{
	switch (state) {
	case AIO_EXT_HOLE:
		ret->hole_bytes += bytes;
		break;
	case AIO_EXT_UNWRITTEN:
		ret->unwritten_bytes += bytes;
		break;
	case AIO_EXT_WRITTEN:
		ret->written_bytes += bytes;
		break;
	}
}

/* Data at [off, off + len) of the file; what is behind its end is a hole. */
static void
count_host(struct looking *l, uint64_t off, uint64_t len)
{
	uint64_t at = off, end = off + len;

	if (!l->ret->has_fiemap)
		return;
	for (size_t i = find_extent(l, off); i < l->n_ext && at < end; i++) {
		uint64_t to = min_u64(end, l->ext[i].off + l->ext[i].len);

		count_state(l->ret, l->ext[i].state, to - at);
		at = to;
	}
	l->ret->hole_bytes += end - at;
}

/* Runs of clusters are counted at once. */
static void
add_host(struct looking *l, uint64_t off, uint64_t len)
{
	if (l->run_len && off == l->run + l->run_len) {
		l->run_len += len;
		return;
	}
	if (l->run_len)
		count_host(l, l->run, l->run_len);
	l->run = off;
	l->run_len = len;
}

/* ---- the tables -------------------------------------------------------- */

static void
look_at_l2(struct looking *l, const uint8_t *table, uint64_t guest)
{
	const struct geom *g = &l->img->geom;

	for (uint64_t i = 0; i < g->l2_entries && guest < l->img->size;
	     i++, guest += g->cluster_size) {
		struct l2_entry e = l2_decode(
			g, load_be64(table + i * g->l2_entry_size));
		uint64_t len = min_u64(g->cluster_size, l->img->size - guest);

		switch (e.kind) {
		case CLUSTER_NORMAL:
		case CLUSTER_ZERO_ALLOC:
			l->ret->mapped_bytes += len;
			/* Without snapshots it is a crash that has cleared
			 * it. */
			if (!e.copied && l->img->snapshots.n)
				l->ret->shared_bytes += len;
			add_host(l, e.host, len);
			break;
		case CLUSTER_COMPRESSED:
			l->ret->mapped_bytes += len;
			l->ret->written_bytes += len;
			break;
		case CLUSTER_ZERO_PLAIN:
		case CLUSTER_UNALLOCATED_AT: /* of subclusters only */
		case CLUSTER_UNALLOCATED:
			break;
		}
	}
}

static int Q2_CO
look_at_l1(struct looking *l)
{
	const struct geom *g = &l->img->geom;
	const struct table *l1 = &l->img->l1;
	uint64_t per_entry = g->l2_entries << g->cluster_bits;
	uint64_t max = BATCH_BYTES >> g->cluster_bits;

	for (uint32_t i = 0; i < l1->n;) {
		uint64_t host = l1->entries[i] & ENTRY_OFFSET_MASK;
		uint32_t n;
		int r;

		if (!host) {
			i++;
			continue;
		}
		n = entry_run(g, &l1->entries[i],
			      (uint32_t)min_u64(max, l1->n - i),
			      ENTRY_OFFSET_MASK);
		r = file_read(l->img->file, AIO_L2, l->batch,
			      (uint64_t)n << g->cluster_bits, host);
		if (r < 0)
			return r;
		for (uint32_t j = 0; j < n; j++)
			look_at_l2(l, l->batch + ((size_t)j << g->cluster_bits),
				   (i + j) * per_entry);
		l->ret->metadata_bytes += (uint64_t)n << g->cluster_bits;
		i += n;
	}
	return 0;
}

static void
count_tables(struct looking *l)
{
	const struct geom *g = &l->img->geom;
	const struct table *t = &l->img->reftable;
	uint64_t bytes = g->cluster_size; /* the header */

	bytes += t->bytes;
	bytes += align_up(l->img->l1.bytes, g->cluster_size);
	for (uint32_t i = 0; i < t->n; i++)
		if (t->entries[i] & REFTABLE_OFFSET_MASK)
			bytes += g->cluster_size;
	l->ret->metadata_bytes += bytes;
}

static int Q2_CO
look_at_qcow2(struct looking *l)
{
	int r;

	l->batch = mem_aligned(BATCH_BYTES);
	if (!l->batch)
		return -ENOMEM;
	count_tables(l);
	r = look_at_l1(l);
	add_host(l, 0, 0); /* the last run */
	return r;
}

/* ---- the verdict ------------------------------------------------------- */

static bool
is_most(uint64_t part, uint64_t whole)
{
	return part >= whole - whole / 100;
}

static bool
is_little(uint64_t part, uint64_t whole)
{
	return part <= whole / 100;
}

/* host: bytes of the file that belong to the disk. */
static enum q2_layout_kind
judge(const struct q2_layout *l)
{
	uint64_t host = l->written_bytes + l->unwritten_bytes + l->hole_bytes;

	if (is_little(l->mapped_bytes, l->virtual_bytes))
		return Q2_LAYOUT_OFF;
	if (!is_little(l->shared_bytes, l->virtual_bytes))
		return Q2_LAYOUT_SHARED;
	if (!is_most(l->mapped_bytes, l->virtual_bytes))
		return Q2_LAYOUT_PARTLY;
	if (!l->has_fiemap)
		return Q2_LAYOUT_METADATA_OR_BETTER;
	if (!is_little(l->hole_bytes, host))
		return Q2_LAYOUT_METADATA;
	return is_little(l->unwritten_bytes, host) ? Q2_LAYOUT_FULL
						   : Q2_LAYOUT_FALLOC;
}

/* A raw file has no clusters: what is allocated counts as mapped. */
static void
look_at_raw(struct looking *l)
{
	struct q2_layout *ret = l->ret;

	if (!ret->has_fiemap) {
		ret->mapped_bytes = min_u64(ret->alloc_bytes,
					    ret->virtual_bytes);
		return;
	}
	count_host(l, 0, ret->virtual_bytes);
	ret->mapped_bytes = ret->written_bytes + ret->unwritten_bytes;
}

static int Q2_CO
look(struct looking *l)
{
	bool is_qcow2 = strcmp(l->img->driver, "qcow2") == 0;
	struct q2_layout *ret = l->ret;
	int r = 0;

	if (!l->img->read_only && is_qcow2)
		r = cache_commit(l->img);
	if (r < 0)
		return r;
	ret->virtual_bytes = l->img->size;
	ret->file_bytes = (uint64_t)aio_size(l->img->file);
	ret->alloc_bytes = (uint64_t)aio_allocated(l->img->file);
	r = loop_offload(l->img->loop, get_extents, l);
	if (r < 0 && r != -ENOTSUP)
		return r;
	/* With a data file the clusters are not in this file. */
	ret->has_fiemap = r == 0 &&
			  !(l->img->header.incompatible & INCOMPAT_DATA_FILE);
	for (size_t i = 0; i < l->n_ext; i++)
		ret->extents += l->ext[i].state != AIO_EXT_HOLE;
	r = 0;
	if (is_qcow2)
		r = look_at_qcow2(l);
	else
		look_at_raw(l);
	ret->kind = judge(ret);
	return r;
}

int Q2_CO
layout_image(struct image *img, struct q2_layout *ret_layout,
	     struct q2_err *err)
{
	struct q2_layout layout = {0};
	struct looking l = {.img = img, .ret = &layout};
	int r;

	if (!img->file)
		return q2_fail(err, -ENOTSUP, "driver %s has no layout",
			       img->driver);
	r = look(&l);
	free(l.ext);
	free(l.batch);
	if (r < 0)
		return q2_fail(err, r, "could not read the layout: %s",
			       strerror(-r));
	*ret_layout = layout;
	return 0;
}
