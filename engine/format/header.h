/* SPDX-License-Identifier: MIT */
/*
 * header.h - the first cluster of a qcow2 file: header, extensions, backing
 * file name
 *
 *	offset size
 *	     0    4  magic 'Q' 'F' 'I' 0xfb
 *	     4    4  version, 2 or 3
 *	     8    8  offset of the backing file name, 0: none
 *	    16    4  its length
 *	    20    4  cluster_bits, 9..21
 *	    24    8  virtual size
 *	    32    4  encryption: 0 none, 1 AES, 2 LUKS
 *	    36    4  L1 entries
 *	    40    8  L1 offset
 *	    48    8  refcount table offset
 *	    56    4  its clusters
 *	    60    4  snapshots
 *	    64    8  snapshot table offset
 *	    72       extensions begin here in version 2; version 3 goes on:
 *	    72    8  incompatible features
 *	    80    8  compatible features
 *	    88    8  autoclear features
 *	    96    4  refcount_order
 *	   100    4  header length
 *	   104    1  compression type
 *	   105    7  zero
 *	   112       what later versions add; kept as it is
 */
#ifndef Q2_FORMAT_HEADER_H
#define Q2_FORMAT_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/format/geom.h"
#include "engine/format/limits.h"

#define HEADER_MAGIC     UINT32_C(0x514649fb)
#define HEADER_V2_BYTES  72
#define HEADER_V3_BYTES  104
#define HEADER_OUR_BYTES 112

#define INCOMPAT_DIRTY          (UINT64_C(1) << 0)
#define INCOMPAT_CORRUPT        (UINT64_C(1) << 1)
#define INCOMPAT_DATA_FILE      (UINT64_C(1) << 2)
#define INCOMPAT_COMPRESSION    (UINT64_C(1) << 3)
#define INCOMPAT_EXTENDED_L2    (UINT64_C(1) << 4)
#define INCOMPAT_KNOWN          UINT64_C(0x1f)
#define COMPAT_LAZY_REFCOUNTS   (UINT64_C(1) << 0)
#define AUTOCLEAR_BITMAPS       (UINT64_C(1) << 0)
#define AUTOCLEAR_DATA_FILE_RAW (UINT64_C(1) << 1)
#define AUTOCLEAR_KNOWN         UINT64_C(0x3)

#define EXT_END            0
#define EXT_BACKING_FORMAT UINT32_C(0xe2792aca)
#define EXT_FEATURE_NAMES  UINT32_C(0x6803f857)
#define EXT_BITMAPS        UINT32_C(0x23852875)
#define EXT_CRYPTO         UINT32_C(0x0537be77)
#define EXT_DATA_FILE      UINT32_C(0x44415441)

/* Byte offsets of fields that are rewritten in place. */
#define HEADER_OFF_SIZE      24
#define HEADER_OFF_L1_SIZE   36
#define HEADER_OFF_REFTABLE  48
#define HEADER_OFF_SNAPSHOTS 60
#define HEADER_OFF_INCOMPAT  72

struct header {
	unsigned version;
	unsigned cluster_bits;
	uint64_t virtual_size; /* as in the file; QEMU works in sectors and
				   rounds it down to 512 */
	uint32_t crypt_method;
	uint32_t l1_entries;
	uint64_t l1_offset;
	uint64_t reftable_offset;
	uint32_t reftable_clusters;
	uint32_t snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible, compatible, autoclear;
	unsigned refcount_order; /* 4 in version 2 */
	uint32_t header_length;
	uint8_t compression_type; /* 0 zlib, 1 zstd */

	char backing_file[Q2_MAX_BACKING_NAME + 1];     /* "": none */
	char backing_format[Q2_MAX_BACKING_FORMAT + 1]; /* "": not given */
	char data_file[Q2_MAX_BACKING_NAME + 1];        /* "": not given */
	bool has_feature_names, has_bitmaps, has_crypto;
	bool has_stale_bitmaps; /* not read: somebody who does not know them
				   has written since */
	uint64_t bitmaps_offset, bitmaps_bytes;
	uint32_t bitmaps;
	uint64_t crypto_offset, crypto_bytes;
};

/*
 * How long the first cluster is, by the first len bytes of a file; 0 if that
 * cannot be told.
 */
size_t header_cluster_bytes(const void *buf, size_t len);

/*
 * Take the first cluster apart: buf holds the first len bytes of the file, at
 * least header_cluster_bytes() or the whole file.  Everything that can be
 * judged from these bytes is: magic, version, limits, alignment, feature bits,
 * extensions.  for_check accepts an empty refcount table and leaves the snapshot
 * table unjudged.  Whether the corrupt
 * and the dirty bit matter is the opener's decision, and so is a data-file-raw
 * bit without a data file.  -EUCLEAN or -ENOTSUP with the text that
 * qemu-img prints.
 */
int header_decode(const void *buf, size_t len, bool for_check,
		  struct header *ret_header, struct q2_err *err);

/*
 * Build a first cluster of cluster_size bytes in buf (zeroed by this call):
 * fixed part, backing format, data file, crypto pointer, feature table (left
 * out at clusters up to 4 KiB, as QEMU does), bitmaps, end, backing name.
 * -ENOSPC if it does not fit.
 */
int header_encode(const struct header *h, void *buf, size_t cluster_size,
		  struct q2_err *err);

/* The first bytes of a file: its first cluster, or all of a shorter file. */
struct header_bytes {
	const void *p;
	size_t len;
};

/*
 * The same for an image that has a header already: what old holds besides the
 * things that struct header knows is kept, which are bytes between our fields
 * and the header's end, and extensions of other types.  buf is other memory
 * than old, which header_decode() has accepted.
 */
int header_rewrite(const struct header *h, const struct header_bytes *old,
		   void *buf, size_t cluster_size, struct q2_err *err);

/*
 * Writes that make one header of another so that at any moment there is the
 * old one or the new one (ordering.md, H1).  Each is durable before the next
 * begins.  Those before `decisive` change bytes that nobody reads; that one is
 * a single sector; those behind it change only how the new header is laid out.
 */
struct header_write {
	uint32_t off, len;
	const uint8_t *bytes;
};

struct header_switch {
	struct header_write v[4];
	unsigned n, decisive;
	uint8_t *memory; /* what the bytes are in; the caller frees it */
};

/*
 * Plan them: from old, as in header_rewrite(), to h.  -ENOSPC if h does not
 * fit, or there is no room to write it beside the old one.
 */
int header_plan_switch(const struct header *h, const struct header_bytes *old,
		       size_t cluster_size, struct header_switch *ret,
		       struct q2_err *err);

struct geom header_geom(const struct header *h);

#endif
