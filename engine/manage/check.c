/* SPDX-License-Identifier: MIT */
/*
 * check.c - does the image contradict itself?
 *
 * All references to clusters are counted first, from the header down; then the
 * refcounts in the file are compared with them; then the COPIED flags of the
 * active tables with the refcounts.  Findings, their texts and their order are
 * qemu-img's.  Nothing is believed: any entry of any table may be wrong.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/manage/check_priv.h"

#define SUBCLUSTERS_ALLOCATED UINT64_C(0xffffffff)

void
check_say(struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!c->finding)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->finding(c->arg, text);
}

uint32_t
check_adjacent(const struct check *c, const uint64_t *entries, uint32_t n,
	       uint64_t mask)
{
	return entry_run(c->g, entries,
			 (uint32_t)min_u64(n, CHECK_BATCH / c->g->cluster_size),
			 mask);
}

/* ---- L2 entries -------------------------------------------------------- */

/* An L2 entry, and the second word of an extended one. */
struct entry {
	uint64_t word, bitmap;
	struct l2_entry e;
};

static struct entry
entry_at(const struct check *c, const uint8_t *table, uint64_t i)
{
	const uint8_t *p = table + i * c->g->l2_entry_size;
	struct entry e = {.word = load_be64(p)};

	if (c->g->l2_entry_size == 16)
		e.bitmap = load_be64(p + 8);
	e.e = l2_decode(c->g, e.word);
	/* In a data file the first cluster is at offset 0. */
	if (e.e.kind == CLUSTER_UNALLOCATED && c->has_data_file && e.e.copied)
		e.e.kind = CLUSTER_NORMAL;
	return e;
}

static void
count_compressed(struct check *c, const struct entry *e, uint64_t index,
		 bool active)
{
	if (e->e.copied)
		check_corrupt(c,
			      "ERROR: coffset=0x%" PRIx64
			      ": copied flag must never be set for compressed "
			      "clusters",
			      e->e.host);
	if (c->has_data_file) {
		check_corrupt(c,
			      "ERROR compressed cluster %" PRIu64
			      " with data file, entry=0x%" PRIx64,
			      index, e->word);
		return;
	}
	if (e->bitmap) {
		check_corrupt(c,
			      "ERROR compressed cluster %" PRIu64
			      " with non-zero subcluster allocation bitmap, "
			      "entry=0x%" PRIx64,
			      index, e->word);
		return;
	}
	check_count(c, e->e.host, e->e.len);
	if (!active)
		return;
	c->ret->allocated_clusters++;
	c->ret->compressed_clusters++;
	/* The sector that two share is read twice. */
	c->ret->fragmented_clusters++;
}

/* *next: where the cluster would be that follows the one before it. */
static void
count_allocated(struct check *c, const struct entry *e, uint64_t *next,
		bool active)
{
	bool has_data = c->g->l2_entry_size == 16
				? (e->bitmap & SUBCLUSTERS_ALLOCATED) != 0
				: e->e.kind == CLUSTER_NORMAL;

	if ((e->bitmap >> 32) & e->bitmap)
		check_corrupt(c,
			      "ERROR offset=%" PRIx64
			      ": Allocated cluster has corrupted subcluster "
			      "allocation bitmap",
			      e->e.host);
	if (geom_in_cluster(c->g, e->e.host))
		check_corrupt(c,
			      "ERROR offset=%" PRIx64
			      ": %s cluster is not properly aligned; L2 entry "
			      "corrupted.",
			      e->e.host, has_data ? "Data" : "Preallocated");
	if (active) {
		c->ret->allocated_clusters++;
		if (*next && e->e.host != *next)
			c->ret->fragmented_clusters++;
		*next = e->e.host + c->g->cluster_size;
	}
	if (!c->has_data_file)
		check_count(c, e->e.host, c->g->cluster_size);
}

static void
count_l2(struct check *c, const uint8_t *table, bool active)
{
	uint64_t next = 0;

	for (uint64_t i = 0; i < c->g->l2_entries; i++) {
		struct entry e = entry_at(c, table, i);

		if (e.e.kind != CLUSTER_COMPRESSED &&
		    (e.word & L2_RESERVED_MASK))
			check_corrupt(c,
				      "ERROR found l2 entry with reserved bits "
				      "set: %" PRIx64,
				      e.word);
		switch (e.e.kind) {
		case CLUSTER_COMPRESSED:
			count_compressed(c, &e, i, active);
			break;
		case CLUSTER_NORMAL:
		case CLUSTER_ZERO_ALLOC:
			count_allocated(c, &e, &next, active);
			break;
		case CLUSTER_ZERO_PLAIN:
			break;
		case CLUSTER_UNALLOCATED_AT: /* of subclusters only */
		case CLUSTER_UNALLOCATED:
			if (e.bitmap & SUBCLUSTERS_ALLOCATED)
				check_corrupt(c, "ERROR: Unallocated cluster "
						 "has non-zero subcluster "
						 "allocation map");
			break;
		}
	}
}

/* ---- L1 tables --------------------------------------------------------- */

/* Tables l1[i], l1[i + 1], ... of n entries into the batch; returns how many,
 * *ret_error if they cannot be read. */
static uint32_t Q2_CO
read_tables(struct check *c, const uint64_t *l1, uint32_t n, int *ret_error)
{
	uint32_t count = check_adjacent(c, l1, n, ENTRY_OFFSET_MASK);

	*ret_error = file_read(c->img->file, AIO_L2, c->batch,
			       (uint64_t)count << c->g->cluster_bits,
			       l1[0] & ENTRY_OFFSET_MASK);
	return count;
}

static void
count_l1_entry(struct check *c, uint64_t entry)
{
	uint64_t host = entry & ENTRY_OFFSET_MASK;

	if (entry & L1_RESERVED_MASK)
		check_corrupt(c,
			      "ERROR found L1 entry with reserved bits set: "
			      "%" PRIx64,
			      entry);
	check_count(c, host, c->g->cluster_size);
	if (geom_in_cluster(c->g, host))
		check_corrupt(c,
			      "ERROR l2_offset=%" PRIx64
			      ": Table is not cluster aligned; L1 entry "
			      "corrupted",
			      host);
}

int Q2_CO
check_count_l1(struct check *c, uint64_t host, const uint64_t *l1, uint32_t n,
	       bool active)
{
	check_count(c, host, (uint64_t)n * 8);
	for (uint32_t i = 0; i < n;) {
		uint32_t count;
		int r;

		if (!l1[i]) {
			i++;
			continue;
		}
		/* Behind the end of the file there are only zeros. */
		if ((l1[i] & ENTRY_OFFSET_MASK) >= c->file_bytes) {
			count_l1_entry(c, l1[i++]);
			continue;
		}
		count = read_tables(c, l1 + i, n - i, &r);
		for (uint32_t j = 0; j < count; j++) {
			count_l1_entry(c, l1[i + j]);
			if (r == 0)
				count_l2(c,
					 c->batch + ((size_t)j
						     << c->g->cluster_bits),
					 active);
		}
		if (r < 0) {
			check_say(c, "ERROR: I/O error in check_refcounts_l2");
			c->ret->check_errors++;
		}
		i += count;
	}
	return 0;
}

/* ---- COPIED ------------------------------------------------------------ */

static void Q2_CO
compare_copied_l2(struct check *c, const uint8_t *table)
{
	for (uint64_t i = 0; i < c->g->l2_entries; i++) {
		struct entry e = entry_at(c, table, i);
		uint64_t count = 1;

		if (e.e.kind != CLUSTER_NORMAL &&
		    e.e.kind != CLUSTER_ZERO_ALLOC)
			continue;
		if (!c->has_data_file &&
		    check_stored(c, e.e.host >> c->g->cluster_bits, &count) < 0)
			continue;
		if ((count == 1) == e.e.copied)
			continue;
		c->ret->copied_clear += count == 1;
		check_corrupt(c,
			      "ERROR OFLAG_COPIED data cluster: "
			      "l2_entry=%" PRIx64 " refcount=%" PRIu64,
			      e.word, count);
	}
}

/* Returns false where there is nothing to look at behind the entry. */
static bool Q2_CO
compare_copied_l1(struct check *c, uint32_t index, uint64_t entry)
{
	uint64_t host = entry & ENTRY_OFFSET_MASK, count;

	if (!host || check_stored(c, host >> c->g->cluster_bits, &count) < 0)
		return false;
	if ((count == 1) == !!(entry & ENTRY_COPIED))
		return true;
	c->ret->copied_clear += count == 1;
	check_corrupt(c,
		      "ERROR OFLAG_COPIED L2 cluster: l1_index=%u "
		      "l1_entry=%" PRIx64 " refcount=%" PRIu64,
		      index, entry, count);
	return true;
}

static int Q2_CO
compare_copied(struct check *c)
{
	const struct table *l1 = &c->img->l1;

	for (uint32_t i = 0; i < l1->n;) {
		uint32_t count;
		int r;

		if ((l1->entries[i] & ENTRY_OFFSET_MASK) >= c->file_bytes ||
		    !(l1->entries[i] & ENTRY_OFFSET_MASK)) {
			(void)compare_copied_l1(c, i, l1->entries[i]);
			i++;
			continue;
		}
		count = read_tables(c, &l1->entries[i], l1->n - i, &r);
		for (uint32_t j = 0; j < count; j++) {
			if (!compare_copied_l1(c, i + j, l1->entries[i + j]) ||
			    r < 0)
				continue;
			compare_copied_l2(
				c,
				c->batch + ((size_t)j << c->g->cluster_bits));
		}
		if (r < 0) {
			check_say(c,
				  "ERROR: I/O error in check_oflag_copied: %s",
				  strerror(-r));
			c->ret->check_errors++;
		}
		i += count;
	}
	return 0;
}

/* ---- the whole --------------------------------------------------------- */

static int Q2_CO
count_all(struct check *c, const struct check_snapshots *snapshots)
{
	const struct header *h = &c->img->header;
	int r;

	check_count(c, 0, c->g->cluster_size);
	r = check_count_l1(c, h->l1_offset, c->img->l1.entries, c->img->l1.n,
			   true);
	if (r == 0)
		r = check_count_snapshots(c, snapshots);
	if (r < 0)
		return r;
	check_count(c, h->snapshots_offset, snapshots->bytes);
	check_count(c, h->reftable_offset, c->img->reftable.bytes);
	if (h->has_crypto)
		check_count(c, h->crypto_offset, h->crypto_bytes);
	r = check_count_bitmaps(c);
	if (r == 0)
		check_count_refblocks(c);
	return r;
}

static int Q2_CO
check(struct check *c)
{
	struct check_snapshots snapshots = {0};
	int r;

	r = check_refs_init(c);
	if (r == 0)
		r = check_read_snapshots(c, &snapshots);
	if (r == 0)
		r = count_all(c, &snapshots);
	check_snapshots_done(&snapshots);
	if (r == 0)
		r = check_compare(c);
	if (r == 0)
		r = compare_copied(c);
	return r;
}

int Q2_CO
check_image(struct image *img, struct q2_check *ret_check,
	    q2_finding_fn finding, void *arg, struct q2_err *err)
{
	struct q2_check counters = {0};
	struct check c = {
		.img = img,
		.g = &img->geom,
		.ret = &counters,
		.finding = finding,
		.arg = arg,
		.err = err,
		.has_data_file = img->header.incompatible & INCOMPAT_DATA_FILE,
	};
	int64_t size;
	int r = 0;

	if (strcmp(img->driver, "qcow2") != 0)
		return q2_fail(err, -ENOTSUP,
			       "This image format does not support checks");
	if (!img->read_only)
		r = cache_commit(img);
	if (r < 0)
		return q2_fail(err, r, "could not write the metadata: %s",
			       strerror(-r));
	size = aio_size(img->file);
	if (size < 0)
		return q2_fail(err, (int)size, "could not get the length: %s",
			       strerror((int)-size));
	c.file_bytes = (uint64_t)size;
	c.clusters = div_up(c.file_bytes, c.g->cluster_size);
	counters.total_clusters = div_up(img->size, c.g->cluster_size);
	r = check(&c);
	check_refs_done(&c);
	if (r == 0)
		*ret_check = counters;
	return r;
}
