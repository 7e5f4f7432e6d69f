/* SPDX-License-Identifier: MIT */
#include "engine/crypt/cipher.h"

#include <assert.h>
#include <gcrypt.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAX 16

struct cipher {
	gcry_cipher_hd_t data, essiv; /* the latter: NULL if there is none */
	enum suite_mode mode;
	enum suite_ivgen ivgen;
	unsigned block_bytes, essiv_block_bytes;
};

/* ---- the library ------------------------------------------------------- */

static void
init_once(void)
{
	/* Somebody else in the program may have done it. */
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return;
	(void)gcry_check_version(NULL);
	/* Its locked memory is 16 KiB for all: not enough for the ciphers of
	 * some images.  What it frees it wipes, there or here. */
	(void)gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	(void)gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

void
cipher_library_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, init_once);
}

/* ---- ciphers ----------------------------------------------------------- */

static int
fail(struct q2_err *err, const char *what, gcry_error_t e)
{
	if (gcry_err_code(e) == GPG_ERR_ENOMEM)
		return q2_fail(err, -ENOMEM, "no memory for a cipher");
	return q2_fail(err, -EINVAL, "could not %s: %s", what,
		       gcry_strerror(e));
}

static int
open_one(const struct suite_alg *alg, int mode, const uint8_t *key,
	 size_t key_bytes, gcry_cipher_hd_t *ret, struct q2_err *err)
{
	gcry_error_t e = gcry_cipher_open(ret, alg->gcrypt, mode, 0);

	if (e)
		return fail(err, "open the cipher", e);
	e = gcry_cipher_setkey(*ret, key, key_bytes);
	return e ? fail(err, "set the key", e) : 0;
}

/* The key of ESSIV is a hash of the other one. */
static int
open_essiv(const struct suite *s, const uint8_t *key, struct cipher *c,
	   struct q2_err *err)
{
	const struct suite_alg *alg = suite_essiv_alg(s);
	uint8_t salt[SUITE_HASH_MAX];
	int r;

	assert(alg && s->ivgen_hash->bytes <= sizeof(salt));
	gcry_md_hash_buffer(s->ivgen_hash->gcrypt, salt, key,
			    suite_key_bytes(s));
	r = open_one(alg, GCRY_CIPHER_MODE_ECB, salt, alg->key_bytes, &c->essiv,
		     err);
	explicit_bzero(salt, sizeof(salt));
	c->essiv_block_bytes = alg->block_bytes;
	return r;
}

int
cipher_new(const struct suite *s, const uint8_t *key,
	   struct cipher **ret_cipher, struct q2_err *err)
{
	static const int numbers[] = {
		[SUITE_ECB] = GCRY_CIPHER_MODE_ECB,
		[SUITE_CBC] = GCRY_CIPHER_MODE_CBC,
		[SUITE_XTS] = GCRY_CIPHER_MODE_XTS,
		[SUITE_CTR] = GCRY_CIPHER_MODE_CTR,
	};
	struct cipher *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return q2_fail(err, -ENOMEM, "no memory for a cipher");
	cipher_library_init();
	c->mode = s->mode;
	c->ivgen = s->ivgen;
	c->block_bytes = s->alg->block_bytes;
	r = open_one(s->alg, numbers[s->mode], key, suite_key_bytes(s),
		     &c->data, err);
	if (r == 0 && s->ivgen == SUITE_ESSIV)
		r = open_essiv(s, key, c, err);
	if (r < 0) {
		cipher_free(c);
		return r;
	}
	*ret_cipher = c;
	return 0;
}

void
cipher_free(struct cipher *c)
{
	if (!c)
		return;
	gcry_cipher_close(c->data);
	gcry_cipher_close(c->essiv);
	free(c);
}

/* ---- sectors ----------------------------------------------------------- */

/* The IV of a sector, for the next call of the library. */
static gcry_error_t
set_iv(struct cipher *c, uint64_t sector)
{
	uint8_t iv[BLOCK_MAX] = {0};
	gcry_error_t e = 0;

	if (c->mode == SUITE_ECB)
		return 0;
	/* Little-endian, which memcpy() gives here (base/num.h). */
	memcpy(iv, &sector, c->ivgen == SUITE_PLAIN ? 4 : 8);
	if (c->essiv)
		e = gcry_cipher_encrypt(c->essiv, iv, c->essiv_block_bytes,
					NULL, 0);
	if (e)
		return e;
	return c->mode == SUITE_CTR
		       ? gcry_cipher_setctr(c->data, iv, c->block_bytes)
		       : gcry_cipher_setiv(c->data, iv, c->block_bytes);
}

/* In the library's form: a destination and its size, a source and its own. */
typedef gcry_error_t (*crypt_fn)(gcry_cipher_hd_t h, void *out, size_t out_n,
				 const void *in, size_t in_n);

static int
crypt_all(struct cipher *c, crypt_fn fn, struct iovec dst, const uint8_t *src,
	  uint64_t sector)
{
	uint8_t *out = dst.iov_base;

	assert(dst.iov_len % CIPHER_SECTOR == 0);
	for (size_t at = 0; at < dst.iov_len; at += CIPHER_SECTOR) {
		gcry_error_t e = set_iv(c, sector++);

		if (!e && src == out)
			e = fn(c->data, out + at, CIPHER_SECTOR, NULL, 0);
		else if (!e)
			e = fn(c->data, out + at, CIPHER_SECTOR, src + at,
			       CIPHER_SECTOR);
		if (e)
			return -EIO;
	}
	return 0;
}

int
cipher_encrypt(struct cipher *c, uint8_t *dst, const uint8_t *src, size_t bytes,
	       uint64_t sector)
{
	return crypt_all(c, gcry_cipher_encrypt, (struct iovec){dst, bytes},
			 src, sector);
}

int
cipher_decrypt(struct cipher *c, uint8_t *dst, const uint8_t *src, size_t bytes,
	       uint64_t sector)
{
	return crypt_all(c, gcry_cipher_decrypt, (struct iovec){dst, bytes},
			 src, sector);
}
