/* SPDX-License-Identifier: MIT */
/*
 * snapshot_files.h - the files of a snapshot_disk that no engine of ours would
 * have written like this
 */
#ifndef TESTS_SNAPSHOT_FILES_H
#define TESTS_SNAPSHOT_FILES_H

#include <stdint.h>

struct loop;

#define SNAPSHOT_BELOW "below.raw"

/* The backing file: len bytes, each of them SNAPSHOT_BELOW_BYTE.  0 or a
 * negative errno, as below. */
#define SNAPSHOT_BELOW_BYTE 0xba
int snapshot_make_below(struct loop *loop, uint64_t len);

/* The snapshot table of file name, of version 2, as programs of old wrote it:
 * entries have no extra data.  It has one cluster, of 4 KiB. */
int snapshot_shorten_table(struct loop *loop, const char *name);

#endif
