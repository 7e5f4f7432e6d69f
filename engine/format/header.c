/* SPDX-License-Identifier: MIT */
/*
 * header.c - the first cluster: validate and take apart
 *
 * The texts are those that qemu-img prints, and the checks come in its order,
 * so that an image with two faults is refused for the same one.
 */
#include "engine/format/header.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/format/header_priv.h"

/* The largest bitmap directory QEMU reads: 1 KiB an entry. */
#define MAX_BITMAP_DIRECTORY (UINT64_C(1024) * Q2_MAX_BITMAPS)

/* ---- decoding ---------------------------------------------------------- */

void
header_span_read(const struct header_span *s, void *dst, uint64_t off, size_t n)
{
	size_t have = 0;

	if (off < s->len)
		have = (size_t)min_u64(n, s->len - off);
	if (have)
		memcpy(dst, s->p + off, have);
	memset((uint8_t *)dst + have, 0, n - have);
}

static void
decode_fixed(struct header_span *s, struct header *h)
{
	uint8_t b[HEADER_OUR_BYTES];

	header_span_read(s, b, 0, sizeof(b));
	h->version = load_be32(b + 4);
	s->backing_off = load_be64(b + 8);
	s->backing_len = load_be32(b + 16);
	h->cluster_bits = load_be32(b + 20);
	h->virtual_size = load_be64(b + 24);
	h->crypt_method = load_be32(b + 32);
	h->l1_entries = load_be32(b + 36);
	h->l1_offset = load_be64(b + 40);
	h->reftable_offset = load_be64(b + 48);
	h->reftable_clusters = load_be32(b + 56);
	h->snapshots = load_be32(b + 60);
	h->snapshots_offset = load_be64(b + 64);
	h->refcount_order = 4;
	h->header_length = HEADER_V2_BYTES;
	if (h->version < 3)
		return;
	h->incompatible = load_be64(b + 72);
	h->compatible = load_be64(b + 80);
	h->autoclear = load_be64(b + 88);
	h->refcount_order = load_be32(b + 96);
	h->header_length = load_be32(b + 100);
	if (h->header_length > HEADER_V3_BYTES)
		h->compression_type = b[104];
}

static int
check_fixed(const struct header_span *s, const struct header *h,
	    struct q2_err *err)
{
	uint8_t magic[4];

	header_span_read(s, magic, 0, sizeof(magic));
	if (load_be32(magic) != HEADER_MAGIC)
		return err_field(
			err,
			q2_fail(err, -EINVAL, "Image is not in qcow2 format"),
			"magic", load_be32(magic));
	if (h->version < 2 || h->version > 3)
		return err_field(err,
				 q2_fail(err, -ENOTSUP,
					 "Unsupported qcow2 version %u",
					 h->version),
				 "version", h->version);
	if (h->cluster_bits < Q2_MIN_CLUSTER_BITS ||
	    h->cluster_bits > Q2_MAX_CLUSTER_BITS)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Unsupported cluster size: 2^%u",
					 h->cluster_bits),
				 "cluster_bits", h->cluster_bits);
	if (h->version == 3 && h->header_length < HEADER_V3_BYTES)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT, "qcow2 header too short"),
			"header_length", h->header_length);
	if (h->header_length > UINT64_C(1) << h->cluster_bits)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "qcow2 header exceeds cluster size"),
				 "header_length", h->header_length);
	if (s->backing_off > UINT64_C(1) << h->cluster_bits)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Invalid backing file offset"),
				 "backing_file_offset", s->backing_off);
	return 0;
}

int
header_decode_fixed(struct header_span *s, struct header *h, struct q2_err *err)
{
	int r;

	decode_fixed(s, h);
	r = check_fixed(s, h, err);
	if (r < 0)
		return r;
	s->ext_end = s->backing_off ? s->backing_off
				    : UINT64_C(1) << h->cluster_bits;
	return 0;
}

static int
check_compression(const struct header *h, struct q2_err *err)
{
	bool bit = h->incompatible & INCOMPAT_COMPRESSION;

	if (h->compression_type > 1)
		return err_field(err,
				 q2_fail(err, -ENOTSUP,
					 "qcow2: unknown compression type: %u",
					 h->compression_type),
				 "compression_type", h->compression_type);
	if (h->compression_type != 0 && !bit)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"qcow2: Compression type incompatible feature "
				"bit must be set"),
			"compression_type", h->compression_type);
	if (h->compression_type == 0 && bit)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"qcow2: Compression type incompatible feature "
				"bit must not be set"),
			"incompatible_features", h->incompatible);
	return 0;
}

/* A table that the header names. */
struct extern_table {
	const char *name, *n_field, *offset_field;
	uint64_t n, unit, max; /* entries; bytes of one; bytes at most */
	uint64_t offset;
};

static int
check_table(const struct geom *g, const struct extern_table *t,
	    struct q2_err *err)
{
	uint64_t bytes = t->n * t->unit;

	if (bytes > t->max)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT, "%s too large", t->name),
			t->n_field, t->n);
	if (t->offset > INT64_MAX - bytes || geom_in_cluster(g, t->offset))
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT, "%s offset invalid",
					 t->name),
				 t->offset_field, t->offset);
	return 0;
}

static int
check_tables(const struct header *h, const struct geom *g, bool for_check,
	     struct q2_err *err)
{
	const struct extern_table refs = {
		"Reference count table", "refcount_table_clusters",
		"refcount_table_offset", h->reftable_clusters,
		g->cluster_size,         Q2_MAX_REFTABLE_BYTES,
		h->reftable_offset,
	};
	const struct extern_table snapshots = {
		"Snapshot table",
		"nb_snapshots",
		"snapshots_offset",
		h->snapshots,
		40,
		UINT64_C(40) * Q2_MAX_SNAPSHOTS,
		h->snapshots_offset,
	};
	const struct extern_table l1 = {
		"Active L1 table", "l1_size", "l1_table_offset",
		h->l1_entries,     8,         Q2_MAX_L1_BYTES,
		h->l1_offset,
	};
	int r;

	if (!h->reftable_clusters && !for_check)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"Image does not contain a reference count "
				"table"),
			"refcount_table_clusters", h->reftable_clusters);
	r = check_table(g, &refs, err);
	/* check reports a bad snapshot table itself */
	if (r == 0 && !for_check)
		r = check_table(g, &snapshots, err);
	if (r == 0)
		r = check_table(g, &l1, err);
	if (r < 0)
		return r;
	if (geom_l1_entries(g, h->virtual_size) > INT32_MAX)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT, "Image is too big"),
				 "size", h->virtual_size);
	if (h->l1_entries < geom_l1_entries(g, h->virtual_size))
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT, "L1 table is too small"),
			"l1_size", h->l1_entries);
	return 0;
}

/* ---- extensions -------------------------------------------------------- */

bool
header_next_ext(const struct header_span *s, uint64_t *off,
		struct header_ext *ret_ext, int *ret_r)
{
	uint8_t b[EXT_HEAD_BYTES];

	*ret_r = 0;
	if (*off >= s->ext_end)
		return false;
	header_span_read(s, b, *off, sizeof(b));
	ret_ext->type = load_be32(b);
	ret_ext->len = load_be32(b + 4);
	ret_ext->off = *off + sizeof(b);
	if (ret_ext->off > s->ext_end ||
	    ret_ext->len > s->ext_end - ret_ext->off) {
		*ret_r = -Q2_ECORRUPT;
		return false;
	}
	*off = ret_ext->off + align_up(ret_ext->len, 8);
	return ret_ext->type != EXT_END;
}

/* Name the unknown incompatible bits, as far as the image names them. */
static int
fail_features(const struct header_span *s, const struct header *h,
	      struct q2_err *err)
{
	uint64_t off = h->header_length;
	uint64_t unknown = h->incompatible & ~INCOMPAT_KNOWN;
	char text[512] = "";
	size_t n = 0;
	struct header_ext ext;
	int r;

	while (header_next_ext(s, &off, &ext, &r)) {
		if (ext.type != EXT_FEATURE_NAMES)
			continue;
		/* The last entry may be cut: what is missing is zero. */
		for (uint32_t i = 0; i < ext.len; i += FEATURE_BYTES) {
			char f[FEATURE_BYTES + 1] = "";

			header_span_read(s, f, ext.off + i,
					 min_u64(FEATURE_BYTES, ext.len - i));
			if (!f[2])
				break;
			if (f[0] != FEATURE_INCOMPATIBLE || (f[1] & ~63) ||
			    !(unknown >> f[1] & 1) || n >= sizeof(text) - 64)
				continue;
			unknown &= ~(UINT64_C(1) << f[1]);
			n += (size_t)snprintf(text + n, sizeof(text) - n,
					      "%s%.*s", n ? ", " : "",
					      FEATURE_NAME_BYTES, f + 2);
		}
	}
	if (unknown)
		(void)snprintf(text + n, sizeof(text) - n,
			       "%sUnknown incompatible feature: %" PRIx64,
			       n ? ", " : "", unknown);
	return err_field(err,
			 q2_fail(err, -ENOTSUP,
				 "Unsupported qcow2 feature(s): %s", text),
			 "incompatible_features", h->incompatible);
}

static int
decode_bitmaps_ext(const struct header_span *s, const struct header_ext *ext,
		   struct header *h, struct q2_err *err)
{
	uint8_t b[BITMAPS_EXT_BYTES];

	if (ext->len != sizeof(b))
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"bitmaps_ext: Invalid extension length"),
			"length of the bitmaps extension", ext->len);
	/* Not trustworthy: a program without bitmaps has written here. */
	if (!(h->autoclear & AUTOCLEAR_BITMAPS)) {
		h->has_stale_bitmaps = true;
		return 0;
	}
	header_span_read(s, b, ext->off, sizeof(b));
	h->bitmaps = load_be32(b);
	h->bitmaps_bytes = load_be64(b + 8);
	h->bitmaps_offset = load_be64(b + 16);
	if (load_be32(b + 4) != 0)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"bitmaps_ext: Reserved field is not zero"),
			"reserved field of the bitmaps extension",
			load_be32(b + 4));
	if (h->bitmaps > Q2_MAX_BITMAPS)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"bitmaps_ext: Image has %u bitmaps, exceeding "
				"the QEMU supported maximum of %d",
				h->bitmaps, Q2_MAX_BITMAPS),
			"number of bitmaps", h->bitmaps);
	if (h->bitmaps == 0)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"found bitmaps extension with zero bitmaps"),
			"number of bitmaps", h->bitmaps);
	if (h->bitmaps_offset & ((UINT64_C(1) << h->cluster_bits) - 1))
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"bitmaps_ext: invalid bitmap directory offset"),
			"bitmap directory offset", h->bitmaps_offset);
	if (h->bitmaps_bytes > MAX_BITMAP_DIRECTORY)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"bitmaps_ext: bitmap directory size (%" PRIu64
				") exceeds the maximum supported size (%" PRIu64
				")",
				h->bitmaps_bytes, MAX_BITMAP_DIRECTORY),
			"bitmap directory size", h->bitmaps_bytes);
	h->has_bitmaps = true;
	return 0;
}

static int
decode_crypto_ext(const struct header_span *s, const struct header_ext *ext,
		  struct header *h, struct q2_err *err)
{
	uint8_t b[CRYPTO_EXT_BYTES];

	if (h->crypt_method != 2)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"CRYPTO header extension only expected with "
				"LUKS encryption method"),
			"crypt_method", h->crypt_method);
	if (ext->len != sizeof(b))
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"CRYPTO header extension size %u, but expected "
				"size %zu",
				ext->len, sizeof(b)),
			"length of the encryption extension", ext->len);
	header_span_read(s, b, ext->off, sizeof(b));
	h->crypto_offset = load_be64(b);
	h->crypto_bytes = load_be64(b + 8);
	if (h->crypto_offset & ((UINT64_C(1) << h->cluster_bits) - 1))
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"Encryption header offset '%" PRIu64
				"' is not a multiple of cluster size '%u'",
				h->crypto_offset, 1U << h->cluster_bits),
			"encryption header offset", h->crypto_offset);
	h->has_crypto = true;
	return 0;
}

static int
decode_ext(const struct header_span *s, const struct header_ext *ext,
	   struct header *h, struct q2_err *err)
{
	switch (ext->type) {
	case EXT_BACKING_FORMAT:
		if (ext->len > Q2_MAX_BACKING_FORMAT)
			return err_field(
				err,
				q2_fail(err, -Q2_ECORRUPT,
					"ERROR: ext_backing_format: len=%u too "
					"large (>=%d)",
					ext->len, Q2_MAX_BACKING_FORMAT + 1),
				"length of the backing format", ext->len);
		header_span_read(s, h->backing_format, ext->off, ext->len);
		h->backing_format[ext->len] = 0;
		return 0;
	case EXT_FEATURE_NAMES:
		h->has_feature_names = true;
		return 0;
	case EXT_BITMAPS:
		return decode_bitmaps_ext(s, ext, h, err);
	case EXT_CRYPTO:
		return decode_crypto_ext(s, ext, h, err);
	case EXT_DATA_FILE:
		if (ext->len > Q2_MAX_BACKING_NAME)
			return err_field(
				err,
				q2_fail(err, -Q2_ECORRUPT,
					"the data file name is too long: %u "
					"bytes",
					ext->len),
				"length of the data file name", ext->len);
		header_span_read(s, h->data_file, ext->off, ext->len);
		h->data_file[ext->len] = 0;
		return 0;
	default:
		return 0;
	}
}

static int
decode_exts(const struct header_span *s, struct header *h, struct q2_err *err)
{
	uint64_t off = h->header_length;
	struct header_ext ext = {0};
	int r;

	while (header_next_ext(s, &off, &ext, &r)) {
		r = decode_ext(s, &ext, h, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return err_field(err,
				 q2_fail(err, r, "Header extension too large"),
				 "length of a header extension", ext.len);
	if (h->crypt_method == 2 && !h->has_crypto)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"Missing CRYPTO header for crypt method %u",
				h->crypt_method),
			"crypt_method", h->crypt_method);
	return 0;
}

static int
decode_backing_name(const struct header_span *s, struct header *h,
		    struct q2_err *err)
{
	uint64_t room = (UINT64_C(1) << h->cluster_bits) - s->backing_off;

	if (!s->backing_off)
		return 0;
	if (s->backing_len > min_u64(Q2_MAX_BACKING_NAME, room))
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Backing file name too long"),
				 "backing_file_size", s->backing_len);
	header_span_read(s, h->backing_file, s->backing_off, s->backing_len);
	h->backing_file[s->backing_len] = 0;
	return 0;
}

/* What needs the geometry, and the features that change it. */
static int
check_rest(const struct header_span *s, const struct header *h, bool for_check,
	   struct q2_err *err)
{
	bool extended = h->incompatible & INCOMPAT_EXTENDED_L2;
	struct geom g;
	int r;

	r = check_compression(h, err);
	if (r < 0)
		return r;
	if (h->incompatible & ~INCOMPAT_KNOWN)
		return fail_features(s, h, err);
	if (extended && h->cluster_bits < Q2_MIN_CLUSTER_BITS + 5)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Unsupported subcluster size: %u",
					 1U << (h->cluster_bits - 5)),
				 "cluster_bits", h->cluster_bits);
	if (h->refcount_order > 6)
		return err_field(
			err,
			q2_fail(err, -Q2_ECORRUPT,
				"Reference count entry width too large; may not "
				"exceed 64 bits"),
			"refcount_order", h->refcount_order);
	if (h->crypt_method > 2)
		return err_field(err,
				 q2_fail(err, -Q2_ECORRUPT,
					 "Unsupported encryption method %u",
					 h->crypt_method),
				 "crypt_method", h->crypt_method);
	if (h->autoclear & AUTOCLEAR_DATA_FILE_RAW &&
	    !(h->incompatible & INCOMPAT_DATA_FILE))
		return err_field(err,
				 q2_fail(err, -EINVAL,
					 "data-file-raw requires a data file"),
				 "autoclear_features", h->autoclear);
	g = geom_init(h->cluster_bits, h->refcount_order, extended,
		      h->virtual_size);
	return check_tables(h, &g, for_check, err);
}

size_t
header_cluster_bytes(const void *buf, size_t len)
{
	struct header_span s = {.p = buf, .len = len};
	struct header h = {0};

	return header_decode_fixed(&s, &h, NULL) < 0
		       ? 0
		       : (size_t)1 << h.cluster_bits;
}

int
header_decode(const void *buf, size_t len, bool for_check,
	      struct header *ret_header, struct q2_err *err)
{
	struct header_span s = {.p = buf, .len = len};
	struct header h = {0};
	int r;

	r = header_decode_fixed(&s, &h, err);
	if (r < 0)
		return r;
	r = check_rest(&s, &h, for_check, err);
	if (r < 0)
		return r;
	r = decode_exts(&s, &h, err);
	if (r < 0)
		return r;
	r = decode_backing_name(&s, &h, err);
	if (r < 0)
		return r;
	*ret_header = h;
	return 0;
}

struct geom
header_geom(const struct header *h)
{
	struct geom g = geom_init(h->cluster_bits, h->refcount_order,
				  h->incompatible & INCOMPAT_EXTENDED_L2,
				  align_down(h->virtual_size, Q2_SECTOR));

	g.external_data = h->incompatible & INCOMPAT_DATA_FILE;
	return g;
}
