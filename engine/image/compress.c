/* SPDX-License-Identifier: MIT */
#include "engine/image/compress.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/format/codec.h"
#include "engine/image/compress_priv.h"
#include "engine/image/image.h"

/* Unpacked clusters that nobody uses are kept up to this, and at least two. */
#define KEEP_BYTES (1 * MiB)

/* Unpacking less costs less than asking another thread for it. */
#define OFFLOAD_BYTES (8 * KiB)

struct unpacked {
	struct list link;   /* on compress.unpacked */
	uint64_t host, len; /* the compressed bytes */
	unsigned refs;
	bool forgotten; /* not on the list any more */
	bool loading;
	int result;           /* of loading */
	struct co_queue wait; /* for its end */
	uint8_t *data;        /* one cluster */
};

void
compress_init(struct compress *c)
{
	*c = (struct compress){0};
	list_init(&c->unpacked);
	list_init(&c->rooms);
	co_queue_init(&c->codec_wait);
	co_queue_init(&c->turns);
}

static void
unpacked_free(struct unpacked *u)
{
	free(u->data);
	free(u);
}

void
compress_done(struct compress *c)
{
	struct list *el;

	while ((el = list_pop(&c->unpacked)))
		unpacked_free(container_of(el, struct unpacked, link));
	while (c->n_idle)
		codec_free(c->idle[--c->n_idle]);
	compress_write_done(c);
}

/* ---- codecs ------------------------------------------------------------ */

/* Who comes when all are in use waits: there are not so many processors, and
 * a codec that is made for one cluster costs more than the cluster. */
static struct codec *Q2_CO
codec_take(struct image *img)
{
	struct compress *c = &img->compress;
	struct codec *codec;

	while (!c->n_idle && c->n_codecs == COMPRESS_CODECS)
		co_queue_wait(&c->codec_wait);
	if (c->n_idle)
		return c->idle[--c->n_idle];
	codec = codec_new(img->header.compression_type);
	c->n_codecs += codec != NULL;
	return codec;
}

static void
codec_give(struct image *img, struct codec *codec)
{
	struct compress *c = &img->compress;

	c->idle[c->n_idle++] = codec;
	(void)co_queue_wake(&c->codec_wait);
}

static int
unpack(void *arg)
{
	struct compress_job *job = arg;

	return codec_unpack(job->codec, job->src, job->src_len, job->dst,
			    job->dst_len);
}

int
compress_pack(void *work)
{
	struct compress_job *job = work;

	return codec_pack(job->codec, job->effort, job->src, job->src_len,
			  job->dst, job->dst_len);
}

int Q2_CO
compress_run(struct image *img, int (*fn)(void *job), struct compress_job *job)
{
	int r;

	job->codec = codec_take(img);
	if (!job->codec)
		return -ENOMEM;
	r = img->geom.cluster_size < OFFLOAD_BYTES
		    ? fn(job)
		    : loop_offload(img->loop, fn, job);
	codec_give(img, job->codec);
	return r;
}

/* ---- unpacked clusters ------------------------------------------------- */

static void
forget(struct compress *c, struct unpacked *u)
{
	list_remove(&u->link);
	c->n_unpacked--;
	u->forgotten = true;
	if (!u->refs)
		unpacked_free(u);
}

void
compress_forget(struct image *img, uint64_t host, uint64_t clusters)
{
	struct compress *c = &img->compress;
	uint64_t end = host + (clusters << img->geom.cluster_bits);
	struct list *el, *next;

	for (el = c->unpacked.next; el != &c->unpacked; el = next) {
		struct unpacked *u = container_of(el, struct unpacked, link);

		next = el->next;
		if (u->host < end && u->host + u->len > host)
			forget(c, u);
	}
}

void
compress_close(struct image *img, uint64_t host, uint64_t clusters)
{
	struct compress *c = &img->compress;
	uint64_t end = host + (clusters << img->geom.cluster_bits);

	if (c->at > host && c->at < end)
		c->at = 0;
}

/* Make room for one more: those in use do not count against anybody. */
static void
forget_oldest(struct image *img)
{
	struct compress *c = &img->compress;
	uint64_t most = max_u64(KEEP_BYTES >> img->geom.cluster_bits, 2);
	struct list *el, *before;

	for (el = c->unpacked.prev; el != &c->unpacked && c->n_unpacked >= most;
	     el = before) {
		struct unpacked *u = container_of(el, struct unpacked, link);

		before = el->prev;
		if (!u->refs)
			forget(c, u);
	}
}

/* One that is there, or is being loaded. */
static struct unpacked *
find(struct compress *c, const struct l2_entry *e)
{
	for (struct list *el = c->unpacked.next; el != &c->unpacked;
	     el = el->next) {
		struct unpacked *u = container_of(el, struct unpacked, link);

		if (u->host != e->host || u->len != e->len)
			continue;
		list_remove(el);
		list_append(c->unpacked.next, el);
		return u;
	}
	return NULL;
}

static struct unpacked *
add(struct image *img, const struct l2_entry *e)
{
	struct compress *c = &img->compress;
	struct unpacked *u = malloc(sizeof(*u));

	if (!u)
		return NULL;
	*u = (struct unpacked){
		.host = e->host,
		.len = e->len,
		.loading = true,
		.data = malloc(img->geom.cluster_size),
	};
	if (!u->data) {
		free(u);
		return NULL;
	}
	co_queue_init(&u->wait);
	forget_oldest(img);
	list_append(c->unpacked.next, &u->link);
	c->n_unpacked++;
	return u;
}

static void
put(struct compress *c, struct unpacked *u)
{
	if (--u->refs)
		return;
	if (u->forgotten)
		unpacked_free(u);
	else if (u->result < 0)
		forget(c, u);
}

static int Q2_CO
load(struct image *img, struct unpacked *u, enum aio_class cls)
{
	Q2_AUTO_FREE uint8_t *packed = mem_aligned(u->len);
	struct compress_job job = {
		.src = packed,
		.src_len = u->len,
		.dst = u->data,
		.dst_len = img->geom.cluster_size,
	};
	int r;

	if (!packed)
		return -ENOMEM;
	POINT_ADD(&img->points, compressed_bytes, job.dst_len);
	r = POINT_HIT(&img->points, compressed_read);
	if (r == 0)
		r = file_read(img->file, cls, packed, u->len, u->host);
	return r < 0 ? r : compress_run(img, unpack, &job);
}

int Q2_CO
compress_read(struct image *img, const struct l2_entry *e, uint64_t in_cluster,
	      struct iov_iter *it, uint64_t len, enum aio_class cls)
{
	struct unpacked *u = find(&img->compress, e);
	int r;

	assert(in_cluster + len <= img->geom.cluster_size);
	if (u) {
		u->refs++;
		while (u->loading)
			co_queue_wait(&u->wait);
	} else {
		u = add(img, e);
		if (!u)
			return -ENOMEM;
		u->refs++;
		u->result = load(img, u, cls);
		u->loading = false;
		co_queue_wake_all(&u->wait);
	}
	r = u->result;
	if (r == 0)
		iov_copy_in(it, u->data + in_cluster, len);
	put(&img->compress, u);
	return r;
}
