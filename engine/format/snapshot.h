/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - entries of the table of internal snapshots
 *
 *	offset size
 *	     0    8  offset of its L1 table
 *	     8    4  entries of that
 *	    12    2  length of the id
 *	    14    2  length of the name
 *	    16    8  when it was taken: seconds, nanoseconds
 *	    24    8  time of the guest's clock, ns
 *	    32    4  size of the state of the machine, unless it is below
 *	    36    4  length of the extra data
 *	    40       extra data: 8 size of the state, 8 virtual size, 8 icount,
 *	             and what later versions add
 *	             id, name; padding to a multiple of 8
 */
#ifndef Q2_FORMAT_SNAPSHOT_H
#define Q2_FORMAT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_FIXED_BYTES 40
/* An entry of version 3 has at least state size and virtual size. */
#define SNAPSHOT_V3_EXTRA 16
/* QEMU's bounds of extra data and of the whole table. */
#define SNAPSHOT_MAX_EXTRA 1024
#define SNAPSHOT_MAX_TABLE (UINT64_C(1024) * 65536)
#define SNAPSHOT_MAX_BYTES \
	(SNAPSHOT_FIXED_BYTES + SNAPSHOT_MAX_EXTRA + 2 * 65535)

/* QEMU writes that much; more is what later versions add, and is kept. */
#define SNAPSHOT_OUR_EXTRA 24
#define SNAPSHOT_NO_ICOUNT UINT64_MAX

struct snapshot {
	uint64_t l1_offset;
	uint32_t l1_entries;
	uint32_t date_sec, date_nsec; /* when it was taken, since 1970 */
	uint64_t clock_ns;            /* of the guest */
	uint64_t state_bytes;         /* of the machine; 0: none */
	uint64_t disk_bytes; /* the disk's size; 0 unless has_disk_bytes */
	bool has_disk_bytes;
	uint64_t icount;      /* or SNAPSHOT_NO_ICOUNT */
	const uint8_t *extra; /* all extra data, as it is in the buffer */
	uint32_t extra_len;
	const char *id, *name; /* in the buffer, not terminated */
	uint16_t id_len, name_len;
	uint64_t bytes; /* of the entry, padding included */
};

/*
 * Take the entry at buf apart.  -EFBIG if its extra data is longer than
 * SNAPSHOT_MAX_EXTRA, -EUCLEAN if it does not end within len bytes, of which
 * SNAPSHOT_MAX_BYTES + 8 are always enough.
 */
int snapshot_decode(const void *buf, size_t len, struct snapshot *ret);

/* Bytes of the entry as it is written: with all fields that we know, whatever
 * it had; padding included. */
size_t snapshot_encoded_bytes(const struct snapshot *sn);
/* The entry to buf, which has room for these bytes; has_disk_bytes. */
void snapshot_encode(const struct snapshot *sn, void *buf);

#endif
