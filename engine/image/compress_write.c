/* SPDX-License-Identifier: MIT */
/*
 * compress_write.c - the guest's bytes as compressed clusters
 *
 * A request is taken in batches.  A batch
 *
 *	holds	its guest clusters (inflight.h)
 *	packs	them side by side in worker threads, from a copy (P1)
 *	waits	for its turn, so that places follow the order of submission,
 *		whatever was packed first (P1)
 *	places	the packed bytes, one behind the other: clusters share host
 *		clusters, each with a reference of its own
 *	writes	them, adjacent ones at once
 *	links	the entries (P2: what they name has been written)
 *
 * A cluster that packing does not make smaller is written as any other, after
 * that.
 *
 * A compressed write that was asked for finds nothing there, as in QEMU.  With
 * compress=on whole clusters take the place of whatever was there; what the
 * entries named goes into limbo when they have been changed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/compress_priv.h"
#include "engine/image/image.h"
#include "engine/image/io.h"
#include "engine/image/map.h"

/* Bytes of a batch, which is at least one cluster. */
#define BATCH_BYTES (2 * MiB)
/* Clusters of a batch that are packed at a time. */
#define PACKERS 8

/* Batches whose memory is kept for the next ones: that many are in flight in a
 * copy.  */
#define ROOMS_KEPT 8

/* Memory for the bytes of a batch, plain and packed. */
struct room {
	struct list link; /* on compress.rooms */
	uint64_t bytes;   /* of either */
	uint8_t *plain, *packed;
};

struct batch {
	struct image *img;
	uint64_t first, n; /* guest clusters */
	bool replaces;     /* what the clusters have */
	struct room *room;
	struct piece {
		uint64_t len; /* packed; 0: they stay as they are */
		uint64_t host;
	} * pieces;
	uint64_t taken; /* by those that pack */
	struct co_join join;
	uint64_t turn;
};

static void
room_free(struct room *room)
{
	free(room->plain);
	free(room->packed);
	free(room);
}

/* NULL without memory. */
static struct room *
room_take(struct compress *c, uint64_t bytes)
{
	struct room *room;
	struct list *el;

	for (el = c->rooms.next; el != &c->rooms; el = el->next) {
		room = container_of(el, struct room, link);
		if (room->bytes < bytes)
			continue;
		list_remove(el);
		c->n_rooms--;
		return room;
	}
	room = calloc(1, sizeof(*room));
	if (!room)
		return NULL;
	room->bytes = bytes;
	room->plain = mem_aligned(bytes);
	room->packed = mem_aligned(bytes);
	if (room->plain && room->packed)
		return room;
	room_free(room);
	return NULL;
}

static void
room_give(struct compress *c, struct room *room)
{
	if (!room)
		return;
	if (c->n_rooms == ROOMS_KEPT) {
		room_free(room);
		return;
	}
	list_append(&c->rooms, &room->link);
	c->n_rooms++;
}

void
compress_write_done(struct compress *c)
{
	struct list *el;

	while ((el = list_pop(&c->rooms)))
		room_free(container_of(el, struct room, link));
}

static uint8_t *
plain_of(const struct batch *b, uint64_t i)
{
	return b->room->plain + (i << b->img->geom.cluster_bits);
}

static uint8_t *
packed_of(const struct batch *b, uint64_t i)
{
	return b->room->packed + (i << b->img->geom.cluster_bits);
}

/* ---- packing ----------------------------------------------------------- */

static int Q2_CO
pack_some(struct batch *b)
{
	uint64_t size = b->img->geom.cluster_size;
	int r = 0;

	while (r >= 0 && b->taken < b->n) {
		uint64_t i = b->taken++;
		struct compress_job job = {
			.effort = b->img->effort,
			.src = plain_of(b, i),
			.src_len = size,
			.dst = packed_of(b, i),
			.dst_len = size - 1,
		};

		POINT_ADD(&b->img->points, compressed_bytes, job.src_len);
		r = compress_run(b->img, compress_pack, &job);
		if (r > 0)
			b->pieces[i].len = (uint64_t)r;
	}
	return r < 0 ? r : 0;
}

static void
run_packer(void *arg)
{
	struct batch *b = arg;

	co_join_end(&b->join, pack_some(b));
}

static int Q2_CO
pack_all(struct batch *b)
{
	co_join_init(&b->join);
	for (uint64_t i = 0; i < min_u64(b->n, PACKERS); i++) {
		co_join_add(&b->join);
		if (co_start(&b->img->loop->sched, run_packer, b) < 0)
			run_packer(b);
	}
	return co_join_wait(&b->join);
}

/* ---- places ------------------------------------------------------------ */

static void Q2_CO
wait_for_turn(struct batch *b)
{
	struct compress *c = &b->img->compress;

	while (c->turn != b->turn)
		co_queue_wait(&c->turns);
}

static void
end_turn(struct batch *b)
{
	struct compress *c = &b->img->compress;

	assert(c->turn == b->turn);
	c->turn++;
	co_queue_wake_all(&c->turns);
}

/* May more share the host cluster of what was placed last? */
static bool
is_open(const struct image *img)
{
	const struct compress *c = &img->compress;

	return c->at && c->seal == img->commits.sealed;
}

/*
 * len bytes behind those placed last: in their host cluster and, where that is
 * too small, in the next one.  -ERANGE if that cannot be, with *ret_next a
 * cluster to begin with if one was taken.
 */
static int Q2_CO
place_behind(struct image *img, uint64_t len, uint64_t *ret_host,
	     struct host_run *ret_next)
{
	struct compress *c = &img->compress;
	uint64_t at = c->at;
	uint64_t start = geom_cluster_start(&img->geom, at);
	uint64_t end = start + img->geom.cluster_size;
	int r = is_open(img) ? alloc_reference(img, start, 1) : -ERANGE;

	if (r < 0)
		return r;
	if (at + len > end) {
		r = alloc_run(img, 1, ret_next);
		if (r == 0 && ret_next->host != end)
			r = -ERANGE;
		if (r < 0) {
			(void)alloc_release(img, start, 1, false);
			return r;
		}
	}
	*ret_host = at;
	/* Limbo may have got the cluster while this was parked: it keeps what
	 * is in it now, and gets no more. */
	c->at = c->at == at ? at + len : 0;
	return 0;
}

static int Q2_CO
place_anew(struct image *img, uint64_t len, uint64_t *ret_host,
	   struct host_run *run)
{
	int r = run->clusters ? 0 : alloc_run(img, 1, run);

	if (r < 0)
		return r;
	*ret_host = run->host;
	img->compress.at = run->host + len;
	img->compress.seal = img->commits.sealed;
	return 0;
}

/* The host clusters of a piece lose the references that it had. */
static void Q2_CO
give_back(struct image *img, struct piece *p)
{
	const struct geom *g = &img->geom;
	uint64_t start = geom_cluster_start(g, p->host);

	if (p->len)
		(void)alloc_release(
			img, start,
			div_up(p->host + p->len - start, g->cluster_size),
			false);
	p->len = 0;
	img->compress.at = 0;
}

static int Q2_CO
place(struct image *img, struct piece *p)
{
	struct host_run run = {0};
	int r;

	POINT_TELL(&img->points, compressed_alloc, 1);
	r = place_behind(img, p->len, &p->host, &run);

	if (r == -ERANGE)
		r = place_anew(img, p->len, &p->host, &run);
	if (r < 0) {
		p->len = 0;
		return r;
	}
	if (!geom_in_cluster(&img->geom, img->compress.at))
		img->compress.at = 0;
	img->compress.tail = p->host + p->len;
	img->compress.tail_changes = img->alloc.changes;
	if (p->host + p->len > l2_compressed_end(&img->geom))
		give_back(img, p);
	return 0;
}

uint64_t
compress_close_bytes(const struct image *img, uint64_t bytes)
{
	const struct compress *c = &img->compress;

	if (!c->tail || c->tail_changes != img->alloc.changes ||
	    align_up(c->tail, img->geom.cluster_size) != bytes)
		return bytes;
	/* What an entry names are whole sectors. */
	return align_up(c->tail, Q2_SECTOR);
}

static int Q2_CO
place_all(struct batch *b)
{
	unsigned bits = b->img->geom.cluster_bits;
	int r = 0;

	for (uint64_t i = 0; i < b->n; i++) {
		struct piece *p = &b->pieces[i];

		if (r == 0 && p->len)
			r = map_own_table(b->img, (b->first + i) << bits);
		if (r < 0)
			p->len = 0;
		else if (p->len)
			r = place(b->img, p);
	}
	return r;
}

/* ---- writing and linking ----------------------------------------------- */

/* The pieces from i on that are adjacent, as one write; returns the next. */
static uint64_t Q2_CO
write_run(struct batch *b, uint64_t i, int *ret_result)
{
	uint8_t *bytes = packed_of(b, i);
	uint64_t host = b->pieces[i].host, len = 0;

	for (; i < b->n; i++) {
		const struct piece *p = &b->pieces[i];

		if (p->len && p->host != host + len)
			break;
		memmove(bytes + len, packed_of(b, i), p->len);
		len += p->len;
	}
	*ret_result = POINT_HIT(&b->img->points, compressed_write);
	if (*ret_result == 0)
		*ret_result = file_write(b->img->file, AIO_DATA, bytes, len,
					 host);
	cache_data_written(b->img);
	return i;
}

static int Q2_CO
write_all(struct batch *b)
{
	uint64_t i = 0;
	int r = 0;

	while (r == 0 && i < b->n) {
		if (b->pieces[i].len)
			i = write_run(b, i, &r);
		else
			i++;
	}
	return r;
}

/* From piece *i on, those within one slice. */
static int Q2_CO
link_some(struct batch *b, uint64_t *i)
{
	struct image *img = b->img;
	unsigned bits = img->geom.cluster_bits;
	uint64_t guest = (b->first + *i) << bits;
	uint64_t end = min_u64(b->first + b->n,
			       map_slice_end(img, guest) >> bits);
	struct slice *s = NULL;
	uint32_t index = 0;
	int r;

	r = POINT_HIT(&img->points, l2_link);
	if (r == 0)
		r = POINT_HIT(&img->points, compressed_link);
	if (r == 0)
		r = map_get_for_change(img, guest, &s, &index);
	if (r < 0)
		return r;
	for (; b->first + *i < end; ++*i, index++) {
		struct piece *p = &b->pieces[*i];
		struct l2_entry old = map_entry(img, s, index);
		struct l2_entry e = {
			.kind = CLUSTER_COMPRESSED,
			.host = p->host,
			.len = p->len,
		};

		if (!p->len)
			continue;
		map_set_entry(img, s, index, &e);
		limbo_add_entry(img, &old, false);
	}
	slice_put(&img->l2, s);
	return 0;
}

/* What is not linked is given back. */
static int Q2_CO
write_and_link(struct batch *b)
{
	uint64_t linked = 0;
	int r = write_all(b);

	while (r == 0 && linked < b->n)
		r = link_some(b, &linked);
	if (r < 0)
		for (uint64_t i = linked; i < b->n; i++)
			give_back(b->img, &b->pieces[i]);
	return r;
}

/* ---- batches ----------------------------------------------------------- */

/* Are the entries sound and, unless they are to be replaced, empty? */
static int Q2_CO
check_entries(const struct batch *b)
{
	unsigned bits = b->img->geom.cluster_bits;
	uint64_t off = b->first << bits, end = (b->first + b->n) << bits;

	for (end = min_u64(end, b->img->size); off < end;) {
		struct map_extent ext;
		int r = map_lookup_to_write(b->img, off, end - off, &ext);

		if (r < 0)
			return r;
		if (!b->replaces && ext.kind != CLUSTER_UNALLOCATED &&
		    ext.kind != CLUSTER_ZERO_PLAIN)
			return -EIO;
		off += ext.len;
	}
	return map_may_change(b->img, b->first << bits);
}

static int Q2_CO
write_held(struct batch *b)
{
	int r = check_entries(b);

	if (r < 0)
		return r;
	b->turn = b->img->compress.turns_given++;
	r = pack_all(b);
	wait_for_turn(b);
	if (r == 0)
		r = place_all(b);
	else
		for (uint64_t i = 0; i < b->n; i++)
			b->pieces[i].len = 0;
	end_turn(b);
	if (r == 0)
		return write_and_link(b);
	for (uint64_t i = 0; i < b->n; i++)
		give_back(b->img, &b->pieces[i]);
	return r;
}

/* Hold the batch's clusters, when nobody else does. */
static struct inflight *Q2_CO
hold(const struct batch *b)
{
	struct inflight_table *t = &b->img->inflight;
	uint64_t subs = b->img->geom.subs;
	uint64_t first = b->first * subs, n = b->n * subs, at;

	while ((at = inflight_next(t, first, n)) < first + n) {
		struct inflight *f = inflight_find(t, at);

		(void)POINT_HIT(&b->img->points, alloc_wait);
		inflight_ref(f);
		co_queue_wait(&f->wait);
		inflight_put(t, f);
	}
	return inflight_add(t, first, n);
}

/* The clusters that did not become smaller. */
static int Q2_CO
write_plain(const struct batch *b)
{
	const struct geom *g = &b->img->geom;
	int r = 0;

	for (uint64_t i = 0; i < b->n && r == 0; i++) {
		uint64_t off = (b->first + i) << g->cluster_bits;
		struct iovec iov = {
			plain_of(b, i),
			min_u64(g->cluster_size, b->img->size - off)};

		if (!b->pieces[i].len)
			r = image_write(b->img, iov_iter_init(&iov, 1), off);
	}
	return r;
}

static int Q2_CO
write_batch(struct image *img, struct iov_iter *it, uint64_t off, uint64_t len,
	    bool replaces)
{
	unsigned bits = img->geom.cluster_bits;
	struct batch b = {
		.img = img,
		.replaces = replaces,
		.first = off >> bits,
		.n = div_up(len, img->geom.cluster_size),
	};
	struct inflight *f = NULL;
	int r = -ENOMEM;

	b.room = room_take(&img->compress, b.n << bits);
	b.pieces = calloc(b.n, sizeof(*b.pieces));
	if (b.room && b.pieces)
		f = hold(&b);
	if (f) {
		/* Behind the end of the disk there are zeros. */
		iov_copy_out(it, b.room->plain, len);
		memset(b.room->plain + len, 0, (b.n << bits) - len);
		r = write_held(&b);
		inflight_end(f, r);
		inflight_put(&img->inflight, f);
	}
	if (r == 0)
		r = write_plain(&b);
	room_give(&img->compress, b.room);
	free(b.pieces);
	return r;
}

/* Whole clusters, a batch at a time. */
static int Q2_CO
write_clusters(struct image *img, struct iov_iter *it, uint64_t off,
	       uint64_t len, bool replaces)
{
	uint64_t most = max_u64(BATCH_BYTES, img->geom.cluster_size);
	int r = 0;

	while (r == 0 && len > 0) {
		uint64_t n = min_u64(len, most);

		r = write_batch(img, it, off, n, replaces);
		off += n;
		len -= n;
	}
	return r;
}

int Q2_CO
image_write_compressed(struct image *img, struct iov_iter it, uint64_t off)
{
	const struct geom *g = &img->geom;
	uint64_t end = off + it.left;

	/* Encryption is of sectors, and a packed cluster has none: QEMU writes
	 * it to an encrypted image as it is. */
	if (!image_is_qcow2(img) || g->external_data ||
	    img->header.crypt_method)
		return -ENOTSUP;
	if (geom_in_cluster(g, off) ||
	    (geom_in_cluster(g, end) && end != img->size))
		return -EINVAL;
	return write_clusters(img, &it, off, it.left, false);
}

/* The next len bytes, as they are. */
static int Q2_CO
write_some(struct image *img, struct iov_iter *it, uint64_t off, uint64_t len)
{
	struct iov_iter part = *it;

	part.left = len;
	iov_advance(it, len);
	return len ? image_write(img, part, off) : 0;
}

int Q2_CO
image_write_compressing(struct image *img, struct iov_iter it, uint64_t off)
{
	const struct geom *g = &img->geom;
	uint64_t end = off + it.left;
	uint64_t first = align_up(off, g->cluster_size);
	uint64_t last = end == img->size ? end
					 : align_down(end, g->cluster_size);
	int r;

	if (first >= last)
		return image_write(img, it, off);
	r = write_some(img, &it, off, first - off);
	if (r == 0)
		r = write_clusters(img, &it, first, last - first, true);
	if (r == 0)
		r = write_some(img, &it, last, end - last);
	return r;
}
