/* SPDX-License-Identifier: MIT */
#include "tests/resize_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/format/header.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

const struct resize_disk resize_disks[] = {
	{.cluster_bits = 9, .refcount_order = 4, .bytes = 60 * KiB},
	{.cluster_bits = 9,
	 .refcount_order = 0,
	 .bytes = 33 * KiB,
	 .hidden_bytes = 90 * KiB},
	{.cluster_bits = 12,
	 .refcount_order = 4,
	 .bytes = 30 * KiB + 512,
	 .hidden_bytes = 64 * KiB},
	{.cluster_bits = 12, .refcount_order = 6, .bytes = 50 * KiB},
	{.cluster_bits = 14,
	 .refcount_order = 4,
	 .bytes = 70 * KiB + 512,
	 .hidden_bytes = 100 * KiB,
	 .extended_l2 = true},
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 33 * KiB,
	 .hidden_bytes = 50 * KiB,
	 .version = 2},
	/* There are refcount blocks for what is added. */
	{.cluster_bits = 9,
	 .refcount_order = 6,
	 .bytes = 40 * KiB,
	 .leak_bytes = 300 * KiB,
	 .leak_holes = 1},
	/* The refcount table is almost full. */
	{.cluster_bits = 9,
	 .refcount_order = 6,
	 .bytes = 40 * KiB,
	 .leak_bytes = 2 * MiB - 40 * KiB},
	/* A backing file that is longer than the disk will be, or shorter. */
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 33 * KiB,
	 .base_bytes = 200 * KiB},
	{.cluster_bits = 12,
	 .refcount_order = 4,
	 .bytes = 40 * KiB + 512,
	 .hidden_bytes = 64 * KiB,
	 .base_bytes = 50 * KiB},
	{.cluster_bits = 14,
	 .refcount_order = 4,
	 .bytes = 70 * KiB + 512,
	 .base_bytes = 300 * KiB,
	 .extended_l2 = true},
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 30 * KiB,
	 .base_bytes = 77 * KiB,
	 .version = 2},
	/* Guest data in a file of its own. */
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 33 * KiB,
	 .hidden_bytes = 50 * KiB,
	 .data_file = true},
	{.cluster_bits = 12,
	 .refcount_order = 4,
	 .bytes = 30 * KiB + 512,
	 .hidden_bytes = 64 * KiB,
	 .data_file = true,
	 .data_raw = true},
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 30 * KiB,
	 .base_bytes = 90 * KiB,
	 .data_file = true},
	/* Refcounts may be behind. */
	{.cluster_bits = 9,
	 .refcount_order = 4,
	 .bytes = 60 * KiB,
	 .hidden_bytes = 80 * KiB,
	 .lazy = true},
	{.cluster_bits = 9,
	 .refcount_order = 6,
	 .bytes = 40 * KiB,
	 .leak_bytes = 2 * MiB - 40 * KiB,
	 .lazy = true},
};
const unsigned n_resize_disks = ARRAY_SIZE(resize_disks);

static int
open_disk(struct loop *loop, unsigned flags, struct q2_image **ret_img,
	  char *why, size_t why_bytes)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = "qcow2",
		.flags = flags | Q2_UNMAP,
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
		.refcount_cache_size = 1024,
	};
	struct q2_err err = {0};
	int r = q2_open((struct q2_loop *)loop, RESIZE_DISK, &opts, ret_img,
			&err);

	if (r < 0)
		(void)snprintf(why, why_bytes, "open: %s", err.text);
	return r;
}

/* ---- making ------------------------------------------------------------ */

struct patch {
	struct loop *loop;
	uint64_t bytes;
};

struct file_call {
	struct loop *loop;
	const char *name;
	uint8_t *bytes;
	uint64_t len;
};

/* A new file of these bytes. */
static int Q2_CO
write_file(void *arg)
{
	struct file_call *c = arg;
	struct points points = {0};
	struct aio_file *f;
	int r = aio_open(c->loop, c->name, AIO_CREATE, &points, &f, NULL);

	if (r < 0)
		return r;
	r = file_truncate(f, 0);
	if (r == 0 && c->len)
		r = file_write(f, AIO_DATA, c->bytes, c->len, 0);
	if (r == 0)
		r = file_sync(f);
	aio_close(f);
	return r;
}

static int Q2_CO
read_file(void *arg)
{
	struct file_call *c = arg;
	struct points points = {0};
	struct aio_file *f;
	int r = aio_open(c->loop, c->name, AIO_RDONLY, &points, &f, NULL);

	if (r < 0)
		return r;
	r = file_read(f, AIO_DATA, c->bytes, c->len, 0);
	aio_close(f);
	return r;
}

/* The backing file, which shines through where nothing is written. */
static int
make_base(struct resize_disk *d, struct loop *loop)
{
	struct file_call c = {loop, RESIZE_BASE, NULL, d->base_bytes};
	int r;

	if (!d->base_bytes)
		return 0;
	c.bytes = malloc(d->base_bytes);
	if (!c.bytes)
		return -ENOMEM;
	memset(c.bytes, 0xba, d->base_bytes);
	memset(d->content, 0xba, min_u64(d->bytes, d->base_bytes));
	r = loop_call(loop, write_file, &c);
	free(c.bytes);
	return r;
}

static int
make_data(const struct resize_disk *d, struct loop *loop)
{
	struct file_call c = {.loop = loop, .name = RESIZE_DATA};

	return d->data_file ? loop_call(loop, write_file, &c) : 0;
}

static int Q2_CO
write_size(void *arg)
{
	struct patch *p = arg;
	struct points points = {0};
	struct aio_file *f;
	uint8_t field[8];
	int r = aio_open(p->loop, RESIZE_DISK, 0, &points, &f, NULL);

	if (r < 0)
		return r;
	store_be64(field, p->bytes);
	r = file_write(f, AIO_HEADER, field, sizeof(field), HEADER_OFF_SIZE);
	if (r == 0)
		r = file_sync(f);
	aio_close(f);
	return r;
}

/* Most of the sectors, in runs. */
static int
write_content(const struct resize_disk *d, struct q2_image *img, uint64_t len,
	      uint8_t *content)
{
	struct rng rng = {.state = mix64(d->seed)};
	int r = 0;

	for (uint64_t at = 0, n; at < len && r == 0; at += n) {
		n = min_u64(len - at, (1 + rng_below(&rng, 24)) * 512);
		if (at < d->bytes && rng_below(&rng, 4) == 0)
			continue;
		for (uint64_t i = 0; i < n; i++)
			content[at + i] = (uint8_t)(rng_next(&rng) | 1);
		r = q2_pwrite(img, content + at, n, at);
	}
	return r;
}

int
resize_disk_make(struct resize_disk *d, struct loop *loop)
{
	uint64_t len = max_u64(d->bytes, d->hidden_bytes);
	struct image_make m = {.bytes = len,
			       .cluster_bits = d->cluster_bits,
			       .refcount_order = d->refcount_order,
			       .leak_bytes = d->leak_bytes,
			       .leak_holes = d->leak_holes,
			       .version = d->version,
			       .extended_l2 = d->extended_l2,
			       .lazy_refcounts = d->lazy,
			       .data_file = d->data_file ? RESIZE_DATA : NULL,
			       .data_file_raw = d->data_raw,
			       .backing_file = d->base_bytes ? RESIZE_BASE
							     : NULL,
			       .backing_format = d->base_bytes ? "raw" : NULL};
	struct patch patch = {loop, d->bytes};
	struct q2_image *img = NULL;
	char why[256];
	int r;

	d->content = calloc(1, len);
	r = d->content ? image_make(loop, RESIZE_DISK, &m) : -ENOMEM;
	if (r == 0)
		r = make_base(d, loop);
	if (r == 0)
		r = make_data(d, loop);
	if (r == 0)
		r = open_disk(loop, 0, &img, why, sizeof(why));
	if (r < 0)
		return r;
	r = write_content(d, img, len, d->content);
	if (q2_close(img, NULL) < 0)
		r = -EIO;
	return r < 0 ? r : loop_call(loop, write_size, &patch);
}

int
resize_disk_open(struct loop *loop, struct q2_image **ret_img, char *why,
		 size_t why_bytes)
{
	return open_disk(loop, 0, ret_img, why, why_bytes);
}

int
resize_disk_fill_gaps(const struct resize_disk *d, struct q2_image *img)
{
	static const uint8_t zeros[512];
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < d->bytes; at += sizeof(zeros))
		if (memcmp(d->content + at, zeros, sizeof(zeros)) == 0)
			r = q2_pwrite(img, zeros, sizeof(zeros), at);
	return r < 0 ? r : q2_flush(img);
}

void
resize_disk_done(struct resize_disk *d)
{
	free(d->content);
	d->content = NULL;
}

/* ---- checking ---------------------------------------------------------- */

/* Is the image, of size bytes, content and then zeros? */
static int
compare(struct q2_image *img, const uint8_t *content, uint64_t len, char *why,
	size_t why_bytes)
{
	uint64_t size = q2_size(img);
	uint8_t *buf = malloc(size + 1);
	int r = buf ? q2_pread(img, buf, size, 0) : -ENOMEM;

	if (r < 0)
		(void)snprintf(why, why_bytes, "read: %s", strerror(-r));
	for (uint64_t i = 0; r == 0 && i < size; i++) {
		uint8_t want = i < len ? content[i] : 0;

		if (buf[i] == want)
			continue;
		(void)snprintf(why, why_bytes,
			       "byte %" PRIu64 " of %" PRIu64
			       " is %02x, not %02x",
			       i, size, buf[i], want);
		r = -1;
	}
	free(buf);
	return r;
}

/* Else refcounts may be behind: then *ret_dirty is set. */
static int
check_file(struct loop *loop, uint64_t *ret_leaks, bool *ret_dirty, char *why,
	   size_t why_bytes)
{
	struct image_check c;
	int r = image_check(loop, RESIZE_DISK, &c);
	bool bad = c.corruptions && !(ret_dirty && c.dirty);

	if (r < 0)
		(void)snprintf(why, why_bytes, "check: %s", strerror(-r));
	else if (bad)
		(void)snprintf(why, why_bytes, "%" PRIu64 " corruptions: %s",
			       c.corruptions, c.why);
	else
		*ret_leaks = c.leaks;
	if (ret_dirty)
		*ret_dirty = c.dirty;
	return r < 0 || bad ? -1 : 0;
}

/* Without the image a raw data file holds the same disk. */
static int
compare_raw(const struct resize_disk *d, struct loop *loop, uint64_t size,
	    char *why, size_t why_bytes)
{
	struct file_call c = {.loop = loop, .name = RESIZE_DATA, .len = size};
	int r;

	if (!d->data_raw)
		return 0;
	c.bytes = calloc(1, size);
	r = c.bytes ? loop_call(loop, read_file, &c) : -ENOMEM;
	for (uint64_t i = 0; r == 0 && i < size; i++)
		if (c.bytes[i] != (i < d->bytes ? d->content[i] : 0)) {
			(void)snprintf(why, why_bytes,
				       "byte %" PRIu64 " of the data file is "
				       "%02x",
				       i, c.bytes[i]);
			r = -1;
		}
	free(c.bytes);
	return r;
}

/* Opening for writing counts the references. */
static int
repair(struct loop *loop, uint64_t *ret_leaks, char *why, size_t why_bytes)
{
	struct q2_image *img;

	if (open_disk(loop, 0, &img, why, why_bytes) < 0)
		return -1;
	if (q2_close(img, NULL) < 0) {
		(void)snprintf(why, why_bytes, "close after the repair");
		return -1;
	}
	return check_file(loop, ret_leaks, NULL, why, why_bytes);
}

uint64_t
resize_disk_check(const struct resize_disk *d, uint64_t new_bytes,
		  struct loop *loop, uint64_t *ret_leaks, char *why,
		  size_t why_bytes)
{
	struct q2_image *img;
	uint64_t size;
	bool dirty;
	int r;

	if (check_file(loop, ret_leaks, &dirty, why, why_bytes) < 0 ||
	    open_disk(loop, Q2_RDONLY, &img, why, why_bytes) < 0)
		return 0;
	size = q2_size(img);
	r = compare(img, d->content, d->bytes, why, why_bytes);
	if (r == 0 && size != d->bytes && size != new_bytes) {
		(void)snprintf(why, why_bytes, "size %" PRIu64, size);
		r = -1;
	}
	(void)q2_close(img, NULL);
	if (r == 0)
		r = compare_raw(d, loop, size, why, why_bytes);
	if (r == 0 && dirty)
		r = repair(loop, ret_leaks, why, why_bytes);
	return r < 0 ? 0 : size;
}

/* ---- going on ---------------------------------------------------------- */

static int
resize_to(struct q2_image *img, uint64_t size, char *why, size_t why_bytes)
{
	struct q2_resize_opts o = {.size = sizeof(o), .shrink = true};
	struct q2_err err;
	int r = q2_resize(img, size, &o, &err);

	if (r < 0)
		(void)snprintf(why, why_bytes, "resize to %" PRIu64 ": %s",
			       size, err.text);
	return r;
}

static int
go_on(const struct resize_disk *d, struct q2_image *img, char *why,
      size_t why_bytes)
{
	uint64_t size = q2_size(img), len = min_u64(size, d->bytes);
	uint64_t larger = size + 40 * KiB;
	uint8_t *content = calloc(1, larger);
	int r = content ? 0 : -ENOMEM;

	if (r == 0)
		memcpy(content, d->content, len);
	/* Here new clusters are taken where the crash has left something. */
	for (uint64_t at = 0; r == 0 && at + 700 < size; at += 3000) {
		memset(content + at, 0xa5, 700);
		r = q2_pwrite(img, content + at, 700, at);
	}
	if (r == 0)
		r = compare(img, content, larger, why, why_bytes);
	if (r == 0)
		r = resize_to(img, larger, why, why_bytes);
	if (r == 0)
		r = compare(img, content, larger, why, why_bytes);
	if (r == 0)
		r = resize_to(img, 8 * KiB, why, why_bytes);
	if (r == 0)
		r = compare(img, content, larger, why, why_bytes);
	free(content);
	return r;
}

int
resize_disk_go_on(const struct resize_disk *d, struct loop *loop,
		  uint64_t *ret_leaks, char *why, size_t why_bytes)
{
	struct q2_err err;
	struct q2_image *img;
	int r = open_disk(loop, 0, &img, why, why_bytes);

	if (r < 0)
		return -1;
	(void)snprintf(why, why_bytes, "a write failed");
	r = go_on(d, img, why, why_bytes);
	if (q2_close(img, &err) < 0 && r == 0) {
		(void)snprintf(why, why_bytes, "close: %s", err.text);
		r = -1;
	}
	return r < 0 ? -1 : check_file(loop, ret_leaks, NULL, why, why_bytes);
}
