/* SPDX-License-Identifier: MIT */
/*
 * disk.h - fields of an image in a file, and ways to harm it
 *
 * What fails here fails the test.
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <stdint.h>

#include "engine/base/rng.h"

/* The file, and where things are in it. */
struct disk {
	int fd; /* the caller closes it */
	uint64_t cluster, l1, l1_n, reftable, reftable_n, snapshots, bytes;
	uint64_t refblock, l2; /* the first of each */
	unsigned order, l2_entry, version, n_snapshots;
	struct rng *rng; /* for the harm */
};

void disk_open(struct disk *d, const char *name, struct rng *rng);
/* Big-endian fields of 1 to 8 bytes. */
uint64_t disk_get(const struct disk *d, uint64_t off, unsigned bytes);
void disk_put(const struct disk *d, uint64_t off, uint64_t value,
	      unsigned bytes);

struct disk_harm {
	const char *name;
	void (*fn)(const struct disk *d);
};
extern const struct disk_harm disk_harms[];
extern const unsigned n_disk_harms;

#endif
