/* SPDX-License-Identifier: MIT */
#include "tests/image_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/format/entry.h"
#include "engine/format/header.h"
#include "engine/format/refcount.h"

#define HEADER_BYTES (64 * KiB)

struct checking {
	struct loop *loop;
	const char *name;
	struct aio_file *f;
	struct image_check *c;
	uint64_t cluster; /* bytes */
	struct geom g;
	bool v2;
	uint64_t table_at, table_n; /* refcount table: offset, entries */
	uint64_t l1_at, l1_n;
	uint64_t snapshots_at, bitmaps_at, bitmaps_bytes;
	uint64_t header_bytes; /* that were read */
	bool inactive;         /* what is read now belongs to a snapshot */
	uint64_t n;            /* clusters of the file, rounded up */
	uint32_t *refs;        /* references */
	uint32_t *copied;      /* pointers of the disk with COPIED */
	uint32_t *clear;       /* and without */
	uint64_t *counts;      /* refcounts */
};

static void __attribute__((format(printf, 2, 3)))
corrupt(struct checking *k, const char *fmt, ...)
{
	va_list ap;

	if (k->c->corruptions++ > 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(k->c->why, sizeof(k->c->why), fmt, ap);
	va_end(ap);
}

/* n clusters from host on are pointed at by what. */
static void
refer(struct checking *k, uint64_t host, uint64_t n, bool copied,
      const char *what, uint64_t index)
{
	if (!is_aligned(host, k->cluster)) {
		corrupt(k, "%s %" PRIu64 " is unaligned: 0x%" PRIx64, what,
			index, host);
		return;
	}
	for (uint64_t i = host / k->cluster; i < host / k->cluster + n; i++) {
		if (i >= k->n) {
			corrupt(k,
				"%s %" PRIu64 " is at 0x%" PRIx64
				", beyond the end of the file",
				what, index, host);
			return;
		}
		k->refs[i]++;
		k->copied[i] += copied && !k->inactive;
		k->c->references++;
	}
}

/* A cluster that an entry with or without COPIED names. */
static void
refer_mapped(struct checking *k, uint64_t host, bool copied, const char *what,
	     uint64_t index)
{
	refer(k, host, 1, copied, what, index);
	if (!copied && !k->inactive && host / k->cluster < k->n)
		k->clear[host / k->cluster]++;
}

static int Q2_CO
read_alloc(struct checking *k, uint64_t at, uint64_t len, uint8_t **ret_bytes)
{
	uint8_t *bytes = malloc(len + 1);
	int r;

	if (!bytes)
		return -ENOMEM;
	r = file_read(k->f, AIO_HEADER, bytes, len, at);
	if (r < 0)
		free(bytes);
	else
		*ret_bytes = bytes;
	return r;
}

/* The data of an extension of the header h, or NULL. */
static const uint8_t *
find_ext(const struct checking *k, const uint8_t *h, uint32_t type)
{
	size_t at = k->v2 ? 72 : load_be32(h + 100);

	while (at + 32 <= k->header_bytes && load_be32(h + at) != EXT_END) {
		if (load_be32(h + at) == type)
			return h + at + 8;
		at += 8 + align_up(load_be32(h + at + 4), 8);
	}
	return NULL;
}

static void
refer_crypto(struct checking *k, const uint8_t *h)
{
	const uint8_t *ext = find_ext(k, h, EXT_CRYPTO);

	if (ext)
		refer(k, load_be64(ext), div_up(load_be64(ext + 8), k->cluster),
		      false, "LUKS header", 0);
}

/* Bitmaps that nobody trusts are lost, and their clusters leaks. */
static void
find_bitmaps(struct checking *k, const uint8_t *h)
{
	const uint8_t *ext = find_ext(k, h, EXT_BITMAPS);

	if (!ext || k->v2 || !(load_be64(h + 88) & AUTOCLEAR_BITMAPS))
		return;
	k->c->bitmaps = load_be32(ext);
	k->bitmaps_bytes = load_be64(ext + 8);
	k->bitmaps_at = load_be64(ext + 16);
	refer(k, k->bitmaps_at, div_up(k->bitmaps_bytes, k->cluster), false,
	      "bitmap directory", 0);
}

static int Q2_CO
read_header(struct checking *k)
{
	int64_t size = aio_size(k->f);
	uint64_t incompatible;
	uint8_t *h = NULL;
	int r;

	if (size < 0)
		return (int)size;
	k->header_bytes = min_u64((uint64_t)size, HEADER_BYTES);
	r = read_alloc(k, 0, k->header_bytes, &h);
	if (r < 0)
		return r;
	k->v2 = load_be32(h + 4) == 2;
	incompatible = k->v2 ? 0 : load_be64(h + 72);
	k->c->dirty = incompatible & INCOMPAT_DIRTY;
	k->g = geom_init(load_be32(h + 20), k->v2 ? 4 : load_be32(h + 96),
			 incompatible & INCOMPAT_EXTENDED_L2,
			 load_be64(h + 24));
	k->g.external_data = incompatible & INCOMPAT_DATA_FILE;
	k->cluster = k->g.cluster_size;
	k->l1_n = load_be32(h + 36);
	k->l1_at = load_be64(h + 40);
	k->c->snapshots = load_be32(h + 60);
	k->snapshots_at = load_be64(h + 64);
	k->table_at = load_be64(h + 48);
	k->table_n = (uint64_t)load_be32(h + 56) * k->cluster / 8;
	k->n = div_up((uint64_t)size, k->cluster);
	k->refs = calloc(k->n + 1, sizeof(*k->refs));
	k->copied = calloc(k->n + 1, sizeof(*k->copied));
	k->clear = calloc(k->n + 1, sizeof(*k->clear));
	k->counts = calloc(k->n + 1, sizeof(*k->counts));
	if (!k->refs || !k->copied || !k->clear || !k->counts)
		return -ENOMEM;
	refer_crypto(k, h);
	find_bitmaps(k, h);
	free(h);
	refer(k, 0, 1, false, "header", 0);
	refer(k, k->table_at, k->table_n * 8 / k->cluster, false,
	      "refcount table", 0);
	refer(k, k->l1_at, div_up(k->l1_n * 8, k->cluster), false, "L1 table",
	      0);
	return 0;
}

static int Q2_CO
read_refblock(struct checking *k, uint64_t index, uint64_t host)
{
	uint64_t first = index << k->g.refblock_bits;
	uint8_t *b = NULL;
	int r;

	refer(k, host, 1, false, "refcount block", index);
	r = read_alloc(k, host, k->cluster, &b);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < k->g.refblock_entries && first + i < k->n; i++)
		k->counts[first + i] = refcount_get(b, k->g.refcount_order, i);
	free(b);
	return 0;
}

static int Q2_CO
read_refcounts(struct checking *k)
{
	uint8_t *t = NULL;
	int r;

	r = read_alloc(k, k->table_at, k->table_n * 8, &t);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < k->table_n && r == 0; i++) {
		uint64_t host = load_be64(t + 8 * i) & REFTABLE_OFFSET_MASK;

		if (host)
			r = read_refblock(k, i, host);
	}
	free(t);
	return r;
}

/* Compressed bytes of guest cluster index: every cluster that they touch. */
static void
read_compressed(struct checking *k, const struct l2_entry *e, uint64_t index)
{
	uint64_t first = e->host / k->cluster;
	uint64_t last = (e->host + e->len - 1) / k->cluster;

	k->c->compressed++;
	if (e->copied || e->sub_alloc || e->sub_zero || k->g.external_data)
		corrupt(k, "cluster %" PRIu64 " is compressed, and more",
			index);
	refer(k, first * k->cluster, last - first + 1, false,
	      "compressed cluster", index);
}

/* Of guest cluster index; bytes as in the file. */
static void
read_entry(struct checking *k, const uint8_t *bytes, uint64_t index)
{
	uint64_t e = load_be64(bytes), at = e & ENTRY_OFFSET_MASK;
	struct l2_entry entry = l2_load(&k->g, bytes);

	if (e & ENTRY_COMPRESSED)
		read_compressed(k, &entry, index);
	else if (e & L2_RESERVED_MASK || (k->v2 && e & ENTRY_ZERO) ||
		 !l2_subs_are_valid(&entry))
		corrupt(k, "cluster %" PRIu64 ": entry 0x%" PRIx64, index, e);
	else if (k->g.external_data && at && at != index * k->cluster)
		corrupt(k, "cluster %" PRIu64 " is at 0x%" PRIx64, index, at);
	else if (at && !k->g.external_data)
		refer_mapped(k, at, e & ENTRY_COPIED, "cluster", index);
}

static int Q2_CO
read_l2(struct checking *k, uint64_t table, uint64_t host)
{
	uint8_t *t = NULL;
	int r;

	r = read_alloc(k, host, k->cluster, &t);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < k->g.l2_entries; i++)
		read_entry(k, t + i * k->g.l2_entry_size,
			   table * k->g.l2_entries + i);
	free(t);
	return 0;
}

static int Q2_CO
read_maps(struct checking *k, uint64_t l1_at, uint64_t l1_n)
{
	uint8_t *t = NULL;
	int r;

	r = read_alloc(k, l1_at, l1_n * 8, &t);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < l1_n && r == 0; i++) {
		uint64_t e = load_be64(t + 8 * i);
		uint64_t host = e & ENTRY_OFFSET_MASK;

		if (e & L1_RESERVED_MASK)
			corrupt(k, "L1 entry %" PRIu64 ": 0x%" PRIx64, i, e);
		if (!host)
			continue;
		refer_mapped(k, host, e & ENTRY_COPIED, "L2 table", i);
		if (is_aligned(host, k->cluster))
			r = read_l2(k, i, host);
	}
	free(t);
	return r;
}

static int Q2_CO
read_snapshots(struct checking *k)
{
	uint64_t at = k->snapshots_at;
	int r = 0;

	k->inactive = true;
	for (unsigned i = 0; i < k->c->snapshots && r == 0; i++) {
		uint64_t l1_at, l1_n;
		uint8_t *h = NULL;

		r = read_alloc(k, at, 40, &h);
		if (r < 0)
			break;
		l1_at = load_be64(h);
		l1_n = load_be32(h + 8);
		at += align_up(40 + load_be32(h + 36) + load_be16(h + 12) +
				       load_be16(h + 14),
			       8);
		free(h);
		refer(k, l1_at, div_up(l1_n * 8, k->cluster), false,
		      "L1 table of snapshot", i);
		if (l1_n > 1 << 20)
			corrupt(k, "snapshot %u has %" PRIu64 " L1 entries", i,
				l1_n);
		else
			r = read_maps(k, l1_at, l1_n);
	}
	refer(k, k->snapshots_at, div_up(at - k->snapshots_at, k->cluster),
	      false, "snapshot table", 0);
	k->inactive = false;
	return r;
}

/* Its table, and the clusters of bits that this names. */
static int Q2_CO
read_bitmap(struct checking *k, uint64_t at, uint64_t entries, unsigned index)
{
	uint8_t *t = NULL;
	int r;

	refer(k, at, div_up(entries * 8, k->cluster), false, "bitmap table",
	      index);
	r = read_alloc(k, at, entries * 8, &t);
	for (uint64_t i = 0; r == 0 && i < entries; i++)
		if (load_be64(t + 8 * i) & ~UINT64_C(1))
			refer(k, load_be64(t + 8 * i), 1, false,
			      "cluster of bitmap", index);
	free(t);
	return r;
}

static int Q2_CO
read_bitmaps(struct checking *k)
{
	uint8_t *dir = NULL;
	uint64_t at = 0;
	int r = 0;

	if (k->c->bitmaps)
		r = read_alloc(k, k->bitmaps_at, k->bitmaps_bytes, &dir);
	for (unsigned i = 0; r == 0 && i < k->c->bitmaps; i++) {
		const uint8_t *e = dir + at;

		if (at + 24 > k->bitmaps_bytes) {
			corrupt(k, "the bitmap directory ends in entry %u", i);
			break;
		}
		r = read_bitmap(k, load_be64(e), load_be32(e + 8), i);
		at += align_up(24 + load_be16(e + 18) + load_be32(e + 20), 8);
	}
	free(dir);
	return r;
}

static void
compare(struct checking *k)
{
	for (uint64_t i = 0; i < k->n; i++) {
		if (k->refs[i] > k->counts[i])
			corrupt(k,
				"cluster at 0x%" PRIx64
				": %u references, refcount %" PRIu64,
				i * k->cluster, k->refs[i], k->counts[i]);
		else if (k->copied[i] && k->counts[i] != 1)
			corrupt(k,
				"cluster at 0x%" PRIx64
				": COPIED, refcount %" PRIu64,
				i * k->cluster, k->counts[i]);
		else if (k->refs[i] < k->counts[i])
			k->c->leaks++;
		k->c->copied_clear += k->clear[i] && k->counts[i] == 1;
	}
}

static int Q2_CO
check(void *arg)
{
	struct checking *k = arg;
	struct points points = {0};
	int r;

	r = aio_open(k->loop, k->name, AIO_RDONLY, &points, &k->f, NULL);
	if (r < 0)
		return r;
	r = read_header(k);
	if (r == 0)
		r = read_refcounts(k);
	if (r == 0)
		r = read_maps(k, k->l1_at, k->l1_n);
	if (r == 0)
		r = read_snapshots(k);
	if (r == 0)
		r = read_bitmaps(k);
	if (r == 0)
		compare(k);
	aio_close(k->f);
	return r;
}

int
image_check(struct loop *loop, const char *name, struct image_check *ret)
{
	struct checking k = {.loop = loop, .name = name, .c = ret};
	int r;

	*ret = (struct image_check){0};
	r = loop_call(loop, check, &k);
	free(k.refs);
	free(k.copied);
	free(k.clear);
	free(k.counts);
	return r;
}
