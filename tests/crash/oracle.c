/* SPDX-License-Identifier: MIT */
#include "tests/crash/oracle.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (CELL / 8)

void
oracle_init(struct oracle *o, const struct regions *r, uint32_t first_id,
	    const uint32_t *base)
{
	*o = (struct oracle){.regions = *r, .first_id = first_id};
	o->n_cells = r->n * r->bytes / CELL;
	o->cells = calloc(o->n_cells, sizeof(*o->cells));
	assert(o->cells);
	for (size_t i = 0; base && i < o->n_cells; i++)
		o->cells[i].base = base[i];
}

void
oracle_done(struct oracle *o)
{
	for (size_t i = 0; i < o->n_cells; i++)
		free(o->cells[i].ops);
	free(o->cells);
	free(o->ops);
	*o = (struct oracle){0};
}

uint32_t
oracle_next_id(const struct oracle *o)
{
	return o->first_id + (uint32_t)o->n;
}

size_t
oracle_cell(const struct oracle *o, uint64_t off)
{
	const struct regions *r = &o->regions;

	return (off / r->stride * r->bytes + off % r->stride) / CELL;
}

uint64_t
oracle_offset(const struct oracle *o, size_t cell)
{
	const struct regions *r = &o->regions;
	uint64_t at = (uint64_t)cell * CELL;

	return at / r->bytes * r->stride + at % r->bytes;
}

static void
add_to_cell(struct cell *c, uint32_t index)
{
	if (c->n == c->room) {
		c->room = c->room ? 2 * c->room : 4;
		c->ops = reallocarray(c->ops, c->room, sizeof(*c->ops));
		assert(c->ops);
	}
	c->ops[c->n++] = index;
}

/* A discard changes only whole clusters, but which is its own business. */
size_t
oracle_begin(struct oracle *o, const struct guest_op *op, uint64_t tick)
{
	struct guest_op *new;

	if (o->n == o->room) {
		o->room = o->room ? 2 * o->room : 64;
		o->ops = reallocarray(o->ops, o->room, sizeof(*o->ops));
		assert(o->ops);
	}
	new = &o->ops[o->n];
	*new = *op;
	new->seq_start = o->seq++;
	new->tick_start = tick;
	new->seq_done = ORACLE_NEVER;
	new->tick_done = ORACLE_NEVER;
	new->tick_durable = ORACLE_NEVER;
	if (op->op != Q2_READ && op->op != Q2_FLUSH)
		for (uint64_t at = 0; at < op->len; at += CELL)
			add_to_cell(&o->cells[oracle_cell(o, op->off + at)],
				    (uint32_t)o->n);
	return o->n++;
}

static void
make_durable(struct oracle *o, uint64_t before, uint64_t tick)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->ops[i].seq_done < before && o->ops[i].result == 0 &&
		    o->ops[i].tick_durable == ORACLE_NEVER)
			o->ops[i].tick_durable = tick;
}

void
oracle_end(struct oracle *o, size_t index, int result, uint64_t tick)
{
	struct guest_op *op = &o->ops[index];

	op->result = result;
	op->seq_done = o->seq++;
	op->tick_done = tick;
	if (result < 0)
		return;
	if (op->op == Q2_FLUSH)
		make_durable(o, op->seq_start, tick);
	if (op->flags & Q2_FUA)
		op->tick_durable = tick;
}

void
oracle_closed(struct oracle *o, uint64_t tick)
{
	make_durable(o, ORACLE_NEVER, tick);
}

static uint64_t
stamp(uint32_t id, size_t cell, size_t word)
{
	return (uint64_t)id << 32 | (uint64_t)cell << 4 | word;
}

void
oracle_stamp(uint32_t id, size_t cell, void *buf)
{
	uint64_t *words = buf;

	for (size_t i = 0; i < WORDS; i++)
		words[i] = stamp(id, cell, i);
}

void
oracle_fill(const struct oracle *o, size_t index, void *buf)
{
	const struct guest_op *op = &o->ops[index];

	for (uint64_t at = 0; at < op->len; at += CELL)
		oracle_stamp(o->first_id + (uint32_t)index,
			     oracle_cell(o, op->off + at), (char *)buf + at);
}

bool
oracle_decode(const void *bytes, size_t cell, uint32_t *ret_id)
{
	uint64_t words[WORDS];
	uint32_t id;

	memcpy(words, bytes, sizeof(words));
	id = (uint32_t)(words[0] >> 32);
	for (size_t i = 0; i < WORDS; i++)
		if (words[i] != (id ? stamp(id, cell, i) : 0))
			return false;
	*ret_id = id;
	return true;
}

static bool
covers(const struct guest_op *op, uint64_t off)
{
	return off >= op->off && off < op->off + op->len;
}

static bool
must_show(const struct guest_op *d, const struct view *view)
{
	if (d->op == Q2_DISCARD)
		return false;
	if (view->live)
		return d->result == 0 && d->seq_done < view->seq;
	return d->tick_durable <= view->tick;
}

/* Is there a request on the cell that must show, and began after seq? */
static bool
shown_after(const struct oracle *o, const struct cell *c, uint64_t seq,
	    bool any, const struct view *view)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct guest_op *d = &o->ops[c->ops[i]];

		if ((any || d->seq_start > seq) && must_show(d, view))
			return true;
	}
	return false;
}

/* Could op (NULL: what was there at the start) be what the cell holds? */
static bool
op_allowed(const struct oracle *o, const struct cell *c,
	   const struct guest_op *op, const struct view *view)
{
	if (op && !view->live && op->tick_start > view->tick)
		return false;
	return !shown_after(o, c, op ? op->seq_done : 0, !op, view);
}

static bool
zeros_allowed(const struct oracle *o, const struct cell *c,
	      const struct view *view)
{
	if (c->base == 0 && op_allowed(o, c, NULL, view))
		return true;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct guest_op *op = &o->ops[c->ops[i]];

		if ((op->op == Q2_ZERO || op->op == Q2_DISCARD) &&
		    op_allowed(o, c, op, view))
			return true;
	}
	return false;
}

static int
op_text(const struct oracle *o, const struct guest_op *op, char *buf,
	size_t bytes)
{
	static const char *const names[] = {"read", "write", "zero", "discard",
					    "flush"};

	return snprintf(buf, bytes,
			"%s%s #%u 0x%" PRIx64 "+0x%" PRIx64 " ticks %" PRIu64
			"..%" PRId64 " durable %" PRId64 " seq %" PRIu64
			"..%" PRId64 " result %d",
			names[op->op], op->flags & Q2_FUA ? " fua" : "",
			o->first_id + (unsigned)(op - o->ops), op->off, op->len,
			op->tick_start, (int64_t)op->tick_done,
			(int64_t)op->tick_durable, op->seq_start,
			(int64_t)op->seq_done, op->result);
}

static void
explain(const struct oracle *o, const struct cell *c, uint32_t id, uint64_t off,
	char *why, size_t bytes)
{
	int n = snprintf(why, bytes,
			 "offset 0x%" PRIx64 " holds #%u; began as #%u; then",
			 off, id, c->base);

	for (uint32_t i = 0; i < c->n && n > 0 && (size_t)n + 4 < bytes; i++) {
		n += snprintf(why + n, bytes - (size_t)n, "\n    ");
		if ((size_t)n < bytes)
			n += op_text(o, &o->ops[c->ops[i]], why + n,
				     bytes - (size_t)n);
	}
}

bool
oracle_allows(const struct oracle *o, size_t cell, uint32_t id,
	      const struct view *view, char *why, size_t why_bytes)
{
	const struct cell *c = &o->cells[cell];
	uint64_t off = oracle_offset(o, cell);
	bool ok = false;

	if (id == 0)
		ok = zeros_allowed(o, c, view);
	else if (id == c->base)
		ok = op_allowed(o, c, NULL, view);
	else if (id >= o->first_id && id < oracle_next_id(o))
		ok = covers(&o->ops[id - o->first_id], off) &&
		     op_allowed(o, c, &o->ops[id - o->first_id], view);
	if (!ok)
		explain(o, c, id, off, why, why_bytes);
	return ok;
}
