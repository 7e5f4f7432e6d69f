/* SPDX-License-Identifier: MIT */
/* header_priv.h - what taking a first cluster apart and building one share */
#ifndef Q2_FORMAT_HEADER_PRIV_H
#define Q2_FORMAT_HEADER_PRIV_H

#include <stddef.h>

#include "engine/format/header.h"

#define EXT_HEAD_BYTES     8
#define FEATURE_BYTES      48
#define FEATURE_NAME_BYTES 46
#define BITMAPS_EXT_BYTES  24
#define CRYPTO_EXT_BYTES   16

enum feature_type {
	FEATURE_INCOMPATIBLE = 0,
	FEATURE_COMPATIBLE = 1,
	FEATURE_AUTOCLEAR = 2,
};

/*
 * What is there of the first cluster (the caller sets p and len), and what of
 * it is not in struct header.
 */
struct header_span {
	const uint8_t *p;
	size_t len;
	uint64_t backing_off;
	uint32_t backing_len;
	uint64_t ext_end; /* extensions lie below it */
};

struct header_ext {
	uint32_t type, len;
	uint64_t off; /* of its data */
};

/* The fields of fixed place, judged as far as finding the extensions needs; h
 * is zeroed before. */
int header_decode_fixed(struct header_span *s, struct header *h,
			struct q2_err *err);

/* Bytes [off, off + n) into dst; what is not there is zero, as beyond the end
 * of a file. */
void header_span_read(const struct header_span *s, void *dst, uint64_t off,
		      size_t n);

/*
 * The extension at *off, which is moved behind it.  False at the end; one that
 * does not fit below ext_end is an error in *ret_r.
 */
bool header_next_ext(const struct header_span *s, uint64_t *off,
		     struct header_ext *ret_ext, int *ret_r);

#endif
