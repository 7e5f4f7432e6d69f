/* SPDX-License-Identifier: MIT */
/*
 * kdf.h - keys out of passphrases (PBKDF2), and keys spread over much space so
 * that little needs to be overwritten to destroy them (anti-forensic split)
 *
 * All of this takes processor time: callers are worker threads.
 */
#ifndef Q2_CRYPT_KDF_H
#define Q2_CRYPT_KDF_H

#include "engine/crypt/suite.h"

#define KDF_SALT_BYTES 32

/* A passphrase: any bytes. */
struct kdf_pass {
	const void *data;
	size_t len;
};

/* bytes of key.  -ENOMEM, or -EIO should the library refuse. */
int kdf_pbkdf2(const struct suite_hash *hash, const struct kdf_pass *pass,
	       const uint8_t salt[KDF_SALT_BYTES], uint32_t iterations,
	       uint8_t *key, size_t bytes);

/*
 * How many iterations for a key of so many bytes take ms milliseconds of this
 * processor's time?  Measured, which takes up to a quarter of that, at least
 * 5 ms and about 100 ms at most.  0 for an error of the library.
 */
double kdf_iterations(const struct suite_hash *hash, size_t bytes, uint64_t ms);

/* key of bytes into stripes times as many; needs random numbers.  0 or
 * -ENOMEM. */
int kdf_split(const struct suite_hash *hash, const uint8_t *key, size_t bytes,
	      uint32_t stripes, uint8_t *material);
/* The reverse. */
int kdf_merge(const struct suite_hash *hash, const uint8_t *material,
	      size_t bytes, uint32_t stripes, uint8_t *key);

/* Bytes that nobody can guess; to keep (keys) or to show (salts). */
void kdf_random_key(uint8_t *key, size_t bytes);
void kdf_random_salt(uint8_t *salt, size_t bytes);

#endif
