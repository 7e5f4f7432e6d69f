/* SPDX-License-Identifier: MIT */
#include "engine/crypt/kdf.h"

#include <assert.h>
#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/num.h"
#include "engine/crypt/cipher.h"

/* ---- PBKDF2 ------------------------------------------------------------ */

int
kdf_pbkdf2(const struct suite_hash *hash, const struct kdf_pass *pass,
	   const uint8_t salt[KDF_SALT_BYTES], uint32_t iterations,
	   uint8_t *key, size_t bytes)
{
	gcry_error_t e;

	cipher_library_init();
	e = gcry_kdf_derive(pass->data, pass->len, GCRY_KDF_PBKDF2,
			    hash->gcrypt, salt, KDF_SALT_BYTES, iterations,
			    bytes, key);
	if (!e)
		return 0;
	return gcry_err_code(e) == GPG_ERR_ENOMEM ? -ENOMEM : -EIO;
}

/* Of this thread, so that others' work does not make keys weaker. */
static double
thread_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

double
kdf_iterations(const struct suite_hash *hash, size_t bytes, uint64_t ms)
{
	static const uint8_t salt[KDF_SALT_BYTES] = "salt";
	static const struct kdf_pass pass = {"passphrase", 10};
	double enough = (double)max_u64(5, min_u64(100, ms / 4)), took;
	uint8_t key[SUITE_KEY_MAX];
	uint32_t n = 1024;

	assert(bytes <= sizeof(key));
	for (;; n *= 2) {
		double start = thread_ms();

		if (kdf_pbkdf2(hash, &pass, salt, n, key, bytes) < 0)
			return 0;
		took = thread_ms() - start;
		if (took >= enough || n > UINT32_MAX / 2)
			break;
	}
	return (double)n * (double)ms / (took > 0 ? took : 1);
}

/* ---- the split --------------------------------------------------------- */

/* Each piece of the block, as long as the hash, becomes the hash of its number
 * and itself. */
static void
diffuse(gcry_md_hd_t md, const struct suite_hash *hash, uint8_t *block,
	size_t bytes)
{
	uint8_t number[4];

	for (uint32_t i = 0; (size_t)i * hash->bytes < bytes; i++) {
		uint8_t *p = block + (size_t)i * hash->bytes;
		size_t n = min_u64(hash->bytes,
				   bytes - (size_t)i * hash->bytes);

		store_be32(number, i);
		gcry_md_reset(md);
		gcry_md_write(md, number, sizeof(number));
		gcry_md_write(md, p, n);
		memcpy(p, gcry_md_read(md, hash->gcrypt), n);
	}
}

static void
xor_into(uint8_t *dst, const uint8_t *src, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		dst[i] ^= src[i];
}

/* What all stripes but the last make of the empty block. */
static int
fold(const struct suite_hash *hash, const uint8_t *material, size_t bytes,
     uint32_t stripes, uint8_t *block)
{
	gcry_md_hd_t md;

	assert(bytes <= SUITE_KEY_MAX && stripes > 0);
	cipher_library_init();
	memset(block, 0, bytes);
	if (gcry_md_open(&md, hash->gcrypt, 0))
		return -ENOMEM;
	for (uint32_t i = 0; i + 1 < stripes; i++) {
		xor_into(block, material + (size_t)i * bytes, bytes);
		diffuse(md, hash, block, bytes);
	}
	gcry_md_close(md);
	return 0;
}

int
kdf_split(const struct suite_hash *hash, const uint8_t *key, size_t bytes,
	  uint32_t stripes, uint8_t *material)
{
	uint8_t *last = material + (size_t)(stripes - 1) * bytes;
	int r;

	kdf_random_key(material, (size_t)(stripes - 1) * bytes);
	r = fold(hash, material, bytes, stripes, last);
	xor_into(last, key, bytes);
	return r;
}

int
kdf_merge(const struct suite_hash *hash, const uint8_t *material, size_t bytes,
	  uint32_t stripes, uint8_t *key)
{
	int r = fold(hash, material, bytes, stripes, key);

	xor_into(key, material + (size_t)(stripes - 1) * bytes, bytes);
	return r;
}

/* ---- random numbers ---------------------------------------------------- */

void
kdf_random_key(uint8_t *key, size_t bytes)
{
	cipher_library_init();
	gcry_randomize(key, bytes, GCRY_STRONG_RANDOM);
}

void
kdf_random_salt(uint8_t *salt, size_t bytes)
{
	cipher_library_init();
	gcry_create_nonce(salt, bytes);
}
