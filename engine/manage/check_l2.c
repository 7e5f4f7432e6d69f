/* SPDX-License-Identifier: MIT */
/*
 * check_l2.c - counting what L1 and L2 tables refer to
 *
 * A repair changes one thing on the way: a cluster that is preallocated for
 * zeros at an address where no cluster is becomes one of zeros without an
 * address.  A guest reads zeros either way.
 */
#include <inttypes.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/manage/check_priv.h"

#define SUBCLUSTERS_ALLOCATED UINT64_C(0xffffffff)
#define SUBCLUSTERS_ZERO      (UINT64_C(0xffffffff) << 32)

/* The table whose entries are counted. */
struct counting {
	struct check *c;
	uint8_t *table; /* in the batch */
	uint64_t host;
	uint64_t next; /* where the cluster would be that follows the last */
	uint64_t changed;
	bool active;
};

/* ---- entries ----------------------------------------------------------- */

struct check_entry
check_entry_at(const struct check *c, const uint8_t *table, uint64_t i)
{
	const uint8_t *p = table + i * c->g->l2_entry_size;
	struct check_entry e = {.word = load_be64(p)};

	if (c->g->l2_entry_size == 16)
		e.bitmap = load_be64(p + 8);
	e.e = l2_decode(c->g, e.word);
	return e;
}

bool
check_l2_is_writable(const struct check *c, uint64_t host)
{
	uint64_t cluster = host >> c->g->cluster_bits;

	return !geom_in_cluster(c->g, host) && host < c->file_bytes &&
	       !(c->state[cluster] & STATE_METADATA);
}

static void
count_compressed(struct check *c, const struct check_entry *e, uint64_t index,
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
			      index, e->word & ~ENTRY_COPIED);
		return;
	}
	if (e->bitmap) {
		check_corrupt(c,
			      "ERROR compressed cluster %" PRIu64
			      " with non-zero subcluster allocation bitmap, "
			      "entry=0x%" PRIx64,
			      index, e->word & ~ENTRY_COPIED);
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

/* Without its host cluster, of which no byte is read, it reads as before: what
 * shines through goes on doing so. */
static void
take_host_away(struct counting *k, const struct check_entry *e, uint64_t i)
{
	uint8_t *p = k->table + i * k->c->g->l2_entry_size;

	if (k->c->g->l2_entry_size == 16) {
		store_be64(p, 0);
		store_be64(p + 8, e->bitmap & SUBCLUSTERS_ZERO);
	} else {
		store_be64(p, ENTRY_ZERO);
	}
	k->changed++;
}

/* Returns true if the entry is another now, without a cluster. */
static bool
judge_alignment(struct counting *k, const struct check_entry *e, uint64_t i)
{
	struct check *c = k->c;
	bool has_data = c->g->l2_entry_size == 16
				? (e->bitmap & SUBCLUSTERS_ALLOCATED) != 0
				: e->e.kind == CLUSTER_NORMAL;
	bool mend = !has_data && c->fix == Q2_REPAIR_ALL &&
		    check_l2_is_writable(c, k->host);

	if (!geom_in_cluster(c->g, e->e.host))
		return false;
	check_say(c,
		  "%s offset=%" PRIx64
		  ": %s cluster is not properly aligned; L2 entry corrupted.",
		  mend ? "Repairing" : "ERROR", e->e.host,
		  has_data ? "Data" : "Preallocated");
	if (mend)
		take_host_away(k, e, i);
	else
		c->ret->corruptions++;
	return mend;
}

static void
count_allocated(struct counting *k, const struct check_entry *e, uint64_t i)
{
	struct check *c = k->c;

	if ((e->bitmap >> 32) & e->bitmap)
		check_corrupt(c,
			      "ERROR offset=%" PRIx64
			      ": Allocated cluster has corrupted subcluster "
			      "allocation bitmap",
			      e->e.host);
	if (judge_alignment(k, e, i))
		return;
	if (k->active) {
		c->ret->allocated_clusters++;
		if (k->next && e->e.host != k->next)
			c->ret->fragmented_clusters++;
		k->next = e->e.host + c->g->cluster_size;
	}
	if (!c->has_data_file)
		check_count(c, e->e.host, c->g->cluster_size);
}

static void
count_l2(struct counting *k)
{
	struct check *c = k->c;

	for (uint64_t i = 0; i < c->g->l2_entries; i++) {
		struct check_entry e = check_entry_at(c, k->table, i);

		if (e.e.kind != CLUSTER_COMPRESSED &&
		    (e.word & L2_RESERVED_MASK))
			check_corrupt(c,
				      "ERROR found l2 entry with reserved bits "
				      "set: %" PRIx64,
				      e.word);
		switch (e.e.kind) {
		case CLUSTER_COMPRESSED:
			count_compressed(c, &e, i, k->active);
			break;
		case CLUSTER_NORMAL:
		case CLUSTER_ZERO_ALLOC:
			count_allocated(k, &e, i);
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

/* ---- tables ------------------------------------------------------------ */

uint32_t Q2_CO
check_read_tables(struct check *c, const uint64_t *l1, uint32_t n,
		  int *ret_error)
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

/* Count the table, and write it if it was mended.  Refcounts are lowered only
 * after the sync that check_count_all() does. */
static int Q2_CO
count_table(struct counting *k)
{
	struct check *c = k->c;
	int r = 0;

	count_l2(k);
	if (k->changed)
		r = repair_write(c, AIO_L2, k->table, c->g->cluster_size,
				 k->host);
	if (r == 0)
		c->ret->corruptions_fixed += k->changed;
	return r;
}

/* What l1[0] and what follows it in the file refer to; *ret_n is how many. */
static int Q2_CO
count_tables(struct check *c, const uint64_t *l1, uint32_t n, bool active,
	     uint32_t *ret_n)
{
	int error, r = 0;

	*ret_n = check_read_tables(c, l1, n, &error);
	for (uint32_t j = 0; j < *ret_n && r == 0; j++) {
		struct counting k = {
			.c = c,
			.table = c->batch + ((size_t)j << c->g->cluster_bits),
			.host = l1[j] & ENTRY_OFFSET_MASK,
			.active = active,
		};

		count_l1_entry(c, l1[j]);
		if (error == 0)
			r = count_table(&k);
	}
	if (error < 0) {
		check_say(c, "ERROR: I/O error in check_refcounts_l2");
		c->ret->check_errors++;
		c->unread = true;
	}
	return r;
}

int Q2_CO
check_count_l1(struct check *c, uint64_t host, const uint64_t *l1, uint32_t n,
	       bool active)
{
	int r = 0;

	check_count(c, host, (uint64_t)n * 8);
	for (uint32_t i = 0; i < n && r == 0;) {
		uint32_t count = 1;

		/* Behind the end of the file there are only zeros. */
		if ((l1[i] & ENTRY_OFFSET_MASK) >= c->file_bytes)
			count_l1_entry(c, l1[i]);
		else if (l1[i])
			r = count_tables(c, l1 + i, n - i, active, &count);
		i += count;
	}
	return r;
}
