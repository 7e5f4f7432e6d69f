/* SPDX-License-Identifier: MIT */
/*
 * disk_stat.h - what the kernel has counted of a disk
 *
 * Disks are those at the bottom of a stack of devices: what others do to them
 * counts, whatever partition or volume they do it through.  Numbers are of the
 * disk, so our own requests are among them.
 */
#ifndef HARNESS_DISK_STAT_H
#define HARNESS_DISK_STAT_H

#include <stdbool.h>
#include <stdint.h>

#define DISKS_MAX 16

struct disks {
	unsigned n;                /* 0: not known, or no disk */
	char stat[DISKS_MAX][128]; /* such as /sys/block/sda/stat */
};

struct disk_count {
	uint64_t ops;    /* reads, writes, discards and flushes completed */
	uint64_t bytes;  /* read and written */
	uint64_t flying; /* requests at work now */
};

/* Adds a line of a stat file to *count; false if it is none. */
bool disk_stat_parse(const char *text, struct disk_count *count);

/* The sum over all disks; false if none could be read. */
bool disk_stat_read(const struct disks *disks, struct disk_count *ret);

/*
 * The part of its time that a disk needed for what it has done in so many
 * seconds, by what it can do: 0.05 is 5 %.  The greater one of requests and
 * bytes.  0 if the rates are not known (0).
 */
double disk_share(uint64_t ops, uint64_t bytes, double seconds, double iops,
		  double bytes_per_s);

#endif
