/* SPDX-License-Identifier: MIT */
/*
 * luks.c - a header's bytes and its values
 */
#include "engine/crypt/luks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"

#define SECTOR 512

#define SLOT_ACTIVE   UINT32_C(0x00ac71f3)
#define SLOT_DISABLED UINT32_C(0x0000dead)

#define OFF_VERSION    6
#define OFF_CIPHER     8
#define OFF_MODE       40
#define OFF_HASH       72
#define NAME_BYTES     32
#define OFF_PAYLOAD    104
#define OFF_KEY_BYTES  108
#define OFF_DIGEST     112
#define OFF_SALT       132
#define OFF_ITERATIONS 164
#define OFF_UUID       168

static const uint8_t magic[6] = {'L', 'U', 'K', 'S', 0xba, 0xbe};

static uint64_t
material_sectors(uint64_t key_bytes)
{
	return div_up(key_bytes * LUKS_STRIPES, SECTOR);
}

size_t
luks_material_bytes(const struct luks *luks)
{
	return (size_t)material_sectors(suite_key_bytes(&luks->suite)) * SECTOR;
}

uint64_t
luks_area_bytes(const struct suite *suite)
{
	uint64_t slot = material_sectors(suite_key_bytes(suite)) * SECTOR;

	return LUKS_ALIGN + LUKS_SLOTS * align_up(slot, LUKS_ALIGN);
}

/* ---- what can be judged without knowing the names ---------------------- */

static const uint8_t *
slot_at(const uint8_t *buf, unsigned slot)
{
	return buf + luks_slot_offset(slot);
}

/* The names are whole, so that they can be read as strings. */
static int
check_strings(const uint8_t *buf, struct q2_err *err)
{
	static const struct {
		unsigned off;
		const char *name;
	} strings[] = {
		{OFF_CIPHER, "cipher name"},
		{OFF_MODE, "cipher mode"},
		{OFF_HASH, "hash spec"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (!memchr(buf + strings[i].off, 0, NAME_BYTES))
			return q2_fail(err, -Q2_ECORRUPT,
				       "LUKS header %s is not NUL terminated",
				       strings[i].name);
	return 0;
}

static int
check_head(const uint8_t *buf, struct q2_err *err)
{
	unsigned version = load_be16(buf + OFF_VERSION);
	int r;

	if (memcmp(buf, magic, sizeof(magic)) != 0)
		return err_field(
			err,
			q2_fail(err, -EINVAL, "Volume is not in LUKS format"),
			"magic of the LUKS header", load_be32(buf));
	if (version != 1)
		return err_field(err,
				 q2_fail(err, -ENOTSUP,
					 "LUKS version %u is not supported",
					 version),
				 "version of the LUKS header", version);
	r = check_strings(buf, err);
	if (r < 0)
		return r;
	if (load_be32(buf + OFF_PAYLOAD) < LUKS_ALIGN / SECTOR)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"LUKS payload is overlapping with the header"),
			"payload offset in sectors",
			load_be32(buf + OFF_PAYLOAD));
	if (load_be32(buf + OFF_ITERATIONS) == 0)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "LUKS key iteration count is zero"),
				 "iterations of the key's digest", 0);
	return 0;
}

static int
check_slot_place(const uint8_t *buf, unsigned slot, struct q2_err *err)
{
	uint64_t start = load_be32(slot_at(buf, slot) + 40);
	uint64_t n = material_sectors(load_be32(buf + OFF_KEY_BYTES));

	if (start < LUKS_ALIGN / SECTOR)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Keyslot %u is overlapping with the "
					 "LUKS header",
					 slot),
				 "offset of the slot in sectors", start);
	if (start + n > load_be32(buf + OFF_PAYLOAD))
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Keyslot %u is overlapping with the "
					 "encrypted payload",
					 slot),
				 "offset of the slot in sectors", start);
	for (unsigned j = slot + 1; j < LUKS_SLOTS; j++)
		if (n && ranges_overlap(start, n,
					load_be32(slot_at(buf, j) + 40), n))
			return err_field(
				err,
				q2_fail(err, -Q2_ECORRUPT,
					"Keyslots %u and %u are overlapping in "
					"the header",
					slot, j),
				"offset of the slot in sectors", start);
	return 0;
}

static int
check_slot(const uint8_t *buf, unsigned slot, struct q2_err *err)
{
	const uint8_t *p = slot_at(buf, slot);
	uint32_t state = load_be32(p), stripes = load_be32(p + 44);

	if (stripes != LUKS_STRIPES)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Keyslot %u is corrupted (stripes "
					 "%" PRId32 " != %d)",
					 slot, (int32_t)stripes, LUKS_STRIPES),
				 "stripes of the slot", stripes);
	if (state != SLOT_ACTIVE && state != SLOT_DISABLED)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Keyslot %u state (active/disable) is "
					 "corrupted",
					 slot),
				 "state of the slot", state);
	if (state == SLOT_ACTIVE && load_be32(p + 4) == 0)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Keyslot %u iteration count is zero",
					 slot),
				 "iterations of the slot", 0);
	return check_slot_place(buf, slot, err);
}

/* ---- names ------------------------------------------------------------- */

static int
find_hash(const char *name, const struct suite_hash **ret, struct q2_err *err)
{
	*ret = suite_hash_find(name);
	return *ret ? 0
		    : q2_fail(err, -ENOTSUP,
			      "Hash algorithm '%s' not supported", name);
}

/* "mode-ivgen" or "mode-ivgen:hash". */
static int
decode_mode(const uint8_t *buf, struct suite *s, struct q2_err *err)
{
	char text[NAME_BYTES], *ivgen, *hash;

	memcpy(text, buf + OFF_MODE, sizeof(text));
	ivgen = strchr(text, '-');
	if (!ivgen)
		return q2_fail(err, -Q2_ECORRUPT,
			       "Unexpected cipher mode string format '%s'",
			       text);
	*ivgen++ = 0;
	hash = strchr(ivgen, ':');
	if (hash) {
		int r;

		*hash++ = 0;
		r = find_hash(hash, &s->ivgen_hash, err);
		if (r < 0)
			return r;
	}
	if (!suite_mode_find(text, &s->mode))
		return q2_fail(err, -ENOTSUP, "Cipher mode '%s' not supported",
			       text);
	if (!suite_ivgen_find(ivgen, &s->ivgen))
		return q2_fail(err, -ENOTSUP, "IV generator '%s' not supported",
			       ivgen);
	return 0;
}

static int
decode_suite(const uint8_t *buf, struct luks *luks, struct q2_err *err)
{
	const char *family = (const char *)buf + OFF_CIPHER;
	uint32_t bytes = load_be32(buf + OFF_KEY_BYTES), one;
	struct suite *s = &luks->suite;
	int r;

	r = decode_mode(buf, s, err);
	if (r == 0)
		r = find_hash((const char *)buf + OFF_HASH, &luks->hash, err);
	if (r < 0)
		return r;
	one = s->mode == SUITE_XTS ? bytes / 2 : bytes;
	s->alg = suite_alg_by_family(family, one);
	if (!s->alg || suite_key_bytes(s) != bytes)
		return err_field(err,
				 q2_fail(err, -ENOTSUP,
					 "Algorithm '%s' with key size %" PRIu32
					 " bytes not supported",
					 family, one),
				 "bytes of the key", bytes);
	return suite_check(s, err);
}

/* ---- whole headers ----------------------------------------------------- */

int
luks_decode(const uint8_t *buf, struct luks *ret_luks, struct q2_err *err)
{
	struct luks luks = {0};
	int r = check_head(buf, err);

	for (unsigned i = 0; r == 0 && i < LUKS_SLOTS; i++)
		r = check_slot(buf, i, err);
	if (r == 0)
		r = decode_suite(buf, &luks, err);
	if (r < 0)
		return r;
	luks.payload = load_be32(buf + OFF_PAYLOAD);
	memcpy(luks.digest, buf + OFF_DIGEST, sizeof(luks.digest));
	memcpy(luks.salt, buf + OFF_SALT, sizeof(luks.salt));
	luks.iterations = load_be32(buf + OFF_ITERATIONS);
	memcpy(luks.uuid, buf + OFF_UUID, LUKS_UUID_BYTES);
	for (unsigned i = 0; i < LUKS_SLOTS; i++) {
		const uint8_t *p = slot_at(buf, i);
		struct luks_slot *s = &luks.slots[i];

		s->active = load_be32(p) == SLOT_ACTIVE;
		s->iterations = load_be32(p + 4);
		memcpy(s->salt, p + 8, sizeof(s->salt));
		s->sector = load_be32(p + 40);
	}
	*ret_luks = luks;
	return 0;
}

/* A name into a field that is zero; it is one of ours, and fits. */
static void
put_name(uint8_t *field, const char *name)
{
	(void)snprintf((char *)field, NAME_BYTES, "%s", name);
}

void
luks_encode(const struct luks *luks, uint8_t *buf)
{
	const struct suite *s = &luks->suite;
	char mode[NAME_BYTES];

	memset(buf, 0, LUKS_HEADER_BYTES);
	memcpy(buf, magic, sizeof(magic));
	store_be16(buf + OFF_VERSION, 1);
	put_name(buf + OFF_CIPHER, s->alg->family);
	(void)snprintf(mode, sizeof(mode), "%s-%s%s%s",
		       suite_mode_name(s->mode), suite_ivgen_name(s->ivgen),
		       s->ivgen_hash ? ":" : "",
		       s->ivgen_hash ? s->ivgen_hash->name : "");
	put_name(buf + OFF_MODE, mode);
	put_name(buf + OFF_HASH, luks->hash->name);
	store_be32(buf + OFF_PAYLOAD, luks->payload);
	store_be32(buf + OFF_KEY_BYTES, suite_key_bytes(s));
	memcpy(buf + OFF_DIGEST, luks->digest, sizeof(luks->digest));
	memcpy(buf + OFF_SALT, luks->salt, sizeof(luks->salt));
	store_be32(buf + OFF_ITERATIONS, luks->iterations);
	memcpy(buf + OFF_UUID, luks->uuid, LUKS_UUID_BYTES);
	for (unsigned i = 0; i < LUKS_SLOTS; i++) {
		uint8_t *p = buf + luks_slot_offset(i);
		const struct luks_slot *slot = &luks->slots[i];

		store_be32(p, slot->active ? SLOT_ACTIVE : SLOT_DISABLED);
		store_be32(p + 4, slot->iterations);
		memcpy(p + 8, slot->salt, sizeof(slot->salt));
		store_be32(p + 40, slot->sector);
		store_be32(p + 44, LUKS_STRIPES);
	}
}
