/* SPDX-License-Identifier: MIT */
/*
 * source.c - reading whole images: extents, holes, requests
 */
#include "engine/manage/source.h"

#include <errno.h>
#include <unistd.h>

#include "engine/aio/aio.h"
#include "engine/base/num.h"
#include "engine/image/chain.h"
#include "engine/image/raw.h"

void
source_init(struct source *s, struct image *img)
{
	*s = (struct source){.img = img};
}

/* ---- extents ----------------------------------------------------------- */

struct seek {
	int fd;
	uint64_t at, end;
	bool is_data;
};

/* From at on, how far does one state go?  Blocking. */
static int
seek_host(void *arg)
{
	struct seek *s = arg;
	int64_t data = lseek(s->fd, (off_t)s->at, SEEK_DATA), hole;

	/* ENXIO: no more data; another error: this file system cannot tell. */
	s->is_data = data == (int64_t)s->at || (data < 0 && errno != ENXIO);
	s->end = UINT64_MAX;
	if (data > (int64_t)s->at)
		s->end = (uint64_t)data;
	if (data != (int64_t)s->at)
		return 0;
	hole = lseek(s->fd, (off_t)s->at, SEEK_HOLE);
	if (hole > (int64_t)s->at)
		s->end = (uint64_t)hole;
	return 0;
}

/* The state of the file's byte at off, in s. */
static int Q2_CO
look_at_host(struct source *s, const struct aio_file *file, uint64_t off)
{
	struct seek seek = {.fd = file->fd, .at = off};
	int r = 0;

	if (file == s->host_file && off >= s->host && off < s->host_end)
		return 0;
	if (file->inline_io)
		(void)seek_host(&seek);
	else
		r = loop_offload(s->img->loop, seek_host, &seek);
	if (r < 0)
		return r;
	s->host_file = file;
	s->host = off;
	s->host_end = seek.end;
	s->host_is_data = seek.is_data;
	return 0;
}

/* Data in the tables may be a hole in the file, as in a preallocated image. */
static int Q2_CO
refine(struct source *s, struct q2_extent *e)
{
	const struct image *layer = s->img;
	int r;

	for (unsigned i = 0; i < e->depth; i++)
		layer = layer->backing;
	if (!e->data || e->zero || !e->has_host || !image_is_qcow2(layer) ||
	    layer->data->fd < 0 || layer->data->base || layer->data->end)
		return 0;
	r = look_at_host(s, layer->data, e->host);
	if (r < 0)
		return r;
	e->len = min_u64(e->len, s->host_end - e->host);
	e->zero = !s->host_is_data;
	return 0;
}

static int Q2_CO
map_any(struct image *img, uint64_t off, struct q2_extent *ret_ext)
{
	uint64_t len = img->size - off;

	if (!img->file) {
		*ret_ext = (struct q2_extent){
			.off = off, .len = len, .present = true, .zero = true};
		return 0;
	}
	return image_is_qcow2(img) ? chain_map(img, off, len, ret_ext)
				   : raw_map(img, off, len, ret_ext);
}

int Q2_CO
source_map(struct source *s, uint64_t off, bool look, struct q2_extent *ret_ext)
{
	struct q2_extent *e = &s->ext;
	uint64_t skip;
	int r = 0;

	/* The last one found may go on: a file system is slow to say how far
	 * data goes. */
	if (off < e->off || off >= e->off + e->len)
		r = map_any(s->img, off, e);
	if (r < 0)
		return r;
	*ret_ext = *e;
	skip = off - e->off;
	ret_ext->off += skip;
	ret_ext->len -= skip;
	ret_ext->host += skip;
	return look && image_is_qcow2(s->img) ? refine(s, ret_ext) : 0;
}

/* ---- requests ---------------------------------------------------------- */

static void
request_done(struct q2_req *rq)
{
	struct started *st = container_of(rq, struct started, rq);

	st->ended = true;
	if (st->waiter)
		co_wake(st->waiter);
}

void Q2_CO
started_submit(struct started *st, struct image *img)
{
	st->rq.done = request_done;
	st->ended = false;
	st->waiter = NULL;
	request_submit(img, &st->rq);
}

int Q2_CO
started_wait(struct started *st)
{
	if (!st->ended) {
		st->waiter = co_self();
		co_park();
	}
	return st->rq.result;
}

int Q2_CO
source_read(struct image *img, void *buf, uint64_t len, uint64_t off)
{
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct started st = {.rq = {.op = Q2_READ,
				    .off = off,
				    .len = len,
				    .iov = &iov,
				    .iovcnt = 1}};

	started_submit(&st, img);
	return started_wait(&st);
}
