/* SPDX-License-Identifier: MIT */
/* check_refs.c - references, refcounts, and where they differ */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/format/refcount.h"
#include "engine/manage/check_priv.h"

/* What check_compare() keeps of a refcount for the pass over COPIED flags,
 * which only asks whether it is 1. */
enum stored {
	STORED_0,
	STORED_1,
	STORED_MORE,
	STORED_ERROR
};

int
check_refs_init(struct check *c)
{
	uint64_t bits;

	if (c->clusters > Q2_MAX_CHECK_CLUSTERS) {
		c->ret->check_errors++;
		return q2_fail(c->err, -EFBIG, "Check failed: %s",
			       strerror(EFBIG));
	}
	/* A reference may go a little beyond the end of the file. */
	bits = (c->clusters + 2) << c->g->refcount_order;
	c->refs = calloc(div_up(bits, 64), 8);
	c->stored = calloc(c->clusters + 1, 1);
	c->batch = mem_aligned(CHECK_BATCH);
	c->block = mem_aligned(c->g->cluster_size);
	if (!c->refs || !c->stored || !c->batch || !c->block)
		return q2_fail(c->err, -ENOMEM,
			       "no memory to check %" PRIu64 " clusters",
			       c->clusters);
	return 0;
}

void
check_refs_done(struct check *c)
{
	free(c->refs);
	free(c->stored);
	free(c->batch);
	free(c->block);
}

void
check_count(struct check *c, uint64_t off, uint64_t len)
{
	unsigned order = c->g->refcount_order;
	uint64_t end;

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
		return;
	}
	for (uint64_t i = off >> c->g->cluster_bits;
	     i <= (end - 1) >> c->g->cluster_bits; i++) {
		uint64_t n = refcount_get(c->refs, order, i);

		if (n < c->g->refcount_max) {
			refcount_set(c->refs, order, i, n + 1);
			continue;
		}
		check_corrupt(c, "ERROR: overflow cluster offset=0x%" PRIx64,
			      i << c->g->cluster_bits);
		check_say(c, "Use qemu-img amend to increase the refcount "
			     "entry width or qemu-img convert to create a "
			     "clean copy if the image cannot be opened for "
			     "writing");
	}
}

void
check_count_refblocks(struct check *c)
{
	const struct table *t = &c->img->reftable;

	for (uint32_t i = 0; i < t->n; i++) {
		uint64_t host = t->entries[i] & REFTABLE_OFFSET_MASK;
		uint64_t cluster = host >> c->g->cluster_bits, n;

		if (t->entries[i] & ~REFTABLE_OFFSET_MASK) {
			check_corrupt(c,
				      "ERROR refcount table entry %u has "
				      "reserved bits set",
				      i);
		} else if (geom_in_cluster(c->g, host)) {
			check_corrupt(c,
				      "ERROR refcount block %u is not cluster "
				      "aligned; refcount table entry corrupted",
				      i);
		} else if (cluster >= c->clusters) {
			check_corrupt(
				c, "ERROR refcount block %u is outside image",
				i);
		} else if (host) {
			check_count(c, host, c->g->cluster_size);
			n = refcount_get(c->refs, c->g->refcount_order,
					 cluster);
			if (n != 1)
				check_corrupt(c,
					      "ERROR refcount block %u "
					      "refcount=%" PRIu64,
					      i, n);
		}
	}
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
compare_cluster(struct check *c, uint64_t cluster, uint64_t count)
{
	uint64_t refs = refcount_get(c->refs, c->g->refcount_order, cluster);

	c->stored[cluster] = count < 2 ? (uint8_t)count : STORED_MORE;
	if (count || refs)
		c->ret->image_end_offset = (cluster + 1) << c->g->cluster_bits;
	if (count == refs)
		return;
	if (count < refs)
		c->ret->corruptions++;
	else
		c->ret->leaks++;
	check_say(c,
		  "%s cluster %" PRIu64 " refcount=%" PRIu64
		  " reference=%" PRIu64,
		  count < refs ? "ERROR" : "Leaked", cluster, count, refs);
}

/* The clusters of a region; block NULL: their refcounts are 0. */
static void
compare_region(struct check *c, uint64_t region, const uint8_t *block)
{
	uint64_t first = region << c->g->refblock_bits;
	uint64_t n = min_u64(c->g->refblock_entries, c->clusters - first);

	for (uint64_t i = 0; i < n; i++)
		compare_cluster(
			c, first + i,
			block ? refcount_get(block, c->g->refcount_order, i)
			      : 0);
}

static void
fail_region(struct check *c, uint64_t region, int error)
{
	uint64_t first = region << c->g->refblock_bits;
	uint64_t n = min_u64(c->g->refblock_entries, c->clusters - first);

	for (uint64_t i = first; i < first + n; i++) {
		c->stored[i] = STORED_ERROR;
		c->ret->check_errors++;
		check_say(c, "Can't get refcount for cluster %" PRIu64 ": %s",
			  i, strerror(-error));
	}
}

/* Blocks of regions [region, region + n), adjacent in the file. */
static void Q2_CO
compare_blocks(struct check *c, uint64_t region, uint32_t n, uint64_t host)
{
	int r = file_read(c->img->file, AIO_REFCOUNT, c->batch,
			  n << c->g->cluster_bits, host);

	for (uint32_t i = 0; i < n; i++) {
		if (r < 0)
			fail_region(c, region + i, r);
		else
			compare_region(
				c, region + i,
				c->batch + ((size_t)i << c->g->cluster_bits));
	}
}

int Q2_CO
check_compare(struct check *c)
{
	const struct table *t = &c->img->reftable;
	uint64_t regions = div_up(c->clusters, c->g->refblock_entries);

	c->ret->image_end_offset = c->g->cluster_size;
	for (uint64_t i = 0; i < regions;) {
		uint64_t host;
		uint32_t n = 1;
		int r = block_host(c, i, &host);

		if (r < 0) {
			fail_region(c, i, r);
		} else if (!host) {
			compare_region(c, i, NULL);
		} else {
			n = check_adjacent(
				c, &t->entries[i],
				(uint32_t)min_u64(t->n - i, regions - i),
				REFTABLE_OFFSET_MASK);
			compare_blocks(c, i, n, host);
		}
		i += n;
	}
	return 0;
}

int Q2_CO
check_stored(struct check *c, uint64_t cluster, uint64_t *ret_count)
{
	uint64_t host;
	int r;

	if (cluster < c->clusters && c->stored[cluster] != STORED_MORE) {
		*ret_count = c->stored[cluster];
		return c->stored[cluster] == STORED_ERROR ? -EIO : 0;
	}
	r = block_host(c, cluster >> c->g->refblock_bits, &host);
	*ret_count = 0;
	if (r < 0 || !host)
		return r;
	if (host != c->block_host) {
		c->block_host = 0;
		r = file_read(c->img->file, AIO_REFCOUNT, c->block,
			      c->g->cluster_size, host);
		if (r < 0)
			return r;
		c->block_host = host;
	}
	*ret_count = refcount_get(c->block, c->g->refcount_order,
				  cluster & (c->g->refblock_entries - 1));
	return 0;
}
