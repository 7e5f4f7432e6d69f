/* SPDX-License-Identifier: MIT */
/*
 * vmstate.c - the state of a virtual machine, behind the disk
 *
 * It is mapped by the L1 entries behind those that the disk needs, of which
 * there may be none yet.  A longer L1 table is placed elsewhere and named in
 * the sector that names the disk's, as in a resize (R2).
 */
#include <errno.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/manage/manage.h"
#include "engine/manage/place.h"
#include "engine/manage/shape.h"

static int
check(const struct image *img)
{
	if (!image_is_qcow2(img) || img->geom.external_data)
		return -ENOTSUP;
	return 0;
}

/* The bytes up to there can be mapped. */
static uint64_t
reach(const struct image *img)
{
	return (uint64_t)img->l1.n
	       << (img->geom.l2_bits + img->geom.cluster_bits);
}

static int Q2_CO
read_mapped(struct image *img, void *buf, uint64_t len, uint64_t off)
{
	uint64_t start = image_state_offset(img), there = 0;
	struct iovec iov = {.iov_base = buf};

	if (off < reach(img) - min_u64(start, reach(img)))
		there = min_u64(len, reach(img) - start - off);
	iov.iov_len = there;
	memset((uint8_t *)buf + there, 0, len - there);
	return there ? image_read(img, iov_iter_init(&iov, 1), start + off) : 0;
}

int Q2_CO
vmstate_read(struct image *img, void *buf, uint64_t len, uint64_t off)
{
	int r = check(img);

	if (r < 0)
		return r;
	gate_raise(&img->gate);
	r = read_mapped(img, buf, len, off);
	gate_lower(&img->gate, img->loop);
	return r;
}

/* Entries for all bytes up to end. */
static int Q2_CO
grow_l1(struct image *img, uint64_t end)
{
	uint64_t n = geom_l1_entries(&img->geom, end);
	struct shape s;
	struct table t, old = img->l1;
	uint64_t old_n = div_up(old.bytes, img->geom.cluster_size);
	int r;

	if (n <= img->l1.n)
		return 0;
	if (n * 8 > Q2_MAX_L1_BYTES)
		return -EFBIG;
	r = POINT_HIT(&img->points, l1_grow);
	if (r == 0)
		r = limbo_drain(img);
	if (r == 0)
		r = table_init_longer(&t, &img->l1, (uint32_t)n, 0,
				      img->geom.cluster_size);
	if (r < 0)
		return r;
	r = place_table(img, &t);
	if (r < 0) {
		table_done(&t);
		return r;
	}
	s = shape_of(&img->header);
	s.l1_offset = t.host;
	s.l1_entries = t.n;
	r = shape_write(img, &s);
	if (r < 0) {
		table_done(&t);
		return r;
	}
	shape_take(img, &s);
	img->l1 = t;
	place_free(img, old.host, old_n);
	table_done(&old);
	return limbo_drain(img);
}

static int Q2_CO
write_strictly(struct image *img, const void *buf, uint64_t len, uint64_t off)
{
	/* iovec has no const; a write does not change it. */
	struct iovec iov = {(void *)(uintptr_t)buf, len};
	uint64_t start = image_state_offset(img), end;
	bool lazy = img->lazy;
	int r = img->read_only ? -EPERM : img->failed;

	if (r < 0)
		return r;
	if (add_overflows(start + off, len, &end) || off > INT64_MAX)
		return -EFBIG;
	img->lazy = false;
	r = grow_l1(img, end);
	img->lazy = lazy;
	if (r == 0)
		r = image_write(img, iov_iter_init(&iov, 1), start + off);
	if (r == 0 && img->sync_writes)
		r = cache_commit(img);
	return r;
}

int Q2_CO
vmstate_write(struct image *img, const void *buf, uint64_t len, uint64_t off)
{
	int r = check(img);

	if (r < 0)
		return r;
	gate_raise(&img->gate);
	r = write_strictly(img, buf, len, off);
	gate_lower(&img->gate, img->loop);
	return r;
}
