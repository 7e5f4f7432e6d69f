/* SPDX-License-Identifier: MIT */
/*
 * test_luks.c - LUKS headers: values to bytes and back, fields that cannot be
 * right, slots
 *
 * Headers of QEMU are in golden/images; the texts were taken from qemu-img 7.2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/crypt/luks.h"

#define IMAGES "tests/golden/images/good/"

static const struct kdf_pass right = {"geheim12", 8}, wrong = {"geheim13", 8};

static void
make(const char *alg, enum suite_mode mode, struct luks *ret, uint8_t *key)
{
	struct luks_options o = {
		.suite = {.alg = suite_alg_find(alg),
			  .mode = mode,
			  .ivgen = SUITE_PLAIN64},
		.hash = suite_hash_find("sha256"),
		.iter_ms = 0,
	};

	kdf_random_key(key, suite_key_bytes(&o.suite));
	assert_int_equal(luks_new(&o, key, ret, NULL), 0);
}

/* ---- bytes ------------------------------------------------------------- */

static void
test_a_new_header_is_as_qemu_lays_it_out(void **state)
{
	uint8_t key[SUITE_KEY_MAX], buf[LUKS_HEADER_BYTES];
	struct luks luks, back;

	(void)state;
	make("aes-256", SUITE_XTS, &luks, key);
	assert_int_equal(luks.payload, 4040);
	for (unsigned i = 0; i < LUKS_SLOTS; i++)
		assert_int_equal(luks.slots[i].sector, 8 + 504 * i);
	assert_int_equal(luks.iterations, 1000);
	assert_int_equal(luks_material_bytes(&luks), 256000);
	luks_encode(&luks, buf);
	assert_int_equal(luks_decode(buf, &back, NULL), 0);
	assert_memory_equal(&back, &luks, sizeof(luks));
	make("aes-128", SUITE_CBC, &luks, key);
	assert_int_equal(luks.payload, 1032);
	assert_int_equal(luks.slots[7].sector, 904);
}

/* An image of QEMU's, as far as its LUKS area goes; the caller frees it. */
static uint8_t *
load_area(const char *name, uint64_t offset, size_t bytes)
{
	gzFile f = gzopen(name, "rb");
	uint8_t *buf = malloc(bytes);

	assert_non_null(f);
	assert_non_null(buf);
	assert_true(gzseek(f, (z_off_t)offset, SEEK_SET) == (z_off_t)offset);
	assert_true(gzread(f, buf, (unsigned)bytes) > 0);
	assert_int_equal(gzclose(f), Z_OK);
	return buf;
}

static int
open_slot(const struct luks *luks, const uint8_t *area, unsigned slot,
	  const struct kdf_pass *pass)
{
	uint8_t key[SUITE_KEY_MAX], *copy = malloc(LUKS_MATERIAL_MAX);
	int r;

	assert_non_null(copy);
	memcpy(copy, area + 512 * (size_t)luks->slots[slot].sector,
	       luks_material_bytes(luks));
	r = luks_slot_open(luks, slot, pass, copy, key);
	free(copy);
	return r;
}

static void
test_slots_of_qemu_open(void **state)
{
	uint8_t *area = load_area(IMAGES "luks-second-slot.qcow2.gz", 0x40000,
				  0x90000);
	struct kdf_pass other = {"anderes", 7};
	uint8_t again[LUKS_HEADER_BYTES];
	struct luks luks;

	(void)state;
	assert_int_equal(luks_decode(area, &luks, NULL), 0);
	assert_string_equal(luks.suite.alg->name, "aes-128");
	assert_int_equal(luks.suite.mode, SUITE_CBC);
	assert_int_equal(luks.suite.ivgen, SUITE_ESSIV);
	assert_int_equal(luks.slots[5].iterations, 60235);
	assert_int_equal(open_slot(&luks, area, 0, &other), 1);
	assert_int_equal(open_slot(&luks, area, 5, &right), 1);
	assert_int_equal(open_slot(&luks, area, 0, &right), 0);
	assert_int_equal(open_slot(&luks, area, 5, &wrong), 0);
	/* What we would write is what QEMU has written. */
	luks_encode(&luks, again);
	assert_memory_equal(again, area, sizeof(again));
	free(area);
}

/* ---- fields ------------------------------------------------------------ */

struct field {
	const char *name;
	size_t off, n; /* big-endian */
	uint64_t value;
	const char *text;
};

#define SLOT(i) (208 + 48 * (size_t)(i))

static const struct field fields[] = {
	{"magic", 0, 4, 0x58554b53, "Volume is not in LUKS format"},
	{"magic", 4, 2, 0xbabf, "Volume is not in LUKS format"},
	{"version", 6, 2, 0, "LUKS version 0 is not supported"},
	{"version", 6, 2, 2, "LUKS version 2 is not supported"},
	{"cipher", 8, 4, 0x726f7400,
	 "Algorithm 'rot' with key size 32 bytes not supported"},
	{"cipher", 8, 1, 0,
	 "Algorithm '' with key size 32 bytes not supported"},
	{"mode", 40, 4, 0x78747300,
	 "Unexpected cipher mode string format 'xts'"},
	{"mode", 40, 1, 0, "Unexpected cipher mode string format ''"},
	{"mode", 40, 1, 'y', "Cipher mode 'yts' not supported"},
	{"mode", 44, 4, 0x666f6f00, "IV generator 'foo' not supported"},
	{"mode", 44, 8, 0x65737369763a6d00, "Hash algorithm 'm' not supported"},
	{"mode", 44, 8, 0x6573736976000000,
	 "Missing IV generator hash specification"},
	{"mode", 40, 3, 0x636263,
	 "Algorithm 'aes' with key size 64 bytes not supported"},
	{"hash", 72, 4, 0x666f6f00, "Hash algorithm 'foo' not supported"},
	{"payload", 104, 4, 0, "LUKS payload is overlapping with the header"},
	{"payload", 104, 4, 7, "LUKS payload is overlapping with the header"},
	{"payload", 104, 4, 8,
	 "Keyslot 0 is overlapping with the encrypted payload"},
	{"payload", 104, 4, 4000,
	 "Keyslot 7 is overlapping with the encrypted payload"},
	{"key bytes", 108, 4, 0,
	 "Algorithm 'aes' with key size 0 bytes not supported"},
	{"key bytes", 108, 4, 16,
	 "Algorithm 'aes' with key size 8 bytes not supported"},
	{"key bytes", 108, 4, 63,
	 "Algorithm 'aes' with key size 31 bytes not supported"},
	/* QEMU takes it for 64. */
	{"key bytes", 108, 4, 33,
	 "Algorithm 'aes' with key size 16 bytes not supported"},
	{"key bytes", 108, 4, 65,
	 "Keyslots 0 and 1 are overlapping in the header"},
	{"key bytes", 108, 4, 0xffffffff,
	 "Keyslot 0 is overlapping with the encrypted payload"},
	{"iterations", 164, 4, 0, "LUKS key iteration count is zero"},
	{"state", SLOT(0), 4, 0,
	 "Keyslot 0 state (active/disable) is corrupted"},
	{"state", SLOT(1), 4, 0xac71f2,
	 "Keyslot 1 state (active/disable) is corrupted"},
	{"slot iterations", SLOT(0) + 4, 4, 0,
	 "Keyslot 0 iteration count is zero"},
	{"slot offset", SLOT(0) + 40, 4, 0,
	 "Keyslot 0 is overlapping with the LUKS header"},
	{"slot offset", SLOT(0) + 40, 4, 7,
	 "Keyslot 0 is overlapping with the LUKS header"},
	{"slot offset", SLOT(0) + 40, 4, 511,
	 "Keyslots 0 and 1 are overlapping in the header"},
	{"slot offset", SLOT(7) + 40, 4, 3541,
	 "Keyslot 7 is overlapping with the encrypted payload"},
	/* In QEMU the sum overflows, and reading fails. */
	{"slot offset", SLOT(0) + 40, 4, 0xffffffff,
	 "Keyslot 0 is overlapping with the encrypted payload"},
	{"slot offset", SLOT(1) + 40, 4, 8,
	 "Keyslots 0 and 1 are overlapping in the header"},
	{"stripes", SLOT(0) + 44, 4, 0,
	 "Keyslot 0 is corrupted (stripes 0 != 4000)"},
	{"stripes", SLOT(7) + 44, 4, 0xffffffff,
	 "Keyslot 7 is corrupted (stripes -1 != 4000)"},
};

static void
put(uint8_t *buf, const struct field *f)
{
	for (size_t i = 0; i < f->n; i++)
		buf[f->off + i] = (uint8_t)(f->value >> 8 * (f->n - 1 - i));
}

static void
new_header(uint8_t buf[LUKS_HEADER_BYTES])
{
	uint8_t key[SUITE_KEY_MAX];
	struct luks luks;

	make("aes-256", SUITE_XTS, &luks, key);
	luks.slots[0].active = true;
	luks.slots[0].iterations = 1000;
	luks_encode(&luks, buf);
}

static void
test_fields_that_cannot_be_right(void **state)
{
	uint8_t good[LUKS_HEADER_BYTES], bad[LUKS_HEADER_BYTES];
	struct luks luks;

	(void)state;
	new_header(good);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		struct q2_err err = {0};

		memcpy(bad, good, sizeof(bad));
		put(bad, &fields[i]);
		if (luks_decode(bad, &luks, &err) == 0)
			fail_msg("%s = %#llx is taken", fields[i].name,
				 (unsigned long long)fields[i].value);
		assert_string_equal(err.text, fields[i].text);
	}
}

static void
test_names_without_an_end(void **state)
{
	static const struct {
		size_t off;
		const char *text;
	} names[] = {
		{8, "LUKS header cipher name is not NUL terminated"},
		{40, "LUKS header cipher mode is not NUL terminated"},
		{72, "LUKS header hash spec is not NUL terminated"},
	};
	uint8_t buf[LUKS_HEADER_BYTES];
	struct luks luks;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct q2_err err = {0};

		new_header(buf);
		memset(buf + names[i].off, 'x', 32);
		assert_true(luks_decode(buf, &luks, &err) < 0);
		assert_string_equal(err.text, names[i].text);
	}
	/* A UUID is only shown. */
	new_header(buf);
	memset(buf + 168, 'u', 40);
	assert_int_equal(luks_decode(buf, &luks, NULL), 0);
	assert_int_equal(strlen(luks.uuid), 40);
}

/* ---- slots ------------------------------------------------------------- */

static void
fill(struct luks *luks, unsigned slot, const struct kdf_pass *pass,
     /* it is filled: NOLINTNEXTLINE(readability-non-const-parameter) */
     const uint8_t *key, uint8_t *area)
{
	struct luks_filling f = {
		.pass = pass,
		.key = key,
		.material = area + 512 * (size_t)luks->slots[slot].sector,
	};

	assert_int_equal(luks_slot_fill(luks, slot, &f, NULL), 0);
}

static void
test_our_slots_open(void **state)
{
	static const struct {
		const char *alg;
		enum suite_mode mode;
	} kinds[] = {
		{"aes-256", SUITE_XTS},
		{"cast5-128", SUITE_CTR},
		{"serpent-128", SUITE_ECB},
		/* Material that is not whole sectors: QEMU cannot do this. */
		{"aes-192", SUITE_CBC},
	};
	uint8_t *area = malloc(2 * MiB), key[SUITE_KEY_MAX];

	(void)state;
	assert_non_null(area);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct kdf_pass none = {"", 0};
		struct luks luks;

		make(kinds[i].alg, kinds[i].mode, &luks, key);
		for (unsigned slot = 0; slot < 8; slot += 7)
			fill(&luks, slot, slot ? &none : &right, key, area);
		assert_int_equal(open_slot(&luks, area, 0, &right), 1);
		assert_int_equal(open_slot(&luks, area, 0, &none), 0);
		assert_int_equal(open_slot(&luks, area, 7, &none), 1);
		assert_int_equal(open_slot(&luks, area, 0, &wrong), 0);
	}
	free(area);
}

static void
test_more_iterations_than_there_can_be(void **state)
{
	struct luks_options o = {
		.suite = {.alg = suite_alg_find("aes-128"),
			  .ivgen = SUITE_PLAIN},
		.hash = suite_hash_find("sha256"),
		.iter_ms = UINT64_MAX / 4,
	};
	uint8_t key[SUITE_KEY_MAX] = {0};
	struct q2_err err = {0};
	struct luks luks;

	(void)state;
	assert_int_equal(luks_new(&o, key, &luks, &err), -ERANGE);
	assert_non_null(strstr(err.text, "too large to scale"));
	o.iter_ms = UINT64_C(10000000000);
	assert_int_equal(luks_new(&o, key, &luks, &err), -ERANGE);
	assert_non_null(strstr(err.text, "larger than 4294967295"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_header_is_as_qemu_lays_it_out),
		cmocka_unit_test(test_slots_of_qemu_open),
		cmocka_unit_test(test_fields_that_cannot_be_right),
		cmocka_unit_test(test_names_without_an_end),
		cmocka_unit_test(test_our_slots_open),
		cmocka_unit_test(test_more_iterations_than_there_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
