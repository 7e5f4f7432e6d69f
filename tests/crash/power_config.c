/* SPDX-License-Identifier: MIT */
#include "tests/crash/power_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/aio.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "tests/image_make.h"

static void
choose_regions(struct power_config *c)
{
	uint64_t cluster = UINT64_C(1) << c->cluster_bits;

	c->regions.stride = cluster * (cluster / (c->extended_l2 ? 16 : 8));
	if (c->cluster_bits == 9)
		c->regions.n = 5, c->regions.bytes = 24 * KiB;
	else if (c->cluster_bits == 12)
		c->regions.n = 3, c->regions.bytes = 56 * KiB + 512;
	else
		c->regions.n = 3, c->regions.bytes = 5 * cluster + 1024;
	c->disk_bytes = (c->regions.n - 1) * c->regions.stride +
			c->regions.bytes;
}

/* Half of the images are plain ones; the others have a feature each. */
static void
choose_features(struct power_config *c, struct rng *rng)
{
	c->version = 3;
	switch (rng_below(rng, 10)) {
	case 0:
	case 1:
		c->extended_l2 = true;
		c->cluster_bits = max_u64(14, c->cluster_bits);
		break;
	case 2:
		c->version = 2;
		break;
	case 3:
		c->data_file = true;
		c->data_raw = rng_below(rng, 2);
		break;
	case 4:
	case 5:
		c->lazy = true;
		break;
	default:
		break;
	}
	c->no_unref = c->version == 3 && rng_below(rng, 8) == 0;
	c->compress = !c->data_file && rng_below(rng, 8) == 0;
}

/* A backing file, which may end anywhere. */
static void
choose_base(struct power_config *c, struct rng *rng)
{
	const struct regions *g = &c->regions;

	if (c->data_raw || rng_below(rng, 3))
		return;
	c->base_bytes = rng_below(rng, 2)
				? c->disk_bytes
				: rng_below(rng, g->n) * g->stride +
					  align_down(rng_below(rng, g->bytes),
						     Q2_SECTOR) +
					  Q2_SECTOR;
}

static void
choose_refcounts(struct power_config *c, struct rng *rng)
{
	c->refcount_order = c->version == 2 || rng_below(rng, 2) ? 4 : 6;
	/* One step before the refcount table must grow. */
	c->near_full = c->cluster_bits == 9 && c->device == DEVICE_FILE &&
		       c->version == 3 && rng_below(rng, 4);
	if (c->near_full)
		c->refcount_order = 6;
	c->near_block = !c->near_full && c->cluster_bits <= 12 &&
			c->device != DEVICE_BLOCK && rng_below(rng, 3) == 0;
	/* What was freed is soon used again. */
	if (!c->near_full && !c->near_block && rng_below(rng, 4))
		c->scattered = 2 + (unsigned)rng_below(rng, 2);
}

/* LUKS takes 1 MiB, and opening it some time. */
static void
choose_encryption(struct power_config *c, struct rng *rng)
{
	if (c->near_full || c->near_block || c->data_file || rng_below(rng, 6))
		return;
	c->crypt_method = rng_below(rng, 4) ? 1 : 2;
	/* These are not compressed. */
	c->compress = false;
	if (c->crypt_method == 2)
		c->scattered = 0;
}

struct power_config
power_choose(uint64_t seed, struct rng *rng)
{
	static const unsigned bits[] = {9, 12, 16};
	static const uint32_t aligns[] = {1, 512, 4096};
	static const enum power_device devices[] = {DEVICE_FILE, DEVICE_FILE,
						    DEVICE_STALE, DEVICE_BLOCK};
	struct power_config c = {
		.seed = seed,
		.cluster_bits = bits[seed % 3],
		.align = aligns[seed / 3 % 3],
		.zero = (enum q2_zero)(Q2_ZERO_HOLE + rng_below(rng, 3)),
		.device = devices[rng_below(rng, ARRAY_SIZE(devices))],
		.cache = rng_below(rng, 8) ? Q2_CACHE_WRITEBACK
					   : Q2_CACHE_WRITETHROUGH,
		.prealloc = rng_below(rng, 2) ? 0
					      : (unsigned)rng_below(rng, 100),
		.unmap = rng_below(rng, 3) > 0,
		.churn = rng_below(rng, 2) == 0,
	};

	choose_features(&c, rng);
	choose_regions(&c);
	choose_base(&c, rng);
	choose_refcounts(&c, rng);
	choose_encryption(&c, rng);
	/* Drawn beside the others: runs without them are what they were. */
	c.snapshots = !c.data_file && rng_derive(seed, 1) % 3 == 0;
	if (c.device != DEVICE_FILE)
		c.file_bytes = c.cluster_bits == 9    ? 512 * KiB
			       : c.cluster_bits == 12 ? 1 * MiB
						      : 2 * MiB;
	return c;
}

void
power_describe(const struct power_config *c, char *text, size_t bytes)
{
	static const char *const devices[] = {"file", "stale file", "block"};

	(void)snprintf(
		text, bytes,
		"clusters of %u, align %u, zero %d, %s, cache %d, prealloc "
		"%u %%, unmap %d, refcount order %u, near full %d, scattered "
		"%u, version %u, extended %d, lazy %d, no-unref %d, compress %d, data file "
		"%d raw %d, encryption %u, snapshots %d, base of %" PRIu64,
		1U << c->cluster_bits, c->align, c->zero, devices[c->device],
		c->cache, c->prealloc, c->unmap, c->refcount_order,
		c->near_full, c->scattered, c->version, c->extended_l2, c->lazy,
		c->no_unref, c->compress, c->data_file, c->data_raw,
		c->crypt_method, c->snapshots, c->base_bytes);
}

static enum image_cluster
cluster_state(void *arg, uint64_t cluster)
{
	const struct power_config *c = arg;
	uint64_t dice = rng_derive(c->seed, cluster);

	if ((cluster << c->cluster_bits) % c->regions.stride >=
		    c->regions.bytes ||
	    dice % 100 >= c->prealloc)
		return IMAGE_EMPTY;
	switch (dice / 128 % 4) {
	case 0:
		return c->version == 3 ? IMAGE_ZERO_ALLOC : IMAGE_NORMAL;
	case 1:
		return IMAGE_SHARED;
	case 2:
		return c->version == 3 ? IMAGE_ZERO : IMAGE_NORMAL;
	}
	return IMAGE_NORMAL;
}

static uint64_t
leak_bytes(const struct power_config *c)
{
	uint64_t block = UINT64_C(1)
			 << (2 * c->cluster_bits + 3 - c->refcount_order);

	/* 64-bit refcounts, 64 to a cluster, and 64 of those in the table: 2
	 * MiB; leave 20 to 60 KiB. */
	if (c->near_full)
		return 2 * MiB - 20 * KiB - c->seed % 5 * 10 * KiB;
	/* Behind all metadata that the image begins with. */
	if (c->near_block)
		return align_up(max_u64(c->file_bytes, 768 * KiB), block) -
		       ((2 + c->seed % 9) << c->cluster_bits);
	if (c->scattered)
		return UINT64_C(200) << c->cluster_bits;
	return 0;
}

static struct image_make
plan(const struct power_config *c)
{
	struct image_make m = {
		.bytes = c->disk_bytes,
		.cluster_bits = c->cluster_bits,
		.refcount_order = c->refcount_order,
		.state = c->prealloc ? cluster_state : NULL,
		.arg = (void *)(uintptr_t)c,
		.file_bytes = c->file_bytes,
		.fill = c->file_bytes ? 0xdb : 0,
		.leak_bytes = leak_bytes(c),
		.version = c->version,
		.extended_l2 = c->extended_l2,
		.sub_seed = c->seed,
		.lazy_refcounts = c->lazy,
		.data_file = c->data_file ? POWER_DATA : NULL,
		.data_file_raw = c->data_raw,
		.backing_file = c->base_bytes ? POWER_BASE : NULL,
		.backing_format = c->base_bytes ? "raw" : NULL,
		.crypt_method = c->crypt_method,
	};

	m.leak_holes = c->scattered;
	return m;
}

/* ---- other files ------------------------------------------------------- */

struct making {
	const struct power_config *c;
	struct loop *loop;
	const uint32_t *ids; /* of the base's cells */
};

/* Write all regions of f, as far as it goes: what fill puts into a buffer. */
static int Q2_CO
write_regions(const struct making *k, struct aio_file *f, uint64_t f_bytes,
	      void (*fill)(const struct making *k, unsigned region,
			   uint8_t *buf))
{
	const struct regions *g = &k->c->regions;
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(g->bytes);
	int r = buf ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < g->n; i++) {
		uint64_t at = i * g->stride;

		if (at >= f_bytes)
			break;
		fill(k, i, buf);
		r = file_write(f, AIO_DATA, buf,
			       min_u64(g->bytes, f_bytes - at), at);
	}
	return r;
}

static int Q2_CO
make_file(const struct making *k, const char *name, uint64_t bytes,
	  void (*fill)(const struct making *k, unsigned region, uint8_t *buf))
{
	struct points points = {0};
	struct aio_file *f;
	int r = aio_open(k->loop, name, AIO_CREATE, &points, &f, NULL);

	if (r < 0)
		return r;
	r = file_truncate(f, bytes);
	if (r == 0 && fill)
		r = write_regions(k, f, bytes, fill);
	if (r == 0)
		r = file_sync(f);
	aio_close(f);
	return r;
}

static void
fill_base(const struct making *k, unsigned region, uint8_t *buf)
{
	size_t n = k->c->regions.bytes / CELL;

	for (size_t i = 0; i < n; i++)
		oracle_stamp(POWER_BASE_ID, region * n + i, buf + i * CELL);
}

/* What nothing has been written to may hold anything. */
static void
fill_data(const struct making *k, unsigned region, uint8_t *buf)
{
	(void)region;
	memset(buf, 0xdb, k->c->regions.bytes);
}

static int Q2_CO
make_base(void *arg)
{
	const struct making *k = arg;

	return make_file(k, POWER_BASE, k->c->base_bytes, fill_base);
}

static int Q2_CO
make_data(void *arg)
{
	const struct making *k = arg;

	return make_file(k, POWER_DATA, k->c->disk_bytes,
			 k->c->prealloc ? NULL : fill_data);
}

int
power_make(const struct power_config *c, struct loop *loop)
{
	struct making k = {.c = c, .loop = loop};
	struct image_make m = plan(c);
	int r = image_make(loop, POWER_DISK, &m);

	if (r == 0 && c->data_file)
		r = loop_call(loop, make_data, &k);
	return r;
}

int
power_make_base(const struct power_config *c, struct loop *loop)
{
	struct making k = {.c = c, .loop = loop};

	return c->base_bytes ? loop_call(loop, make_base, &k) : 0;
}

uint32_t *
power_base_ids(const struct power_config *c)
{
	const struct regions *g = &c->regions;
	size_t per_region = g->bytes / CELL;
	struct image_make m = plan(c);
	uint32_t *ids = calloc(g->n * per_region, sizeof(*ids));

	for (size_t i = 0; ids && i < g->n * per_region; i++) {
		uint64_t off = i / per_region * g->stride +
			       i % per_region * CELL;
		enum cluster_kind kind = image_make_kind(&m, off);

		if (off < c->base_bytes && (kind == CLUSTER_UNALLOCATED ||
					    kind == CLUSTER_UNALLOCATED_AT))
			ids[i] = POWER_BASE_ID;
	}
	return ids;
}
