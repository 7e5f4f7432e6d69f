/* SPDX-License-Identifier: MIT */
/*
 * header_encode.c - the first cluster: build it anew, or from an old one
 *
 * The order of the parts is QEMU's.
 */
#include <string.h>

#include "engine/format/header.h"
#include "engine/format/header_priv.h"

/* Written into each new image, for the message of a program that does not
 * know a bit. */
static const struct {
	uint8_t type, bit;
	const char *name;
} features[] = {
	{FEATURE_INCOMPATIBLE, 0, "dirty bit"},
	{FEATURE_INCOMPATIBLE, 1, "corrupt bit"},
	{FEATURE_INCOMPATIBLE, 2, "external data file"},
	{FEATURE_INCOMPATIBLE, 3, "compression type"},
	{FEATURE_INCOMPATIBLE, 4, "extended L2 entries"},
	{FEATURE_COMPATIBLE, 0, "lazy refcounts"},
	{FEATURE_AUTOCLEAR, 0, "bitmaps"},
	{FEATURE_AUTOCLEAR, 1, "raw external data"},
};

/* The cluster being built; full once something did not fit. */
struct out {
	uint8_t *p;
	size_t size, n;
	bool full;
};

static uint8_t *
out_take(struct out *o, size_t n)
{
	uint8_t *p = o->p + o->n;

	if (n > o->size - o->n) {
		o->full = true;
		return NULL;
	}
	o->n += n;
	return p;
}

/* Space for the data of an extension, or NULL; the padding is zero already. */
static uint8_t *
out_ext(struct out *o, uint32_t type, size_t len)
{
	uint8_t *p = out_take(o, EXT_HEAD_BYTES + align_up(len, 8));

	if (!p)
		return NULL;
	store_be32(p, type);
	store_be32(p + 4, (uint32_t)len);
	return p + EXT_HEAD_BYTES;
}

static void
out_string(struct out *o, uint32_t type, const char *text)
{
	size_t len = strlen(text);
	uint8_t *p;

	if (!len)
		return;
	p = out_ext(o, type, len);
	if (p) /* the format stores the length, not a terminator */
		memcpy(p, text, len); /* NOLINT(bugprone-not-null-*) */
}

static void
out_feature_names(struct out *o)
{
	uint8_t *p = out_ext(o, EXT_FEATURE_NAMES,
			     ARRAY_SIZE(features) * FEATURE_BYTES);

	for (size_t i = 0; p && i < ARRAY_SIZE(features); i++) {
		p[0] = features[i].type;
		p[1] = features[i].bit;
		memcpy(p + 2, features[i].name, strlen(features[i].name));
		p += FEATURE_BYTES;
	}
}

static void
out_fixed(struct out *o, const struct header *h)
{
	uint8_t *b = out_take(o, h->version == 2 ? HEADER_V2_BYTES
						 : HEADER_OUR_BYTES);

	assert(b); /* every cluster holds it */
	store_be32(b, HEADER_MAGIC);
	store_be32(b + 4, h->version);
	store_be32(b + 20, h->cluster_bits);
	store_be64(b + 24, h->virtual_size);
	store_be32(b + 32, h->crypt_method);
	store_be32(b + 36, h->l1_entries);
	store_be64(b + 40, h->l1_offset);
	store_be64(b + 48, h->reftable_offset);
	store_be32(b + 56, h->reftable_clusters);
	store_be32(b + 60, h->snapshots);
	store_be64(b + 64, h->snapshots_offset);
	if (h->version == 2)
		return;
	store_be64(b + 72, h->incompatible);
	store_be64(b + 80, h->compatible);
	store_be64(b + 88, h->autoclear);
	store_be32(b + 96, h->refcount_order);
	store_be32(b + 100, HEADER_OUR_BYTES);
	b[104] = h->compression_type;
}

static void
out_crypto(struct out *o, const struct header *h)
{
	uint8_t *p = h->has_crypto ? out_ext(o, EXT_CRYPTO, CRYPTO_EXT_BYTES)
				   : NULL;

	if (!p)
		return;
	store_be64(p, h->crypto_offset);
	store_be64(p + 8, h->crypto_bytes);
}

static void
out_bitmaps(struct out *o, const struct header *h)
{
	uint8_t *p = h->has_bitmaps ? out_ext(o, EXT_BITMAPS, BITMAPS_EXT_BYTES)
				    : NULL;

	if (!p)
		return;
	store_be32(p, h->bitmaps);
	store_be64(p + 8, h->bitmaps_bytes);
	store_be64(p + 16, h->bitmaps_offset);
}

/* The name ends the header: it has no extension of its own. */
static void
out_backing_name(struct out *o, const struct header *h)
{
	size_t len = strlen(h->backing_file);
	uint8_t *p = len ? out_take(o, len) : NULL;

	if (!p)
		return;
	store_be64(o->p + 8, (uint64_t)(p - o->p));
	store_be32(o->p + 16, (uint32_t)len);
	memcpy(p, h->backing_file, len); /* NOLINT(bugprone-not-null-*) */
}

/* ---- what an old header has that we do not know ------------------------ */

/* A header that is rewritten: its bytes, and where extensions begin. */
struct old {
	struct header_span span;
	struct header fixed;
};

/* Bytes behind our fields that belong to the header.  A header of version 2
 * has no place for them. */
static void
out_unknown_fields(struct out *o, const struct header *h, const struct old *old)
{
	uint32_t end = old->fixed.header_length;
	uint8_t *p;

	if (h->version == 2 || end <= HEADER_OUR_BYTES)
		return;
	p = out_take(o, end - HEADER_OUR_BYTES);
	if (!p)
		return;
	header_span_read(&old->span, p, HEADER_OUR_BYTES,
			 end - HEADER_OUR_BYTES);
	store_be32(o->p + 100, end);
}

static bool
is_known(uint32_t type)
{
	return type == EXT_BACKING_FORMAT || type == EXT_FEATURE_NAMES ||
	       type == EXT_BITMAPS || type == EXT_CRYPTO ||
	       type == EXT_DATA_FILE;
}

static int
out_unknown_exts(struct out *o, const struct old *old)
{
	uint64_t off = old->fixed.header_length;
	struct header_ext ext;
	int r;

	while (header_next_ext(&old->span, &off, &ext, &r)) {
		uint8_t *p = NULL;

		if (!is_known(ext.type))
			p = out_ext(o, ext.type, ext.len);
		if (p)
			header_span_read(&old->span, p, ext.off, ext.len);
	}
	return r;
}

/* ---- whole headers ----------------------------------------------------- */

static int
encode(const struct header *h, const struct old *old, void *buf,
       size_t cluster_size, struct q2_err *err)
{
	struct out o = {.p = buf, .size = cluster_size};
	int r = 0;

	assert(h->version == 2 || h->version == 3);
	assert(h->version == 3 || h->refcount_order == 4);
	memset(buf, 0, cluster_size);
	out_fixed(&o, h);
	if (old)
		out_unknown_fields(&o, h, old);
	out_string(&o, EXT_BACKING_FORMAT, h->backing_format);
	out_string(&o, EXT_DATA_FILE, h->data_file);
	out_crypto(&o, h);
	if (h->version == 3 && cluster_size > 4096)
		out_feature_names(&o);
	out_bitmaps(&o, h);
	if (old)
		r = out_unknown_exts(&o, old);
	if (r < 0)
		return q2_fail(err, r, "Header extension too large");
	(void)out_ext(&o, EXT_END, 0);
	out_backing_name(&o, h);
	if (o.full)
		return q2_fail(err, -ENOSPC,
			       "the header does not fit in a cluster of %zu "
			       "bytes",
			       cluster_size);
	return 0;
}

int
header_encode(const struct header *h, void *buf, size_t cluster_size,
	      struct q2_err *err)
{
	return encode(h, NULL, buf, cluster_size, err);
}

int
header_rewrite(const struct header *h, const struct header_bytes *old,
	       void *buf, size_t cluster_size, struct q2_err *err)
{
	struct old o = {.span = {.p = old->p, .len = old->len}};
	int r;

	assert(old->p != buf);
	r = header_decode_fixed(&o.span, &o.fixed, err);
	return r < 0 ? r : encode(h, &o, buf, cluster_size, err);
}
