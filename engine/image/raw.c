/* SPDX-License-Identifier: MIT */
#include "engine/image/raw.h"

#include "engine/base/num.h"
#include "engine/image/holes.h"
#include "engine/image/image.h"

static int Q2_CO
raw_change(struct image *img, const struct q2_req *rq)
{
	struct iov_iter it = iov_iter_init(rq->iov, rq->iovcnt);
	int r;

	switch (rq->op) {
	case Q2_WRITE:
		if (img->detect_zeroes && iov_is_zero(rq->iov, rq->iovcnt))
			r = file_zero(img->file, rq->len, rq->off, false);
		else
			r = file_writev(img->file, AIO_DATA, &it, rq->len,
					rq->off);
		break;
	case Q2_ZERO:
		r = file_zero(img->file, rq->len, rq->off, false);
		break;
	default:
		r = img->unmap ? file_discard(img->file, rq->len, rq->off) : 0;
		break;
	}
	cache_data_written(img);
	return r;
}

int Q2_CO
raw_run(struct image *img, const struct q2_req *rq)
{
	struct iov_iter it = iov_iter_init(rq->iov, rq->iovcnt);

	if (rq->op == Q2_READ)
		return file_readv(img->file, AIO_DATA, &it, rq->len, rq->off);
	if (rq->op == Q2_FLUSH)
		return cache_sync(img);
	return raw_change(img, rq);
}

int
raw_map(struct image *img, uint64_t off, uint64_t len,
	struct q2_extent *ret_ext)
{
	bool is_data = !holes_at(img->file, off, len, &len);

	*ret_ext = (struct q2_extent){
		.off = off,
		.len = len,
		.present = true,
		.allocated = is_data,
		.zero = !is_data,
		.data = is_data,
		.has_host = true,
		.host = off,
		.file = img->path,
	};
	return 0;
}
