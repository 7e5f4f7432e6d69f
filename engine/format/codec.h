/* SPDX-License-Identifier: MIT */
/*
 * codec.h - the bytes of a cluster, compressed and back
 *
 * deflate is raw: no header, a window of 4 KiB, a final block.  ISA-L packs and
 * unpacks it where it was there at build time, with zlib for what ISA-L
 * refuses; zlib alone otherwise, and for CODEC_SMALL.  zstd is one frame a
 * cluster; when it is read, several will do.
 */
#ifndef Q2_FORMAT_CODEC_H
#define Q2_FORMAT_CODEC_H

#include <stddef.h>
#include <stdint.h>

/* The values of the header's compression_type. */
enum codec_type {
	CODEC_DEFLATE,
	CODEC_ZSTD
};

enum codec_effort {
	CODEC_FAST,  /* the default */
	CODEC_SMALL, /* about a tenth smaller, many times slower */
};

/* The memory that a codec works in, kept from one cluster to the next; one
 * thread at a time. */
struct codec;

/* NULL without memory. */
struct codec *codec_new(enum codec_type type);
void codec_free(struct codec *c);

/*
 * The dst_len bytes that src, of src_len bytes, stands for.  What follows them
 * in src is ignored.  0; -EIO if src stands for fewer, or for nothing; or
 * -ENOMEM.
 */
int codec_unpack(struct codec *c, const void *src, size_t src_len, void *dst,
		 size_t dst_len);

/*
 * Pack len bytes of src, at most 1 GiB, into at most max bytes at dst.  How
 * many result; 0 where they would be more; or -ENOMEM.
 */
int codec_pack(struct codec *c, enum codec_effort effort, const void *src,
	       size_t len, void *dst, size_t max);

#endif
