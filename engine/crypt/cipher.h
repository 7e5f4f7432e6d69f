/* SPDX-License-Identifier: MIT */
/*
 * cipher.h - sectors, encrypted and decrypted
 *
 * A sector is 512 bytes; its number goes into its IV.  A cipher belongs to one
 * thread at a time, because it holds the IV; it may go from one to another.
 * What it has kept of the key is wiped by cipher_free().
 */
#ifndef Q2_CRYPT_CIPHER_H
#define Q2_CRYPT_CIPHER_H

#include "engine/crypt/suite.h"

#define CIPHER_SECTOR 512

struct cipher;

/* Prepare libgcrypt; the functions of this layer that need it do so
 * themselves.  From any thread. */
void cipher_library_init(void);

/* A suite that suite_check() has accepted, and suite_key_bytes() of key.
 * -ENOMEM, or -EINVAL with a reason. */
int cipher_new(const struct suite *s, const uint8_t *key,
	       struct cipher **ret_cipher, struct q2_err *err);
/* NULL is allowed. */
void cipher_free(struct cipher *c);

/*
 * bytes, a multiple of CIPHER_SECTOR, that begin with this sector, from src to
 * dst, which are the same or do not overlap.  Blocks that end beyond bytes
 * cannot be.  0, or -EIO should the library refuse.
 */
int cipher_encrypt(struct cipher *c, uint8_t *dst, const uint8_t *src,
		   size_t bytes, uint64_t sector);
int cipher_decrypt(struct cipher *c, uint8_t *dst, const uint8_t *src,
		   size_t bytes, uint64_t sector);

#endif
