/* SPDX-License-Identifier: MIT */
#include "tests/disk.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"

/* ---- fields ------------------------------------------------------------ */

uint64_t
disk_get(const struct disk *d, uint64_t off, unsigned bytes)
{
	uint8_t b[8] = {0};

	assert_true(pread(d->fd, b, bytes, (off_t)off) >= 0);
	return load_be64(b) >> (64 - 8 * bytes);
}

void
disk_put(const struct disk *d, uint64_t off, uint64_t value, unsigned bytes)
{
	uint8_t b[8];

	store_be64(b, value << (64 - 8 * bytes));
	assert_int_equal(pwrite(d->fd, b, bytes, (off_t)off), bytes);
}

void
disk_open(struct disk *d, const char *name, struct rng *rng)
{
	struct stat st;

	*d = (struct disk){.fd = open(name, O_RDWR | O_CLOEXEC), .rng = rng};
	assert_true(d->fd >= 0);
	assert_int_equal(fstat(d->fd, &st), 0);
	d->bytes = (uint64_t)st.st_size;
	d->version = (unsigned)disk_get(d, 4, 4);
	d->cluster = UINT64_C(1) << disk_get(d, 20, 4);
	d->l1_n = disk_get(d, 36, 4);
	d->l1 = disk_get(d, 40, 8);
	d->reftable = disk_get(d, 48, 8);
	d->reftable_n = disk_get(d, 56, 4) * d->cluster / 8;
	d->n_snapshots = (unsigned)disk_get(d, 60, 4);
	d->snapshots = disk_get(d, 64, 8);
	d->order = d->version > 2 ? (unsigned)disk_get(d, 96, 4) : 4;
	d->l2_entry = d->version > 2 && (disk_get(d, 79, 1) & 16) ? 16 : 8;
	d->refblock = disk_get(d, d->reftable, 8);
	for (uint64_t i = 0; i < d->l1_n && !d->l2; i++)
		d->l2 = disk_get(d, d->l1 + 8 * i, 8) &
			UINT64_C(0xfffffffffffe00);
}

/* Somewhere in the refcount of a cluster of the file. */
static uint64_t
some_refcount(const struct disk *d)
{
	uint64_t n = min_u64(d->bytes / d->cluster + 1,
			     d->cluster * 8 >> d->order);
	uint64_t bytes = div_up(n << d->order, 8);

	return d->refblock + rng_below(d->rng, bytes);
}

/* The first L2 entry that is not zero, from a chosen one on. */
static uint64_t
some_entry(const struct disk *d)
{
	uint64_t n = d->cluster / d->l2_entry;
	uint64_t first = rng_below(d->rng, 8);

	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = d->l2 + (first + i) % n * d->l2_entry;

		if (disk_get(d, at, 8))
			return at;
	}
	return d->l2;
}

static void
harm_refcount(const struct disk *d)
{
	disk_put(d, some_refcount(d), rng_next(d->rng) & 0xff, 1);
}
static void
zero_refcount(const struct disk *d)
{
	disk_put(d, some_refcount(d), 0, 1);
}
static void
zero_refblock(const struct disk *d)
{
	uint8_t *zeros = calloc(1, d->cluster);

	assert_non_null(zeros);
	assert_int_equal(pwrite(d->fd, zeros, d->cluster, (off_t)d->refblock),
			 (ssize_t)d->cluster);
	free(zeros);
}
static void
leak(const struct disk *d)
{
	assert_int_equal(
		ftruncate(d->fd, (off_t)(align_up(d->bytes, d->cluster) +
					 3 * d->cluster)),
		0);
	disk_put(d,
		 d->refblock +
			 div_up((d->bytes / d->cluster + 1) << d->order, 8),
		 1, 1);
}
static void
lose_refblock(const struct disk *d)
{
	disk_put(d, d->reftable, 0, 8);
}
static void
refblock_outside(const struct disk *d)
{
	disk_put(d, d->reftable,
		 align_up(d->bytes, d->cluster) + 5 * d->cluster, 8);
}
static void
refblock_far_outside(const struct disk *d)
{
	disk_put(d, d->reftable + 8,
		 UINT64_C(1) << (20 + rng_below(d->rng, 11)), 8);
}
static void
refblock_twice(const struct disk *d)
{
	disk_put(d, d->reftable + 8, d->refblock, 8);
}
static void
refblock_reserved(const struct disk *d)
{
	disk_put(d, d->reftable, d->refblock | 4, 8);
}
static void
refblock_is_l1(const struct disk *d)
{
	disk_put(d, d->reftable, d->l1, 8);
}
static void
copied_off(const struct disk *d)
{
	uint64_t at = some_entry(d);

	disk_put(d, at, disk_get(d, at, 1) & 0x7f, 1);
}
static void
copied_on(const struct disk *d)
{
	uint64_t at = some_entry(d);

	disk_put(d, at, disk_get(d, at, 1) | 0x80, 1);
}
static void
copied_l1(const struct disk *d)
{
	disk_put(d, d->l1, disk_get(d, d->l1, 1) ^ 0x80, 1);
}
static void
reserved_l1(const struct disk *d)
{
	disk_put(d, d->l1, disk_get(d, d->l1, 1) | 0x10, 1);
}
static void
reserved_l2(const struct disk *d)
{
	uint64_t at = some_entry(d);

	disk_put(d, at + 7, disk_get(d, at + 7, 1) | 0x20, 1);
}
static void
share(const struct disk *d)
{
	uint64_t from = some_entry(d), to = some_entry(d);

	disk_put(d, to, disk_get(d, from, 8), 8);
	if (d->l2_entry == 16)
		disk_put(d, to + 8, disk_get(d, from + 8, 8), 8);
}
static void
unaligned_data(const struct disk *d)
{
	uint64_t at = some_entry(d);

	disk_put(d, at + 6, disk_get(d, at + 6, 1) ^ 2, 1);
}
static void
unaligned_zero(const struct disk *d)
{
	uint64_t at = some_entry(d);

	disk_put(d, at + 6, disk_get(d, at + 6, 1) ^ 2, 1);
	if (d->l2_entry == 16)
		disk_put(d, at + 8, UINT64_C(0xffff) << 32, 8);
	else
		disk_put(d, at + 7, disk_get(d, at + 7, 1) | 1, 1);
}
static void
both_bits(const struct disk *d)
{
	if (d->l2_entry == 16)
		disk_put(d, some_entry(d) + 8, UINT64_C(0x100000001), 8);
}
static void
data_outside(const struct disk *d)
{
	disk_put(d, some_entry(d) + 2, 1, 1);
}
static void
table_outside(const struct disk *d)
{
	disk_put(d, d->l1 + 2, 1, 1);
}
static void
data_is_table(const struct disk *d)
{
	disk_put(d, some_entry(d), d->l2 | UINT64_C(1) << 63, 8);
}
static void
harm_entry(const struct disk *d)
{
	disk_put(d, d->l2 + rng_below(d->rng, 64), rng_next(d->rng) & 0xff, 1);
}
static void
set_bits(const struct disk *d)
{
	if (d->version > 2)
		disk_put(d, 79, disk_get(d, 79, 1) | (1 + rng_below(d->rng, 3)),
			 1);
}
static void
short_extra(const struct disk *d)
{
	if (d->n_snapshots)
		disk_put(d, d->snapshots + 36, 8, 4);
}
static void
long_extra(const struct disk *d)
{
	if (d->n_snapshots)
		disk_put(d, d->snapshots + 36,
			 rng_below(d->rng, 2) ? 4000 : 1 << 30, 4);
}
static void
snapshot_l1(const struct disk *d)
{
	if (d->n_snapshots)
		disk_put(d, d->snapshots + 6, 2, 1);
}
static void
snapshot_l1_size(const struct disk *d)
{
	if (d->n_snapshots)
		disk_put(d, d->snapshots + 8, 0x7f, 1);
}
static void
no_snapshots(const struct disk *d)
{
	disk_put(d, 60, 0, 4);
}

const struct disk_harm disk_harms[] = {
	{"harm_refcount", harm_refcount},
	{"zero_refcount", zero_refcount},
	{"zero_refblock", zero_refblock},
	{"leak", leak},
	{"lose_refblock", lose_refblock},
	{"refblock_outside", refblock_outside},
	{"refblock_far_outside", refblock_far_outside},
	{"refblock_twice", refblock_twice},
	{"refblock_reserved", refblock_reserved},
	{"refblock_is_l1", refblock_is_l1},
	{"copied_off", copied_off},
	{"copied_on", copied_on},
	{"copied_l1", copied_l1},
	{"reserved_l1", reserved_l1},
	{"reserved_l2", reserved_l2},
	{"share", share},
	{"unaligned_data", unaligned_data},
	{"unaligned_zero", unaligned_zero},
	{"both_bits", both_bits},
	{"data_outside", data_outside},
	{"table_outside", table_outside},
	{"data_is_table", data_is_table},
	{"harm_entry", harm_entry},
	{"set_bits", set_bits},
	{"short_extra", short_extra},
	{"long_extra", long_extra},
	{"snapshot_l1", snapshot_l1},
	{"snapshot_l1_size", snapshot_l1_size},
	{"no_snapshots", no_snapshots},
};
const unsigned n_disk_harms = ARRAY_SIZE(disk_harms);
