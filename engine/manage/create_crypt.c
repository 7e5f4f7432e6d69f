/* SPDX-License-Identifier: MIT */
/*
 * create_crypt.c - a new image's key, and the header that holds it
 */
#include "engine/manage/create_crypt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/crypt/cipher.h"
#include "engine/image/crypt.h"

#define ITER_MS_DEFAULT 2000

/* ---- options ----------------------------------------------------------- */

static int
bad_value(const char *name, const char *value, struct q2_err *err)
{
	return q2_fail(err, -EINVAL,
		       "Parameter '%s' does not accept value '%.200s'", name,
		       value);
}

/* Names that QEMU knows and cannot use either. */
static bool
is_never_supported(const char *alg)
{
	return strcmp(alg, "des") == 0 || strcmp(alg, "3des") == 0;
}

static int
take_hash(const char *name, const char *value, const struct suite_hash **ret,
	  struct q2_err *err)
{
	if (!value)
		return 0;
	*ret = suite_hash_find(value);
	return *ret ? 0 : bad_value(name, value, err);
}

static int
take_suite(const struct q2_create_opts *o, struct suite *s, struct q2_err *err)
{
	const char *alg = o->cipher_alg ? o->cipher_alg : "aes-256";

	s->alg = suite_alg_find(alg);
	s->mode = SUITE_XTS;
	s->ivgen = SUITE_PLAIN64;
	if (!s->alg && !is_never_supported(alg))
		return bad_value("cipher-alg", alg, err);
	if (o->cipher_mode && !suite_mode_find(o->cipher_mode, &s->mode))
		return bad_value("cipher-mode", o->cipher_mode, err);
	if (o->ivgen_alg && !suite_ivgen_find(o->ivgen_alg, &s->ivgen))
		return bad_value("ivgen-alg", o->ivgen_alg, err);
	if (!s->alg)
		return q2_fail(err, -ENOTSUP, "Algorithm '%s' not supported",
			       alg);
	return take_hash("ivgen-hash-alg", o->ivgen_hash_alg, &s->ivgen_hash,
			 err);
}

/* QEMU ends with a failed assertion when it makes or opens such an image. */
static int
check_material(const struct suite *s, struct q2_err *err)
{
	unsigned bytes = suite_key_bytes(s) * LUKS_STRIPES;

	if (bytes % CIPHER_SECTOR == 0)
		return 0;
	return q2_fail(err, -ENOTSUP,
		       "cipher %s in mode %s is not supported: its key in a "
		       "slot takes %u bytes, which are not whole sectors, and "
		       "QEMU could not open the image",
		       s->alg->name, suite_mode_name(s->mode), bytes);
}

static int
plan_luks(struct new_crypt *c, const struct q2_create_opts *o,
	  struct q2_err *err)
{
	struct luks_options *l = &c->options;
	int r = take_suite(o, &l->suite, err);

	l->hash = suite_hash_find("sha256");
	if (r == 0)
		r = take_hash("hash-alg", o->hash_alg, &l->hash, err);
	if (r < 0)
		return r;
	if (l->suite.ivgen == SUITE_ESSIV && !l->suite.ivgen_hash)
		l->suite.ivgen_hash = suite_hash_find("sha256");
	l->iter_ms = o->has_iter_time ? o->iter_time : ITER_MS_DEFAULT;
	r = suite_check(&l->suite, err);
	if (r == 0)
		r = check_material(&l->suite, err);
	c->bytes = luks_area_bytes(&l->suite);
	return r;
}

int
new_crypt_plan(struct new_crypt *c, const struct q2_create_opts *opts,
	       bool need_key, struct q2_err *err)
{
	bool luks = opts->encryption && strcmp(opts->encryption, "luks") == 0;
	int r = 0;

	*c = (struct new_crypt){0};
	if (!opts->encryption)
		return 0;
	if (!luks && strcmp(opts->encryption, "aes") != 0)
		return bad_value("format", opts->encryption, err);
	if (luks)
		r = plan_luks(c, opts, err);
	if (r == 0 && need_key)
		r = crypt_check_key(opts->key, opts->key_len, opts->key_secret,
				    err);
	return r;
}

/* ---- the area ---------------------------------------------------------- */

struct making {
	struct new_crypt *c;
	struct kdf_pass pass;
	struct q2_err *err;
};

/* In a worker. */
static int
make_area(void *arg)
{
	const struct making *m = arg;
	struct new_crypt *c = m->c;
	uint8_t key[SUITE_KEY_MAX];
	struct luks luks;
	struct luks_filling f = {
		.pass = &m->pass, .key = key, .iter_ms = c->options.iter_ms};
	size_t at;
	int r;

	kdf_random_key(key, sizeof(key));
	r = luks_new(&c->options, key, &luks, m->err);
	if (r == 0) {
		at = (size_t)luks.slots[0].sector * CIPHER_SECTOR;
		c->used = at + luks_material_bytes(&luks);
		f.material = c->area + at;
		r = luks_slot_fill(&luks, 0, &f, m->err);
	}
	explicit_bzero(key, sizeof(key));
	if (r == 0)
		luks_encode(&luks, c->area);
	return r;
}

int Q2_CO
new_crypt_make(struct new_crypt *c, struct loop *loop,
	       const struct q2_create_opts *opts, struct q2_err *err)
{
	struct making m = {
		.c = c, .pass = {opts->key, opts->key_len}, .err = err};

	if (!c->bytes)
		return 0;
	c->area = mem_aligned_zero(c->bytes);
	if (!c->area)
		return q2_fail(err, -ENOMEM, "no memory for the LUKS header");
	return loop_offload(loop, make_area, &m);
}

void
new_crypt_done(struct new_crypt *c)
{
	free(c->area);
	c->area = NULL;
}
