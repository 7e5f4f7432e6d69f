/* SPDX-License-Identifier: MIT */
#include "tests/bitmap_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

/* The guest writes to the first and the last bytes of the disk. */
#define EDGE  (32 * KiB)
#define MAGIC 0xa5

const struct bitmap_disk bitmap_disks[] = {
	{.cluster_bits = 9, .refcount_order = 4},
	/* A block counts 64 clusters: new ones are needed all the time. */
	{.cluster_bits = 9, .refcount_order = 6},
	{.cluster_bits = 12, .refcount_order = 4, .lazy = true},
	{.cluster_bits = 16, .refcount_order = 0},
};
const unsigned n_bitmap_disks = ARRAY_SIZE(bitmap_disks);

const char *
bitmap_disk_text(const struct bitmap_disk *d)
{
	static const char *const ops[] = {"add",   "remove",  "clear",
					  "merge", "disable", "write",
					  "grow",  "shrink"};
	static char text[160];

	(void)snprintf(text, sizeof(text),
		       "%s, cluster bits %u, order %u, lazy %d, seed %" PRIu64,
		       ops[d->op], d->cluster_bits, d->refcount_order, d->lazy,
		       d->seed);
	return text;
}

/* ---- sets of bitmaps --------------------------------------------------- */

void
bitmap_set_note(struct bitmap_set *s, uint64_t off, uint64_t len)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct bitmap_model *m = &s->v[i];
		uint64_t first = off / m->granularity;
		uint64_t last = (off + len - 1) / m->granularity;

		if (m->enabled)
			memset(m->bits + first, 1, last - first + 1);
	}
}

void
bitmap_set_add(struct bitmap_set *s, const char *name, uint64_t granularity,
	       bool enabled)
{
	struct bitmap_model *m = &s->v[s->n++];

	*m = (struct bitmap_model){.granularity = granularity,
				   .enabled = enabled};
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
}

/* Everything that `from` has noted is noted in `to`. */
void
bitmap_set_merge(const struct bitmap_set *s, struct bitmap_model *to,
		 const struct bitmap_model *from)
{
	for (uint64_t off = 0; off < s->size; off += 512)
		to->bits[off / to->granularity] |=
			from->bits[off / from->granularity];
}

void
bitmap_set_resize(struct bitmap_set *s, uint64_t size)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct bitmap_model *m = &s->v[i];
		uint64_t n = div_up(size, m->granularity);

		memset(m->bits + n, 0, sizeof(m->bits) - n);
	}
	s->size = size;
}

static int
compare_one(const struct bitmap_set *s, unsigned i, struct q2_image *img,
	    char *why, size_t why_bytes)
{
	const struct bitmap_model *m = &s->v[i];
	static uint8_t got[BITMAP_MODEL_BITS];
	uint64_t off = 0, len;
	struct q2_err err;
	int r;

	memset(got, 0, sizeof(got));
	while ((r = q2_bitmap_next(img, i, &off, &len, &err)) == 1) {
		memset(got + off / m->granularity, 1,
		       div_up(len, m->granularity));
		off += len;
	}
	if (r < 0) {
		(void)snprintf(why, why_bytes, "%s", err.text);
		return -1;
	}
	for (uint64_t k = 0; k < div_up(s->size, m->granularity); k++) {
		if (got[k] == m->bits[k] ||
		    (got[k] && s->may_exceed && m->enabled))
			continue;
		(void)snprintf(why, why_bytes, "bit %" PRIu64 " of %s is %u", k,
			       m->name, got[k]);
		return -1;
	}
	return 0;
}

int
bitmap_set_compare(const struct bitmap_set *s, struct q2_image *img, char *why,
		   size_t why_bytes)
{
	int r = 0;

	if (q2_size(img) != s->size || q2_bitmap_count(img) != s->n) {
		(void)snprintf(why, why_bytes, "%u bitmaps of %" PRIu64,
			       q2_bitmap_count(img), q2_size(img));
		return -1;
	}
	for (unsigned i = 0; r == 0 && i < s->n; i++) {
		const struct bitmap_model *m = &s->v[i];
		struct q2_bitmap b = q2_bitmap_get(img, i);

		if (strcmp(b.name, m->name) != 0 || b.inconsistent ||
		    b.granularity != m->granularity ||
		    b.enabled != m->enabled) {
			(void)snprintf(why, why_bytes, "bitmap %u is %s, %s%s",
				       i, b.name,
				       b.enabled ? "enabled" : "disabled",
				       b.inconsistent ? ", in use" : "");
			return -1;
		}
		r = compare_one(s, i, img, why, why_bytes);
	}
	return r;
}

/* ---- making it --------------------------------------------------------- */

int
bitmap_disk_open(struct loop *loop, unsigned flags, struct q2_image **ret_img,
		 struct q2_err *err)
{
	struct q2_open_opts opts = {.size = sizeof(opts),
				    .driver = "qcow2",
				    .flags = Q2_UNMAP | flags,
				    .l2_cache_size = 1024,
				    .l2_cache_entry_size = 512};

	return q2_open((struct q2_loop *)loop, BITMAP_DISK, &opts, ret_img,
		       err);
}

/* Writes, zeroes and discards of byte, at both ends of the disk. */
static int
scribble(struct q2_image *img, struct rng *rng, struct bitmap_set *s,
	 uint8_t byte)
{
	static uint8_t buf[4096];
	int r = 0;

	memset(buf, byte, sizeof(buf));
	for (unsigned i = 0; r == 0 && i < 8; i++) {
		uint64_t off = rng_below(rng, EDGE);
		uint64_t len = 1 + rng_below(rng, sizeof(buf));

		if (rng_below(rng, 2))
			off += s->size - EDGE - sizeof(buf);
		switch (rng_below(rng, 4)) {
		case 0:
			r = q2_pzero(img, len, off, Q2_MAY_UNMAP);
			break;
		default:
			r = q2_pwrite(img, buf, len, off);
		}
		if (r == 0)
			bitmap_set_note(s, off, len);
	}
	return r;
}

static int
fill(struct bitmap_disk *d, struct q2_image *img)
{
	struct rng rng = {.state = mix64(d->seed)};
	struct bitmap_set *s = d->before;
	int r = 0;

	s->size = BITMAP_DISK_BYTES;
	bitmap_set_add(s, "fine", 512, true);
	bitmap_set_add(s, "coarse", 64 * KiB, true);
	bitmap_set_add(s, "off", 4096, true);
	for (unsigned i = 0; r == 0 && i < s->n; i++)
		r = q2_bitmap_add(img, s->v[i].name, s->v[i].granularity, NULL);
	if (r == 0)
		r = scribble(img, &rng, s, MAGIC);
	if (r == 0)
		r = q2_bitmap_disable(img, "off", NULL);
	s->v[2].enabled = false;
	return r;
}

/* What the operation does to them, but for writes. */
static void
operate(enum bitmap_disk_op op, struct bitmap_set *s)
{
	switch (op) {
	case OP_ADD:
		bitmap_set_add(s, "new", 2048, true);
		break;
	case OP_REMOVE:
		s->n--;
		memmove(&s->v[1], &s->v[2], (s->n - 1) * sizeof(s->v[0]));
		break;
	case OP_CLEAR:
		memset(s->v[0].bits, 0, sizeof(s->v[0].bits));
		break;
	case OP_MERGE:
		bitmap_set_merge(s, &s->v[0], &s->v[1]);
		break;
	case OP_DISABLE:
		s->v[0].enabled = false;
		break;
	case OP_GROW:
		bitmap_set_resize(s, BITMAP_DISK_BYTES + 256 * KiB);
		break;
	case OP_SHRINK:
		bitmap_set_resize(s, BITMAP_DISK_BYTES - 1 * MiB);
		break;
	default:
		break;
	}
}

int
bitmap_disk_make(struct bitmap_disk *d, struct loop *loop)
{
	struct image_make m = {
		.bytes = BITMAP_DISK_BYTES,
		.cluster_bits = d->cluster_bits,
		.refcount_order = d->refcount_order,
		.lazy_refcounts = d->lazy,
		/* Small clusters have more of them than one would count. */
		.reftable_clusters = 2,
	};
	struct q2_image *img = NULL;
	int r = image_make(loop, BITMAP_DISK, &m), other;

	d->before = calloc(1, sizeof(*d->before));
	d->after = calloc(1, sizeof(*d->after));
	if (r == 0 && (!d->before || !d->after))
		r = -ENOMEM;
	if (r == 0)
		r = bitmap_disk_open(loop, 0, &img, NULL);
	if (r < 0)
		return r;
	r = fill(d, img);
	other = q2_close(img, NULL);
	*d->after = *d->before;
	operate(d->op, d->after);
	return r < 0 ? r : other;
}

void
bitmap_disk_done(struct bitmap_disk *d)
{
	free(d->before);
	free(d->after);
	d->before = d->after = NULL;
}

int
bitmap_disk_run(const struct bitmap_disk *d, struct q2_image *img,
		struct q2_err *err)
{
	struct q2_resize_opts o = {.size = sizeof(o), .shrink = true};
	struct rng rng = {.state = mix64(d->seed + 1)};
	int r;

	switch (d->op) {
	case OP_ADD:
		return q2_bitmap_add(img, "new", 2048, err);
	case OP_REMOVE:
		return q2_bitmap_remove(img, "coarse", err);
	case OP_CLEAR:
		return q2_bitmap_clear(img, "fine", err);
	case OP_MERGE:
		return q2_bitmap_merge(img, "fine", img, "coarse", err);
	case OP_DISABLE:
		return q2_bitmap_disable(img, "fine", err);
	case OP_WRITE:
		r = scribble(img, &rng, d->after, (uint8_t)~MAGIC);
		d->after->may_exceed = r < 0;
		return r;
	default:
		return q2_resize(img, d->after->size, &o, err);
	}
}

/* ---- what a crash or an error has left --------------------------------- */

/* All that may note changes must say so; what cannot change must not. */
static int
check_in_use(const struct bitmap_disk *d, struct q2_image *img, char *why,
	     size_t why_bytes)
{
	bool all = d->op == OP_GROW || d->op == OP_SHRINK;
	unsigned in_use = 0;

	for (unsigned i = 0; i < q2_bitmap_count(img); i++) {
		struct q2_bitmap b = q2_bitmap_get(img, i);

		if (b.inconsistent && !all && !b.enabled) {
			(void)snprintf(why, why_bytes,
				       "%s is in use, and is disabled", b.name);
			return -1;
		}
		in_use += b.inconsistent;
	}
	if (in_use == (all ? d->before->n : d->before->n - 1))
		return NOW_IN_USE;
	/* Marked in part: nothing has been changed. */
	return in_use ? N_NOW : -1;
}

/* Has the guest changed anything?  All that it writes has this byte, and what
 * it zeroes is seen at the next write. */
static int
check_unchanged(struct q2_image *img, char *why, size_t why_bytes)
{
	static uint8_t buf[EDGE + 8192];
	uint64_t at[2] = {0, BITMAP_DISK_BYTES - sizeof(buf)};

	for (unsigned i = 0; i < 2; i++) {
		int r = q2_pread(img, buf, sizeof(buf), at[i]);

		if (r == 0 && !memchr(buf, (uint8_t)~MAGIC, sizeof(buf)))
			continue;
		(void)snprintf(why, why_bytes,
			       "a write (%d) is there that no bitmap tells of",
			       r);
		return -1;
	}
	return 0;
}

static int
check_open(const struct bitmap_disk *d, struct q2_image *img, char *why,
	   size_t why_bytes)
{
	char before[160] = "", after[160] = "";
	bool writes = d->op == OP_WRITE;
	int now;

	if (bitmap_set_compare(d->after, img, after, sizeof(after)) == 0)
		return NOW_AFTER;
	if (bitmap_set_compare(d->before, img, before, sizeof(before)) == 0)
		return writes && check_unchanged(img, why, why_bytes) < 0
			       ? -1
			       : NOW_BEFORE;
	(void)snprintf(why, why_bytes, "neither before (%s) nor after (%s)",
		       before, after);
	if (d->op < OP_WRITE)
		return -1;
	now = check_in_use(d, img, why, why_bytes);
	if (now == N_NOW &&
	    (!writes || check_unchanged(img, why, why_bytes) == 0))
		now = NOW_IN_USE;
	return now;
}

int
bitmap_disk_check(const struct bitmap_disk *d, struct loop *loop,
		  uint64_t *ret_leaks, char *why, size_t why_bytes)
{
	struct image_check c = {0};
	struct q2_image *img = NULL;
	struct q2_err err = {0};
	int r = image_check(loop, BITMAP_DISK, &c), now;

	*ret_leaks = c.leaks;
	if (r < 0 || (c.corruptions && !c.dirty)) {
		(void)snprintf(why, why_bytes, "check: %d, %s", r, c.why);
		return -1;
	}
	r = bitmap_disk_open(loop, Q2_RDONLY, &img, &err);
	if (r < 0) {
		(void)snprintf(why, why_bytes, "open: %s", err.text);
		return -1;
	}
	now = check_open(d, img, why, why_bytes);
	return q2_close(img, NULL) < 0 ? -1 : now;
}

/* Remove what nobody can use; 0 or a negative errno. */
static int
remove_inconsistent(struct q2_image *img, struct q2_err *err)
{
	for (unsigned i = 0; i < q2_bitmap_count(img);) {
		struct q2_bitmap b = q2_bitmap_get(img, i);
		int r = b.inconsistent ? q2_bitmap_remove(img, b.name, err) : 0;

		if (r < 0)
			return r;
		i += !b.inconsistent;
	}
	return 0;
}

int
bitmap_disk_go_on(const struct bitmap_disk *d, struct loop *loop, char *why,
		  size_t why_bytes)
{
	struct bitmap_set *s = calloc(1, sizeof(*s));
	struct rng rng = {.state = mix64(d->seed + 2)};
	struct q2_err err = {0};
	struct q2_image *img = NULL;
	struct image_check c = {0};
	uint64_t off = 0, len;
	int r = bitmap_disk_open(loop, 0, &img, &err);

	if (r == 0) {
		s->size = q2_size(img);
		bitmap_set_add(s, "later", 4096, true);
		r = remove_inconsistent(img, &err);
		if (r == 0)
			r = q2_bitmap_add(img, "later", 4096, &err);
		if (r == 0)
			r = scribble(img, &rng, s, 1);
		if (q2_close(img, &err) < 0)
			r = -EIO;
	}
	if (r == 0)
		r = image_check(loop, BITMAP_DISK, &c);
	if (r == 0)
		r = bitmap_disk_open(loop, Q2_RDONLY, &img, &err);
	if (r < 0 || c.corruptions) {
		(void)snprintf(why, why_bytes, "going on: %d, %s, %s", r,
			       err.text, r < 0 ? "" : c.why);
		free(s);
		return -1;
	}
	/* All that was noted is a bit of it. */
	r = q2_bitmap_find(img, "later");
	if (r >= 0)
		r = q2_bitmap_next(img, (unsigned)r, &off, &len, &err);
	if (r == 1 && !s->v[0].bits[off / 4096])
		r = -1;
	if (r != 1)
		(void)snprintf(why, why_bytes, "going on: %s", err.text);
	free(s);
	return q2_close(img, NULL) < 0 || r != 1 ? -1 : 0;
}
