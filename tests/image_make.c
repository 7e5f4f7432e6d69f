/* SPDX-License-Identifier: MIT */
/*
 * image_make.c - see image_make.h
 *
 *	header | refcount table | refcount blocks | L1 | L2 tables | clusters
 */
#include "tests/image_make.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/crypt/cipher.h"
#include "engine/crypt/luks.h"
#include "engine/format/header.h"
#include "engine/format/refcount.h"

/* The file is written in pieces of this, those with zeros left out. */
#define STEP 4096

struct making {
	const struct image_make *m;
	struct loop *loop;
	const char *name;
	struct geom g;
	uint64_t table_at, table_n; /* in clusters */
	uint64_t blocks_at, blocks_n;
	uint64_t l1_at, l1_n;
	uint64_t l2_at, l2_n;
	uint64_t crypto_at, crypto_n;
	uint64_t data_at, data_n;
	struct cipher *cipher; /* NULL: not encrypted */
	uint8_t *bytes;        /* up to data_at */
};

static enum image_cluster
state_of(const struct making *k, uint64_t cluster)
{
	return k->m->state ? k->m->state(k->m->arg, cluster) : IMAGE_EMPTY;
}

static uint64_t
guest_clusters(const struct making *k)
{
	return div_up(k->m->bytes, k->g.cluster_size);
}

/* How many clusters everything takes. */
static void
plan(struct making *k)
{
	uint64_t table = UINT64_MAX, used, block;

	for (uint64_t i = 0; i < guest_clusters(k); i++) {
		enum image_cluster s = state_of(k, i);

		if (s == IMAGE_EMPTY)
			continue;
		k->l2_n += i / k->g.l2_entries != table;
		table = i / k->g.l2_entries;
		k->data_n += s != IMAGE_ZERO && !k->m->data_file;
	}
	k->table_at = 1;
	k->table_n = max_u64(1, k->m->reftable_clusters);
	k->blocks_at = k->table_at + k->table_n;
	k->l1_n = div_up(geom_l1_entries(&k->g, k->m->bytes) * 8,
			 k->g.cluster_size);
	do {
		k->blocks_n++;
		k->l1_at = k->blocks_at + k->blocks_n;
		k->l2_at = k->l1_at + k->l1_n;
		k->crypto_at = k->l2_at + k->l2_n;
		k->data_at = k->crypto_at + k->crypto_n;
		used = max_u64(k->data_at + k->data_n,
			       k->m->leak_bytes >> k->g.cluster_bits);
		block = k->blocks_n << k->g.refblock_bits;
	} while (block < used);
	assert(k->blocks_n * 8 <= k->table_n * k->g.cluster_size);
}

static uint8_t *
cluster_at(const struct making *k, uint64_t cluster)
{
	return k->bytes + (cluster << k->g.cluster_bits);
}

static void
fill_refcounts(struct making *k)
{
	uint64_t used = max_u64(k->data_at + k->data_n,
				k->m->leak_bytes >> k->g.cluster_bits);

	for (uint64_t i = 0; i < k->blocks_n; i++)
		store_be64(cluster_at(k, k->table_at) + 8 * i,
			   (k->blocks_at + i) << k->g.cluster_bits);
	for (uint64_t i = 0; i < used; i++) {
		uint8_t *block = cluster_at(
			k, k->blocks_at + (i >> k->g.refblock_bits));
		bool hole = i >= k->data_at + k->data_n && k->m->leak_holes &&
			    i % k->m->leak_holes == 0;

		refcount_set(block, k->g.refcount_order,
			     i & (k->g.refblock_entries - 1), !hole);
	}
}

/* The entry of guest cluster i in state s, whose host cluster, if it has one,
 * is at host. */
static struct l2_entry
entry_of(const struct image_make *m, uint64_t i, enum image_cluster s,
	 uint64_t host)
{
	struct l2_entry e = {.kind = CLUSTER_NORMAL, .host = host};

	if (s == IMAGE_EMPTY)
		return (struct l2_entry){.kind = CLUSTER_UNALLOCATED};
	if (s == IMAGE_ZERO)
		e = (struct l2_entry){.kind = CLUSTER_ZERO_PLAIN};
	else
		e.copied = s != IMAGE_SHARED || m->data_file;
	if (s == IMAGE_ZERO_ALLOC)
		e.kind = CLUSTER_ZERO_ALLOC;
	if (!m->extended_l2)
		return e;
	e.kind = s == IMAGE_ZERO ? CLUSTER_UNALLOCATED : CLUSTER_NORMAL;
	e.sub_zero = SUBS_ALL;
	if (s == IMAGE_NORMAL || s == IMAGE_SHARED) {
		e.sub_alloc = (uint32_t)rng_derive(m->sub_seed, 2 * i);
		e.sub_zero = (uint32_t)rng_derive(m->sub_seed, 2 * i + 1) &
			     ~e.sub_alloc;
	}
	return e;
}

static struct geom
geom_of(const struct image_make *m)
{
	struct geom g = geom_init(m->cluster_bits, m->refcount_order,
				  m->extended_l2, m->bytes);

	g.external_data = m->data_file;
	return g;
}

enum cluster_kind
image_make_kind(const struct image_make *m, uint64_t off)
{
	struct geom g = geom_of(m);
	uint64_t i = off >> g.cluster_bits;
	enum image_cluster s = m->state ? m->state(m->arg, i) : IMAGE_EMPTY;
	struct l2_entry e = entry_of(m, i, s, g.cluster_size);

	return l2_sub_kind(&g, &e,
			   (unsigned)(geom_in_cluster(&g, off) >> g.sub_bits));
}

static void
fill_maps(struct making *k)
{
	uint64_t l2 = k->l2_at - 1, data = k->data_at, table = UINT64_MAX;

	for (uint64_t i = 0; i < guest_clusters(k); i++) {
		enum image_cluster s = state_of(k, i);
		struct l2_entry e;

		if (s == IMAGE_EMPTY)
			continue;
		if (i / k->g.l2_entries != table) {
			table = i / k->g.l2_entries;
			l2++;
			store_be64(cluster_at(k, k->l1_at) + 8 * table,
				   l2 << k->g.cluster_bits | ENTRY_COPIED);
		}
		e = entry_of(k->m, i, s,
			     (k->m->data_file ? i : data) << k->g.cluster_bits);
		data += s != IMAGE_ZERO;
		l2_store(&k->g, &e,
			 cluster_at(k, l2) +
				 k->g.l2_entry_size * (i % k->g.l2_entries));
	}
}

/* ---- encryption -------------------------------------------------------- */

static const struct luks_options *
luks_options(void)
{
	static struct luks_options o = {.suite.mode = SUITE_XTS,
					.suite.ivgen = SUITE_PLAIN64};

	o.suite.alg = suite_alg_find("aes-128");
	o.hash = suite_hash_find("sha1");
	return &o;
}

/* A new key in slot 0 of a new header. */
static int
fill_luks(struct making *k)
{
	const struct luks_options *o = luks_options();
	struct kdf_pass pass = {IMAGE_KEY, strlen(IMAGE_KEY)};
	uint8_t key[SUITE_KEY_MAX], *area = cluster_at(k, k->crypto_at);
	struct luks_filling f = {.pass = &pass, .key = key};
	struct luks luks;
	int r;

	kdf_random_key(key, sizeof(key));
	r = luks_new(o, key, &luks, NULL);
	if (r < 0)
		return r;
	f.material = area + (size_t)luks.slots[0].sector * Q2_SECTOR;
	r = luks_slot_fill(&luks, 0, &f, NULL);
	luks_encode(&luks, area);
	return r < 0 ? r : cipher_new(&o->suite, key, &k->cipher, NULL);
}

static int
set_cipher(struct making *k)
{
	struct suite aes = {.alg = suite_alg_find("aes-128"),
			    .mode = SUITE_CBC,
			    .ivgen = SUITE_PLAIN64};
	uint8_t key[16] = IMAGE_KEY;

	if (!k->m->crypt_method)
		return 0;
	return k->m->crypt_method == 2
		       ? fill_luks(k)
		       : cipher_new(&aes, key, &k->cipher, NULL);
}

/* Zeros for the guest, in its cluster i and the host's at. */
static int Q2_CO
write_zeros(const struct making *k, struct aio_file *f, uint64_t i, uint64_t at)
{
	uint64_t guest = i << k->g.cluster_bits;
	uint64_t host = at << k->g.cluster_bits;
	uint8_t *buf = calloc(1, k->g.cluster_size);
	int r = -ENOMEM;

	if (buf)
		r = cipher_encrypt(k->cipher, buf, buf, k->g.cluster_size,
				   (k->m->crypt_method == 1 ? guest : host) /
					   Q2_SECTOR);
	if (r == 0)
		r = file_write(f, AIO_DATA, buf, k->g.cluster_size, host);
	free(buf);
	return r;
}

static int Q2_CO
write_data(const struct making *k, struct aio_file *f)
{
	uint64_t at = k->data_at;
	int r = 0;

	if (!k->cipher || k->m->data_file)
		return 0;
	for (uint64_t i = 0; r == 0 && i < guest_clusters(k); i++) {
		enum image_cluster s = state_of(k, i);

		if (s == IMAGE_NORMAL || s == IMAGE_SHARED)
			r = write_zeros(k, f, i, at);
		at += s != IMAGE_EMPTY && s != IMAGE_ZERO;
	}
	return r;
}

/* ---- the whole --------------------------------------------------------- */

static void
set_names(const struct image_make *m, struct header *h)
{
	if (m->extended_l2)
		h->incompatible |= INCOMPAT_EXTENDED_L2;
	if (m->data_file)
		h->incompatible |= INCOMPAT_DATA_FILE;
	if (m->data_file_raw)
		h->autoclear |= AUTOCLEAR_DATA_FILE_RAW;
	if (m->lazy_refcounts)
		h->compatible |= COMPAT_LAZY_REFCOUNTS;
	if (m->backing_file)
		(void)strcpy(h->backing_file, m->backing_file);
	if (m->backing_format)
		(void)strcpy(h->backing_format, m->backing_format);
	if (m->data_file)
		(void)strcpy(h->data_file, m->data_file);
}

static int
fill_header(struct making *k)
{
	struct header h = {
		.version = k->m->version ? k->m->version : 3,
		.cluster_bits = k->m->cluster_bits,
		.virtual_size = k->m->bytes,
		.l1_entries = (uint32_t)geom_l1_entries(&k->g, k->m->bytes),
		.l1_offset = k->l1_at << k->g.cluster_bits,
		.reftable_offset = k->table_at << k->g.cluster_bits,
		.reftable_clusters = (uint32_t)k->table_n,
		.refcount_order = k->m->refcount_order,
		.header_length = HEADER_OUR_BYTES,
		.crypt_method = k->m->crypt_method,
		.has_crypto = k->crypto_n > 0,
		.crypto_offset = k->crypto_at << k->g.cluster_bits,
		.crypto_bytes = k->crypto_n ? luks_area_bytes(
						      &luks_options()->suite)
					    : 0,
	};
	struct q2_err err;

	set_names(k->m, &h);
	return header_encode(&h, k->bytes, k->g.cluster_size, &err);
}

static bool
is_zero(const uint8_t *p, uint64_t n)
{
	return !*p && memcmp(p, p + 1, n - 1) == 0;
}

static int Q2_CO
write_tables(const struct making *k, struct aio_file *f)
{
	uint64_t bytes = k->data_at << k->g.cluster_bits;
	int r = 0;

	for (uint64_t at = 0; at < bytes && r == 0;) {
		uint64_t end = at;

		while (end < bytes &&
		       !is_zero(k->bytes + end, min_u64(STEP, bytes - end)))
			end = min_u64(bytes, end + STEP);
		if (end > at)
			r = file_write(f, AIO_HEADER, k->bytes + at, end - at,
				       at);
		at = max_u64(end, at + STEP);
	}
	return r;
}

/* Bytes that are nobody's, behind everything. */
static int Q2_CO
write_fill(const struct making *k, struct aio_file *f)
{
	uint64_t at = (k->data_at + k->data_n) << k->g.cluster_bits;
	uint8_t *buf;
	int r;

	if (!k->m->fill || at >= k->m->file_bytes)
		return 0;
	buf = malloc(k->m->file_bytes - at);
	if (!buf)
		return -ENOMEM;
	memset(buf, k->m->fill, k->m->file_bytes - at);
	r = file_write(f, AIO_DATA, buf, k->m->file_bytes - at, at);
	free(buf);
	return r;
}

static int Q2_CO
write_all(void *arg)
{
	struct making *k = arg;
	uint64_t end = (k->data_at + k->data_n) << k->g.cluster_bits;
	struct points points = {0};
	struct aio_file *f;
	int r;

	r = aio_open(k->loop, k->name, AIO_CREATE, &points, &f, NULL);
	if (r < 0)
		return r;
	r = file_truncate(f, align_up(max_u64(end, k->m->file_bytes),
				      max_u64(f->align, 1)));
	if (r == 0)
		r = write_tables(k, f);
	if (r == 0)
		r = write_data(k, f);
	if (r == 0)
		r = write_fill(k, f);
	if (r == 0)
		r = file_sync(f);
	aio_close(f);
	return r;
}

int
image_make(struct loop *loop, const char *name, const struct image_make *m)
{
	struct making k = {.m = m, .loop = loop, .name = name};
	int r;

	k.g = geom_of(m);
	if (m->crypt_method == 2)
		k.crypto_n = div_up(luks_area_bytes(&luks_options()->suite),
				    k.g.cluster_size);
	plan(&k);
	k.bytes = calloc(k.data_at, k.g.cluster_size);
	if (!k.bytes)
		return -ENOMEM;
	fill_refcounts(&k);
	fill_maps(&k);
	r = fill_header(&k);
	if (r == 0)
		r = set_cipher(&k);
	if (r == 0)
		r = loop_call(loop, write_all, &k);
	cipher_free(k.cipher);
	free(k.bytes);
	return r;
}
