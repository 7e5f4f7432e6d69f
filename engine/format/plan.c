/* SPDX-License-Identifier: MIT */
/* plan.c - the layout of a new image, and its bytes */
#include "engine/format/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "engine/format/entry.h"
#include "engine/format/growth.h"
#include "engine/format/refcount.h"

/* 32 subclusters of at least a sector. */
#define EXTENDED_MIN_CLUSTER (32 * Q2_SECTOR)

/* ---- options ----------------------------------------------------------- */

static int
need_v3(const char *what, struct q2_err *err)
{
	return q2_fail(err, -EINVAL,
		       "%s only supported with compatibility level 1.1 and "
		       "above (use version=v3 or greater)",
		       what);
}

static int
check_cluster(const struct q2_create_opts *o, struct q2_err *err)
{
	uint32_t size = o->cluster_size ? o->cluster_size
					: Q2_DEFAULT_CLUSTER_SIZE;

	if (!is_pow2(size) || size < 512 || size > 2 * MiB)
		return q2_fail(err, -EINVAL,
			       "Cluster size must be a power of two between "
			       "512 and 2048k");
	if (o->extended_l2 && size < EXTENDED_MIN_CLUSTER)
		return q2_fail(err, -EINVAL,
			       "Extended L2 entries are only supported with "
			       "cluster sizes of at least %u bytes",
			       EXTENDED_MIN_CLUSTER);
	return 0;
}

static int
check_backing(const struct q2_create_opts *o, struct q2_err *err)
{
	if (o->backing_file && o->preallocation != Q2_PREALLOC_OFF &&
	    !o->extended_l2)
		return q2_fail(
			err, -EINVAL,
			"Backing file and preallocation can only be used "
			"at the same time if extended_l2 is on");
	if (o->backing_format && !o->backing_file)
		return q2_fail(err, -EINVAL,
			       "Backing format cannot be used without backing "
			       "file");
	if (!o->backing_file)
		return 0;
	/* Else every opener would have to guess, as an attacker wants it. */
	if (!o->backing_format || !o->backing_format[0])
		return q2_fail(err, -EINVAL,
			       "Backing file specified without backing format");
	if (!o->backing_file[0])
		return q2_fail(err, -EINVAL,
			       "Expected backing file name, got empty string");
	if (strlen(o->backing_file) > Q2_MAX_BACKING_NAME)
		return q2_fail(err, -EINVAL,
			       "the backing file's name is longer than %d "
			       "bytes",
			       Q2_MAX_BACKING_NAME);
	if (strlen(o->backing_format) > Q2_MAX_BACKING_FORMAT)
		return q2_fail(err, -EINVAL,
			       "Parameter 'backing-fmt' does not accept value "
			       "'%.100s'",
			       o->backing_format);
	return 0;
}

static int
check_refcounts(const struct q2_create_opts *o, struct q2_err *err)
{
	if (o->compat == 2 && o->lazy_refcounts)
		return need_v3("Lazy refcounts", err);
	if (o->refcount_bits &&
	    (!is_pow2(o->refcount_bits) || o->refcount_bits > 64))
		return q2_fail(err, -EINVAL,
			       "Refcount width must be a power of two and may "
			       "not exceed 64 bits");
	if (o->compat == 2 && o->refcount_bits && o->refcount_bits != 16)
		return q2_fail(err, -EINVAL,
			       "Different refcount widths than 16 bits require "
			       "compatibility level 1.1 or above (use "
			       "version=v3 or greater)");
	return 0;
}

static int
check_data_file(const struct q2_create_opts *o, struct q2_err *err)
{
	if (o->data_file_raw && !o->data_file)
		return q2_fail(err, -EINVAL,
			       "data-file-raw requires data-file");
	if (o->data_file_raw && o->backing_file)
		return q2_fail(err, -EINVAL,
			       "Backing file and data-file-raw cannot be used "
			       "at the same time");
	if (!o->data_file)
		return 0;
	if (o->compat == 2)
		return need_v3("External data files are", err);
	if (strlen(o->data_file) > Q2_MAX_BACKING_NAME)
		return q2_fail(err, -EINVAL,
			       "the data file's name is longer than %d bytes",
			       Q2_MAX_BACKING_NAME);
	return 0;
}

static int
check_compression(const struct q2_create_opts *o, struct q2_err *err)
{
	const char *type = o->compression_type;

	if (!type || strcmp(type, "zlib") == 0)
		return 0;
	if (strcmp(type, "zstd") != 0)
		return q2_fail(err, -EINVAL,
			       "Parameter 'compression-type' does not accept "
			       "value '%.100s'",
			       type);
	if (o->compat == 2)
		return need_v3("Non-zlib compression type is", err);
	return 0;
}

int
plan_check_shape(const struct q2_create_opts *o, struct q2_err *err)
{
	int r = check_cluster(o, err);

	return r < 0 ? r : check_refcounts(o, err);
}

/* In QEMU's order, so that of two faults the same one is told. */
static int
check_opts(const struct q2_create_opts *o, struct q2_err *err)
{
	int r;

	if (o->compat && o->compat != 2 && o->compat != 3)
		return q2_fail(err, -EINVAL,
			       "the format has versions 2 and 3, not %u",
			       o->compat);
	if (o->virtual_size > INT64_MAX - (Q2_SECTOR - 1))
		return q2_fail(err, -EINVAL,
			       "Invalid image size specified. Must be between "
			       "0 and %" PRId64 ".",
			       INT64_MAX);
	if (o->extended_l2 && o->compat == 2)
		return need_v3("Extended L2 entries are", err);
	r = check_cluster(o, err);
	if (r == 0)
		r = check_backing(o, err);
	if (r == 0)
		r = check_refcounts(o, err);
	if (r == 0)
		r = check_data_file(o, err);
	if (r == 0)
		r = check_compression(o, err);
	return r;
}

static int
fail_size(struct q2_err *err)
{
	return q2_fail(err, -EFBIG,
		       "The image size is too large for file format 'qcow2' "
		       "(try using a larger cluster size)");
}

/* ---- layout ------------------------------------------------------------ */

/* The next area of the file. */
static struct plan_area
add_area(struct plan *p, uint64_t clusters)
{
	struct plan_area a = {
		.host = p->used_clusters << p->geom.cluster_bits,
		.clusters = clusters,
	};

	p->used_clusters += clusters;
	return a;
}

/* The smallest refcount structures that cover themselves and the rest. */
static void
size_refcounts(const struct geom *g, uint64_t rest, uint64_t *ret_table,
	       uint64_t *ret_blocks)
{
	uint64_t table = 0, blocks = 0, last;

	do {
		last = table + blocks;
		blocks = div_up(rest + last, g->refblock_entries);
		table = div_up(blocks * 8, g->cluster_size);
	} while (table + blocks != last);
	*ret_table = table;
	*ret_blocks = blocks;
}

static int
lay_out(struct plan *p, enum q2_prealloc preallocation, struct q2_err *err)
{
	const struct geom *g = &p->geom;
	uint64_t l1_bytes = geom_l1_entries(g, g->virtual_size) * 8;
	uint64_t l1 = div_up(l1_bytes, g->cluster_size);
	uint64_t crypto = div_up(p->header.crypto_bytes, g->cluster_size);
	uint64_t data = 0, l2, table, blocks, l1_end, end;
	int r;

	if (preallocation != Q2_PREALLOC_OFF)
		data = div_up(g->virtual_size, g->cluster_size);
	l2 = div_up(data, g->l2_entries);
	size_refcounts(g, 1 + l1 + l2 + (g->external_data ? 0 : data) + crypto,
		       &table, &blocks);
	if (l1_bytes > Q2_MAX_L1_BYTES ||
	    table << g->cluster_bits > Q2_MAX_REFTABLE_BYTES)
		return fail_size(err);
	(void)add_area(p, 1);
	p->reftable = add_area(p, table);
	p->refblocks = add_area(p, blocks);
	p->l1 = add_area(p, l1);
	l1_end = p->l1.host + l1_bytes;
	p->l2 = add_area(p, l2);
	p->metadata_bytes = l2 ? p->used_clusters << g->cluster_bits : l1_end;
	p->data.clusters = data;
	if (!g->external_data)
		p->data = add_area(p, data);
	end = data ? p->used_clusters << g->cluster_bits : l1_end;
	if (preallocation == Q2_PREALLOC_METADATA && !g->external_data)
		end -= geom_spare_bytes(g);
	p->crypto = add_area(p, crypto);
	if (crypto)
		end = p->used_clusters << g->cluster_bits;
	if (p->used_clusters > Q2_MAX_HOST_OFFSET >> g->cluster_bits)
		return fail_size(err);
	r = growth_file_bytes(g, preallocation, crypto, &p->file_bytes);
	if (r < 0)
		return q2_fail(err, r, "no memory to plan the image");
	p->file_bytes = max_u64(p->file_bytes, end);
	return 0;
}

/* ---- the header -------------------------------------------------------- */

/* check_opts() has judged the names. */
static void
set_names(struct header *h, const struct q2_create_opts *o)
{
	if (o->backing_file) {
		strcpy(h->backing_file, o->backing_file);
		strcpy(h->backing_format, o->backing_format);
	}
	if (o->data_file)
		strcpy(h->data_file, o->data_file);
}

static void
make_header(struct plan *p, const struct q2_create_opts *o)
{
	bool zstd = o->compression_type &&
		    strcmp(o->compression_type, "zstd") == 0;
	uint64_t size = p->geom.virtual_size;
	uint64_t crypto_bytes = p->header.crypto_bytes;

	p->header = (struct header){
		.version = o->compat ? o->compat : 3,
		.cluster_bits = p->geom.cluster_bits,
		.virtual_size = size,
		.l1_entries = (uint32_t)geom_l1_entries(&p->geom, size),
		.l1_offset = size ? p->l1.host : 0,
		.reftable_offset = p->reftable.host,
		.reftable_clusters = (uint32_t)p->reftable.clusters,
		.incompatible = (o->data_file ? INCOMPAT_DATA_FILE : 0) |
				(zstd ? INCOMPAT_COMPRESSION : 0) |
				(o->extended_l2 ? INCOMPAT_EXTENDED_L2 : 0),
		.compatible = o->lazy_refcounts ? COMPAT_LAZY_REFCOUNTS : 0,
		.autoclear = o->data_file_raw ? AUTOCLEAR_DATA_FILE_RAW : 0,
		.refcount_order = p->geom.refcount_order,
		.compression_type = zstd,
		.crypt_method = crypto_bytes    ? 2
				: o->encryption ? 1
						: 0,
		.has_crypto = crypto_bytes > 0,
		.crypto_bytes = crypto_bytes,
		.crypto_offset = crypto_bytes ? p->crypto.host : 0,
	};
	set_names(&p->header, o);
}

/* Does it fit?  -EINVAL if not: the names are too long. */
static int
try_header(const struct plan *p, struct q2_err *err)
{
	Q2_AUTO_FREE void *buf = NULL;

	if (!p->header.backing_file[0] && !p->header.data_file[0])
		return 0;
	buf = malloc(p->geom.cluster_size);
	if (!buf)
		return q2_fail(err, -ENOMEM, "no memory to plan the image");
	if (header_encode(&p->header, buf, p->geom.cluster_size, NULL) == 0)
		return 0;
	if (p->header.data_file[0])
		return q2_fail(
			err, -EINVAL,
			"Could not update qcow2 header: No space left on "
			"device");
	return q2_fail(err, -EINVAL,
		       "Could not assign backing file '%s' with format '%s': "
		       "No space left on device",
		       p->header.backing_file, p->header.backing_format);
}

int
plan_make(const struct q2_create_opts *opts, struct plan *ret_plan,
	  struct q2_err *err)
{
	return plan_make_encrypted(opts, 0, ret_plan, err);
}

int
plan_make_encrypted(const struct q2_create_opts *opts, uint64_t crypto_bytes,
		    struct plan *ret_plan, struct q2_err *err)
{
	enum q2_prealloc prealloc = opts->preallocation;
	struct plan p = {0};
	uint64_t size, cluster;
	unsigned order;
	int r;

	r = check_opts(opts, err);
	if (r < 0)
		return r;
	size = align_up(opts->virtual_size, Q2_SECTOR);
	cluster = opts->cluster_size ? opts->cluster_size
				     : Q2_DEFAULT_CLUSTER_SIZE;
	order = opts->refcount_bits ? log2_u64(opts->refcount_bits) : 4;
	p.geom = geom_init(log2_u64(cluster), order, opts->extended_l2, size);
	p.geom.external_data = opts->data_file;
	p.header.crypto_bytes = crypto_bytes;
	/* Else what is not mapped would not be what the raw file has there. */
	if (opts->data_file_raw && prealloc == Q2_PREALLOC_OFF)
		prealloc = Q2_PREALLOC_METADATA;
	r = lay_out(&p, prealloc, err);
	if (r < 0)
		return r;
	make_header(&p, opts);
	r = try_header(&p, err);
	if (r == 0)
		*ret_plan = p;
	return r;
}

/* ---- bytes ------------------------------------------------------------- */

/* A table whose entries name adjacent clusters in their first words. */
struct plan_table {
	uint64_t host; /* the first cluster, with the entry's flags */
	uint64_t total;
	unsigned entry_bytes;
};

/* Its cluster n. */
static void
encode_table(const struct plan *p, uint64_t n, const struct plan_table *t,
	     uint8_t *buf)
{
	uint64_t per_cluster = p->geom.cluster_size / t->entry_bytes;
	uint64_t first = n * per_cluster;
	uint64_t count = first < t->total
				 ? min_u64(per_cluster, t->total - first)
				 : 0;

	for (uint64_t i = 0; i < count; i++)
		store_be64(buf + t->entry_bytes * i,
			   t->host + ((first + i) << p->geom.cluster_bits));
}

static void
encode_refblock(const struct plan *p, uint64_t n, uint8_t *buf)
{
	uint64_t first = n << p->geom.refblock_bits;
	uint64_t count = min_u64(p->geom.refblock_entries,
				 p->used_clusters - first);

	for (uint64_t i = 0; i < count; i++)
		refcount_set(buf, p->geom.refcount_order, i, 1);
}

static bool
area_has(const struct plan *p, const struct plan_area *a, uint64_t off,
	 uint64_t *ret_n)
{
	if (off < a->host || off - a->host >= a->clusters
						      << p->geom.cluster_bits)
		return false;
	*ret_n = (off - a->host) >> p->geom.cluster_bits;
	return true;
}

static void
encode_cluster(const struct plan *p, uint64_t off, uint8_t *buf)
{
	const struct plan_table reftable = {p->refblocks.host,
					    p->refblocks.clusters, 8};
	const struct plan_table l1 = {p->l2.host | ENTRY_COPIED, p->l2.clusters,
				      8};
	const struct plan_table l2 = {p->data.host | ENTRY_COPIED,
				      p->data.clusters, p->geom.l2_entry_size};
	size_t size = p->geom.cluster_size;
	uint64_t n;

	if (off == 0) {
		int r = header_encode(&p->header, buf, size, NULL);

		assert(r == 0); /* see try_header() */
		return;
	}
	memset(buf, 0, size);
	if (area_has(p, &p->reftable, off, &n))
		encode_table(p, n, &reftable, buf);
	else if (area_has(p, &p->refblocks, off, &n))
		encode_refblock(p, n, buf);
	else if (area_has(p, &p->l1, off, &n))
		encode_table(p, n, &l1, buf);
	else if (area_has(p, &p->l2, off, &n))
		encode_table(p, n, &l2, buf);
}

void
plan_encode(const struct plan *plan, uint64_t off, size_t len, void *buf)
{
	uint64_t size = plan->geom.cluster_size;

	assert(is_aligned(off | len, size));
	for (uint64_t at = 0; at < len; at += size)
		encode_cluster(plan, off + at, (uint8_t *)buf + at);
}
