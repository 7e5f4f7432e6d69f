/* SPDX-License-Identifier: MIT */
/*
 * header_encode.c - the first cluster: build it anew, or from an old one
 *
 * The order of the parts is QEMU's.
 */
#include <stdlib.h>
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

/* All extensions, with feature names or without, and the end. */
static int
out_exts(struct out *o, const struct header *h, const struct old *old,
	 bool feature_names)
{
	int r = 0;

	out_string(o, EXT_BACKING_FORMAT, h->backing_format);
	out_string(o, EXT_DATA_FILE, h->data_file);
	out_crypto(o, h);
	if (feature_names)
		out_feature_names(o);
	out_bitmaps(o, h);
	if (old)
		r = out_unknown_exts(o, old);
	(void)out_ext(o, EXT_END, 0);
	return r;
}

static int
out_result(const struct out *o, int r, struct q2_err *err)
{
	if (r < 0)
		return q2_fail(err, r, "Header extension too large");
	if (o->full)
		return q2_fail(err, -ENOSPC,
			       "the header does not fit in a cluster of %zu "
			       "bytes",
			       o->size);
	return 0;
}

static int
encode(const struct header *h, const struct old *old, struct out *o,
       struct q2_err *err)
{
	int r;

	assert(h->version == 2 || h->version == 3);
	assert(h->version == 3 || h->refcount_order == 4);
	memset(o->p, 0, o->size);
	out_fixed(o, h);
	if (old)
		out_unknown_fields(o, h, old);
	r = out_exts(o, h, old, h->version == 3 && o->size > 4096);
	out_backing_name(o, h);
	return out_result(o, r, err);
}

int
header_encode(const struct header *h, void *buf, size_t cluster_size,
	      struct q2_err *err)
{
	struct out o = {.p = buf, .size = cluster_size};

	return encode(h, NULL, &o, err);
}

int
header_rewrite(const struct header *h, const struct header_bytes *old,
	       void *buf, size_t cluster_size, struct q2_err *err)
{
	struct old was = {.span = {.p = old->p, .len = old->len}};
	struct out o = {.p = buf, .size = cluster_size};
	int r;

	assert(old->p != buf);
	r = header_decode_fixed(&was.span, &was.fixed, err);
	return r < 0 ? r : encode(h, &was, &o, err);
}

/* ---- from one to the other --------------------------------------------- */

/*
 * One sector write cannot change what lies in several.  So the new extensions
 * and the new name are written a second time, far behind what both headers
 * use, and the first sector is made to lead there: by a table of feature
 * names, which no reader needs, that is so long that the next extension is the
 * first one there.  Then the rest of the new header is written in its place,
 * and the first sector once more, as it is to stay.
 */

/* The end of what a header uses. */
static size_t
used_bytes(const struct old *old)
{
	uint64_t off = old->fixed.header_length, end;
	struct header_ext ext;
	int r;

	while (header_next_ext(&old->span, &off, &ext, &r))
		;
	end = off + EXT_HEAD_BYTES; /* of the end's own */
	if (old->span.backing_off)
		end = max_u64(end,
			      old->span.backing_off + old->span.backing_len);
	return (size_t)align_up(end, 8);
}

/* The header that leads to far, where the rest of it is. */
static int
encode_far(const struct header *h, const struct old *old, struct out *o,
	   size_t far, struct q2_err *err)
{
	size_t head;
	int r;

	memset(o->p, 0, o->size);
	out_fixed(o, h);
	out_unknown_fields(o, h, old);
	head = o->n;
	if (head + EXT_HEAD_BYTES > Q2_SECTOR || far > o->size) {
		o->full = true;
		return out_result(o, 0, err);
	}
	store_be32(o->p + head, EXT_FEATURE_NAMES);
	store_be32(o->p + head + 4, (uint32_t)(far - head - EXT_HEAD_BYTES));
	o->n = far;
	r = out_exts(o, h, old, false);
	out_backing_name(o, h);
	return out_result(o, r, err);
}

static void
add_write(struct header_switch *s, const uint8_t *p, size_t off, size_t end)
{
	s->v[s->n++] = (struct header_write){
		.off = (uint32_t)off,
		.len = (uint32_t)(end - off),
		.bytes = p + off,
	};
}

/* new, of new->n bytes, is in s->memory; behind it is room for another. */
static int
plan_far(const struct header *h, const struct old *old, const struct out *new,
	 struct header_switch *s, struct q2_err *err)
{
	struct out m = {.p = s->memory + new->size, .size = new->size};
	size_t used = (size_t)max_u64(used_bytes(old), Q2_SECTOR);
	size_t far = (size_t)align_up(max_u64(used, new->n), 8);
	int r = encode_far(h, old, &m, far, NULL);

	if (r == -ENOSPC) {
		/* Then it stays so. */
		m.n = 0;
		m.full = false;
		far = used;
		r = encode_far(h, old, &m, far, err);
	}
	if (r < 0)
		return r;
	add_write(s, m.p, far, m.n);
	s->decisive = s->n;
	add_write(s, m.p, 0, Q2_SECTOR);
	if (new->n > far)
		return 0;
	add_write(s, new->p, Q2_SECTOR, new->n);
	add_write(s, new->p, 0, Q2_SECTOR);
	return 0;
}

/* Does new differ from the old bytes in the first sector at most? */
static bool
is_one_sector(const struct header_bytes *old, const struct out *new)
{
	if (new->n <= Q2_SECTOR)
		return true;
	return old->len >= new->n &&memcmp((const uint8_t *)old->p + Q2_SECTOR,
					   new->p + Q2_SECTOR,
					   new->n - Q2_SECTOR) ==
	       0;
}

int
header_plan_switch(const struct header *h, const struct header_bytes *old,
		   size_t cluster_size, struct header_switch *ret,
		   struct q2_err *err)
{
	struct old was = {.span = {.p = old->p, .len = old->len}};
	struct out new = {.size = cluster_size};
	int r;

	*ret = (struct header_switch){.memory = calloc(2, cluster_size)};
	if (!ret->memory)
		return q2_fail(err, -ENOMEM, "no memory for the header");
	new.p = ret->memory;
	r = header_decode_fixed(&was.span, &was.fixed, err);
	if (r == 0)
		r = encode(h, &was, &new, err);
	if (r == 0 && is_one_sector(old, &new))
		add_write(ret, new.p, 0, Q2_SECTOR);
	else if (r == 0)
		r = plan_far(h, &was, &new, ret, err);
	if (r < 0) {
		free(ret->memory);
		*ret = (struct header_switch){0};
	}
	return r;
}
