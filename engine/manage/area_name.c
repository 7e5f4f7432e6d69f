/* SPDX-License-Identifier: MIT */
/* area_name.c - an area that is written gets into the refcount table */
#include <errno.h>

#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/reftable.h"
#include "engine/manage/area.h"

/* The new refcount table, which the area holds.  Before it is named nothing
 * needs to stay. */
static int Q2_CO
switch_reftable(struct area *a)
{
	struct image *img = a->img;
	const struct geom *g = &img->geom;
	struct table t;
	int r = POINT_HIT(&img->points, reftable_grow);

	if (r == 0)
		r = table_init_longer(
			&t, &img->reftable,
			(uint32_t)((a->l1 - a->table) << g->cluster_bits >> 3),
			a->table << g->cluster_bits, g->cluster_size);
	for (uint32_t i = 0; r == 0 && i < a->n_regions; i++)
		t.entries[a->regions[i]] = (a->first + i) << g->cluster_bits;
	if (r == 0)
		r = reftable_switch(img, &t);
	if (r < 0 && !img->failed)
		area_undo(a);
	return r;
}

int Q2_CO
area_name(struct area *a)
{
	struct image *img = a->img;

	if (a->l1 > a->table)
		return switch_reftable(a);
	for (uint32_t i = 0; i < a->n_regions; i++)
		table_set(&img->reftable, a->regions[i],
			  (a->first + i) << img->geom.cluster_bits);
	/* Before anything that may start a commit with links in it. */
	a->named = true;
	return cache_commit(img);
}
