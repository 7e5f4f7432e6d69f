/* SPDX-License-Identifier: MIT */
/*
 * power_config.h - what kind of image a run of power.h uses, by its seed
 */
#ifndef TESTS_CRASH_POWER_CONFIG_H
#define TESTS_CRASH_POWER_CONFIG_H

#include "engine/base/rng.h"
#include "engine/q2.h"
#include "tests/crash/oracle.h"

struct loop;

#define POWER_DISK "disk.qcow2"
#define POWER_DATA "data.raw"
#define POWER_BASE "base.raw"

/* The id of the stamps in a backing file. */
#define POWER_BASE_ID 1

enum power_device {
	DEVICE_FILE,
	DEVICE_STALE, /* a file that ends with old bytes */
	DEVICE_BLOCK, /* not only at the end, and it cannot grow */
};

struct power_config {
	uint64_t seed;
	unsigned cluster_bits, refcount_order;
	uint32_t align;
	enum q2_zero zero;
	enum power_device device;
	enum q2_cache cache;
	unsigned prealloc; /* clusters that begin with a host cluster, in % */
	bool unmap, near_full;
	bool churn;         /* many discards: clusters come back while in use */
	bool near_block;    /* soon another refcount block is needed */
	unsigned scattered; /* only every so many-th cluster is free */
	uint64_t disk_bytes, file_bytes;
	struct regions regions;

	unsigned version;
	bool extended_l2, lazy, no_unref, compress;
	bool snapshots;           /* are taken and deleted meanwhile */
	bool data_file, data_raw; /* guest data in POWER_DATA */
	unsigned crypt_method;    /* 1: AES, 2: LUKS, by IMAGE_KEY */
	uint64_t base_bytes;      /* of POWER_BASE; 0: no backing file */
};

struct power_config power_choose(uint64_t seed, struct rng *rng);

/* In words, for a report. */
void power_describe(const struct power_config *c, char *text, size_t bytes);

/* Make the image, and its data file. 0 or a negative errno. */
int power_make(const struct power_config *c, struct loop *loop);
/* Make the backing file, if there is one. */
int power_make_base(const struct power_config *c, struct loop *loop);

/* What the cells begin as; the caller frees it. */
uint32_t *power_base_ids(const struct power_config *c);

#endif
