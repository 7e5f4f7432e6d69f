/* SPDX-License-Identifier: MIT */
/*
 * convert.c - copying images into another one
 *
 * Several coroutines take pieces of COPY_BYTES or so from front to back, read
 * them, and write what is not zero.  Writes start in ascending order, unless
 * the caller does not mind, so that an image allocates its clusters in the
 * guest's order; they do not wait for each other to end.
 *
 * What the tables, or the host's file system, know to be zero is not read.
 *
 * N1 for a target that was made for this: its magic is taken away before the
 * first byte is copied and written when everything else is durable (as far as
 * the cache mode goes), so that an interrupted copy does not look like an
 * image.  Meanwhile the engine writes single fields of the header, never the
 * magic.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/manage/manage.h"
#include "engine/manage/source.h"
#include "engine/manage/steps.h"

/*
 * Large enough for a disk to be busy and for system calls not to count, small
 * enough for all pieces under way to stay in a processor's cache between
 * reading and writing.  Larger clusters make larger pieces: a cluster that is
 * written at once needs nothing copied or zeroed around it.
 */
#define COPY_BYTES (512 * KiB)

/* What moves no bytes is cut too, for progress and for being interrupted. */
#define ZERO_BYTES (UINT64_C(1) << 30)

enum piece_kind {
	PIECE_DATA,
	PIECE_ZERO, /* write zeros */
	PIECE_SKIP, /* the target has it already */
};

struct piece {
	enum piece_kind kind;
	bool zeros; /* PIECE_DATA in a dense copy: it is known to have no other */
	struct source *src;
	uint64_t in_src; /* offset there */
	uint64_t off;    /* in the target */
	uint64_t len;
	uint64_t number; /* for the order of writes */
};

struct copying {
	struct source *src; /* n of them, one behind the other */
	size_t n;
	struct image *dst;
	const struct q2_convert_opts *o;
	struct q2_err *err;
	bool is_zero; /* what is not written reads as zeros */
	uint64_t piece_bytes;
	uint64_t grain;        /* zeros are looked for in blocks of this size */
	uint64_t sparse_bytes; /* fewer are copied like data */
	uint64_t whole;        /* compressed: pieces are of whole clusters */
	/* Only what layers above this depth hold is copied (0: all is), as
	 * data or zeros, as it is there; behind `grown` the target has been
	 * made longer and reads as zeros. */
	unsigned depth;
	uint64_t grown;

	struct co_mutex take; /* next_piece() parks: one at a time */
	size_t now;           /* source that is being read */
	uint64_t start;       /* of it, in the target */
	uint64_t next;        /* offset in it */
	uint64_t numbers;     /* pieces handed out */

	uint64_t turn; /* number of the piece that may write */
	struct co_queue turns;

	uint64_t done, total;
	uint64_t data; /* if only that counts: bytes of it */
	bool counting; /* is that being found out? */
	struct steps steps;
	uint64_t begun_ns;
	int result; /* the first error; err is set then */
	struct co_join join;
};

/* ---- errors ------------------------------------------------------------ */

static const char *
reason(int r)
{
	return strerror(r == -Q2_ECORRUPT ? EIO : -r);
}

/* Keep the first error. */
static void
fail(struct copying *c, int r, const char *what, uint64_t off)
{
	if (c->result < 0)
		return;
	c->result = q2_fail(c->err, r, "error while %s %" PRIu64 ": %s", what,
			    off, reason(r));
}

static void
tell_progress(struct copying *c, uint64_t done, uint64_t of)
{
	if (c->o->progress && c->result == 0 &&
	    !c->o->progress(c->o->arg, done, of))
		c->result = q2_fail(c->err, -ECANCELED, "interrupted");
}

static void
report(struct copying *c, uint64_t len)
{
	c->done += len;
	/* Nothing new, but an interruption is noticed. */
	if (c->o->count_data)
		tell_progress(c, c->steps.told, c->data);
	else
		tell_progress(c, c->done, c->total);
}

static void
report_step(void *arg, uint64_t bytes)
{
	struct copying *c = arg;

	tell_progress(c, bytes, c->data);
}

/* ---- which piece is next ----------------------------------------------- */

static enum piece_kind
kind_of(const struct copying *c, const struct q2_extent *e)
{
	if (c->o->target_has_backing && (!e->present || e->depth > 0))
		return PIECE_SKIP;
	/* A layer between that ends before this hides what is below it. */
	if (c->depth &&
	    (e->depth >= c->depth || (!e->present && e->off >= c->grown)))
		return PIECE_SKIP;
	if (!e->zero)
		return PIECE_DATA;
	/* With -S 0 zeros are written as data; see read_piece(). */
	if (c->o->dense)
		return PIECE_DATA;
	return c->is_zero ? PIECE_SKIP : PIECE_ZERO;
}

/* Salvaging: what cannot be read is told, and goes on as zeros. */
static bool
may_skip(const struct copying *c, const char *what, uint64_t off, int r)
{
	char text[128];

	if (!c->o->salvage)
		return false;
	/* It is told when it is copied. */
	if (c->counting)
		return true;
	(void)snprintf(text, sizeof(text), "error while %s %" PRIu64 ": %s",
		       what, off, reason(r));
	if (c->o->unreadable)
		c->o->unreadable(c->o->unreadable_arg, text);
	return true;
}

/* The extent at p->in_src + p->len, as what a piece has; its length in
 * *ret_len. */
static int Q2_CO
look(struct copying *c, const struct piece *p, enum piece_kind *ret_kind,
     bool *ret_zeros, uint64_t *ret_len)
{
	struct q2_extent e;
	int r = source_map(p->src, p->in_src + p->len, true, &e);

	if (r < 0 &&
	    may_skip(c, "reading block status at offset", p->off + p->len, r)) {
		*ret_kind = PIECE_DATA;
		*ret_zeros = false;
		*ret_len = Q2_SECTOR;
		return 0;
	}
	if (r < 0) {
		fail(c, r, "reading block status at offset", p->off + p->len);
		return r;
	}
	*ret_kind = kind_of(c, &e);
	/* QEMU's steps are of one or the other. */
	*ret_zeros = c->o->count_data && c->o->dense && e.zero;
	*ret_len = e.len;
	return 0;
}

/* Make p as long as it may be: pieces end at multiples of their size, so that
 * they hold whole clusters. */
static int Q2_CO
extend(struct copying *c, struct piece *p, uint64_t left)
{
	uint64_t most = left, len;
	enum piece_kind kind;
	bool zeros;
	int r = look(c, p, &p->kind, &p->zeros, &len);

	if (r < 0)
		return r;
	if (p->kind == PIECE_DATA)
		most = min_u64(left, c->piece_bytes - p->off % c->piece_bytes);
	else if (p->kind == PIECE_ZERO)
		most = min_u64(left, ZERO_BYTES - p->off % ZERO_BYTES);
	p->len = min_u64(len, most);
	while (p->len < most) {
		r = look(c, p, &kind, &zeros, &len);
		if (r < 0)
			return r;
		if (kind != p->kind || zeros != p->zeros)
			break;
		p->len += min_u64(len, most - p->len);
	}
	return 0;
}

/* Compressed clusters are written whole, even if only a part of one is data, or
 * the next source begins in it. */
static void
take_whole_clusters(const struct copying *c, struct piece *p)
{
	if (p->len >= c->whole) {
		p->len = align_down(p->len, c->whole);
		return;
	}
	p->len = min_u64(c->whole, c->total - p->off);
	p->kind = PIECE_DATA;
}

/* The next piece that needs work; false at the end or after an error. */
static bool Q2_CO
next_piece(struct copying *c, struct piece *ret)
{
	while (c->result == 0 && c->now < c->n) {
		struct source *s = &c->src[c->now];

		if (c->next >= s->img->size) {
			c->start += s->img->size;
			c->next -= s->img->size;
			c->now++;
			continue;
		}
		*ret = (struct piece){
			.src = s,
			.in_src = c->next,
			.off = c->start + c->next,
		};
		if (extend(c, ret, s->img->size - c->next) < 0)
			return false;
		if (c->whole)
			take_whole_clusters(c, ret);
		c->next += ret->len;
		if (ret->kind != PIECE_SKIP) {
			ret->number = c->numbers++;
			return true;
		}
		report(c, ret->len);
	}
	return false;
}

/* How much of it is data? */
static void Q2_CO
count_data(struct copying *c)
{
	struct piece p;

	c->counting = true;
	while (next_piece(c, &p)) {
		if (p.kind == PIECE_DATA)
			c->data += p.len;
		tell_progress(c, 0, 0);
	}
	c->counting = false;
	c->now = 0;
	c->start = c->next = c->numbers = 0;
	c->done = 0;
}

/* ---- the rate ---------------------------------------------------------- */

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int
sleep_ns(void *arg)
{
	const uint64_t *ns = arg;
	struct timespec ts = {.tv_sec = (time_t)(*ns / 1000000000),
			      .tv_nsec = (long)(*ns % 1000000000)};

	(void)nanosleep(&ts, NULL);
	return 0;
}

/* Wait until what has been handed out is not ahead of the rate; in short
 * sleeps, so that Ctrl-C is noticed. */
static void Q2_CO
pace(struct copying *c, uint64_t handed_out)
{
	uint64_t due, now;

	if (!c->o->rate)
		return;
	due = c->begun_ns +
	      (uint64_t)((double)handed_out / (double)c->o->rate * 1e9);
	while (c->result == 0 && (now = now_ns()) < due) {
		uint64_t ns = min_u64(due - now, 200000000);

		if (loop_offload(c->dst->loop, sleep_ns, &ns) < 0)
			return;
		report(c, 0);
	}
}

static bool Q2_CO
take_piece(struct copying *c, struct piece *ret)
{
	bool has;

	co_mutex_lock(&c->take);
	pace(c, c->start + c->next);
	has = next_piece(c, ret);
	if (c->o->count_data && !has)
		steps_end(&c->steps);
	else if (c->o->count_data && ret->kind == PIECE_DATA)
		steps_take(&c->steps, ret->off, ret->len,
			   ret->zeros ? STEPS_ZEROS : STEPS_DATA);
	co_mutex_unlock(&c->take);
	return has;
}

/* ---- the order of writes ----------------------------------------------- */

static void Q2_CO
wait_turn(struct copying *c, const struct piece *p)
{
	while (!c->o->out_of_order && c->turn != p->number)
		co_queue_wait(&c->turns);
}

/* The last write of p has started, or will not. */
static void
pass_turn(struct copying *c)
{
	c->turn++;
	co_queue_wake_all(&c->turns);
}

/* ---- one piece --------------------------------------------------------- */

/* Sector by sector, what can be read. */
static int Q2_CO
salvage(const struct copying *c, struct image *img, uint8_t *buf, uint64_t len,
	uint64_t at, uint64_t off)
{
	for (uint64_t done = 0, n; done < len; done += n) {
		int r;

		n = min_u64(len - done, Q2_SECTOR);
		r = source_read(img, buf + done, n, at + done);
		if (r == 0)
			continue;
		if (!may_skip(c, "reading offset", off + done, r))
			return r;
		memset(buf + done, 0, n);
	}
	return 0;
}

static int Q2_CO
read_piece(struct copying *c, const struct piece *p, uint8_t *buf)
{
	const struct source *src = p->src;
	uint64_t at = p->in_src, done = 0;
	int r = 0;

	if (p->kind != PIECE_DATA || c->result < 0)
		return 0;
	while (r == 0 && done < p->len) {
		uint64_t len = min_u64(p->len - done, src->img->size - at);

		r = source_read(src->img, buf + done, len, at);
		if (r < 0 && c->o->salvage)
			r = salvage(c, src->img, buf + done, len, at,
				    p->off + done);
		done += len;
		at = 0;
		src++;
	}
	if (r < 0)
		fail(c, r, "reading at byte", p->off);
	return r;
}

/* From at on: bytes that are all zeros, or all to be copied. */
struct run {
	uint64_t at, len;
	bool zero;
};

/* The end of the block at off of the target, or of the piece. */
static uint64_t
block_end(const struct copying *c, const struct piece *p, uint64_t at)
{
	uint64_t end = align_down(p->off + at, c->grain) + c->grain;

	return min_u64(p->len, end - p->off);
}

/* How far zeros go, in whole blocks. */
static uint64_t
zeros_from(const struct copying *c, const struct piece *p, const uint8_t *buf,
	   uint64_t at)
{
	uint64_t from = at;

	while (at < p->len) {
		uint64_t end = block_end(c, p, at);

		if (!mem_is_zero(buf + at, end - at))
			break;
		at = end;
	}
	return at - from;
}

static struct run
next_run(const struct copying *c, const struct piece *p, const uint8_t *buf,
	 uint64_t at)
{
	struct run run = {.at = at};
	uint64_t zeros = 0;

	if (p->kind == PIECE_ZERO)
		return (struct run){at, p->len - at, true};
	if (c->o->dense || c->depth)
		return (struct run){at, p->len - at, false};
	zeros = zeros_from(c, p, buf, at);
	if (zeros >= c->sparse_bytes || zeros == p->len - at)
		return (struct run){at, zeros, zeros > 0};
	/* Data, and zeros too few to be left out. */
	while (at < p->len) {
		zeros = zeros_from(c, p, buf, at);
		if (zeros >= c->sparse_bytes)
			break;
		at = zeros ? at + zeros : block_end(c, p, at);
	}
	run.len = at - run.at;
	return run;
}

static int Q2_CO
write_run(struct copying *c, const struct piece *p, const uint8_t *buf,
	  const struct run *run)
{
	/* iovec has no const; a write does not change it. */
	struct iovec iov = {(void *)(uintptr_t)(buf + run->at), run->len};
	struct started st = {.rq = {.op = run->zero ? Q2_ZERO : Q2_WRITE,
				    .off = p->off + run->at,
				    .len = run->len}};

	if (run->zero)
		st.rq.flags = c->o->dense ? 0 : Q2_MAY_UNMAP;
	else
		st.rq.iov = &iov;
	if (c->whole && !run->zero)
		st.rq.flags = Q2_COMPRESSED;
	st.rq.iovcnt = !run->zero;
	started_submit(&st, c->dst);
	if (run->at + run->len == p->len)
		pass_turn(c);
	return started_wait(&st);
}

static void Q2_CO
write_piece(struct copying *c, const struct piece *p, const uint8_t *buf)
{
	bool passed = false;
	uint64_t at = 0;

	while (at < p->len && c->result == 0) {
		struct run run = next_run(c, p, buf, at);
		int r;

		at += run.len;
		if (run.zero && c->is_zero)
			continue;
		passed = at == p->len;
		r = write_run(c, p, buf, &run);
		if (r < 0)
			fail(c, r, "writing at byte", p->off + run.at);
	}
	if (!passed)
		pass_turn(c);
}

static void
copy_pieces(void *arg)
{
	struct copying *c = arg;
	uint8_t *buf = loop_buf_alloc(c->dst->loop, c->piece_bytes);
	struct piece p;

	if (!buf && c->result == 0)
		c->result = q2_fail(c->err, -ENOMEM, "no memory to copy with");
	while (c->result == 0 && take_piece(c, &p)) {
		(void)read_piece(c, &p, buf);
		wait_turn(c, &p);
		write_piece(c, &p, buf);
		report(c, p.len);
	}
	if (buf)
		loop_buf_free(c->dst->loop, buf);
	co_join_end(&c->join, c->result);
}

/* ---- the target's magic ------------------------------------------------ */

static int Q2_CO
write_magic(struct copying *c, uint32_t magic)
{
	uint8_t bytes[4];
	int r;

	store_be32(bytes, magic);
	r = file_write(c->dst->file, AIO_HEADER, bytes, sizeof(bytes), 0);
	if (r == 0)
		r = file_sync(c->dst->file);
	if (r < 0)
		fail(c, r, "writing at byte", 0);
	return r;
}

static int Q2_CO
flush_target(struct copying *c)
{
	struct started st = {.rq = {.op = Q2_FLUSH}};
	int r;

	started_submit(&st, c->dst);
	r = started_wait(&st);
	if (r < 0 && c->result == 0)
		c->result = q2_fail(c->err, r,
				    "error while flushing the target: %s",
				    reason(r));
	return r;
}

/* ---- the whole --------------------------------------------------------- */

static void Q2_CO
run_copies(struct copying *c)
{
	co_join_init(&c->join);
	for (unsigned i = 0; i < c->o->coroutines; i++) {
		int r;

		co_join_add(&c->join);
		r = co_start(&c->dst->loop->sched, copy_pieces, c);
		/* Those that run are enough. */
		if (r < 0)
			co_join_end(&c->join, i ? 0 : r);
		if (r < 0 && !i)
			fail(c, r, "starting at byte", 0);
	}
	(void)co_join_wait(&c->join);
}

static int Q2_CO
copy_all(struct copying *c)
{
	bool hide = c->o->target_is_new && image_is_qcow2(c->dst);

	/* First of all: what is interrupted while it counts is no image. */
	if (hide && write_magic(c, 0) < 0)
		return c->result;
	if (c->o->count_data)
		count_data(c);
	run_copies(c);
	if (c->result == 0)
		(void)flush_target(c);
	if (hide && c->result == 0)
		(void)write_magic(c, HEADER_MAGIC);
	return c->result;
}

/* P3: zeros on the disk are none to the guest of an encrypted image, so a
 * preallocated one, which has tables, does not read as zeros. */
static bool
is_filled_with_noise(const struct image *img)
{
	if (!img->header.crypt_method)
		return false;
	for (uint32_t i = 0; i < img->l1.n; i++)
		if (img->l1.entries[i])
			return true;
	return false;
}

/* All of it but the sources. */
static struct copying *
copying_new(struct image *const *sources, size_t n, struct image *target,
	    const struct q2_convert_opts *opts)
{
	struct copying *c = calloc(1, sizeof(*c));

	if (c)
		c->src = calloc(n, sizeof(*c->src));
	if (!c || !c->src) {
		free(c);
		return NULL;
	}
	c->n = n;
	c->dst = target;
	c->o = opts;
	c->piece_bytes = COPY_BYTES;
	if (image_is_qcow2(target))
		c->piece_bytes = max_u64(COPY_BYTES, target->geom.cluster_size);
	c->sparse_bytes = opts->sparse_bytes;
	if (opts->compressed)
		c->sparse_bytes = c->whole = target->geom.cluster_size;
	c->grain = UINT64_C(1) << (63 - __builtin_clzll(c->sparse_bytes));
	c->begun_ns = now_ns();
	steps_init(&c->steps, c->whole ? c->whole : STEPS_CHUNK, report_step,
		   c);
	co_mutex_init(&c->take);
	co_queue_init(&c->turns);
	for (size_t i = 0; i < n; i++) {
		source_init(&c->src[i], sources[i]);
		c->total += sources[i]->size;
	}
	return c;
}

static void
copying_free(struct copying *c)
{
	free(c->src);
	free(c);
}

int Q2_CO
convert_images(struct image *const *sources, size_t n, struct image *target,
	       const struct q2_convert_opts *opts, struct q2_err *err)
{
	bool is_device = target->file && target->file->is_block &&
			 !image_is_qcow2(target);
	struct copying *c = copying_new(sources, n, target, opts);
	int r;

	if (!c)
		return q2_fail(err, -ENOMEM, "no memory to copy with");
	c->err = err;
	/* What a block device held before is still there. */
	c->is_zero = (opts->target_is_zero ||
		      (opts->target_is_new && !is_device &&
		       !is_filled_with_noise(target))) &&
		     !opts->target_has_backing;
	r = copy_all(c);
	copying_free(c);
	return r;
}

int Q2_CO
convert_down(const struct convert_down *down,
	     const struct q2_convert_opts *opts, struct q2_err *err)
{
	struct copying *c = copying_new(&down->top, 1, down->base, opts);
	int r;

	if (!c)
		return q2_fail(err, -ENOMEM, "no memory to copy with");
	c->err = err;
	c->depth = down->depth;
	c->grown = down->grown;
	r = copy_all(c);
	copying_free(c);
	return r;
}
