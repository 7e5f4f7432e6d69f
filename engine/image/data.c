/* SPDX-License-Identifier: MIT */
/*
 * data.c - guest data to and from the host file
 *
 * Encrypted data moves in whole sectors.  What is read lands in the caller's
 * memory and is decrypted there, if it is whole sectors there, too.  What is
 * written is encrypted from the caller's memory into a buffer (P1).  A part of
 * a sector is read, changed and written, alone: writes under way to the same
 * sectors wait for each other then, in the order in which they came.
 */
#include "engine/image/data.h"

#include <assert.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/crypt/cipher.h"
#include "engine/image/image.h"

/* Whole sectors [host, host + len), one piece of a transfer, in a buffer. */
struct piece {
	struct image *img;
	enum aio_class cls;
	uint8_t *buf;
	uint64_t host, len;
	uint64_t sector; /* for the cipher */
};

/* The piece that begins with the sector of the first of at's bytes, most of
 * them at a time. */
static struct piece
piece_at(struct image *img, enum aio_class cls, const struct data_place *at)
{
	struct piece p = {.img = img, .cls = cls};

	p.host = align_down(at->host, CIPHER_SECTOR);
	p.len = min_u64(align_up(at->host + at->len, CIPHER_SECTOR) - p.host,
			CRYPT_PIECE);
	p.sector = crypt_sector(img, at->guest, at->host);
	return p;
}

/* at without what p has. */
static void
step(struct data_place *at, const struct piece *p)
{
	uint64_t moved = min_u64(p->host + p->len, at->host + at->len) -
			 at->host;

	at->host += moved;
	at->guest += moved;
	at->len -= moved;
}

/* Whole sectors, in memory as well. */
static bool
is_whole(const struct iov_iter *it, uint64_t host, uint64_t len)
{
	return is_aligned(host | len, CIPHER_SECTOR) &&
	       iov_is_aligned(it, len, CIPHER_SECTOR);
}

/* ---- reading ----------------------------------------------------------- */

/* Whole sectors from the file into p's buffer. */
static int Q2_CO
load(const struct piece *p, uint64_t from, uint64_t len)
{
	struct crypt_job job = {
		.sector = p->sector + from / CIPHER_SECTOR,
		.len = len,
		.buf = p->buf + from,
	};
	int r = file_read(p->img->data, p->cls, job.buf, len, p->host + from);

	return r < 0 ? r : crypt_run(p->img, &job);
}

static int Q2_CO
read_in_place(const struct piece *p, struct iov_iter *it)
{
	struct iov_iter bytes = *it;
	struct crypt_job job = {
		.sector = p->sector, .len = p->len, .it = &bytes};
	int r = file_readv(p->img->data, p->cls, it, p->len, p->host);

	return r < 0 ? r : crypt_run(p->img, &job);
}

static int Q2_CO
read_by_buffer(struct piece *p, struct iov_iter *it,
	       const struct data_place *at)
{
	uint64_t skip = at->host - p->host;
	int r = -ENOMEM;

	p->buf = crypt_buffer_take(&p->img->crypt);
	if (p->buf)
		r = load(p, 0, p->len);
	if (r == 0)
		iov_copy_in(it, p->buf + skip, min_u64(p->len - skip, at->len));
	crypt_buffer_give(&p->img->crypt, p->buf);
	return r;
}

int Q2_CO
data_readv(struct image *img, enum aio_class cls, struct iov_iter *it,
	   const struct data_place *at)
{
	struct data_place rest = *at;
	int r = 0;

	if (!crypt_has_key(img))
		return -EACCES;
	if (!img->crypt.on)
		return file_readv(img->data, cls, it, at->len, at->host);
	while (r == 0 && rest.len) {
		struct piece p = piece_at(img, cls, &rest);

		if (is_whole(it, rest.host, rest.len))
			r = read_in_place(&p, it);
		else
			r = read_by_buffer(&p, it, &rest);
		step(&rest, &p);
	}
	return r;
}

/* ---- writing ----------------------------------------------------------- */

/* A write under way, to whole sectors. */
struct sector_write {
	struct list link;
	uint64_t host, len;
	bool alone; /* it changes a part of a sector */
};

/* Must w wait for one that came before it? */
static bool
must_wait(const struct crypt *c, const struct sector_write *w)
{
	for (struct list *el = w->link.prev; el != &c->writes; el = el->prev) {
		const struct sector_write *o = container_of(
			el, struct sector_write, link);

		if ((o->alone || w->alone) &&
		    ranges_overlap(o->host, o->len, w->host, w->len))
			return true;
	}
	return false;
}

static void Q2_CO
begin_write(struct crypt *c, struct sector_write *w,
	    const struct data_place *at)
{
	uint64_t end = align_up(at->host + at->len, CIPHER_SECTOR);

	w->host = align_down(at->host, CIPHER_SECTOR);
	w->len = end - w->host;
	w->alone = !is_aligned(at->host | at->len, CIPHER_SECTOR);
	list_append(&c->writes, &w->link);
	while (must_wait(c, w))
		co_queue_wait(&c->write_wait);
}

static void
end_write(struct crypt *c, struct sector_write *w)
{
	list_remove(&w->link);
	co_queue_wake_all(&c->write_wait);
}

/* The sectors of which at has only a part. */
static int Q2_CO
load_edges(const struct piece *p, const struct data_place *at)
{
	struct piece old = *p;
	uint64_t end = p->host + p->len;
	bool first = at->host > p->host, last = at->host + at->len < end;
	int r = 0;

	old.cls = AIO_COW;
	if (first)
		r = load(&old, 0, CIPHER_SECTOR);
	if (r == 0 && last && !(first && p->len == CIPHER_SECTOR))
		r = load(&old, p->len - CIPHER_SECTOR, CIPHER_SECTOR);
	return r;
}

static int Q2_CO
encrypt_piece(const struct piece *p, struct iov_iter *it,
	      const struct data_place *at)
{
	struct crypt_job job = {
		.sector = p->sector,
		.len = p->len,
		.encrypt = true,
		.buf = p->buf,
	};
	uint64_t skip = at->host - p->host;
	uint64_t len = min_u64(p->len - skip, at->len);
	struct iov_iter bytes = *it;
	int r = 0;

	if (len == p->len && is_whole(it, p->host, p->len))
		job.it = &bytes;
	else
		r = load_edges(p, at);
	if (r == 0 && !job.it)
		iov_copy_out(it, p->buf + skip, len);
	else if (r == 0)
		iov_advance(it, len);
	return r < 0 ? r : crypt_run(p->img, &job);
}

static int Q2_CO
write_pieces(struct image *img, enum aio_class cls, struct iov_iter *it,
	     const struct data_place *at)
{
	uint8_t *buf = crypt_buffer_take(&img->crypt);
	struct data_place rest = *at;
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && rest.len) {
		struct piece p = piece_at(img, cls, &rest);

		p.buf = buf;
		r = encrypt_piece(&p, it, &rest);
		if (r == 0)
			r = file_write(img->data, cls, buf, p.len, p.host);
		step(&rest, &p);
	}
	crypt_buffer_give(&img->crypt, buf);
	return r;
}

int Q2_CO
data_writev(struct image *img, enum aio_class cls, struct iov_iter *it,
	    const struct data_place *at)
{
	struct sector_write w;
	int r;

	if (!crypt_has_key(img))
		return -EACCES;
	if (!img->crypt.on)
		return file_writev(img->data, cls, it, at->len, at->host);
	begin_write(&img->crypt, &w, at);
	r = write_pieces(img, cls, it, at);
	end_write(&img->crypt, &w);
	return r;
}

int Q2_CO
data_write_zeros(struct image *img, enum aio_class cls,
		 const struct data_place *at)
{
	struct data_place part = *at;
	uint64_t done = 0;
	int r = 0;

	assert(img->crypt.on);
	for (; r == 0 && done < at->len; done += part.len) {
		/* iovec has no const; a write does not change it. */
		struct iovec iov = {(void *)(uintptr_t)mem_zeros,
				    min_u64(at->len - done, MEM_ZEROS_BYTES)};
		struct iov_iter it = iov_iter_init(&iov, 1);

		part = (struct data_place){iov.iov_len, at->guest + done,
					   at->host + done};
		r = data_writev(img, cls, &it, &part);
	}
	return r;
}
