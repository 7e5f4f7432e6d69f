/* SPDX-License-Identifier: MIT */
/*
 * limits.h - how large anything in a qcow2 file may be
 *
 * Most are QEMU's, so that we refuse what it refuses and never write what it
 * would not open.  Whatever is sized by a field of the file is checked against
 * one of these before memory is allocated for it.
 */
#ifndef Q2_FORMAT_LIMITS_H
#define Q2_FORMAT_LIMITS_H

#include "engine/base/num.h"

#define Q2_MIN_CLUSTER_BITS     9
#define Q2_MAX_CLUSTER_BITS     21
#define Q2_DEFAULT_CLUSTER_SIZE (64 * KiB)

/* QEMU refuses larger tables; they bound the memory of an open image. */
#define Q2_MAX_L1_BYTES       (32 * MiB)
#define Q2_MAX_REFTABLE_BYTES (8 * MiB)

/* Host offsets have 56 bits in every table entry. */
#define Q2_MAX_HOST_OFFSET (UINT64_C(1) << 56)

#define Q2_MAX_SNAPSHOTS      65536
#define Q2_MAX_BACKING_NAME   1023
#define Q2_MAX_BACKING_FORMAT 15
#define Q2_MAX_BITMAPS        65535

/* QEMU's block layer counts in 512-byte sectors. */
#define Q2_SECTOR 512

/* check keeps a refcount per host cluster in memory: QEMU's own bound. */
#define Q2_MAX_CHECK_CLUSTERS INT32_MAX

#endif
