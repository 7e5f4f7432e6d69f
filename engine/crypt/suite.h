/* SPDX-License-Identifier: MIT */
/*
 * suite.h - the names of ciphers, modes, hashes and generators of IVs
 *
 * Names are QEMU's options and those of LUKS headers.  Everything here is a
 * constant or a value; any thread may use it.
 */
#ifndef Q2_CRYPT_SUITE_H
#define Q2_CRYPT_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

/* A block cipher with keys of one length. */
struct suite_alg {
	const char *name;   /* of the option: "aes-256" */
	const char *family; /* in a LUKS header: "aes" */
	unsigned key_bytes; /* for modes other than XTS */
	unsigned block_bytes;
	int gcrypt; /* libgcrypt's number; 0: it has none */
};

enum suite_mode {
	SUITE_ECB,
	SUITE_CBC,
	SUITE_XTS,
	SUITE_CTR
};

/* How the IV of a sector follows from its number. */
enum suite_ivgen {
	SUITE_PLAIN,   /* 32 bits, little-endian */
	SUITE_PLAIN64, /* 64 bits */
	SUITE_ESSIV    /* these, encrypted with a hash of the key */
};

struct suite_hash {
	const char *name;
	unsigned bytes;
	int gcrypt;
};

/* All that says how a sector is encrypted, but for the key. */
struct suite {
	const struct suite_alg *alg;
	enum suite_mode mode;
	enum suite_ivgen ivgen;
	const struct suite_hash *ivgen_hash; /* NULL: none is named */
};

/* The longest key of a suite: two of 32 bytes. */
#define SUITE_KEY_MAX  64
#define SUITE_HASH_MAX 64

/* By name, NULL or false if there is none. */
const struct suite_alg *suite_alg_find(const char *name);
const struct suite_hash *suite_hash_find(const char *name);
bool suite_mode_find(const char *name, enum suite_mode *ret);
bool suite_ivgen_find(const char *name, enum suite_ivgen *ret);
/* By the name in a LUKS header and the length of one key. */
const struct suite_alg *suite_alg_by_family(const char *family,
					    unsigned key_bytes);

const char *suite_mode_name(enum suite_mode mode);
const char *suite_ivgen_name(enum suite_ivgen ivgen);

/* Bytes of a key: XTS has two of them. */
unsigned suite_key_bytes(const struct suite *s);

/* The cipher that makes the IVs of ESSIV: the family's, with as long a key as
 * the hash is; NULL if there is none. */
const struct suite_alg *suite_essiv_alg(const struct suite *s);

/* Can the parts go together, and does libgcrypt have them?  -EINVAL or -ENOTSUP
 * with QEMU's text where it has one. */
int suite_check(const struct suite *s, struct q2_err *err);

#endif
