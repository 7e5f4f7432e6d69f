/* SPDX-License-Identifier: MIT */
/*
 * create_opts.c - the options of new images
 */
#include "engine/img/create_opts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/file.h"
#include "engine/img/msg.h"

/* ---- the tables -------------------------------------------------------- */

#define HELP_SIZE            "length of the disk"
#define HELP_PREALLOC(modes) "what is allocated in advance (" modes ")"
#define HELP_NOCOW           "no copy-on-write by the host's file system (btrfs)"
#define HELP_EXTENT          "what the host's file system allocates at once (XFS)"

#define OPT(n, t, s, h)                                                \
	{                                                              \
		.name = (n), .type = (t), .standard = (s), .help = (h) \
	}

/* Names and order are QEMU's, which it prints them in. */
static const struct opt qcow2_opts[] = {
	OPT("encryption", OPT_BOOL, NULL, "encrypt.format=aes by its old name"),
	OPT("encrypt.format", OPT_STRING, NULL,
	    "encrypt the data: luks, or aes, which is weak and old"),
	OPT("encrypt.key-secret", OPT_STRING, NULL,
	    "id of the --object secret with the passphrase"),
	OPT("encrypt.cipher-alg", OPT_STRING, NULL,
	    "aes-128, aes-192, aes-256 (default), and the like of serpent, twofish; cast5-128"),
	OPT("encrypt.cipher-mode", OPT_STRING, NULL,
	    "xts (default), cbc, ctr, ecb"),
	OPT("encrypt.ivgen-alg", OPT_STRING, NULL,
	    "plain64 (default), plain, essiv"),
	OPT("encrypt.ivgen-hash-alg", OPT_STRING, NULL,
	    "hash of essiv: sha256 (default)"),
	OPT("encrypt.hash-alg", OPT_STRING, NULL,
	    "of the passphrase: md5, sha1, sha224, sha256 (default), sha384, sha512, ripemd160"),
	OPT("encrypt.iter-time", OPT_NUMBER, NULL,
	    "milliseconds that trying a passphrase takes (2000)"),
	OPT("cluster_size", OPT_SIZE, "65536",
	    "unit of allocation, 512 to 2M, a power of two"),
	OPT("extended_l2", OPT_BOOL, "off",
	    "32 subclusters a cluster, for 16k and more"),
	OPT("preallocation", OPT_STRING, NULL,
	    HELP_PREALLOC("off, metadata, falloc, full")),
	OPT("compression_type", OPT_STRING, "zlib",
	    "for compressed clusters: zlib or zstd"),
	OPT("size", OPT_SIZE, NULL, HELP_SIZE),
	OPT("compat", OPT_STRING, NULL,
	    "version: v3 (also 1.1) or v2 (also 0.10)"),
	OPT("backing_file", OPT_STRING, NULL,
	    "image below this one, relative to it"),
	OPT("backing_fmt", OPT_STRING, NULL, "its format"),
	OPT("data_file", OPT_STRING, NULL,
	    "file for the data; it is made, or emptied"),
	OPT("data_file_raw", OPT_BOOL, NULL,
	    "the data file is a raw image by itself"),
	OPT("lazy_refcounts", OPT_BOOL, "off",
	    "write refcounts late; needs a repair after a crash"),
	OPT("refcount_bits", OPT_NUMBER, "16",
	    "bits of a refcount, 1 to 64, a power of two"),
	OPT("nocow", OPT_BOOL, NULL, HELP_NOCOW),
	OPT("extent_size_hint", OPT_SIZE, NULL, HELP_EXTENT),
};

static const struct opt raw_opts[] = {
	OPT("size", OPT_SIZE, NULL, HELP_SIZE),
	OPT("nocow", OPT_BOOL, NULL, HELP_NOCOW),
	OPT("preallocation", OPT_STRING, NULL,
	    HELP_PREALLOC("off, falloc, full")),
	OPT("extent_size_hint", OPT_SIZE, NULL, HELP_EXTENT),
};

int
create_opts_init(struct create_opts *c, const char *format, struct q2_err *err)
{
	static_assert(ARRAY_SIZE(qcow2_opts) <= CREATE_OPTS_MAX, "room");
	static_assert(ARRAY_SIZE(raw_opts) <= CREATE_OPTS_MAX, "room");

	*c = (struct create_opts){0};
	c->table.opts = c->opts;
	if (strcmp(format, "qcow2") == 0) {
		c->format = "qcow2";
		memcpy(c->opts, qcow2_opts, sizeof(qcow2_opts));
		c->table.n = ARRAY_SIZE(qcow2_opts);
	} else if (strcmp(format, "raw") == 0) {
		c->format = "raw";
		memcpy(c->opts, raw_opts, sizeof(raw_opts));
		c->table.n = ARRAY_SIZE(raw_opts);
	} else {
		return q2_fail(err, -EINVAL, "Unknown file format '%s'",
			       format);
	}
	return 0;
}

void
create_opts_done(struct create_opts *c)
{
	opt_free(&c->table);
}

int
create_opts_join(const char *text, char **all)
{
	size_t have = *all ? strlen(*all) + 1 : 0;
	char *joined;

	if (!opt_is_list(text))
		return complain("Invalid option list: %s", text);
	joined = realloc(*all, have + strlen(text) + 1);
	if (!joined)
		return complain("no memory for the options");
	if (have)
		joined[have - 1] = ',';
	strcpy(joined + have, text);
	*all = joined;
	return 0;
}

void
create_opts_print_help(const struct create_opts *c)
{
	say("Supported %s options:\n", c->format);
	opt_print_help(&c->table);
}

/* ---- to the engine's options ------------------------------------------- */

static const char *
value_of(const struct create_opts *c, const char *name)
{
	return opt_find(&c->table, name)->value;
}

/* The place of value among n words, or an error with QEMU's text. */
static int
find_word(const char *parameter, const char *value, const char *const *words,
	  struct q2_err *err)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(value, words[i]) == 0)
			return i;
	return q2_fail(err, -EINVAL,
		       "Parameter '%s' does not accept value '%s'", parameter,
		       value);
}

static int
take_prealloc(const struct create_opts *c, struct q2_create_opts *o,
	      struct q2_err *err)
{
	static const char *const words[] = {"off", "metadata", "falloc", "full",
					    NULL};
	const char *value = value_of(c, "preallocation");
	int i = value ? find_word("preallocation", value, words, err) : 0;

	if (i < 0)
		return i;
	o->preallocation = (enum q2_prealloc)i;
	return 0;
}

static int
take_compat(const struct create_opts *c, struct q2_create_opts *o,
	    struct q2_err *err)
{
	static const char *const words[] = {"0.10", "v2", "1.1", "v3", NULL};
	const char *value = value_of(c, "compat");
	int i = value ? find_word("version", value, words, err) : 2;

	if (i < 0)
		return i;
	o->compat = i < 2 ? 2 : 3;
	return 0;
}

static int
take_compression(const struct create_opts *c, struct q2_create_opts *o,
		 struct q2_err *err)
{
	static const char *const words[] = {"zlib", "zstd", NULL};
	const char *value = value_of(c, "compression_type");
	int i = value ? find_word("compression-type", value, words, err) : 0;

	if (i < 0)
		return i;
	o->compression_type = words[i];
	return 0;
}

/* What QEMU calls so; that we cannot read most of them does not matter to a
 * header. */
static const char *const drivers[] = {
	"qcow2",   "raw",  "bochs",     "cloop", "dmg",         "file",
	"ftp",     "ftps", "http",      "https", "host_device", "iscsi",
	"gluster", "luks", "nbd",       "nfs",   "null-aio",    "null-co",
	"nvme",    "qcow", "parallels", "qed",   "rbd",         "ssh",
	"vdi",     "vhdx", "vmdk",      "vpc",   "vvfat",       "host_cdrom",
	"quorum",  NULL};

bool
create_opts_is_driver(const char *name)
{
	return find_word("", name, drivers, NULL) >= 0;
}

static int
take_backing(const struct create_opts *c, struct q2_create_opts *o,
	     struct q2_err *err)
{
	const char *format = value_of(c, "backing_fmt");
	int r = format ? find_word("backing-fmt", format, drivers, err) : 0;

	o->backing_file = value_of(c, "backing_file");
	o->backing_format = format;
	return r < 0 ? r : 0;
}

/* The name in the header is that of a plain file, without QEMU's "file:". */
static int
take_data_file(const struct create_opts *c, struct q2_create_opts *o,
	       struct q2_err *err)
{
	const char *name = value_of(c, "data_file");

	o->data_file_raw = opt_find(&c->table, "data_file_raw")->number;
	return name ? file_path(name, &o->data_file, err) : 0;
}

/* The engine takes 0 for the default, and less than what can be written here:
 * what it cannot be told becomes something else that it refuses. */
static uint32_t
number_of(const struct create_opts *c, const char *name)
{
	const struct opt *o = opt_find(&c->table, name);

	if (!o->value)
		return 0;
	return o->number == 0 || o->number > UINT32_MAX ? UINT32_MAX
							: (uint32_t)o->number;
}

/* ---- encryption -------------------------------------------------------- */

/* The first option of encrypt.* that is given, other than format (and, if
 * not asked for, key-secret); NULL if there is none. */
static const struct opt *
given_encryption(const struct create_opts *c, bool with_key)
{
	for (size_t i = 0; i < c->table.n; i++) {
		const struct opt *o = &c->opts[i];

		if (!o->value || strncmp(o->name, "encrypt.", 8) != 0 ||
		    strcmp(o->name, "encrypt.format") == 0 ||
		    (!with_key && strcmp(o->name, "encrypt.key-secret") == 0))
			continue;
		return o;
	}
	return NULL;
}

/* The format, from encrypt.format or its old name. */
static int
take_encrypt_format(const struct create_opts *c, const char **ret,
		    struct q2_err *err)
{
	static const char *const words[] = {"aes", "luks", NULL};
	bool old = opt_find(&c->table, "encryption")->number;
	const char *format = value_of(c, "encrypt.format");
	int i;

	if (old && format)
		return q2_fail(err, -EINVAL,
			       "'encrypt.format' and its alias 'encryption' "
			       "can't be used at the same time");
	if (old)
		format = "aes";
	if (!format && given_encryption(c, true))
		return q2_fail(err, -EINVAL,
			       "Parameter 'encrypt.format' is missing");
	if (!format)
		return 0;
	i = find_word("format", format, words, err);
	if (i < 0)
		return i;
	*ret = words[i];
	return 0;
}

static int
take_iter_time(const struct create_opts *c, struct q2_create_opts *o,
	       struct q2_err *err)
{
	const struct opt *time = opt_find(&c->table, "encrypt.iter-time");

	if (time->value && time->number > INT64_MAX)
		return q2_fail(err, -EINVAL,
			       "Parameter 'encrypt.iter-time' expects integer");
	o->has_iter_time = time->value != NULL;
	o->iter_time = time->number;
	return 0;
}

static int
take_encryption(const struct create_opts *c, struct q2_create_opts *o,
		struct q2_err *err)
{
	int r = take_encrypt_format(c, &o->encryption, err);
	const struct opt *other;

	if (r < 0 || !o->encryption)
		return r;
	other = given_encryption(c, false);
	if (strcmp(o->encryption, "aes") == 0 && other)
		return q2_fail(err, -EINVAL, "Parameter '%s' is unexpected",
			       other->name);
	o->cipher_alg = value_of(c, "encrypt.cipher-alg");
	o->cipher_mode = value_of(c, "encrypt.cipher-mode");
	o->ivgen_alg = value_of(c, "encrypt.ivgen-alg");
	o->ivgen_hash_alg = value_of(c, "encrypt.ivgen-hash-alg");
	o->hash_alg = value_of(c, "encrypt.hash-alg");
	o->key_secret = value_of(c, "encrypt.key-secret");
	if (o->key_secret && cmd_secrets())
		o->key = q2_secrets_find(cmd_secrets(), o->key_secret,
					 &o->key_len);
	return take_iter_time(c, o, err);
}

/* ---- the whole --------------------------------------------------------- */

static int
take_qcow2(const struct create_opts *c, struct q2_create_opts *o,
	   struct q2_err *err)
{
	int r = take_compat(c, o, err);

	if (r == 0)
		r = take_encryption(c, o, err);
	if (r == 0)
		r = take_backing(c, o, err);
	if (r == 0)
		r = take_compression(c, o, err);
	if (r == 0)
		r = take_data_file(c, o, err);
	o->cluster_size = number_of(c, "cluster_size");
	o->refcount_bits = number_of(c, "refcount_bits");
	o->extended_l2 = opt_find(&c->table, "extended_l2")->number;
	o->lazy_refcounts = opt_find(&c->table, "lazy_refcounts")->number;
	return r;
}

static int
take_hints(const struct create_opts *c, struct q2_create_opts *o,
	   struct q2_err *err)
{
	const struct opt *hint = opt_find(&c->table, "extent_size_hint");

	o->nocow = opt_find(&c->table, "nocow")->number;
	if (!hint->value)
		return 0;
	if (hint->number > UINT32_MAX)
		return q2_fail(err, -EINVAL, "Extent size hint is too large");
	o->extent_size_hint = hint->number ? (int64_t)hint->number : -1;
	return 0;
}

int
create_opts_take(const struct create_opts *c, struct q2_create_opts *ret,
		 struct q2_err *err)
{
	int r = 0;

	ret->driver = c->format;
	ret->virtual_size = opt_find(&c->table, "size")->number;
	if (strcmp(c->format, "qcow2") == 0)
		r = take_qcow2(c, ret, err);
	if (r == 0)
		r = take_prealloc(c, ret, err);
	return r == 0 ? take_hints(c, ret, err) : r;
}
