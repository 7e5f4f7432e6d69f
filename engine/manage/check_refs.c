/* SPDX-License-Identifier: MIT */
/*
 * check_refs.c - counted references, refcounts in the file, and where they
 * differ
 *
 * References are counted in an array that is laid out as the image's refcount
 * blocks are: a block that is written new is a part of it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/format/refcount.h"
#include "engine/format/snapshot.h"
#include "engine/manage/check_priv.h"

/* A refcount block behind the end of the file makes QEMU's check grow the
 * file.  Farther than this it is not followed: memory is for each cluster. */
#define GROW_CLUSTERS_MAX (UINT64_C(1) << 22)

/* ---- the array --------------------------------------------------------- */

static void *
grow_zeroed(void *old, size_t old_bytes, size_t bytes)
{
	uint8_t *p;

	/* Pages of a large array that is never counted in cost nothing. */
	if (!old)
		return calloc(bytes, 1);
	p = realloc(old, bytes);
	if (p)
		memset(p + old_bytes, 0, bytes - old_bytes);
	return p;
}

int
check_refs_grow(struct check *c, uint64_t clusters)
{
	uint64_t blocks = div_up(clusters, c->g->refblock_entries);
	uint64_t old_blocks = c->room / c->g->refblock_entries;
	uint64_t room = blocks << c->g->refblock_bits;
	void *p;

	if (clusters > Q2_MAX_CHECK_CLUSTERS)
		return -EFBIG;
	if (room > c->room) {
		p = grow_zeroed(c->refs, old_blocks << c->g->cluster_bits,
				blocks << c->g->cluster_bits);
		if (!p)
			return -ENOMEM;
		c->refs = p;
		p = grow_zeroed(c->state, c->room, room);
		if (!p)
			return -ENOMEM;
		c->state = p;
		c->room = room;
	}
	c->clusters = max_u64(c->clusters, clusters);
	return 0;
}

/* Never more than there is to read, but a cluster and a snapshot's entry. */
static uint64_t
batch_for(const struct check *c)
{
	uint64_t bytes = max_u64(c->file_bytes, c->g->cluster_size);

	if (c->img->header.snapshots)
		bytes = max_u64(bytes, SNAPSHOT_MAX_BYTES + 8);
	return min_u64(align_up(bytes, c->g->cluster_size), CHECK_BATCH);
}

int
check_refs_init(struct check *c)
{
	uint64_t clusters = div_up(c->file_bytes, c->g->cluster_size);
	int r;

	c->outside = UINT64_MAX;
	c->batch_bytes = batch_for(c);
	c->batch = mem_aligned(c->batch_bytes);
	c->block = mem_aligned(c->g->cluster_size);
	/* A reference may go a little beyond the end of the file. */
	r = check_refs_grow(c, clusters + 1);
	c->clusters = clusters;
	if (r == -EFBIG) {
		c->ret->check_errors++;
		return check_fail(c, r);
	}
	if (r < 0 || !c->batch || !c->block)
		return q2_fail(c->err, -ENOMEM,
			       "no memory to check %" PRIu64 " clusters",
			       clusters);
	return 0;
}

void
check_refs_done(struct check *c)
{
	free(c->refs);
	free(c->state);
	free(c->batch);
	free(c->block);
}

int
check_refs_clear(struct check *c)
{
	uint64_t clusters = div_up(c->file_bytes, c->g->cluster_size);
	int r;

	free(c->refs);
	free(c->state);
	c->refs = NULL;
	c->state = NULL;
	c->room = 0;
	c->outside = UINT64_MAX;
	r = check_refs_grow(c, clusters + 1);
	c->clusters = clusters;
	return r < 0 ? check_fail(c, r) : 0;
}

uint64_t
check_refs(const struct check *c, uint64_t cluster)
{
	return refcount_get(c->refs, c->g->refcount_order, cluster);
}

static void
count_cluster(struct check *c, uint64_t cluster)
{
	uint64_t n = check_refs(c, cluster);

	/* The array has room for the one cluster that this may be. */
	c->clusters = max_u64(c->clusters, cluster + 1);
	if (n < c->g->refcount_max) {
		refcount_set(c->refs, c->g->refcount_order, cluster, n + 1);
		return;
	}
	c->state[cluster] |= STATE_OVERFLOW;
	check_corrupt(c, "ERROR: overflow cluster offset=0x%" PRIx64,
		      cluster << c->g->cluster_bits);
	check_say(c, "Use qemu-img amend to increase the refcount "
		     "entry width or qemu-img convert to create a "
		     "clean copy if the image cannot be opened for "
		     "writing");
}

/* If the file grows over this it must not be by something else. */
static void
note_outside(struct check *c, uint64_t off, uint64_t end)
{
	uint64_t first = max_u64(off >> c->g->cluster_bits, c->clusters);
	uint64_t last = (end - 1) >> c->g->cluster_bits;

	for (uint64_t i = first; i <= last && i < c->room; i++)
		c->state[i] |= STATE_OUTSIDE;
	if (last >= c->room)
		c->outside = min_u64(c->outside, max_u64(first, c->room));
}

void
check_count(struct check *c, uint64_t off, uint64_t len)
{
	uint64_t end = UINT64_MAX;

	if (!len)
		return;
	/* The last cluster may be there in part. */
	if (add_overflows(off, len, &end) ||
	    (end > c->file_bytes &&
	     end - c->file_bytes >= c->g->cluster_size)) {
		check_corrupt(c,
			      "ERROR: counting reference for region exceeding "
			      "the end of the file by one cluster or more: "
			      "offset 0x%" PRIx64 " size 0x%" PRIx64,
			      off, len);
		note_outside(c, off, max_u64(end, off + 1));
		return;
	}
	for (uint64_t i = off >> c->g->cluster_bits;
	     i <= (end - 1) >> c->g->cluster_bits; i++)
		count_cluster(c, i);
}

void
check_uncount(struct check *c, uint64_t cluster)
{
	uint64_t n = check_refs(c, cluster);

	/* How many more there are is not known. */
	if (n && !(c->state[cluster] & STATE_OVERFLOW))
		refcount_set(c->refs, c->g->refcount_order, cluster, n - 1);
}

bool
check_mark_metadata(struct check *c, uint64_t off, uint64_t len)
{
	bool known = false;
	uint64_t end;

	if (!len || off >= c->file_bytes)
		return false;
	end = len > c->file_bytes - off ? c->file_bytes : off + len;
	for (uint64_t i = off >> c->g->cluster_bits;
	     i <= (end - 1) >> c->g->cluster_bits; i++) {
		known |= c->state[i] & STATE_METADATA;
		c->state[i] |= STATE_METADATA;
	}
	return known;
}

static bool
is_taken(const struct check *c, uint64_t cluster)
{
	return (cluster < c->clusters && check_refs(c, cluster)) ||
	       (cluster < c->room && (c->state[cluster] & STATE_OUTSIDE));
}

int
check_take(struct check *c, uint64_t n, uint64_t *from, uint64_t *ret_first)
{
	uint64_t i = *from, found = 0;
	bool first = true;
	int r;

	for (; found < n; i++) {
		if (is_taken(c, i)) {
			found = 0;
			continue;
		}
		/* What else is behind it was not kept. */
		if (i >= c->outside)
			return -EFBIG;
		found++;
		if (first)
			*from = i;
		first = false;
	}
	if (i << c->g->cluster_bits > Q2_MAX_HOST_OFFSET)
		return -EFBIG;
	if (c->img->file->is_block && i << c->g->cluster_bits > c->file_bytes)
		return -ENOSPC;
	r = check_refs_grow(c, i);
	if (r < 0)
		return r;
	*ret_first = i - n;
	for (i -= n; n > 0; n--, i++)
		refcount_set(c->refs, c->g->refcount_order, i, 1);
	return 0;
}

/* ---- refcount blocks as references ------------------------------------- */

/* The file becomes as long as the block at host wants it; as QEMU does. */
static int Q2_CO
grow_file(struct check *c, uint64_t host)
{
	uint64_t end = host + c->g->cluster_size;
	uint64_t clusters = end >> c->g->cluster_bits;
	int r;

	if (c->img->file->is_block || host >= Q2_MAX_HOST_OFFSET ||
	    clusters - c->clusters > GROW_CLUSTERS_MAX)
		return -EFBIG;
	/* Room for one that is referred to in part. */
	r = check_refs_grow(c, clusters + 1);
	if (r == 0)
		r = file_truncate(c->img->file, end);
	if (r < 0)
		return r;
	c->clusters = clusters;
	c->file_bytes = end;
	return 0;
}

static void Q2_CO
count_outside(struct check *c, uint32_t index, uint64_t host)
{
	if (c->fix != Q2_REPAIR_ALL || grow_file(c, host) < 0) {
		check_corrupt(c, "ERROR refcount block %u is outside image",
			      index);
		c->rebuild |= c->fix == Q2_REPAIR_ALL;
		return;
	}
	check_say(c, "Repairing refcount block %u is outside image", index);
	c->ret->corruptions_fixed++;
	check_count(c, host, c->g->cluster_size);
	(void)check_mark_metadata(c, host, c->g->cluster_size);
}

static void
count_inside(struct check *c, uint32_t index, uint64_t host)
{
	uint64_t cluster = host >> c->g->cluster_bits, n;

	check_count(c, host, c->g->cluster_size);
	n = check_refs(c, cluster);
	/* More than can be counted: what else it is must not be written over.
	 */
	n += (c->state[cluster] & STATE_OVERFLOW) != 0;
	if (n == 1)
		return;
	check_corrupt(c, "ERROR refcount block %u refcount=%" PRIu64, index, n);
	c->rebuild = true;
}

int Q2_CO
check_count_refblocks(struct check *c)
{
	const struct table *t = &c->img->reftable;

	for (uint32_t i = 0; i < t->n; i++) {
		uint64_t host = t->entries[i] & REFTABLE_OFFSET_MASK;

		if (t->entries[i] & ~REFTABLE_OFFSET_MASK) {
			check_corrupt(c,
				      "ERROR refcount table entry %u has "
				      "reserved bits set",
				      i);
			c->rebuild = true;
		} else if (geom_in_cluster(c->g, host)) {
			check_corrupt(c,
				      "ERROR refcount block %u is not cluster "
				      "aligned; refcount table entry corrupted",
				      i);
			c->rebuild = true;
		} else if (host >> c->g->cluster_bits >= c->clusters) {
			count_outside(c, i, host);
		} else if (host) {
			count_inside(c, i, host);
		}
	}
	return 0;
}

/* ---- refcounts in the file --------------------------------------------- */

/* Where the block for region is: 0 if there is none, an error if its entry
 * cannot be used. */
static int
block_host(struct check *c, uint64_t region, uint64_t *ret_host)
{
	const struct table *t = &c->img->reftable;

	*ret_host = 0;
	if (region >= t->n)
		return 0;
	*ret_host = t->entries[region] & REFTABLE_OFFSET_MASK;
	if (*ret_host > INT64_MAX - CHECK_BATCH)
		return -EIO;
	if (!geom_in_cluster(c->g, *ret_host))
		return 0;
	if (!c->said_unaligned)
		check_say(c,
			  "qcow2: Image is corrupt: Refblock offset 0x%" PRIx64
			  " unaligned (reftable index: %" PRIu64
			  "); further non-fatal corruption events will be "
			  "suppressed",
			  *ret_host, region);
	c->said_unaligned = true;
	return -EIO;
}

static void
note_stored(struct check *c, uint64_t cluster, uint64_t count)
{
	uint8_t old = c->state[cluster];
	uint8_t new = (uint8_t)((old & ~STORED_MASK) |
				(count < 2 ? count : STORED_MORE));

	/* A page that is only read costs no memory. */
	if (new != old)
		c->state[cluster] = new;
}

/* What is being compared. */
struct comparing {
	struct check *c;
	enum q2_repair fix;
	uint8_t *block; /* NULL: refcounts are 0 */
	bool changed;   /* block is */
};

/* Entry index of the block, which is cluster's; true if it was mended. */
static bool
compare_cluster(struct comparing *k, uint64_t cluster, uint64_t index)
{
	struct check *c = k->c;
	unsigned order = c->g->refcount_order;
	uint64_t count = k->block ? refcount_get(k->block, order, index) : 0;
	uint64_t refs = check_refs(c, cluster);
	bool mend;

	note_stored(c, cluster, count);
	if (count || refs)
		c->ret->image_end_offset = (cluster + 1) << c->g->cluster_bits;
	if (count == refs)
		return false;
	mend = count && (count > refs ? k->fix != Q2_REPAIR_NONE
				      : k->fix == Q2_REPAIR_ALL);
	c->rebuild |= !count;
	if (mend) {
		refcount_set(k->block, order, index, refs);
		note_stored(c, cluster, refs);
	} else {
		c->too_low += count < refs;
	}
	if (count < refs)
		++*(mend ? &c->ret->corruptions_fixed : &c->ret->corruptions);
	else
		++*(mend ? &c->ret->leaks_fixed : &c->ret->leaks);
	check_say(c,
		  "%s cluster %" PRIu64 " refcount=%" PRIu64
		  " reference=%" PRIu64,
		  mend           ? "Repairing"
		  : count < refs ? "ERROR"
				 : "Leaked",
		  cluster, count, refs);
	return mend;
}

/* The clusters of a region. */
static void
compare_region(struct comparing *k, uint64_t region)
{
	const struct check *c = k->c;
	uint64_t first = region << c->g->refblock_bits;
	uint64_t n = min_u64(c->g->refblock_entries, c->clusters - first);

	for (uint64_t i = 0; i < n; i++)
		k->changed |= compare_cluster(k, first + i, i);
}

static void
fail_region(struct check *c, uint64_t region, int error)
{
	uint64_t first = region << c->g->refblock_bits;
	uint64_t n = min_u64(c->g->refblock_entries, c->clusters - first);

	for (uint64_t i = first; i < first + n; i++) {
		c->state[i] |= STORED_ERROR;
		c->ret->check_errors++;
		check_say(c, "Can't get refcount for cluster %" PRIu64 ": %s",
			  i, strerror(-error));
	}
}

/* Blocks of regions [region, region + n), adjacent in the file. */
static int Q2_CO
compare_blocks(struct comparing *k, uint64_t region, uint32_t n, uint64_t host)
{
	struct check *c = k->c;
	unsigned bits = c->g->cluster_bits;
	uint32_t first = n, end = 0;
	int r = file_read(c->img->file, AIO_REFCOUNT, c->batch,
			  (uint64_t)n << bits, host);

	for (uint32_t i = 0; i < n; i++) {
		if (r < 0) {
			fail_region(c, region + i, r);
			continue;
		}
		k->block = c->batch + ((size_t)i << bits);
		k->changed = false;
		compare_region(k, region + i);
		if (!k->changed)
			continue;
		first = first < i ? first : i;
		end = i + 1;
	}
	/* In one write; those in between that are right do not change. */
	return first < end ? repair_write(c, AIO_REFCOUNT,
					  c->batch + ((size_t)first << bits),
					  (uint64_t)(end - first) << bits,
					  host + ((uint64_t)first << bits))
			   : 0;
}

int Q2_CO
check_compare(struct check *c, enum q2_repair fix)
{
	struct comparing k = {.c = c, .fix = fix};
	const struct table *t = &c->img->reftable;
	uint64_t regions = div_up(c->clusters, c->g->refblock_entries);
	int r = 0;

	c->block_host = 0;
	c->too_low = 0;
	c->ret->image_end_offset = c->g->cluster_size;
	for (uint64_t i = 0; i < regions && r == 0;) {
		uint64_t host;
		uint32_t n = 1;
		int error = block_host(c, i, &host);

		if (error < 0) {
			fail_region(c, i, error);
		} else if (!host) {
			k.block = NULL;
			compare_region(&k, i);
		} else {
			n = check_adjacent(
				c, &t->entries[i],
				(uint32_t)min_u64(t->n - i, regions - i),
				REFTABLE_OFFSET_MASK);
			r = compare_blocks(&k, i, n, host);
		}
		i += n;
	}
	return r;
}

/* The block at host into c->block. */
static int Q2_CO
load_block(struct check *c, uint64_t host)
{
	int r;

	if (host == c->block_host)
		return 0;
	c->block_host = 0;
	r = file_read(c->img->file, AIO_REFCOUNT, c->block, c->g->cluster_size,
		      host);
	/* It could be read when refcounts were compared. */
	if (r < 0)
		c->ret->check_errors++;
	else
		c->block_host = host;
	return r;
}

int Q2_CO
check_stored(struct check *c, uint64_t cluster, uint64_t *ret_count)
{
	unsigned state = cluster < c->clusters ? c->state[cluster] & STORED_MASK
					       : STORED_MORE;
	uint64_t host;
	int r;

	if (state != STORED_MORE) {
		*ret_count = state;
		return state == STORED_ERROR ? -EIO : 0;
	}
	r = block_host(c, cluster >> c->g->refblock_bits, &host);
	*ret_count = 0;
	if (r < 0 || !host)
		return r;
	r = load_block(c, host);
	if (r == 0)
		*ret_count = refcount_get(c->block, c->g->refcount_order,
					  cluster &
						  (c->g->refblock_entries - 1));
	return r;
}

int Q2_CO
check_store(struct check *c, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n;) {
		uint64_t region = i >> c->g->refblock_bits, host;
		uint64_t end = min_u64(first + n,
				       (region + 1) << c->g->refblock_bits);
		int r = block_host(c, region, &host);

		if (r == 0 && !host)
			r = -ENOENT;
		if (r == 0)
			r = load_block(c, host);
		if (r < 0)
			return r;
		for (; i < end; i++) {
			refcount_set(c->block, c->g->refcount_order,
				     i & (c->g->refblock_entries - 1),
				     check_refs(c, i));
			note_stored(c, i, check_refs(c, i));
		}
		r = repair_write(c, AIO_REFCOUNT, c->block, c->g->cluster_size,
				 host);
		if (r < 0)
			return r;
	}
	return 0;
}
