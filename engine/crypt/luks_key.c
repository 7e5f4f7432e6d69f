/* SPDX-License-Identifier: MIT */
/*
 * luks_key.c - new headers, and the key in their slots
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/crypt/cipher.h"
#include "engine/crypt/luks.h"

/* Fewer are not used, however slow the machine. */
#define ITERATIONS_MIN 1000

/* The digest, which is the first thing an attacker would try keys at, is as
 * hard to compute as this part of a slot's key. */
#define DIGEST_SHARE 8

/* ---- iterations -------------------------------------------------------- */

static int
iterations_for(const struct luks *luks, size_t bytes, uint64_t ms,
	       uint32_t *ret, struct q2_err *err)
{
	double n = kdf_iterations(luks->hash, bytes, ms);

	/* What QEMU counts in 64 bits. */
	if (n >= 18446744073709551615.0)
		return q2_fail(err, -ERANGE,
			       "PBKDF iterations %.0f too large to scale: %s",
			       n, strerror(ERANGE));
	if (n > UINT32_MAX)
		return q2_fail(err, -ERANGE,
			       "PBKDF iterations %.0f larger than %u: %s", n,
			       UINT32_MAX, strerror(ERANGE));
	*ret = (uint32_t)n;
	return 0;
}

static uint32_t
at_least(uint32_t n)
{
	return n > ITERATIONS_MIN ? n : ITERATIONS_MIN;
}

/* ---- the digest -------------------------------------------------------- */

static int
digest_of(const struct luks *luks, const uint8_t *key,
	  uint8_t digest[LUKS_DIGEST_BYTES])
{
	struct kdf_pass pass = {key, suite_key_bytes(&luks->suite)};

	return kdf_pbkdf2(luks->hash, &pass, luks->salt, luks->iterations,
			  digest, LUKS_DIGEST_BYTES);
}

/* ---- new headers ------------------------------------------------------- */

/* A random one, version 4. */
static void
make_uuid(char uuid[LUKS_UUID_BYTES + 1])
{
	uint8_t b[16];

	kdf_random_salt(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	(void)snprintf(uuid, LUKS_UUID_BYTES,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		       "%02x%02x%02x%02x%02x%02x",
		       b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8],
		       b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

int
luks_new(const struct luks_options *o, const uint8_t *key,
	 struct luks *ret_luks, struct q2_err *err)
{
	struct luks luks = {.suite = o->suite, .hash = o->hash};
	uint64_t area = luks_area_bytes(&o->suite);
	int r;

	luks.payload = (uint32_t)(area / CIPHER_SECTOR);
	for (unsigned i = 0; i < LUKS_SLOTS; i++)
		luks.slots[i].sector =
			(uint32_t)((LUKS_ALIGN +
				    i * ((area - LUKS_ALIGN) / LUKS_SLOTS)) /
				   CIPHER_SECTOR);
	make_uuid(luks.uuid);
	kdf_random_salt(luks.salt, sizeof(luks.salt));
	r = iterations_for(&luks, LUKS_DIGEST_BYTES, o->iter_ms,
			   &luks.iterations, err);
	if (r < 0)
		return r;
	luks.iterations = at_least(luks.iterations / DIGEST_SHARE);
	r = digest_of(&luks, key, luks.digest);
	if (r < 0)
		return q2_fail(err, r, "could not compute the key's digest: %s",
			       strerror(-r));
	*ret_luks = luks;
	return 0;
}

/* ---- slots ------------------------------------------------------------- */

/* The cipher of a slot's material. */
static int
slot_cipher(const struct luks *luks, unsigned slot, const struct kdf_pass *pass,
	    struct cipher **ret)
{
	const struct luks_slot *s = &luks->slots[slot];
	uint8_t key[SUITE_KEY_MAX];
	int r = kdf_pbkdf2(luks->hash, pass, s->salt, s->iterations, key,
			   suite_key_bytes(&luks->suite));

	if (r == 0)
		r = cipher_new(&luks->suite, key, ret, NULL);
	explicit_bzero(key, sizeof(key));
	return r;
}

static int
seal(const struct luks *luks, unsigned slot, const struct luks_filling *f)
{
	size_t key_bytes = suite_key_bytes(&luks->suite);
	size_t bytes = luks_material_bytes(luks);
	struct cipher *c = NULL;
	int r = slot_cipher(luks, slot, f->pass, &c);

	memset(f->material, 0, bytes);
	if (r == 0)
		r = kdf_split(luks->hash, f->key, key_bytes, LUKS_STRIPES,
			      f->material);
	if (r == 0)
		r = cipher_encrypt(c, f->material, f->material, bytes, 0);
	cipher_free(c);
	/* It may be split and not encrypted. */
	if (r < 0)
		explicit_bzero(f->material, bytes);
	return r;
}

int
luks_slot_fill(struct luks *luks, unsigned slot, const struct luks_filling *f,
	       struct q2_err *err)
{
	struct luks_slot *s = &luks->slots[slot];
	size_t key_bytes = suite_key_bytes(&luks->suite);
	int r;

	assert(slot < LUKS_SLOTS);
	r = iterations_for(luks, key_bytes, f->iter_ms, &s->iterations, err);
	if (r < 0)
		return r;
	s->iterations = at_least(s->iterations);
	kdf_random_salt(s->salt, sizeof(s->salt));
	r = seal(luks, slot, f);
	if (r < 0)
		return q2_fail(err, r, "could not fill keyslot %u: %s", slot,
			       strerror(-r));
	s->active = true;
	return 0;
}

int
luks_slot_open(const struct luks *luks, unsigned slot,
	       const struct kdf_pass *pass, uint8_t *material,
	       uint8_t key[SUITE_KEY_MAX])
{
	uint8_t digest[LUKS_DIGEST_BYTES];
	struct cipher *c = NULL;
	int r;

	assert(slot < LUKS_SLOTS);
	r = slot_cipher(luks, slot, pass, &c);
	if (r == 0)
		r = cipher_decrypt(c, material, material,
				   luks_material_bytes(luks), 0);
	cipher_free(c);
	if (r == 0)
		r = kdf_merge(luks->hash, material,
			      suite_key_bytes(&luks->suite), LUKS_STRIPES, key);
	if (r == 0)
		r = digest_of(luks, key, digest);
	explicit_bzero(material, luks_material_bytes(luks));
	if (r == 0 && memcmp(digest, luks->digest, sizeof(digest)) == 0)
		return 1;
	explicit_bzero(key, SUITE_KEY_MAX);
	return r;
}
