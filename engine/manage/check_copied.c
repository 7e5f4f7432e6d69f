/* SPDX-License-Identifier: MIT */
/*
 * check_copied.c - COPIED flags of the active tables
 *
 * COPIED says that a cluster has refcount 1 and may be written where it is.
 * A repair sets flags right after the refcounts are right and durable: until
 * then a flag that is set too early would let somebody write a cluster that
 * others use.
 */
#include <inttypes.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/manage/check_priv.h"

struct pass {
	struct check *c;
	bool mend;
	uint32_t l1_first, l1_end; /* L1 entries that were changed */
};

/* May the flag be set right?  Of a cluster with more references than its
 * refcount can say, 1 means many. */
static bool
is_mendable(const struct pass *p, uint64_t host, uint64_t count, bool writable)
{
	uint64_t cluster = host >> p->c->g->cluster_bits;

	return p->mend && writable &&
	       (count != 1 || cluster >= p->c->clusters ||
		!(p->c->state[cluster] & STATE_OVERFLOW));
}

static void
count_finding(struct check *c, bool mended, uint64_t refcount)
{
	++*(mended ? &c->ret->corruptions_fixed : &c->ret->corruptions);
	if (!mended)
		c->ret->copied_clear += refcount == 1;
}

static uint64_t
set_flag(uint64_t word, uint64_t refcount)
{
	return refcount == 1 ? word | ENTRY_COPIED : word & ~ENTRY_COPIED;
}

/* Returns whether the table has been changed. */
static bool Q2_CO
compare_l2(const struct pass *p, uint8_t *table, bool writable)
{
	struct check *c = p->c;
	bool changed = false;

	for (uint64_t i = 0; i < c->g->l2_entries; i++) {
		struct check_entry e = check_entry_at(c, table, i);
		uint64_t count = 1;
		bool mend;

		if (e.e.kind != CLUSTER_NORMAL &&
		    e.e.kind != CLUSTER_ZERO_ALLOC)
			continue;
		if (!c->has_data_file &&
		    check_stored(c, e.e.host >> c->g->cluster_bits, &count) < 0)
			continue;
		if ((count == 1) == e.e.copied)
			continue;
		mend = is_mendable(p, c->has_data_file ? 0 : e.e.host, count,
				   writable);
		count_finding(c, mend, count);
		check_say(c,
			  "%s OFLAG_COPIED data cluster: "
			  "l2_entry=%" PRIx64 " refcount=%" PRIu64,
			  mend ? "Repairing" : "ERROR", e.word, count);
		if (mend)
			store_be64(table + i * c->g->l2_entry_size,
				   set_flag(e.word, count));
		changed |= mend;
	}
	return changed;
}

/* Returns false where there is nothing to look at behind the entry. */
static bool Q2_CO
compare_l1(struct pass *p, uint32_t index)
{
	struct check *c = p->c;
	uint64_t entry = c->img->l1.entries[index];
	uint64_t host = entry & ENTRY_OFFSET_MASK, count;
	bool mend;

	if (!host || check_stored(c, host >> c->g->cluster_bits, &count) < 0)
		return false;
	if ((count == 1) == !!(entry & ENTRY_COPIED))
		return true;
	mend = is_mendable(p, host, count, !c->l1_shared);
	count_finding(c, mend, count);
	check_say(c,
		  "%s OFLAG_COPIED L2 cluster: l1_index=%u "
		  "l1_entry=%" PRIx64 " refcount=%" PRIu64,
		  mend ? "Repairing" : "ERROR", index, entry, count);
	if (!mend)
		return true;
	c->img->l1.entries[index] = set_flag(entry, count);
	p->l1_first = p->l1_first < index ? p->l1_first : index;
	p->l1_end = index + 1;
	return true;
}

/* Entries [i, i + n) name tables in the batch; r is what reading them gave.
 * Changed tables are written together. */
static int Q2_CO
compare_tables(struct pass *p, uint32_t i, uint32_t n, int error)
{
	struct check *c = p->c;
	unsigned bits = c->g->cluster_bits;
	uint64_t host = c->img->l1.entries[i] & ENTRY_OFFSET_MASK;
	uint32_t first = n, end = 0;
	int r = 0;

	for (uint32_t j = 0; j < n && r == 0; j++) {
		uint8_t *table = c->batch + ((size_t)j << bits);
		bool writable = check_l2_is_writable(
			c, host + ((uint64_t)j << bits));

		if (!compare_l1(p, i + j) || error < 0 ||
		    !compare_l2(p, table, writable))
			continue;
		/* Not over one that may not be written. */
		if (first < end && end < j)
			r = repair_write(c, AIO_L2,
					 c->batch + ((size_t)first << bits),
					 (uint64_t)(end - first) << bits,
					 host + ((uint64_t)first << bits));
		first = first < end && end == j ? first : j;
		end = j + 1;
	}
	if (r == 0 && first < end)
		r = repair_write(c, AIO_L2, c->batch + ((size_t)first << bits),
				 (uint64_t)(end - first) << bits,
				 host + ((uint64_t)first << bits));
	return r;
}

static int Q2_CO
compare_all(struct pass *p)
{
	struct check *c = p->c;
	const struct table *l1 = &c->img->l1;
	int r = 0;

	for (uint32_t i = 0; i < l1->n && r == 0;) {
		uint32_t count;
		int error;

		if ((l1->entries[i] & ENTRY_OFFSET_MASK) >= c->file_bytes ||
		    !(l1->entries[i] & ENTRY_OFFSET_MASK)) {
			(void)compare_l1(p, i);
			i++;
			continue;
		}
		count = check_read_tables(c, &l1->entries[i], l1->n - i,
					  &error);
		r = compare_tables(p, i, count, error);
		if (error < 0) {
			check_say(c,
				  "ERROR: I/O error in check_oflag_copied: %s",
				  strerror(-error));
			c->ret->check_errors++;
		}
		i += count;
	}
	return r;
}

/* The changed part of the L1 table reaches the file. */
static int Q2_CO
write_l1(const struct pass *p)
{
	struct check *c = p->c;
	const struct table *l1 = &c->img->l1;
	uint32_t per_batch = (uint32_t)(c->batch_bytes / 8);
	int r = 0;

	for (uint32_t i = p->l1_first; i < p->l1_end && r == 0;
	     i += per_batch) {
		uint32_t n = p->l1_end - i < per_batch ? p->l1_end - i
						       : per_batch;

		table_encode(l1, i, n, c->batch);
		r = repair_write(c, AIO_L1, c->batch, (uint64_t)n * 8,
				 l1->host + (uint64_t)i * 8);
	}
	return r;
}

int Q2_CO
check_copied(struct check *c)
{
	const struct q2_check *found = c->ret;
	struct pass p = {
		.c = c,
		.l1_first = UINT32_MAX,
		/* Refcounts are right, or else leave the flags alone. */
		.mend = c->fix == Q2_REPAIR_ALL ||
			(c->fix == Q2_REPAIR_LEAKS && !found->check_errors &&
			 !found->corruptions && !found->leaks),
	};
	int r;

	r = compare_all(&p);
	if (r == 0)
		r = write_l1(&p);
	return r;
}
