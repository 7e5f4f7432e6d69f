/* SPDX-License-Identifier: MIT */
#include "tests/damage.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/entry.h"
#include "engine/format/refcount.h"
#include "tests/image_make.h"

/* ---- bytes of the file ------------------------------------------------- */

struct poke {
	struct loop *loop;
	void *bytes;
	uint64_t off, len;
	bool write;
};

static int Q2_CO
run_poke(void *arg)
{
	struct poke *p = arg;
	struct points points = {0};
	struct aio_file *f;
	int r = aio_open(p->loop, DAMAGE_FILE, p->write ? 0 : AIO_RDONLY,
			 &points, &f, NULL);

	if (r < 0)
		return r;
	r = p->write ? file_write(f, AIO_HEADER, p->bytes, p->len, p->off)
		     : file_read(f, AIO_HEADER, p->bytes, p->len, p->off);
	if (r == 0 && p->write)
		r = file_sync(f);
	aio_close(f);
	return r;
}

static void
put(struct loop *loop, uint64_t off, uint64_t value, unsigned bytes)
{
	uint8_t b[8];
	struct poke p = {loop, b, off, bytes, true};

	store_be64(b, value << (64 - 8 * bytes));
	if (loop_call(loop, run_poke, &p) < 0)
		abort();
}

static uint64_t
get(struct loop *loop, uint64_t off, unsigned bytes)
{
	uint8_t b[8] = {0};
	struct poke p = {loop, b, off, bytes, false};

	if (loop_call(loop, run_poke, &p) < 0)
		abort();
	return load_be64(b) >> (64 - 8 * bytes);
}

static void
put_refcount(struct loop *loop, const struct damaged *d, uint64_t cluster,
	     uint64_t value)
{
	uint64_t size = UINT64_C(1) << d->cluster_bits;
	uint8_t *block = calloc(1, size);
	struct poke p = {loop, block, d->refblock, size, false};

	if (!block || loop_call(loop, run_poke, &p) < 0)
		abort();
	refcount_set(block, d->refcount_order, cluster, value);
	p.write = true;
	if (loop_call(loop, run_poke, &p) < 0)
		abort();
	free(block);
}

/* The host cluster of L2 entry i, which is one with data. */
static uint64_t
host_of(struct loop *loop, const struct damaged *d, unsigned i)
{
	return (get(loop, d->l2 + 8 * i, 8) & ENTRY_OFFSET_MASK) >>
	       d->cluster_bits;
}

/* ---- damages ----------------------------------------------------------- */

static void
leaks(struct loop *loop, const struct damaged *d)
{
	uint64_t end = d->end >> d->cluster_bits;

	put(loop, d->end + (4 << d->cluster_bits) - 1, 0xee, 1);
	put_refcount(loop, d, end + 1, 1);
	put_refcount(loop, d, end + 3, 1);
}

/* COPIED stays set: that is wrong only until the refcount is 1 again. */
static void
too_high(struct loop *loop, const struct damaged *d)
{
	if (d->refcount_order)
		put_refcount(loop, d, host_of(loop, d, 0), 2);
}

static void
too_low(struct loop *loop, const struct damaged *d)
{
	put(loop, d->l2 + 8, get(loop, d->l2, 8), 8);
}

static void
lost(struct loop *loop, const struct damaged *d)
{
	put_refcount(loop, d, host_of(loop, d, 0), 0);
	put_refcount(loop, d, d->l2 >> d->cluster_bits, 0);
}

static void
no_block(struct loop *loop, const struct damaged *d)
{
	put(loop, d->reftable, 0, 8);
}

static void
block_unaligned(struct loop *loop, const struct damaged *d)
{
	put(loop, d->reftable, d->refblock + 512, 8);
}

static void
block_reserved(struct loop *loop, const struct damaged *d)
{
	put(loop, d->reftable, d->refblock + 1, 8);
}

static void
block_outside(struct loop *loop, const struct damaged *d)
{
	put(loop, d->reftable,
	    align_up(d->end, UINT64_C(1) << d->cluster_bits) +
		    (9 << d->cluster_bits),
	    8);
}

static void
block_is_data(struct loop *loop, const struct damaged *d)
{
	put(loop, d->reftable + 8, host_of(loop, d, 0) << d->cluster_bits, 8);
}

static void
flags(struct loop *loop, const struct damaged *d)
{
	put(loop, d->l2, get(loop, d->l2, 1) ^ 0x80, 1);
	put(loop, d->l1, get(loop, d->l1, 1) ^ 0x80, 1);
}

/* Entry 2 is one of zeros. */
static void
zero_unaligned(struct loop *loop, const struct damaged *d)
{
	put(loop, d->l2 + 16,
	    ENTRY_COPIED | ENTRY_ZERO |
		    ((host_of(loop, d, 0) << d->cluster_bits) + 512),
	    8);
}

static void
bits(struct loop *loop, const struct damaged *d)
{
	(void)d;
	put(loop, 79, 3, 1);
}

static void
dirty(struct loop *loop, const struct damaged *d)
{
	lost(loop, d);
	put(loop, 79, 1, 1);
}

static void
dirty_low(struct loop *loop, const struct damaged *d)
{
	if (d->refcount_order)
		too_low(loop, d);
	leaks(loop, d);
	put(loop, 79, 1, 1);
}

/* One without an L1 table, and with too little extra data. */
static void
snapshot(struct loop *loop, const struct damaged *d)
{
	uint64_t at = align_up(d->end, UINT64_C(1) << d->cluster_bits);

	put(loop, at + 12, 1, 2);
	put(loop, at + 14, 3, 2);
	put(loop, at + 36, 8, 4);
	put(loop, at + 48, UINT64_C(0x316f6e6500000000), 8); /* 1one */
	put_refcount(loop, d, at >> d->cluster_bits, 1);
	put(loop, 64, at, 8);
	put(loop, 60, 1, 4);
}

static void
snapshot_and_lost(struct loop *loop, const struct damaged *d)
{
	snapshot(loop, d);
	lost(loop, d);
}

const struct damage damages[] = {
	{"leaks", leaks, false, false},
	{"too high", too_high, false, false},
	{"too low", too_low, false, false},
	{"lost", lost, false, false},
	{"no block", no_block, false, false},
	{"block unaligned", block_unaligned, false, false},
	{"block reserved", block_reserved, false, false},
	{"block outside", block_outside, false, false},
	{"block is data", block_is_data, false, false},
	{"flags", flags, false, false},
	{"zero unaligned", zero_unaligned, false, false},
	{"bits", bits, false, false},
	{"snapshot", snapshot, true, false},
	{"snapshot and lost", snapshot_and_lost, true, false},
	{"dirty", dirty, false, true},
	{"dirty low", dirty_low, false, true},
};
const unsigned n_damages = ARRAY_SIZE(damages);

/* ---- making ------------------------------------------------------------ */

/* Data but for entry 2, and another L2 table. */
static enum image_cluster
state_of(void *arg, uint64_t cluster)
{
	const struct damaged *d = arg;
	uint64_t per_table = UINT64_C(1) << (d->cluster_bits - 3);

	if (cluster == 2)
		return IMAGE_ZERO;
	return cluster < 7 || cluster == per_table ? IMAGE_NORMAL : IMAGE_EMPTY;
}

static int
open_disk(struct loop *loop, unsigned open_flags, struct q2_image **ret)
{
	struct q2_open_opts o = {
		.size = sizeof(o), .driver = "qcow2", .flags = open_flags};

	return q2_open((struct q2_loop *)loop, DAMAGE_FILE, &o, ret, NULL);
}

static int
fill(struct loop *loop, struct damaged *d)
{
	uint64_t cluster = UINT64_C(1) << d->cluster_bits;
	uint64_t last = cluster << (d->cluster_bits - 3);
	uint8_t *p = malloc(7 * cluster);
	struct q2_image *img;
	int r = p ? open_disk(loop, 0, &img) : -ENOMEM;

	if (r < 0) {
		free(p);
		return r;
	}
	for (uint64_t i = 0; i < 7 * cluster; i++)
		p[i] = (uint8_t)(i / 61 + 1);
	r = q2_pwrite(img, p, 2 * cluster, 0);
	if (r == 0)
		r = q2_pwrite(img, p, 4 * cluster, 3 * cluster);
	if (r == 0)
		r = q2_pwrite(img, p, cluster, last);
	free(p);
	return q2_close(img, NULL) < 0 ? -EIO : r;
}

/* Into p; guest cluster 2 reads as zeros where that is what it does. */
static int
read_content(struct loop *loop, const struct damaged *d, bool whole, uint8_t *p)
{
	uint64_t cluster = UINT64_C(1) << d->cluster_bits;
	struct q2_image *img;
	int r = open_disk(loop, Q2_RDONLY, &img);

	if (r < 0)
		return r;
	memset(p + 2 * cluster, 0, cluster);
	r = q2_pread(img, p, 2 * cluster, 0);
	if (r == 0 && whole)
		r = q2_pread(img, p + 2 * cluster, cluster, 2 * cluster);
	if (r == 0)
		r = q2_pread(img, p + 3 * cluster, d->bytes - 3 * cluster,
			     3 * cluster);
	return q2_close(img, NULL) < 0 ? -EIO : r;
}

int
damage_make(struct loop *loop, const struct damage *damage,
	    unsigned cluster_bits, unsigned refcount_order, struct damaged *ret)
{
	struct damaged *d = ret;
	uint64_t cluster = UINT64_C(1) << cluster_bits;
	struct image_make m = {
		.cluster_bits = cluster_bits,
		.refcount_order = refcount_order,
		.state = state_of,
		.arg = d,
	};
	int r;

	*d = (struct damaged){.cluster_bits = cluster_bits,
			      .refcount_order = refcount_order};
	d->bytes = (cluster << (cluster_bits - 3)) + 2 * cluster;
	m.bytes = d->bytes;
	r = image_make(loop, DAMAGE_FILE, &m);
	if (r == 0)
		r = fill(loop, d);
	if (r < 0)
		return r;
	d->l1 = get(loop, 40, 8);
	d->reftable = get(loop, 48, 8);
	d->refblock = get(loop, d->reftable, 8);
	d->l2 = get(loop, d->l1, 8) & ENTRY_OFFSET_MASK;
	d->end = ((get(loop, (get(loop, d->l1 + 8, 8) & ENTRY_OFFSET_MASK), 8) &
		   ENTRY_OFFSET_MASK)) +
		 cluster;
	damage->fn(loop, d);
	d->content = malloc(d->bytes);
	return d->content ? read_content(loop, d, false, d->content) : -ENOMEM;
}

void
damage_done(struct damaged *d)
{
	free(d->content);
}

/* ---- looking ----------------------------------------------------------- */

int
damage_repair(struct loop *loop, enum repairer by, struct q2_check *ret)
{
	struct q2_image *img;
	int r = open_disk(loop, by == BY_OPENING ? 0 : Q2_CHECK, &img);

	if (r < 0)
		return r;
	if (by == BY_OPENING)
		*ret = (struct q2_check){0};
	else
		r = q2_repair(img,
			      by == BY_ALL ? Q2_REPAIR_ALL : Q2_REPAIR_LEAKS,
			      ret, NULL, NULL, NULL);
	if (q2_close(img, NULL) < 0 && r == 0)
		r = -EIO;
	return r;
}

static void
finding(void *arg, const char *text)
{
	struct damage_found *f = arg;

	f->lost += strncmp(text, "ERROR cluster ", 14) == 0;
}

int
damage_check(struct loop *loop, struct damage_found *ret)
{
	struct q2_image *img;
	int r = open_disk(loop, Q2_RDONLY | Q2_CHECK, &img);

	*ret = (struct damage_found){0};
	if (r < 0)
		return r;
	r = q2_check(img, &ret->check, finding, ret, NULL);
	if (q2_close(img, NULL) < 0)
		r = -EIO;
	return r;
}

bool
damage_content_is_same(struct loop *loop, const struct damage *damage,
		       const struct damaged *d, bool whole)
{
	/* Kept from one look to the next: pages of a new one take longer than
	 * all of the rest, under ASan ten times as long. */
	static uint8_t *now;
	static uint64_t room;
	uint64_t at;
	bool same;

	if (room < d->bytes) {
		free(now);
		now = malloc(d->bytes);
		room = now ? d->bytes : 0;
	}
	if (!now || read_content(loop, d, whole, now) < 0)
		return false;
	same = memcmp(now, d->content, d->bytes) == 0;
	if (!damage->snapshots || !same)
		return same;
	at = get(loop, 64, 8);
	return get(loop, 60, 4) == 1 &&
	       get(loop, at + 40 + get(loop, at + 36, 4), 4) == 0x316f6e65;
}
