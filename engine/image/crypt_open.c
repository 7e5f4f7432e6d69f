/* SPDX-License-Identifier: MIT */
/*
 * crypt_open.c - from a passphrase to the ciphers of an image
 *
 * Passphrase, key and material of a slot are wiped as soon as they have been
 * used; what stays is in the ciphers.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/base/utf8.h"
#include "engine/crypt/cipher.h"
#include "engine/crypt/luks.h"
#include "engine/image/image.h"
#include "engine/image/open.h"

#define METHOD_AES  1
#define METHOD_LUKS 2

/* The legacy method has keys of this length, whatever the passphrase's. */
#define AES_KEY_BYTES 16

struct unlocking {
	struct image *img;
	const struct q2_open_opts *opts;
	struct q2_err *err;
	struct suite suite;
	uint8_t key[SUITE_KEY_MAX];
};

static const char *
method_name(uint32_t method)
{
	return method == METHOD_AES ? "aes" : "luks";
}

/* ---- what the options say ---------------------------------------------- */

static int
check_format(const struct image *img, const char *format, struct q2_err *err)
{
	uint32_t method = img->header.crypt_method;

	if (!format)
		return 0;
	if (!method)
		return q2_fail(err, -EINVAL,
			       "No encryption in image header, but options "
			       "specified format '%.200s'",
			       format);
	if (strcmp(format, method_name(method)) != 0)
		return q2_fail(err, -EINVAL,
			       "Header reported '%s' encryption format but "
			       "options specify '%.200s'",
			       method_name(method), format);
	return 0;
}

int
crypt_check_key(const void *key, size_t len, const char *id, struct q2_err *err)
{
	if (!key && !id)
		return q2_fail(err, -EACCES,
			       "Parameter 'encrypt.key-secret' is required for "
			       "cipher");
	if (!key)
		return q2_fail(err, -ENOENT, "No secret with id '%.200s'", id);
	if (!utf8_is_valid(key, len))
		return q2_fail(err, -EINVAL,
			       "Data from secret %.200s is not valid UTF-8",
			       id ? id : "key");
	return 0;
}

/* ---- LUKS -------------------------------------------------------------- */

/* Bytes of the area that the header's extension names. */
static int Q2_CO
read_area(const struct image *img, void *buf, uint64_t len, uint64_t off,
	  struct q2_err *err)
{
	const struct header *h = &img->header;
	int r;

	if (off > h->crypto_bytes || len > h->crypto_bytes - off)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Request for data outside of "
					 "extension header"),
				 "length of the encryption header",
				 h->crypto_bytes);
	r = file_read(img->file, AIO_HEADER, buf, len, h->crypto_offset + off);
	return r < 0 ? q2_fail(err, r, "Unable to read encryption header: %s",
			       strerror(-r))
		     : 0;
}

static int Q2_CO
read_luks(struct image *img, struct q2_err *err)
{
	uint8_t buf[LUKS_HEADER_BYTES];
	int r;

	img->crypt.luks = calloc(1, sizeof(*img->crypt.luks));
	if (!img->crypt.luks)
		return q2_fail(err, -ENOMEM, "no memory for the LUKS header");
	r = read_area(img, buf, sizeof(buf), 0, err);
	return r < 0 ? r : luks_decode(buf, img->crypt.luks, err);
}

struct trying {
	const struct luks *luks;
	unsigned slot;
	struct kdf_pass pass;
	uint8_t *material, *key;
};

static int
try_slot(void *arg)
{
	const struct trying *t = arg;

	return luks_slot_open(t->luks, t->slot, &t->pass, t->material, t->key);
}

/* The first slot that the passphrase opens. */
static int Q2_CO
try_slots(struct unlocking *u, uint8_t *material)
{
	const struct luks *luks = u->img->crypt.luks;
	struct trying t = {
		.luks = luks,
		.pass = {u->opts->key, u->opts->key_len},
		.material = material,
		.key = u->key,
	};
	int r = 0;

	for (; r == 0 && t.slot < LUKS_SLOTS; t.slot++) {
		const struct luks_slot *s = &luks->slots[t.slot];

		if (!s->active)
			continue;
		r = read_area(u->img, material, luks_material_bytes(luks),
			      (uint64_t)s->sector * CIPHER_SECTOR, u->err);
		if (r < 0)
			return r;
		r = loop_offload(u->img->loop, try_slot, &t);
		if (r < 0)
			return q2_fail(u->err, r,
				       "could not try keyslot %u: %s", t.slot,
				       strerror(-r));
	}
	return r ? 0
		 : q2_fail(u->err, -EACCES,
			   "Invalid password, cannot unlock any keyslot");
}

static int Q2_CO
unlock_luks(struct unlocking *u)
{
	size_t bytes = luks_material_bytes(u->img->crypt.luks);
	Q2_AUTO_FREE uint8_t *material = mem_aligned(bytes);
	int r;

	if (!material)
		return q2_fail(u->err, -ENOMEM, "no memory for a keyslot");
	u->suite = u->img->crypt.luks->suite;
	r = try_slots(u, material);
	explicit_bzero(material, bytes);
	return r;
}

/* ---- the whole --------------------------------------------------------- */

/* The passphrase is the key. */
static void
unlock_aes(struct unlocking *u)
{
	u->suite = (struct suite){
		.alg = suite_alg_find("aes-128"),
		.mode = SUITE_CBC,
		.ivgen = SUITE_PLAIN64,
	};
	memcpy(u->key, u->opts->key, min_u64(u->opts->key_len, AES_KEY_BYTES));
}

static int
make_ciphers(struct unlocking *u)
{
	struct crypt *c = &u->img->crypt;
	int r = cipher_new(&u->suite, u->key, &c->own, u->err);

	for (unsigned i = 0; r == 0 && i < CRYPT_CIPHERS; i++) {
		r = cipher_new(&u->suite, u->key, &c->idle[i], u->err);
		c->n_idle += r == 0;
	}
	c->on = r == 0;
	return r;
}

static int Q2_CO
unlock(struct unlocking *u)
{
	int r;

	u->img->crypt.by_guest = u->img->header.crypt_method == METHOD_AES;
	r = crypt_check_key(u->opts->key, u->opts->key_len, u->opts->key_secret,
			    u->err);
	if (r == 0 && u->img->crypt.luks)
		r = unlock_luks(u);
	else if (r == 0)
		unlock_aes(u);
	if (r == 0)
		r = make_ciphers(u);
	explicit_bzero(u->key, sizeof(u->key));
	return r;
}

int Q2_CO
crypt_open(struct image *img, const struct q2_open_opts *opts,
	   struct q2_err *err)
{
	struct unlocking u = {.img = img, .opts = opts, .err = err};
	uint32_t method = img->header.crypt_method;
	int r = check_format(img, opts->encrypt_format, err);

	if (r == 0 && method == METHOD_LUKS)
		r = read_luks(img, err);
	if (r < 0 || !method || (opts->flags & (Q2_NO_IO | OPEN_WITHOUT_KEY)))
		return r;
	return unlock(&u);
}

/* Digest and salt are the key's. */
static bool
has_key_of(const struct image *img, const struct image *old)
{
	const struct luks *a = img->crypt.luks, *b = old->crypt.luks;

	if (img->header.crypt_method != old->header.crypt_method)
		return false;
	return !a || (a->suite.alg == b->suite.alg &&
		      a->suite.mode == b->suite.mode &&
		      a->suite.ivgen == b->suite.ivgen &&
		      a->suite.ivgen_hash == b->suite.ivgen_hash &&
		      a->hash == b->hash && a->iterations == b->iterations &&
		      memcmp(a->digest, b->digest, sizeof(a->digest)) == 0 &&
		      memcmp(a->salt, b->salt, sizeof(a->salt)) == 0);
}

int
crypt_take_over(struct image *img, struct image *old, struct q2_err *err)
{
	struct crypt *to = &img->crypt, *from = &old->crypt;

	if (!has_key_of(img, old))
		return q2_fail(err, -ESTALE,
			       "'%.900s' was replaced meanwhile: it has "
			       "another encryption key",
			       img->path);
	assert(list_empty(&from->writes));
	to->own = from->own;
	memcpy(to->idle, from->idle, sizeof(to->idle));
	to->n_idle = from->n_idle;
	to->by_guest = from->by_guest;
	to->on = from->on;
	from->own = NULL;
	from->n_idle = 0;
	from->on = false;
	return 0;
}
