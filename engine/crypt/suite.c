/* SPDX-License-Identifier: MIT */
#include "engine/crypt/suite.h"

#include <gcrypt.h>
#include <string.h>

#include "engine/base/num.h"

static const struct suite_alg algs[] = {
	{"aes-128", "aes", 16, 16, GCRY_CIPHER_AES128},
	{"aes-192", "aes", 24, 16, GCRY_CIPHER_AES192},
	{"aes-256", "aes", 32, 16, GCRY_CIPHER_AES256},
	{"cast5-128", "cast5", 16, 8, GCRY_CIPHER_CAST5},
	{"serpent-128", "serpent", 16, 16, GCRY_CIPHER_SERPENT128},
	{"serpent-192", "serpent", 24, 16, GCRY_CIPHER_SERPENT192},
	{"serpent-256", "serpent", 32, 16, GCRY_CIPHER_SERPENT256},
	{"twofish-128", "twofish", 16, 16, GCRY_CIPHER_TWOFISH128},
	/* The one that libgcrypt does not have. */
	{"twofish-192", "twofish", 24, 16, 0},
	{"twofish-256", "twofish", 32, 16, GCRY_CIPHER_TWOFISH},
};

static const struct suite_hash hashes[] = {
	{"md5", 16, GCRY_MD_MD5},          {"sha1", 20, GCRY_MD_SHA1},
	{"sha224", 28, GCRY_MD_SHA224},    {"sha256", 32, GCRY_MD_SHA256},
	{"sha384", 48, GCRY_MD_SHA384},    {"sha512", 64, GCRY_MD_SHA512},
	{"ripemd160", 20, GCRY_MD_RMD160},
};

static const char *const modes[] = {
	[SUITE_ECB] = "ecb",
	[SUITE_CBC] = "cbc",
	[SUITE_XTS] = "xts",
	[SUITE_CTR] = "ctr",
};

static const char *const ivgens[] = {
	[SUITE_PLAIN] = "plain",
	[SUITE_PLAIN64] = "plain64",
	[SUITE_ESSIV] = "essiv",
};

const struct suite_alg *
suite_alg_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(algs); i++)
		if (strcmp(algs[i].name, name) == 0)
			return &algs[i];
	return NULL;
}

const struct suite_alg *
suite_alg_by_family(const char *family, unsigned key_bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(algs); i++)
		if (strcmp(algs[i].family, family) == 0 &&
		    algs[i].key_bytes == key_bytes)
			return &algs[i];
	return NULL;
}

const struct suite_hash *
suite_hash_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(hashes); i++)
		if (strcmp(hashes[i].name, name) == 0)
			return &hashes[i];
	return NULL;
}

bool
suite_mode_find(const char *name, enum suite_mode *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i], name) == 0) {
			*ret = (enum suite_mode)i;
			return true;
		}
	}
	return false;
}

bool
suite_ivgen_find(const char *name, enum suite_ivgen *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(ivgens); i++) {
		if (strcmp(ivgens[i], name) == 0) {
			*ret = (enum suite_ivgen)i;
			return true;
		}
	}
	return false;
}

const char *
suite_mode_name(enum suite_mode mode)
{
	return modes[mode];
}

const char *
suite_ivgen_name(enum suite_ivgen ivgen)
{
	return ivgens[ivgen];
}

unsigned
suite_key_bytes(const struct suite *s)
{
	return s->alg->key_bytes * (s->mode == SUITE_XTS ? 2 : 1);
}

const struct suite_alg *
suite_essiv_alg(const struct suite *s)
{
	return s->ivgen_hash ? suite_alg_by_family(s->alg->family,
						   s->ivgen_hash->bytes)
			     : NULL;
}

static int
check_essiv(const struct suite *s, struct q2_err *err)
{
	static const struct {
		const char *family, *title;
	} titles[] = {
		{"aes", "AES"}, {"serpent", "Serpent"}, {"twofish", "Twofish"}};

	if (!s->ivgen_hash)
		return q2_fail(err, -EINVAL,
			       "Missing IV generator hash specification");
	for (size_t i = 0; i < ARRAY_SIZE(titles); i++) {
		if (strcmp(titles[i].family, s->alg->family) != 0)
			continue;
		if (suite_essiv_alg(s))
			return 0;
		return q2_fail(err, -EINVAL,
			       "No %s cipher with key size %u available",
			       titles[i].title, s->ivgen_hash->bytes);
	}
	return q2_fail(err, -EINVAL, "Cipher %s not supported with essiv",
		       s->alg->name);
}

static int
check_library(const struct suite_alg *alg, struct q2_err *err)
{
	return alg->gcrypt ? 0
			   : q2_fail(err, -ENOTSUP,
				     "cipher %s is not supported: libgcrypt "
				     "does not have it",
				     alg->name);
}

int
suite_check(const struct suite *s, struct q2_err *err)
{
	int r = s->ivgen == SUITE_ESSIV ? check_essiv(s, err) : 0;

	if (r < 0)
		return r;
	if (s->mode == SUITE_XTS && s->alg->block_bytes != 16)
		return q2_fail(err, -EINVAL, "Unsupported cipher mode xts");
	r = check_library(s->alg, err);
	if (r == 0 && s->ivgen == SUITE_ESSIV)
		r = check_library(suite_essiv_alg(s), err);
	return r;
}
