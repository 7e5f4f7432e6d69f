/* SPDX-License-Identifier: MIT */
/*
 * compare.c - does a guest read the same from two images?
 *
 * Several coroutines take pieces from front to back; each reads its piece from
 * both images, or from the only one that has data there.  What is found first
 * need not be at the lowest offset: after a finding no more pieces are handed
 * out, those under way end, and the lowest finding is the result.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/manage/manage.h"
#include "engine/manage/source.h"
#include "engine/manage/steps.h"

#define COMPARE_BYTES (1 * MiB)
#define COMPARERS     4

struct piece {
	uint64_t off, len;
	bool reads[2]; /* which images are read; the other reads as zeros */
};

struct comparing {
	struct source src[2];
	uint64_t size; /* of the longer one */
	const struct q2_compare_opts *o;
	struct q2_err *err;
	struct co_mutex take; /* next_piece() parks: one at a time */
	uint64_t next;
	struct steps steps;      /* of what was taken */
	struct q2_compare found; /* the lowest one */
	int code;                /* of its error */
	int result;              /* no memory, interrupted */
	struct co_join join;
};

/* ---- findings ---------------------------------------------------------- */

static bool
is_over(const struct comparing *c)
{
	return c->result < 0 || c->found.outcome != Q2_COMPARE_SAME;
}

static void
find(struct comparing *c, enum q2_compare_outcome outcome, uint64_t off)
{
	if (c->found.outcome != Q2_COMPARE_SAME && off >= c->found.off)
		return;
	c->found.outcome = outcome;
	c->found.off = off;
}

static void
find_error(struct comparing *c, enum q2_compare_outcome outcome, uint64_t off,
	   unsigned which, int code)
{
	find(c, outcome, off);
	if (c->found.outcome == outcome && c->found.off == off) {
		c->found.which = which;
		c->code = code;
	}
}

static void
report(void *arg, uint64_t done)
{
	struct comparing *c = arg;

	if (c->o->progress && c->result == 0 &&
	    !c->o->progress(c->o->arg, done, c->size))
		c->result = q2_fail(c->err, -ECANCELED, "interrupted");
}

/* ---- which piece is next ----------------------------------------------- */

/* Both extents at off; behind the shorter image's end there are zeros. */
static int Q2_CO
look(struct comparing *c, uint64_t off, struct q2_extent e[2])
{
	for (unsigned i = 0; i < 2; i++) {
		struct source *s = &c->src[i];
		int r;

		if (off >= s->img->size) {
			e[i] = (struct q2_extent){
				.off = off, .len = c->size - off, .zero = true};
			continue;
		}
		r = source_map(s, off, !c->o->strict, &e[i]);
		if (r < 0) {
			find_error(c, Q2_COMPARE_NO_MAP, off, i, r);
			return r;
		}
	}
	return 0;
}

/* QEMU's strict mode: the same state, and going on to the image's end or
 * not. */
static bool
same_state(const struct comparing *c, const struct q2_extent e[2])
{
	bool ends = e[0].off + e[0].len == c->src[0].img->size;
	bool ends2 = e[1].off + e[1].len == c->src[1].img->size;

	return e[0].present == e[1].present && e[0].zero == e[1].zero &&
	       e[0].data == e[1].data && e[0].has_host == e[1].has_host &&
	       e[0].compressed == e[1].compressed && ends == ends2;
}

/* Look at off; false if there is nothing to be done any more. */
static bool Q2_CO
look_at_piece(struct comparing *c, uint64_t off, struct piece *ret)
{
	struct q2_extent e[2];

	if (look(c, off, e) < 0)
		return false;
	if (c->o->strict && !same_state(c, e)) {
		find(c, Q2_COMPARE_STATE, off);
		return false;
	}
	ret->off = off;
	ret->len = min_u64(e[0].len, e[1].len);
	ret->reads[0] = !e[0].zero;
	ret->reads[1] = !e[1].zero;
	if (ret->reads[0] || ret->reads[1])
		ret->len = min_u64(ret->len,
				   COMPARE_BYTES - off % COMPARE_BYTES);
	return true;
}

/* The next piece of which something must be read. */
static bool Q2_CO
next_piece(struct comparing *c, struct piece *ret)
{
	struct piece more;

	while (!is_over(c) && c->next < c->size) {
		if (!look_at_piece(c, c->next, ret))
			return false;
		c->next += ret->len;
		if (!ret->reads[0] && !ret->reads[1]) {
			steps_take(&c->steps, ret->off, ret->len, STEPS_WHOLE);
			/* Nothing new, but an interruption is noticed. */
			report(c, c->steps.told);
			continue;
		}
		/* Short extents in a row are read at once. */
		while (!c->o->strict && c->next < c->size &&
		       c->next % COMPARE_BYTES &&
		       look_at_piece(c, c->next, &more) &&
		       more.reads[0] == ret->reads[0] &&
		       more.reads[1] == ret->reads[1]) {
			ret->len += more.len;
			c->next += more.len;
		}
		return true;
	}
	return false;
}

static bool Q2_CO
take_piece(struct comparing *c, struct piece *ret)
{
	bool has;

	co_mutex_lock(&c->take);
	has = next_piece(c, ret);
	if (has)
		steps_take(&c->steps, ret->off, ret->len, STEPS_DATA);
	else if (!is_over(c))
		steps_end(&c->steps);
	co_mutex_unlock(&c->take);
	return has;
}

/* ---- one piece --------------------------------------------------------- */

static bool Q2_CO
read_both(struct comparing *c, const struct piece *p, uint8_t *buf[2])
{
	struct started st[2];
	struct iovec iov[2];
	bool ok = true;

	for (unsigned i = 0; i < 2; i++) {
		iov[i] = (struct iovec){buf[i], p->len};
		st[i] = (struct started){.rq = {.op = Q2_READ,
						.off = p->off,
						.len = p->len,
						.iov = &iov[i],
						.iovcnt = 1}};
		if (p->reads[i])
			started_submit(&st[i], c->src[i].img);
	}
	for (unsigned i = 0; i < 2; i++) {
		int r = p->reads[i] ? started_wait(&st[i]) : 0;

		if (r < 0) {
			find_error(c, Q2_COMPARE_NO_READ, p->off, i, r);
			ok = false;
		}
	}
	return ok;
}

static uint64_t
first_difference(const uint8_t *a, const uint8_t *b, uint64_t len)
{
	uint64_t at = 0;

	/* Blocks first: memcmp() is fast and does not say where. */
	while (at + 4096 <= len && memcmp(a + at, b + at, 4096) == 0)
		at += 4096;
	while (at < len && a[at] == b[at])
		at++;
	return at;
}

static uint64_t
first_nonzero(const uint8_t *a, uint64_t len)
{
	uint64_t at = 0;

	while (at + 4096 <= len && mem_is_zero(a + at, 4096))
		at += 4096;
	while (at < len && !a[at])
		at++;
	return at;
}

static void
compare_piece(struct comparing *c, const struct piece *p, uint8_t *buf[2])
{
	uint64_t at;

	if (p->reads[0] && p->reads[1])
		at = first_difference(buf[0], buf[1], p->len);
	else
		at = first_nonzero(buf[p->reads[1]], p->len);
	if (at < p->len)
		find(c, Q2_COMPARE_CONTENT, p->off + at);
}

static void
compare_pieces(void *arg)
{
	struct comparing *c = arg;
	struct loop *loop = c->src[0].img->loop;
	uint8_t *buf[2] = {loop_buf_alloc(loop, COMPARE_BYTES),
			   loop_buf_alloc(loop, COMPARE_BYTES)};
	struct piece p;

	if ((!buf[0] || !buf[1]) && c->result == 0)
		c->result = q2_fail(c->err, -ENOMEM, "no memory to compare");
	while (c->result == 0 && take_piece(c, &p)) {
		if (read_both(c, &p, buf))
			compare_piece(c, &p, buf);
		report(c, c->steps.told);
	}
	for (unsigned i = 0; i < 2; i++)
		if (buf[i])
			loop_buf_free(loop, buf[i]);
	co_join_end(&c->join, 0);
}

/* ---- the whole --------------------------------------------------------- */

static int Q2_CO
run_comparers(struct comparing *c)
{
	co_join_init(&c->join);
	for (unsigned i = 0; i < COMPARERS; i++) {
		int r;

		co_join_add(&c->join);
		r = co_start(&c->src[0].img->loop->sched, compare_pieces, c);
		if (r < 0)
			co_join_end(&c->join, 0);
		/* Those that run are enough. */
		if (r < 0 && !i)
			c->result = q2_fail(c->err, r, "no memory to compare");
	}
	(void)co_join_wait(&c->join);
	return c->result;
}

int Q2_CO
compare_images(struct image *a, struct image *b,
	       const struct q2_compare_opts *opts,
	       struct q2_compare *ret_compare, struct q2_err *err)
{
	struct comparing *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return q2_fail(err, -ENOMEM, "no memory to compare");
	source_init(&c->src[0], a);
	source_init(&c->src[1], b);
	c->size = max_u64(a->size, b->size);
	c->o = opts;
	c->err = err;
	c->found.sizes_differ = a->size != b->size;
	steps_init(&c->steps, STEPS_CHUNK, report, c);
	co_mutex_init(&c->take);
	if (opts->strict && c->found.sizes_differ)
		c->found.outcome = Q2_COMPARE_SIZE;
	else
		r = run_comparers(c);
	*ret_compare = c->found;
	if (r == 0 && c->code < 0)
		(void)q2_fail(
			err, c->code, "%s",
			strerror(c->code == -Q2_ECORRUPT ? EIO : -c->code));
	free(c);
	return r;
}
