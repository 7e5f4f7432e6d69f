/* SPDX-License-Identifier: MIT */
/*
 * keyslots.c - passphrases of a LUKS image: adding one, erasing some
 *
 * A crash leaves the slot as it was, or as it shall be:
 *
 *	add	the material, and the header with the slot still disabled; sync;
 *		the sector with the slot's state; sync
 *	erase	the material is overwritten, which ends the passphrase; sync;
 *		the header; sync
 *
 * Slot 6 lies across two sectors; its state is in the first of them.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/crypt/cipher.h"
#include "engine/crypt/luks.h"
#include "engine/image/image.h"
#include "engine/manage/manage.h"

#define ITER_MS_DEFAULT 2000

/* As often as QEMU overwrites a slot. */
#define ERASE_PASSES 40

struct change {
	struct image *img;
	const struct q2_keyslot_opts *o;
	struct q2_err *err;
	struct luks luks;  /* as it shall be */
	uint8_t *material; /* of one slot */
	size_t bytes;      /* of that */
	uint8_t key[SUITE_KEY_MAX];
	unsigned slot;        /* the one being tried or filled */
	struct kdf_pass pass; /* what it is tried with */
};

/* ---- the file ---------------------------------------------------------- */

static int Q2_CO
write_at(struct change *c, const void *buf, uint64_t len, uint64_t off)
{
	int r = file_write(c->img->file, AIO_HEADER, buf, len,
			   c->img->header.crypto_offset + off);

	cache_meta_written(c->img);
	return r;
}

static uint64_t
slot_offset(const struct change *c)
{
	return (uint64_t)c->luks.slots[c->slot].sector * CIPHER_SECTOR;
}

/* All of it, or only the sector that has the slot's state. */
static int Q2_CO
write_header(struct change *c, bool all)
{
	uint64_t state = luks_slot_offset(c->slot);
	uint64_t from = all ? 0 : align_down(state, CIPHER_SECTOR);
	uint64_t end = all ? LUKS_HEADER_BYTES
			   : min_u64(LUKS_HEADER_BYTES, from + CIPHER_SECTOR);
	uint8_t buf[LUKS_HEADER_BYTES];
	int r;

	luks_encode(&c->luks, buf);
	r = write_at(c, buf + from, end - from, from);
	if (r == 0)
		r = file_sync(c->img->file);
	/* What the image says of itself. */
	if (r == 0)
		*c->img->crypt.luks = c->luks;
	return r;
}

static int
fail_write(struct change *c, int r)
{
	return r < 0 ? q2_fail(c->err, r, "Could not write keyslot %u: %s",
			       c->slot, strerror(-r))
		     : 0;
}

/* ---- who opens which --------------------------------------------------- */

static int
try_slot(void *arg)
{
	struct change *c = arg;

	return luks_slot_open(&c->luks, c->slot, &c->pass, c->material, c->key);
}

/* Does the passphrase open the slot?  1 and the key, 0, or -errno. */
static int Q2_CO
opens(struct change *c, unsigned slot, const void *key, size_t len)
{
	int r;

	c->slot = slot;
	c->pass = (struct kdf_pass){key, len};
	r = file_read(c->img->file, AIO_HEADER, c->material, c->bytes,
		      c->img->header.crypto_offset + slot_offset(c));
	if (r == 0)
		r = loop_offload(c->img->loop, try_slot, c);
	return r < 0 ? q2_fail(c->err, r, "could not try keyslot %u: %s", slot,
			       strerror(-r))
		     : r;
}

/* The active slots that the passphrase opens, as bits; or -errno. */
static int Q2_CO
find_slots(struct change *c, const void *key, size_t len)
{
	int found = 0;

	for (unsigned i = 0; i < LUKS_SLOTS; i++) {
		int r = c->luks.slots[i].active ? opens(c, i, key, len) : 0;

		if (r < 0)
			return r;
		found |= r << i;
	}
	return found;
}

static int
active_slots(const struct luks *luks)
{
	int found = 0;

	for (unsigned i = 0; i < LUKS_SLOTS; i++)
		found |= luks->slots[i].active << i;
	return found;
}

/* ---- adding ------------------------------------------------------------ */

static int
choose_free(struct change *c, unsigned *ret)
{
	unsigned slot = 0;

	if (c->o->has_keyslot) {
		*ret = c->o->keyslot;
		if (!c->luks.slots[*ret].active || c->o->force)
			return 0;
		return q2_fail(c->err, -EEXIST,
			       "Refusing to overwrite active keyslot %u - "
			       "please erase it first",
			       *ret);
	}
	while (slot < LUKS_SLOTS && c->luks.slots[slot].active)
		slot++;
	*ret = slot;
	return slot < LUKS_SLOTS
		       ? 0
		       : q2_fail(c->err, -ENOSPC,
				 "Can't add a keyslot - all keyslots are in "
				 "use");
}

static int
fill_slot(void *arg)
{
	struct change *c = arg;
	struct luks_filling f = {
		.pass = &c->pass,
		.key = c->key,
		.iter_ms = c->o->has_iter_time ? c->o->iter_time
					       : ITER_MS_DEFAULT,
		.material = c->material,
	};

	return luks_slot_fill(&c->luks, c->slot, &f, c->err);
}

static int Q2_CO
write_new(struct change *c)
{
	int r;

	c->luks.slots[c->slot].active = false;
	r = write_at(c, c->material, c->bytes, slot_offset(c));
	if (r == 0)
		r = write_header(c, true);
	c->luks.slots[c->slot].active = true;
	if (r == 0)
		r = write_header(c, false);
	return fail_write(c, r);
}

static int Q2_CO
add(struct change *c)
{
	const struct q2_keyslot_opts *o = c->o;
	unsigned slot = 0, i = 0;
	int r;

	if (o->old_key || o->old_secret)
		return q2_fail(c->err, -EINVAL,
			       "'old-secret' must not be given when activating "
			       "keyslots");
	if (!o->new_key && !o->new_secret)
		return q2_fail(c->err, -EINVAL,
			       "'new-secret' is required to activate a "
			       "keyslot");
	r = crypt_check_key(o->new_key, o->new_key_len, o->new_secret, c->err);
	if (r == 0)
		r = choose_free(c, &slot);
	if (r == 0)
		r = crypt_check_key(o->key, o->key_len, NULL, c->err);
	/* The key itself, by the passphrase that opens the image. */
	for (; r == 0 && i < LUKS_SLOTS; i++)
		if (c->luks.slots[i].active)
			r = opens(c, i, o->key, o->key_len);
	if (r < 0)
		return r;
	if (r == 0)
		return q2_fail(c->err, -EACCES,
			       "Invalid password, cannot unlock any keyslot");
	c->slot = slot;
	c->pass = (struct kdf_pass){o->new_key, o->new_key_len};
	r = loop_offload(c->img->loop, fill_slot, c);
	return r < 0 ? r : write_new(c);
}

/* ---- erasing ----------------------------------------------------------- */

static int Q2_CO
erase_one(struct change *c)
{
	struct luks_slot *s = &c->luks.slots[c->slot];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < ERASE_PASSES; i++) {
		kdf_random_salt(c->material, c->bytes);
		r = write_at(c, c->material, c->bytes, slot_offset(c));
	}
	if (r == 0)
		r = file_sync(c->img->file);
	s->active = false;
	s->iterations = 0;
	memset(s->salt, 0, sizeof(s->salt));
	if (r == 0)
		r = write_header(c, true);
	return fail_write(c, r);
}

/* Of the active slots, which shall go, as bits; or an error. */
static int Q2_CO
choose_erased(struct change *c)
{
	const struct q2_keyslot_opts *o = c->o;
	int active = active_slots(&c->luks), slots;

	slots = o->has_keyslot ? 1 << o->keyslot : active;
	if (!(slots & active))
		return q2_fail(c->err, -EINVAL,
			       "Given keyslot %u is already erased (inactive) ",
			       o->keyslot);
	if (o->old_key) {
		int found = find_slots(c, o->old_key, o->old_key_len);

		if (found < 0)
			return found;
		slots &= found;
	}
	if (!slots && o->has_keyslot)
		return q2_fail(c->err, -EACCES,
			       "Given keyslot %u doesn't contain the given old "
			       "password for erase operation",
			       o->keyslot);
	if (!slots)
		return q2_fail(c->err, -EACCES,
			       "No keyslots match given (old) password for "
			       "erase operation");
	if (slots != active || o->force)
		return slots;
	if (o->has_keyslot)
		return q2_fail(c->err, -EINVAL,
			       "Attempt to erase the only active keyslot %u "
			       "which will erase all the data in the image "
			       "irreversibly - refusing operation",
			       o->keyslot);
	return q2_fail(c->err, -EINVAL,
		       "All the active keyslots match the (old) password that "
		       "was given and erasing them will erase all the data in "
		       "the image irreversibly - refusing operation");
}

static int Q2_CO
erase(struct change *c)
{
	const struct q2_keyslot_opts *o = c->o;
	int r = 0, slots;

	if (o->new_key || o->new_secret)
		return q2_fail(c->err, -EINVAL,
			       "'new-secret' must not be given when erasing "
			       "keyslots");
	if (o->has_iter_time)
		return q2_fail(c->err, -EINVAL,
			       "'iter-time' must not be given when erasing "
			       "keyslots");
	if (o->old_secret || o->old_key)
		r = crypt_check_key(o->old_key, o->old_key_len, o->old_secret,
				    c->err);
	else if (!o->has_keyslot)
		r = q2_fail(c->err, -EINVAL,
			    "To erase keyslot(s), either explicit keyslot "
			    "index or the password currently contained in "
			    "them must be given");
	slots = r < 0 ? r : choose_erased(c);
	if (slots < 0)
		return slots;
	for (unsigned i = 0; r == 0 && i < LUKS_SLOTS; i++) {
		c->slot = i;
		if (slots >> i & 1)
			r = erase_one(c);
	}
	return r;
}

/* ---- the whole --------------------------------------------------------- */

static int
check(const struct image *img, const struct q2_keyslot_opts *o,
      struct q2_err *err)
{
	if (!img->header.crypt_method)
		return q2_fail(err, -EINVAL,
			       "Can't amend encryption options - encryption "
			       "not present");
	if (!img->crypt.luks)
		return q2_fail(err, -EINVAL,
			       "Only LUKS encryption options can be amended");
	if (img->read_only || img->failed)
		return q2_fail(err, -EACCES, "Image is read-only");
	if (o->has_keyslot && o->keyslot >= LUKS_SLOTS)
		return q2_fail(err, -EINVAL,
			       "Invalid keyslot %u specified, must be between "
			       "0 and %d",
			       o->keyslot, LUKS_SLOTS - 1);
	return 0;
}

int Q2_CO
change_keyslots(struct image *img, const struct q2_keyslot_opts *opts,
		struct q2_err *err)
{
	struct change c = {.img = img, .o = opts, .err = err};
	int r = check(img, opts, err);

	if (r < 0)
		return r;
	c.luks = *img->crypt.luks;
	c.bytes = luks_material_bytes(&c.luks);
	c.material = mem_aligned(c.bytes);
	if (!c.material)
		return q2_fail(err, -ENOMEM, "no memory for a keyslot");
	r = opts->erase ? erase(&c) : add(&c);
	explicit_bzero(c.key, sizeof(c.key));
	explicit_bzero(c.material, c.bytes);
	free(c.material);
	return r;
}
