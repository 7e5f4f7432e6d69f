/* SPDX-License-Identifier: MIT */
/* plan.c - the layout of a new image, and its bytes */
#include "engine/format/plan.h"

#include <inttypes.h>
#include <string.h>

#include "engine/format/entry.h"
#include "engine/format/growth.h"
#include "engine/format/refcount.h"

/* ---- options ----------------------------------------------------------- */

static int
check_opts(const struct q2_create_opts *o, struct q2_err *err)
{
	if (o->cluster_size &&
	    (!is_pow2(o->cluster_size) || o->cluster_size < 512 ||
	     o->cluster_size > 2 * MiB))
		return q2_fail(err, -EINVAL,
			       "Cluster size must be a power of two between "
			       "512 and 2048k");
	if (o->compat && o->compat != 2 && o->compat != 3)
		return q2_fail(err, -EINVAL,
			       "the format has versions 2 and 3, not %u",
			       o->compat);
	if (o->compat == 2 && o->lazy_refcounts)
		return q2_fail(err, -EINVAL,
			       "Lazy refcounts only supported with "
			       "compatibility level 1.1 and above (use "
			       "version=v3 or greater)");
	if (o->refcount_bits &&
	    (!is_pow2(o->refcount_bits) || o->refcount_bits > 64))
		return q2_fail(err, -EINVAL,
			       "Refcount width must be a power of two and may "
			       "not exceed 64 bits");
	if (o->compat == 2 && o->refcount_bits && o->refcount_bits != 16)
		return q2_fail(err, -EINVAL,
			       "Different refcount widths than 16 bits require "
			       "compatibility level 1.1 or above (use "
			       "version=v3 or greater)");
	if (o->virtual_size > INT64_MAX - (Q2_SECTOR - 1))
		return q2_fail(err, -EINVAL,
			       "Invalid image size specified. Must be between "
			       "0 and %" PRId64 ".",
			       INT64_MAX);
	return 0;
}

static int
fail_size(struct q2_err *err)
{
	return q2_fail(err, -EFBIG,
		       "The image size is too large for file format 'qcow2' "
		       "(try using a larger cluster size)");
}

/* ---- layout ------------------------------------------------------------ */

/* The next area of the file. */
static struct plan_area
add_area(struct plan *p, uint64_t clusters)
{
	struct plan_area a = {
		.host = p->used_clusters << p->geom.cluster_bits,
		.clusters = clusters,
	};

	p->used_clusters += clusters;
	return a;
}

/* The smallest refcount structures that cover themselves and the rest. */
static void
size_refcounts(const struct geom *g, uint64_t rest, uint64_t *ret_table,
	       uint64_t *ret_blocks)
{
	uint64_t table = 0, blocks = 0, last;

	do {
		last = table + blocks;
		blocks = div_up(rest + last, g->refblock_entries);
		table = div_up(blocks * 8, g->cluster_size);
	} while (table + blocks != last);
	*ret_table = table;
	*ret_blocks = blocks;
}

static int
lay_out(struct plan *p, enum q2_prealloc preallocation, struct q2_err *err)
{
	const struct geom *g = &p->geom;
	uint64_t l1_bytes = geom_l1_entries(g, g->virtual_size) * 8;
	uint64_t l1 = div_up(l1_bytes, g->cluster_size);
	uint64_t data = 0, l2, table, blocks, l1_end;

	if (preallocation != Q2_PREALLOC_OFF)
		data = div_up(g->virtual_size, g->cluster_size);
	l2 = div_up(data, g->l2_entries);
	size_refcounts(g, 1 + l1 + l2 + data, &table, &blocks);
	if (l1_bytes > Q2_MAX_L1_BYTES ||
	    table << g->cluster_bits > Q2_MAX_REFTABLE_BYTES)
		return fail_size(err);
	(void)add_area(p, 1);
	p->reftable = add_area(p, table);
	p->refblocks = add_area(p, blocks);
	p->l1 = add_area(p, l1);
	l1_end = p->l1.host + l1_bytes;
	p->l2 = add_area(p, l2);
	p->data = add_area(p, data);
	p->metadata_bytes = l2 ? p->data.host : l1_end;
	if (p->used_clusters > Q2_MAX_HOST_OFFSET >> g->cluster_bits)
		return fail_size(err);
	if (growth_file_bytes(g, preallocation, &p->file_bytes) < 0)
		return q2_fail(err, -ENOMEM, "no memory to plan the image");
	p->file_bytes = max_u64(p->file_bytes,
				data ? p->used_clusters << g->cluster_bits
				     : l1_end);
	return 0;
}

int
plan_make(const struct q2_create_opts *opts, struct plan *ret_plan,
	  struct q2_err *err)
{
	struct plan p = {0};
	uint64_t size, cluster;
	unsigned order;
	int r;

	r = check_opts(opts, err);
	if (r < 0)
		return r;
	size = align_up(opts->virtual_size, Q2_SECTOR);
	cluster = opts->cluster_size ? opts->cluster_size
				     : Q2_DEFAULT_CLUSTER_SIZE;
	order = opts->refcount_bits ? log2_u64(opts->refcount_bits) : 4;
	p.geom = geom_init(log2_u64(cluster), order, false, size);
	r = lay_out(&p, opts->preallocation, err);
	if (r < 0)
		return r;
	p.header = (struct header){
		.version = opts->compat ? opts->compat : 3,
		.cluster_bits = p.geom.cluster_bits,
		.virtual_size = size,
		.l1_entries = (uint32_t)geom_l1_entries(&p.geom, size),
		.l1_offset = size ? p.l1.host : 0,
		.reftable_offset = p.reftable.host,
		.reftable_clusters = (uint32_t)p.reftable.clusters,
		.compatible = opts->lazy_refcounts ? COMPAT_LAZY_REFCOUNTS : 0,
		.refcount_order = order,
	};
	*ret_plan = p;
	return 0;
}

/* ---- bytes ------------------------------------------------------------- */

/* Cluster n of a table of `total` entries, which name adjacent clusters from
 * host on. */
static void
encode_table(const struct plan *p, uint64_t n, uint64_t total, uint64_t host,
	     uint8_t *buf)
{
	uint64_t per_cluster = p->geom.cluster_size / 8;
	uint64_t first = n * per_cluster;
	uint64_t count = first < total ? min_u64(per_cluster, total - first)
				       : 0;

	for (uint64_t i = 0; i < count; i++)
		store_be64(buf + 8 * i,
			   host + ((first + i) << p->geom.cluster_bits));
}

static void
encode_refblock(const struct plan *p, uint64_t n, uint8_t *buf)
{
	uint64_t first = n << p->geom.refblock_bits;
	uint64_t count = min_u64(p->geom.refblock_entries,
				 p->used_clusters - first);

	for (uint64_t i = 0; i < count; i++)
		refcount_set(buf, p->geom.refcount_order, i, 1);
}

static bool
area_has(const struct plan *p, const struct plan_area *a, uint64_t off,
	 uint64_t *ret_n)
{
	if (off < a->host || off - a->host >= a->clusters
						      << p->geom.cluster_bits)
		return false;
	*ret_n = (off - a->host) >> p->geom.cluster_bits;
	return true;
}

static void
encode_cluster(const struct plan *p, uint64_t off, uint8_t *buf)
{
	size_t size = p->geom.cluster_size;
	uint64_t n;

	if (off == 0) {
		int r = header_encode(&p->header, buf, size, NULL);

		/* It holds no names: 512 bytes are enough. */
		assert(r == 0);
		return;
	}
	memset(buf, 0, size);
	if (area_has(p, &p->reftable, off, &n))
		encode_table(p, n, p->refblocks.clusters, p->refblocks.host,
			     buf);
	else if (area_has(p, &p->refblocks, off, &n))
		encode_refblock(p, n, buf);
	else if (area_has(p, &p->l1, off, &n))
		encode_table(p, n, p->l2.clusters, p->l2.host | ENTRY_COPIED,
			     buf);
	else if (area_has(p, &p->l2, off, &n))
		encode_table(p, n, p->data.clusters,
			     p->data.host | ENTRY_COPIED, buf);
}

void
plan_encode(const struct plan *plan, uint64_t off, size_t len, void *buf)
{
	uint64_t size = plan->geom.cluster_size;

	assert(is_aligned(off | len, size));
	for (uint64_t at = 0; at < len; at += size)
		encode_cluster(plan, off + at, (uint8_t *)buf + at);
}
