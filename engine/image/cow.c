/* SPDX-License-Identifier: MIT */
#include "engine/image/cow.h"

#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/chain.h"
#include "engine/image/data.h"
#include "engine/image/image.h"
#include "engine/image/io.h"

/* Pieces of a write that holds more than the guest's bytes. */
#define MERGED_IOV 64

/* Old content up to this is written together with the guest's bytes; more is
 * copied before, in steps of this. */
#define COPY_BYTES (256 * KiB)

/* Parts of a merged write begin at multiples of this in memory, so that they
 * stay aligned where the guest's bytes are. */
#define MEMORY_ALIGN 4096

/* A write into new space: the guest's bytes and what is around them. */
struct fill {
	struct image *img;
	struct inflight *f;
	uint64_t off, len;   /* the guest's bytes */
	uint64_t head, tail; /* bytes before and behind them */
};

/* Where len bytes at guest go. */
static struct data_place
place_of(const struct fill *w, uint64_t guest, uint64_t len)
{
	uint64_t base = w->f->first << w->img->geom.sub_bits;

	return (struct data_place){len, guest, w->f->host + (guest - base)};
}

int Q2_CO
cow_write_data(struct image *img, struct iov_iter *it,
	       const struct data_place *at)
{
	int r = data_writev(img, AIO_DATA, it, at);

	cache_data_written(img);
	return r;
}

int Q2_CO
cow_zero_host(struct image *img, const struct data_place *at)
{
	int r;

	if (img->header.crypt_method) {
		r = data_write_zeros(img, AIO_COW, at);
		cache_data_written(img);
		return r;
	}
	r = file_zero(img->data, at->len, at->host, img->zero != Q2_ZERO_WRITE);
	if (r == -ENOTSUP)
		r = file_zero(img->data, at->len, at->host, false);
	cache_data_written(img);
	return r;
}

/* ---- one write for everything ------------------------------------------ */

/* Append len bytes to iov, which has n entries of at most MERGED_IOV: of
 * bytes, or zeros if that is NULL.  Returns the new number, or more than
 * MERGED_IOV where they do not fit. */
static int
append(struct iovec *iov, int n, const uint8_t *bytes, uint64_t len)
{
	while (len > 0 && n < MERGED_IOV) {
		uint64_t step = bytes ? len : min_u64(len, MEM_ZEROS_BYTES);

		/* iovec has no const; a write does not change it. */
		iov[n].iov_base = (void *)(uintptr_t)(bytes ? bytes
							    : mem_zeros);
		iov[n++].iov_len = step;
		len -= step;
	}
	return len ? MERGED_IOV + 1 : n;
}

/*
 * Head, the guest's bytes, and tail in one write; head and tail are zeros
 * where they are NULL.  False, with nothing done, where that takes too many
 * pieces.
 */
static bool Q2_CO
write_merged(const struct fill *w, struct iov_iter *it, const uint8_t *head,
	     const uint8_t *tail, int *ret_result)
{
	struct image *img = w->img;
	struct data_place at = place_of(w, w->off - w->head,
					w->head + w->len + w->tail);
	struct iovec iov[MERGED_IOV];
	struct iov_iter all;
	uint64_t got = 0;
	int n = append(iov, 0, head, w->head);

	if (n < MERGED_IOV)
		n += iov_slice(it, w->len, iov + n, MERGED_IOV - n, &got);
	if (got == w->len)
		n = append(iov, n, tail, w->tail);
	if (got < w->len || n > MERGED_IOV)
		return false;
	all = iov_iter_init(iov, n);
	*ret_result = POINT_HIT(&img->points, cow_write);
	if (*ret_result == 0)
		*ret_result = cow_write_data(img, &all, &at);
	iov_advance(it, w->len);
	if (*ret_result < 0)
		return true;
	/* One write held both: tell them apart. */
	img->points.n.host_write_data_bytes -= w->head + w->tail;
	img->points.n.host_write_cow_bytes += w->head + w->tail;
	return true;
}

/* ---- copies ------------------------------------------------------------ */

/* How many of len bytes at guest belong to the disk, which may end within its
 * last cluster, or to the state of a machine behind it. */
static uint64_t
on_disk(const struct image *img, uint64_t guest, uint64_t len)
{
	if (guest >= image_state_offset(img))
		return len;
	return guest < img->size ? min_u64(len, img->size - guest) : 0;
}

static int Q2_CO
read_old(struct image *img, uint8_t *buf, uint64_t len, uint64_t guest)
{
	uint64_t there = on_disk(img, guest, len);
	struct iovec iov = {buf, there};
	int r = 0;

	memset(buf + there, 0, len - there);
	if (there)
		r = POINT_HIT(&img->points, cow_read);
	if (r == 0 && there)
		r = image_read_old(img, iov_iter_init(&iov, 1), guest);
	return r;
}

/* Copy what the guest sees at [guest, guest + len) to its new place. */
static int Q2_CO
copy_old(const struct fill *w, uint64_t guest, uint64_t len)
{
	struct image *img = w->img;
	uint64_t step = min_u64(len, COPY_BYTES);
	Q2_AUTO_FREE uint8_t *buf = len ? mem_aligned(step) : NULL;
	int r = 0;

	if (len && !buf)
		return -ENOMEM;
	while (r == 0 && len > 0) {
		struct iovec iov = {buf, min_u64(step, len)};
		struct iov_iter it = iov_iter_init(&iov, 1);
		struct data_place at = place_of(w, guest, iov.iov_len);

		step = iov.iov_len;
		r = read_old(img, buf, step, guest);
		if (r == 0)
			r = POINT_HIT(&img->points, cow_write);
		if (r == 0)
			r = data_writev(img, AIO_COW, &it, &at);
		cache_data_written(img);
		guest += step;
		len -= step;
	}
	return r;
}

/* The guest's bytes and copies around them, in one write. */
static bool Q2_CO
write_with_old(const struct fill *w, struct iov_iter *it, int *ret_result)
{
	uint64_t tail_at = align_up(w->head, MEMORY_ALIGN);
	Q2_AUTO_FREE uint8_t *buf = mem_aligned(tail_at + w->tail + 1);
	int r = buf ? 0 : -ENOMEM;

	if (r == 0)
		r = read_old(w->img, buf, w->head, w->off - w->head);
	if (r == 0)
		r = read_old(w->img, buf + tail_at, w->tail, w->off + w->len);
	*ret_result = r;
	return r < 0 || write_merged(w, it, buf, buf + tail_at, ret_result);
}

/* ---- the whole --------------------------------------------------------- */

/* Does everything around the guest's bytes read as zeros?  1, 0 or -errno. */
static int Q2_CO
around_is_zero(const struct fill *w)
{
	uint64_t end = w->off + w->len;
	int r = 1;

	if (w->f->zeros)
		return 1;
	if (w->head)
		r = chain_reads_zero(w->img, w->off - w->head, w->head);
	if (r == 1 && w->tail)
		r = chain_reads_zero(w->img, end,
				     on_disk(w->img, end, w->tail));
	return r;
}

/* What is around is in place: write ours, and let others join meanwhile. */
static int Q2_CO
write_ours(const struct fill *w, struct iov_iter *it, bool copied)
{
	struct data_place at = place_of(w, w->off, w->len);
	struct inflight *f = w->f;
	int r;

	f->open = true;
	co_queue_wake_all(&f->wait);
	r = cow_write_data(w->img, it, &at);
	/* Only what lies around was copied: the rest is unknown. */
	if (r < 0 && copied)
		f->spoiled = r;
	/* Nobody can put off the link for ever. */
	f->open = false;
	return r;
}

static int Q2_CO
fill_with_zeros(const struct fill *w, struct iov_iter *it)
{
	struct image *img = w->img;
	struct data_place at = place_of(w, w->off - w->head,
					w->head + w->len + w->tail);
	bool encrypted = img->header.crypt_method;
	int r = 0;

	/* Zeros on the disk are none to the guest of an encrypted image. */
	if ((img->zero == Q2_ZERO_WRITE || encrypted) &&
	    write_merged(w, it, NULL, NULL, &r))
		return r;
	if (!w->f->virgin || img->zero != Q2_ZERO_HOLE || encrypted)
		r = cow_zero_host(img, &at);
	return r < 0 ? r : write_ours(w, it, false);
}

static int Q2_CO
fill_with_copies(const struct fill *w, struct iov_iter *it)
{
	int r;

	if (w->head + w->tail <= COPY_BYTES && write_with_old(w, it, &r))
		return r;
	r = copy_old(w, w->off - w->head, w->head);
	if (r == 0)
		r = copy_old(w, w->off + w->len, w->tail);
	return r < 0 ? r : write_ours(w, it, true);
}

int Q2_CO
cow_fill(struct image *img, struct inflight *f, struct iov_iter *it,
	 uint64_t len, uint64_t off)
{
	struct fill w = {.img = img, .f = f, .off = off, .len = len};
	uint64_t to = f->to;
	int r;

	/* A data file is as long as the disk, even if its last cluster is not
	 * whole. */
	if (img->geom.external_data)
		to = max_u64(off + len, min_u64(to, img->size));
	w.head = off - f->from;
	w.tail = to - (off + len);
	if (!w.head && !w.tail)
		return write_ours(&w, it, false);
	r = around_is_zero(&w);
	if (r < 0)
		return r;
	return r ? fill_with_zeros(&w, it) : fill_with_copies(&w, it);
}
