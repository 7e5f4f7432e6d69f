/* SPDX-License-Identifier: MIT */
/*
 * test_crypt.c - sectors and keys against other implementations
 *
 * The expected values were computed with OpenSSL's ECB, CBC and CTR (XTS put
 * together from its ECB) and Python's hashlib.  Ciphers that those lack are
 * compared with QEMU's images in interop/test_crypt.
 */
#include <gcrypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/crypt/cipher.h"
#include "engine/crypt/kdf.h"

/* Beyond 32 bits: plain and plain64 differ. */
#define SECTOR_NUMBER UINT64_C(0x100000005)
#define BYTES         1024

static void
pattern(uint8_t key[SUITE_KEY_MAX], uint8_t data[BYTES])
{
	for (unsigned i = 0; i < SUITE_KEY_MAX; i++)
		key[i] = (uint8_t)(i * 7 + 1);
	for (unsigned i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 13 + i / 256);
}

static void
hex(const uint8_t *bytes, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static struct suite
suite_of(const char *alg, const char *mode, const char *ivgen, const char *hash)
{
	struct suite s = {.alg = suite_alg_find(alg)};

	assert_non_null(s.alg);
	assert_true(suite_mode_find(mode, &s.mode));
	assert_true(suite_ivgen_find(ivgen, &s.ivgen));
	if (*hash) {
		s.ivgen_hash = suite_hash_find(hash);
		assert_non_null(s.ivgen_hash);
	}
	return s;
}

/* ---- sectors ----------------------------------------------------------- */

static const struct vector {
	const char *alg, *mode, *ivgen, *hash, *sha256;
} vectors[] = {
	{"aes-128", "ecb", "plain64", "",
	 "fc4448ea2e3e65a01a87acdac626c5460336a2e4b27294c39572b8692a4f69e8"},
	{"aes-128", "cbc", "plain", "",
	 "aa3f77f756ac69e2361fa1ea3a2746e275f7a22b59a1f8bfa4bcca89c2e5bbe4"},
	{"aes-128", "cbc", "plain64", "",
	 "0b09e6e8b4b8ec42ac8508d96e754c0120d75f1608efed30876189bc7c3bf8ad"},
	{"aes-128", "cbc", "essiv", "sha256",
	 "8fd914b712bcb0dd62f5bba40ffd1ef34f685f238f3c7e632582bfe299e1c0fd"},
	{"aes-128", "ctr", "plain", "",
	 "21aa5ca81715a64d05c93501e5f6cd9dd04e749dd39b7d041c8932ba0a48a624"},
	{"aes-128", "ctr", "plain64", "",
	 "168061be186905bd75bd5254e9609c2ec810039300ad8d5c6c6e2c77387448e0"},
	{"aes-128", "ctr", "essiv", "sha256",
	 "68bf245858ee203fefdaf53464398e3ffae9c2d9522fdbc3004869428f4435c6"},
	{"aes-128", "xts", "plain", "",
	 "4a7114608d7b3b9709607eb22a62eb8a57008dc2a2525225bd34aabf6ba4b50e"},
	{"aes-128", "xts", "plain64", "",
	 "e8eb977c450c6bf93eea02631a5430b412453817b7716d1e0ccfc6e5ee12a399"},
	{"aes-128", "xts", "essiv", "sha256",
	 "52a476612e04327c52ad3d62682dd3ba339561b66cf9cfabf222a8f6a8fbf80d"},
	{"aes-192", "ecb", "plain64", "",
	 "3401a4e894363ff1a58702d709fb21f00d0dc77291572f3d8e67c21d8a84193e"},
	{"aes-192", "cbc", "plain", "",
	 "21683219fc2510e454bf1a7f3bacfec4fb36598cfbe135bccaee00c6a58e355d"},
	{"aes-192", "cbc", "plain64", "",
	 "854b70dd3e92585b002270eadc4263710d0d24a7a8699a02b2c1547f726d341b"},
	{"aes-192", "cbc", "essiv", "sha256",
	 "073542c0d40c0981f9c2adf85c77e9ecdcfad928c1e9ca4986003c3ff0e1d17c"},
	{"aes-192", "ctr", "plain", "",
	 "82c14245e01ea657fc2f01083eaa1bc7fdcd5e3d3a129ad69d4c55dd8dae451e"},
	{"aes-192", "ctr", "plain64", "",
	 "421d4eba1d504b16c9b7f0de5cbedeb9fd3e9b29d8dedc0b85ad03208f8e608d"},
	{"aes-192", "ctr", "essiv", "sha256",
	 "b019221f0247f019a13a0231c5cf2773729d699bae8d2a61debedf11c79115b2"},
	{"aes-192", "xts", "plain", "",
	 "fe235e3a9040db5612243766ffe0607b0d5d2f26171877a6f0d857a6e6a33599"},
	{"aes-192", "xts", "plain64", "",
	 "8073d2f92667c0f1d75d8ed5a7c6cfb9705a51a9ad212800d08d6beec173fa6f"},
	{"aes-192", "xts", "essiv", "sha256",
	 "1bdb0685238e8060cf01a16d10ff11a905dd230b4ed2b11eeedaab8d03b3a66f"},
	{"aes-256", "ecb", "plain64", "",
	 "2f5a8478a567c7d0bd5b0039167a10cae5f90507033acff25451311db790cdd1"},
	{"aes-256", "cbc", "plain", "",
	 "36286f9cfdb54bf709327156f49704bdea70fd9ce702553db3338d810b960620"},
	{"aes-256", "cbc", "plain64", "",
	 "9573695126cf86d983f1646d1d99c6adf20bf13e97ab1297f6e89ba4357b7bbc"},
	{"aes-256", "cbc", "essiv", "sha256",
	 "f62ca0b708cd7914b86a4aea71a0e04a76822e8ff132f2afd5c8f4c0a7dc30ae"},
	{"aes-256", "ctr", "plain", "",
	 "eb8e7be23222108222893b60171e7291536464a75daca3dc6da1ac6d62f1e15d"},
	{"aes-256", "ctr", "plain64", "",
	 "b173e3bba46cc9b9c0aa12b802575793c1bc6d7c51094c3748d0af1af7767191"},
	{"aes-256", "ctr", "essiv", "sha256",
	 "8b674dd933a1b5a7593f435380f44f8d0a95525f0279e301b840e3e465c87e1e"},
	{"aes-256", "xts", "plain", "",
	 "cf265660a7bde3175d88cdc45acd720c27b362370ca6c2a39fc94f54f55810ac"},
	{"aes-256", "xts", "plain64", "",
	 "470a975d0d08ba40ac4037526da9ee0a5ef836db393df8927bf742118b2572a4"},
	{"aes-256", "xts", "essiv", "sha256",
	 "6f5ca40f29e3a942c070076b072dc5889cd86cd45250e0d73778155d47f60bac"},
	{"aes-256", "cbc", "essiv", "md5",
	 "4a115218e27a31d8caacc57858520c7f3bf5610e6b92aec58583225d18308295"},
	{"cast5-128", "cbc", "plain64", "",
	 "227624ad577982cbd070db8df28fa8eed1ebc247aea0f891cd74bba1b3dd0848"},
	{"cast5-128", "ecb", "plain64", "",
	 "64d80d0b0f33706e093b2da4b9133cdde55f5d37ee75115dc9c3a9034be5fd37"},
};

static struct cipher *
open_cipher(const struct suite *s, const uint8_t *key)
{
	struct cipher *c = NULL;

	assert_int_equal(suite_check(s, NULL), 0);
	assert_int_equal(cipher_new(s, key, &c, NULL), 0);
	return c;
}

static void
test_sectors_are_what_openssl_makes(void **state)
{
	uint8_t key[SUITE_KEY_MAX], data[BYTES], out[BYTES], digest[32];
	char text[65];

	(void)state;
	pattern(key, data);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct suite s = suite_of(v->alg, v->mode, v->ivgen, v->hash);
		struct cipher *c = open_cipher(&s, key);

		assert_int_equal(
			cipher_encrypt(c, out, data, BYTES, SECTOR_NUMBER), 0);
		gcry_md_hash_buffer(GCRY_MD_SHA256, digest, out, BYTES);
		hex(digest, sizeof(digest), text);
		if (strcmp(text, v->sha256) != 0)
			fail_msg("%s %s %s: %s", v->alg, v->mode, v->ivgen,
				 text);
		cipher_free(c);
	}
}

/* Back again, in place, sector by sector, for all that can be. */
static void
check_round(const struct suite *s)
{
	uint8_t key[SUITE_KEY_MAX], data[BYTES], out[BYTES];
	struct cipher *c;

	pattern(key, data);
	c = open_cipher(s, key);
	assert_int_equal(cipher_encrypt(c, out, data, BYTES, 7), 0);
	assert_memory_not_equal(out, data, CIPHER_SECTOR);
	/* Equal sectors are not equal on the disk, but for ECB. */
	assert_int_equal(cipher_decrypt(c, out + 512, out + 512, 512, 8), 0);
	assert_int_equal(cipher_decrypt(c, out, out, 512, 7), 0);
	assert_memory_equal(out, data, BYTES);
	cipher_free(c);
}

static void
test_every_suite_goes_back(void **state)
{
	static const char *const algs[] = {
		"aes-128",     "aes-192",     "aes-256",     "cast5-128",
		"serpent-128", "serpent-192", "serpent-256", "twofish-128",
		"twofish-192", "twofish-256"};
	static const char *const modes[] = {"ecb", "cbc", "xts", "ctr"};
	static const char *const ivgens[] = {"plain", "plain64", "essiv"};
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(algs) * 12; i++) {
		struct suite s = suite_of(algs[i / 12], modes[i / 3 % 4],
					  ivgens[i % 3],
					  i % 3 == 2 ? "sha256" : "");

		if (suite_check(&s, NULL) < 0)
			continue;
		check_round(&s);
		n++;
	}
	/* Eight ciphers with all; CAST5 without XTS and ESSIV; Twofish-192 is
	 * not in libgcrypt. */
	assert_int_equal(n, 8 * 12 + 6);
}

static void
expect_refusal(const char *alg, const char *mode, const char *ivgen,
	       const char *hash, const char *text)
{
	struct suite s = suite_of(alg, mode, ivgen, hash);
	struct q2_err err = {0};

	assert_true(suite_check(&s, &err) < 0);
	assert_string_equal(err.text, text);
}

static void
test_what_does_not_go_together(void **state)
{
	(void)state;
	expect_refusal("aes-256", "cbc", "essiv", "sha1",
		       "No AES cipher with key size 20 available");
	expect_refusal("serpent-128", "cbc", "essiv", "sha512",
		       "No Serpent cipher with key size 64 available");
	expect_refusal("twofish-128", "cbc", "essiv", "sha224",
		       "No Twofish cipher with key size 28 available");
	expect_refusal("cast5-128", "cbc", "essiv", "sha256",
		       "Cipher cast5-128 not supported with essiv");
	expect_refusal("aes-256", "cbc", "essiv", "",
		       "Missing IV generator hash specification");
	expect_refusal("cast5-128", "xts", "plain64", "",
		       "Unsupported cipher mode xts");
	expect_refusal("twofish-192", "cbc", "plain64", "",
		       "cipher twofish-192 is not supported: libgcrypt does "
		       "not have it");
}

/* ---- keys -------------------------------------------------------------- */

static void
test_pbkdf2_is_what_hashlib_makes(void **state)
{
	static const struct {
		const char *hash, *key;
	} known[] = {
		{"md5", "4e72ab6771b044d13f829742741f469710e93fa9db95fce6"},
		{"sha1", "ce85d3009b6fe3dc0660ae9927126229c134857cf7023b99"},
		{"sha224", "f489cb4f52e36c81500489096fcd105ad9f343761fab2b6a"},
		{"sha256", "4b3308bc9cb7f999204ef12a0d0b89bd2f797663e9634710"},
		{"sha384", "02b44d937e040fe30aef7256e3cec1d172455da3a65fea31"},
		{"sha512", "b7ea8a7688d29c9c00b8d372c350c4d12be8dad29637730e"},
		{"ripemd160",
		 "b55ea33bf289a9d5d26a69a97fce78fd0305d437b804ab0a"},
	};
	struct kdf_pass pass = {"geheim12", 8};
	uint8_t salt[KDF_SALT_BYTES], key[24];
	char text[49];

	(void)state;
	for (unsigned i = 0; i < sizeof(salt); i++)
		salt[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		assert_int_equal(kdf_pbkdf2(suite_hash_find(known[i].hash),
					    &pass, salt, 1000, key,
					    sizeof(key)),
				 0);
		hex(key, sizeof(key), text);
		assert_string_equal(text, known[i].key);
	}
}

/* QEMU takes it, and so must we. */
static void
test_an_empty_passphrase_makes_a_key(void **state)
{
	static const uint8_t salt[KDF_SALT_BYTES] = {0};
	static const uint8_t want[8] = {0xb2, 0x6e, 0x3d, 0x3c,
					0x6c, 0x04, 0xa9, 0x8b};
	struct kdf_pass pass = {"", 0};
	uint8_t key[8];

	(void)state;
	assert_int_equal(kdf_pbkdf2(suite_hash_find("sha256"), &pass, salt,
				    1000, key, sizeof(key)),
			 0);
	assert_memory_equal(key, want, sizeof(key));
}

static void
test_a_split_key_comes_back(void **state)
{
	static const char *const hashes[] = {"md5",      "sha1",   "sha224",
					     "sha256",   "sha384", "sha512",
					     "ripemd160"};
	static const size_t sizes[] = {16, 24, 32, 48, 64};
	uint8_t key[SUITE_KEY_MAX], back[SUITE_KEY_MAX], data[BYTES];
	uint8_t *material = malloc(SUITE_KEY_MAX * 100);

	(void)state;
	assert_non_null(material);
	pattern(key, data);
	for (size_t i = 0; i < ARRAY_SIZE(hashes) * ARRAY_SIZE(sizes); i++) {
		const struct suite_hash *h = suite_hash_find(hashes[i / 5]);
		size_t n = sizes[i % 5];

		assert_int_equal(kdf_split(h, key, n, 100, material), 0);
		assert_memory_not_equal(material + 99 * n, key, n);
		assert_int_equal(kdf_merge(h, material, n, 100, back), 0);
		assert_memory_equal(back, key, n);
		/* One bit anywhere, and nothing of the key is left. */
		material[i % n] ^= 1;
		assert_int_equal(kdf_merge(h, material, n, 100, back), 0);
		assert_memory_not_equal(back, key, n);
	}
	free(material);
}

static void
test_iterations_grow_with_time(void **state)
{
	const struct suite_hash *h = suite_hash_find("sha256");
	double ten, thousand;

	(void)state;
	ten = kdf_iterations(h, 32, 10);
	thousand = kdf_iterations(h, 32, 1000);
	assert_true(ten > 100);
	/* Wide, for busy machines. */
	assert_true(thousand > 10 * ten && thousand < 1000 * ten);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sectors_are_what_openssl_makes),
		cmocka_unit_test(test_every_suite_goes_back),
		cmocka_unit_test(test_what_does_not_go_together),
		cmocka_unit_test(test_pbkdf2_is_what_hashlib_makes),
		cmocka_unit_test(test_an_empty_passphrase_makes_a_key),
		cmocka_unit_test(test_a_split_key_comes_back),
		cmocka_unit_test(test_iterations_grow_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
