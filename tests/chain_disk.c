/* SPDX-License-Identifier: MIT */
#include "tests/chain_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

const struct chain_disk chain_disks[] = {
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 33 * KiB,
	 .base_bytes = 33 * KiB},
	/* Shorter and longer below. */
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 60 * KiB + 512,
	 .base_bytes = 20 * KiB,
	 .base_raw = true},
	{.cluster_bits = 12,
	 .refcount_order = 4,
	 .bytes = 70 * KiB,
	 .mid_bytes = 40 * KiB + 512,
	 .base_bytes = 90 * KiB},
	{.cluster_bits = 9,
	 .refcount_order = 3,
	 .bytes = 40 * KiB,
	 .mid_bytes = 60 * KiB,
	 .base_bytes = 10 * KiB},
	{.cluster_bits = 14,
	 .refcount_order = 4,
	 .bytes = 150 * KiB,
	 .base_bytes = 100 * KiB + 512,
	 .extended_l2 = true},
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 40 * KiB,
	 .base_bytes = 50 * KiB,
	 .version = 2},
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 40 * KiB,
	 .base_bytes = 30 * KiB,
	 .lazy = true},
	/* The method that has no keys to be derived, again and again. */
	{.cluster_bits = 12,
	 .refcount_order = 4,
	 .bytes = 20 * KiB,
	 .base_bytes = 15 * KiB,
	 .crypt_method = 1},
	/* None below. */
	{.cluster_bits = 9, .refcount_order = 4, .bytes = 40 * KiB},
};
const unsigned n_chain_disks = ARRAY_SIZE(chain_disks);

const char *const *
chain_disk_files(const struct chain_disk *d)
{
	static const char *const all[] = {CHAIN_TOP, CHAIN_OTHER, CHAIN_BASE,
					  CHAIN_MID, NULL};
	static const char *const two[] = {CHAIN_TOP, CHAIN_OTHER, CHAIN_BASE,
					  NULL};
	static const char *const one[] = {CHAIN_TOP, CHAIN_OTHER, NULL};

	if (!d->base_bytes)
		return one;
	return d->mid_bytes ? all : two;
}

/* ---- making ------------------------------------------------------------ */

static int
open_layer(struct loop *loop, const char *name, const char *driver,
	   unsigned flags, struct q2_image **ret_img, struct q2_err *err)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = driver,
		.flags = flags | Q2_UNMAP,
		.key = IMAGE_KEY,
		.key_len = strlen(IMAGE_KEY),
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
		.refcount_cache_size = 1024,
	};

	return q2_open((struct q2_loop *)loop, name, &opts, ret_img, err);
}

/* Random runs of bytes, zeros, and nothing. */
static int
write_runs(struct q2_image *img, uint8_t *content, uint64_t len, uint64_t seed)
{
	struct rng rng = {.state = mix64(seed)};
	int r = 0;

	for (uint64_t at = 0, n; at < len && r == 0; at += n) {
		uint64_t what = rng_below(&rng, 8);

		n = min_u64(len - at, (1 + rng_below(&rng, 16)) * 512);
		if (what < 3)
			continue;
		if (what == 3) {
			memset(content + at, 0, n);
			r = q2_pzero(img, n, at,
				     rng_below(&rng, 2) ? Q2_MAY_UNMAP : 0);
			continue;
		}
		for (uint64_t i = 0; i < n; i++)
			content[at + i] = (uint8_t)(rng_next(&rng) | 1);
		r = q2_pwrite(img, content + at, n, at);
	}
	return r;
}

struct layer {
	const char *name, *below, *below_format;
	uint64_t bytes, seed;
	unsigned version, crypt_method;
};

static int
fill(struct loop *loop, const struct layer *l, bool raw, uint8_t *content)
{
	struct q2_image *img;
	int r = open_layer(loop, l->name, raw ? "raw" : "qcow2", 0, &img, NULL);

	if (r < 0)
		return r;
	r = write_runs(img, content, l->bytes, l->seed);
	if (q2_close(img, NULL) < 0)
		r = -EIO;
	return r;
}

static int
make_layer(const struct chain_disk *d, struct loop *loop, const struct layer *l,
	   uint8_t *content)
{
	struct image_make m = {
		.bytes = l->bytes,
		.cluster_bits = d->cluster_bits,
		.refcount_order = l->version == 2 ? 4 : d->refcount_order,
		.version = l->version,
		.extended_l2 = d->extended_l2 && l->version != 2,
		.lazy_refcounts = d->lazy,
		.backing_file = l->below,
		.backing_format = l->below_format,
		.crypt_method = l->crypt_method,
	};
	int r = image_make(loop, l->name, &m);

	return r < 0 ? r : fill(loop, l, false, content);
}

static int
make_raw(struct loop *loop, const struct layer *l, uint8_t *content)
{
	struct q2_create_opts o = {
		.size = sizeof(o), .driver = "raw", .virtual_size = l->bytes};
	int r = q2_create((struct q2_loop *)loop, l->name, &o, NULL, NULL);

	return r < 0 ? r : fill(loop, l, true, content);
}

/* What a layer of bytes shows before it is written: from below, then zeros. */
static void
end_at(uint8_t *content, uint64_t bytes, uint64_t max)
{
	memset(content + bytes, 0, max - bytes);
}

static int
make_below(const struct chain_disk *d, struct loop *loop, uint64_t max)
{
	const char *format = d->base_raw ? "raw" : "qcow2";
	struct layer base = {.name = CHAIN_BASE,
			     .bytes = d->base_bytes,
			     .seed = d->seed + 1,
			     .version = 3};
	struct layer mid = {.name = CHAIN_MID,
			    .below = CHAIN_BASE,
			    .below_format = format,
			    .bytes = d->mid_bytes,
			    .seed = d->seed + 2,
			    .version = 3};
	int r = 0;

	if (d->base_bytes)
		r = d->base_raw ? make_raw(loop, &base, d->content)
				: make_layer(d, loop, &base, d->content);
	end_at(d->content, d->base_bytes, max);
	if (r < 0 || !d->mid_bytes)
		return r;
	r = make_layer(d, loop, &mid, d->content);
	end_at(d->content, d->mid_bytes, max);
	return r;
}

int
chain_disk_make(struct chain_disk *d, struct loop *loop)
{
	uint64_t max = max_u64(d->bytes, max_u64(d->mid_bytes, d->base_bytes)) +
		       1;
	struct layer top = {.name = CHAIN_TOP,
			    .bytes = d->bytes,
			    .seed = d->seed + 3,
			    .version = d->version,
			    .crypt_method = d->crypt_method};
	struct layer other = {.name = CHAIN_OTHER,
			      .bytes = d->bytes * 3 / 4,
			      .seed = d->seed + 4,
			      .version = 3};
	Q2_AUTO_FREE uint8_t *aside = calloc(1, max);
	int r;

	d->content = calloc(1, max);
	if (!d->content || !aside)
		return -ENOMEM;
	r = make_below(d, loop, max);
	if (d->base_bytes) {
		top.below = d->mid_bytes ? CHAIN_MID : CHAIN_BASE;
		top.below_format = !d->mid_bytes && d->base_raw ? "raw"
								: "qcow2";
	}
	other.bytes -= other.bytes % 512;
	if (r == 0)
		r = make_layer(d, loop, &top, d->content);
	return r < 0 ? r : make_layer(d, loop, &other, aside);
}

void
chain_disk_done(struct chain_disk *d)
{
	free(d->content);
	d->content = NULL;
}

int
chain_disk_open(struct loop *loop, struct q2_image **ret_img,
		struct q2_err *err)
{
	return open_layer(loop, CHAIN_TOP, "qcow2", 0, ret_img, err);
}

/* ---- checking ---------------------------------------------------------- */

static int
compare(const struct chain_disk *d, struct q2_image *img, const uint8_t *want,
	char *why, size_t why_bytes)
{
	uint64_t size = q2_size(img);
	Q2_AUTO_FREE uint8_t *buf = malloc(size + 1);
	int r = buf ? q2_pread(img, buf, size, 0) : -ENOMEM;

	if (r < 0 || size != d->bytes) {
		(void)snprintf(why, why_bytes, "read: %d, size %" PRIu64, r,
			       size);
		return -1;
	}
	for (uint64_t i = 0; i < size; i++) {
		if (buf[i] == want[i])
			continue;
		(void)snprintf(why, why_bytes,
			       "byte %" PRIu64 " is %02x, not %02x", i, buf[i],
			       want[i]);
		return -1;
	}
	return 0;
}

static int
check_file(struct loop *loop, const char *name, uint64_t *leaks, char *why,
	   size_t why_bytes)
{
	struct image_check c;
	int r = image_check(loop, name, &c);

	if (r < 0 || (c.corruptions && !c.dirty)) {
		(void)snprintf(why, why_bytes,
			       "%s: %d, %" PRIu64 " corruptions: %s", name, r,
			       c.corruptions, c.why);
		return -1;
	}
	*leaks += c.leaks;
	return 0;
}

int
chain_disk_check(const struct chain_disk *d, struct loop *loop,
		 uint64_t *ret_leaks, char *why, size_t why_bytes)
{
	const char *const *f = chain_disk_files(d);
	struct q2_image *img;
	struct q2_err err;
	int r = 0;

	*ret_leaks = 0;
	for (; r == 0 && *f; f++)
		if (strcmp(*f, CHAIN_BASE) != 0 || !d->base_raw)
			r = check_file(loop, *f, ret_leaks, why, why_bytes);
	if (r < 0)
		return r;
	if (open_layer(loop, CHAIN_TOP, "qcow2", Q2_RDONLY, &img, &err) < 0) {
		(void)snprintf(why, why_bytes, "open: %s", err.text);
		return -1;
	}
	r = compare(d, img, d->content, why, why_bytes);
	(void)q2_close(img, NULL);
	return r;
}

int
chain_disk_go_on(const struct chain_disk *d, struct loop *loop, char *why,
		 size_t why_bytes)
{
	Q2_AUTO_FREE uint8_t *want = malloc(d->bytes);
	struct q2_image *img;
	struct q2_err err;
	uint64_t leaks = 0;
	int r = 0;

	if (!want || chain_disk_open(loop, &img, &err) < 0) {
		(void)snprintf(why, why_bytes, "open again: %s", err.text);
		return -1;
	}
	memcpy(want, d->content, d->bytes);
	for (uint64_t at = 0; r == 0 && at + 700 < d->bytes; at += 3000) {
		memset(want + at, 0xa5, 700);
		r = q2_pwrite(img, want + at, 700, at);
	}
	if (r < 0)
		(void)snprintf(why, why_bytes, "a write: %d", r);
	else
		r = compare(d, img, want, why, why_bytes);
	if (q2_close(img, &err) < 0 && r == 0) {
		(void)snprintf(why, why_bytes, "close: %s", err.text);
		r = -1;
	}
	if (r == 0)
		r = check_file(loop, CHAIN_TOP, &leaks, why, why_bytes);
	return r < 0 ? -1 : 0;
}

/* ---- operations -------------------------------------------------------- */

static bool
has_below(const struct chain_disk *d)
{
	return d->base_bytes;
}

static bool
has_two_below(const struct chain_disk *d)
{
	return d->mid_bytes;
}

static int
commit(struct q2_image *top, unsigned depth, bool keep, struct q2_err *err)
{
	struct q2_commit_opts o = {
		.size = sizeof(o), .depth = depth, .keep = keep};

	return q2_commit(top, &o, err);
}

static int
commit_one(const struct chain_disk *d, struct q2_image *top, struct q2_err *err)
{
	(void)d;
	return commit(top, 1, false, err);
}

static int
commit_two(const struct chain_disk *d, struct q2_image *top, struct q2_err *err)
{
	(void)d;
	return commit(top, 2, false, err);
}

/* Onto the file that it has, another one, or none. */
static int
rebase(const struct chain_disk *d, struct q2_image *top, const char *name,
       struct q2_err *err)
{
	bool raw = name && strcmp(name, CHAIN_BASE) == 0 && d->base_raw;
	struct q2_rebase_opts o = {
		.size = sizeof(o),
		.backing_file = name,
		.backing_format = raw ? "raw" : "qcow2",
	};
	int r = 0;

	if (name)
		r = open_layer(((struct image *)top)->loop, name,
			       o.backing_format, Q2_RDONLY, &o.backing, err);
	if (r < 0)
		return r;
	r = q2_rebase(top, &o, err);
	if (o.backing)
		(void)q2_close(o.backing, NULL);
	return r;
}

static int
rebase_none(const struct chain_disk *d, struct q2_image *top,
	    struct q2_err *err)
{
	return rebase(d, top, NULL, err);
}

static int
rebase_other(const struct chain_disk *d, struct q2_image *top,
	     struct q2_err *err)
{
	return rebase(d, top, CHAIN_OTHER, err);
}

static int
rebase_base(const struct chain_disk *d, struct q2_image *top,
	    struct q2_err *err)
{
	return rebase(d, top, CHAIN_BASE, err);
}

static int
to_version_2(const struct chain_disk *d, struct q2_image *top,
	     struct q2_err *err)
{
	struct q2_amend_opts o = {
		.size = sizeof(o), .compat = 2, .refcount_bits = 16};

	(void)d;
	return q2_amend(top, &o, err);
}

static int
to_version_3(const struct chain_disk *d, struct q2_image *top,
	     struct q2_err *err)
{
	struct q2_amend_opts o = {
		.size = sizeof(o), .compat = 3, .lazy_refcounts = 1};

	(void)d;
	return q2_amend(top, &o, err);
}

/* To the narrowest, or the widest. */
static int
other_refcounts(const struct chain_disk *d, struct q2_image *top,
		struct q2_err *err)
{
	struct q2_amend_opts o = {.size = sizeof(o),
				  .refcount_bits = d->seed % 2 ? 1 : 64};

	return q2_amend(top, &o, err);
}

static bool
can_be_2(const struct chain_disk *d)
{
	return !d->extended_l2 && d->version != 2;
}

static bool
is_2(const struct chain_disk *d)
{
	return d->version == 2;
}

static bool
is_3(const struct chain_disk *d)
{
	return d->version != 2;
}

const struct chain_op chain_ops[] = {
	{"rebase onto none", has_below, rebase_none},
	{"rebase onto another", NULL, rebase_other},
	{"rebase onto the second layer", has_two_below, rebase_base},
	{"amend to version 2", can_be_2, to_version_2},
	{"amend to version 3", is_2, to_version_3},
	{"amend refcounts", is_3, other_refcounts},
	{"commit", has_below, commit_one},
	{"commit to the second layer", has_two_below, commit_two},
};
const unsigned n_chain_ops = ARRAY_SIZE(chain_ops);
