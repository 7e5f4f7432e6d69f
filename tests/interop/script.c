/* SPDX-License-Identifier: MIT */
/* script.c - random commands of qemu-io, done to an array of bytes too */
#include "tests/interop/script.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"

/* Lines that one command takes at most. */
#define COMMAND_LINES 5

const char *const script_kinds[SCRIPT_KINDS] = {
	[SCRIPT_WRITE] = "writes",
	[SCRIPT_WRITEV] = "vectored writes",
	[SCRIPT_WRITE_FUA] = "FUA writes",
	[SCRIPT_WRITE_ASYNC] = "bursts of writes",
	[SCRIPT_ZERO] = "zero writes",
	[SCRIPT_ZERO_UNMAP] = "unmapping zero writes",
	[SCRIPT_DISCARD] = "discards",
	[SCRIPT_READ] = "reads",
	[SCRIPT_VERIFY] = "verified reads",
	[SCRIPT_FLUSH] = "flushes",
};

/* How often, of the sum of all. */
static const unsigned weights[SCRIPT_KINDS] = {
	[SCRIPT_WRITE] = 8,       [SCRIPT_WRITEV] = 2, [SCRIPT_WRITE_FUA] = 2,
	[SCRIPT_WRITE_ASYNC] = 2, [SCRIPT_ZERO] = 4,   [SCRIPT_ZERO_UNMAP] = 4,
	[SCRIPT_DISCARD] = 4,     [SCRIPT_READ] = 2,   [SCRIPT_VERIFY] = 3,
	[SCRIPT_FLUSH] = 2,
};

struct range {
	uint64_t off, len;
};

struct maker {
	struct script *s;
	struct disk *d;
	struct rng *rng;
	enum script_discard discard;
	struct range last; /* write, all of one byte; len 0: none, or changed */
	uint8_t byte;
};

__attribute__((format(printf, 2, 3))) static void
add(struct script *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	assert(s->n < SCRIPT_LINES);
	va_start(ap, fmt);
	n = vsnprintf(s->line[s->n++], SCRIPT_LINE, fmt, ap);
	va_end(ap);
	assert(n > 0 && n < SCRIPT_LINE);
}

static enum script_kind
pick_kind(struct maker *m)
{
	unsigned sum = 0, kind = 0;
	uint64_t at;

	for (unsigned i = 0; i < SCRIPT_KINDS; i++)
		sum += weights[i];
	at = rng_below(m->rng, sum);
	while (at >= weights[kind])
		at -= weights[kind++];
	if (kind == SCRIPT_DISCARD && m->discard == SCRIPT_NO_DISCARD)
		return SCRIPT_WRITE;
	if (kind == SCRIPT_VERIFY && m->last.len == 0)
		return SCRIPT_READ;
	return kind;
}

/* Single bytes to a few clusters, at every grain that something has. */
static struct range
pick_range(struct maker *m)
{
	uint64_t cluster = m->d->cluster;
	const uint64_t grains[] = {1, 512, 4096, max_u64(cluster / 32, 512),
				   cluster};
	const uint64_t lengths[] = {1,     512,    4096,
				    70000, 300000, min_u64(3 * cluster, MiB)};
	uint64_t grain = grains[rng_below(m->rng, ARRAY_SIZE(grains))];
	uint64_t most = lengths[rng_below(m->rng, ARRAY_SIZE(lengths))];
	struct range r;

	r.off = align_down(rng_below(m->rng, m->d->size), grain);
	r.len = align_up(1 + rng_below(m->rng, most), grain);
	r.len = min_u64(r.len, m->d->size - r.off);
	return r;
}

static void
fill(struct maker *m, struct range r, uint8_t byte)
{
	memset(m->d->bytes + r.off, byte, r.len);
	m->last = r;
	m->byte = byte;
}

static void
write_line(struct maker *m, const char *name, struct range r)
{
	uint8_t byte = (uint8_t)rng_next(m->rng);

	add(m->s, "%s -q -P %u %" PRIu64 " %" PRIu64, name, byte, r.off, r.len);
	fill(m, r, byte);
}

static void
write_vector(struct maker *m, struct range r)
{
	uint64_t first = 1 + rng_below(m->rng, r.len);
	uint8_t byte = (uint8_t)rng_next(m->rng);

	if (first < r.len)
		add(m->s, "writev -q -P %u %" PRIu64 " %" PRIu64 " %" PRIu64,
		    byte, r.off, first, r.len - first);
	else
		add(m->s, "writev -q -P %u %" PRIu64 " %" PRIu64, byte, r.off,
		    r.len);
	fill(m, r, byte);
}

/* Side by side, so that the content does not depend on which is first. */
static void
write_burst(struct maker *m, struct range r)
{
	for (unsigned i = 1; i < COMMAND_LINES && r.len > 0; i++) {
		struct range part = {r.off, 1 + rng_below(m->rng, r.len)};

		write_line(m, "aio_write", part);
		r.off += part.len;
		r.len -= part.len;
	}
	add(m->s, "aio_flush");
}

/* The last grain is whole if all of it that the disk has is. */
static void
discard(struct maker *m, struct range r)
{
	uint64_t start = align_up(r.off, m->d->grain);
	uint64_t end = r.off + r.len;

	add(m->s, "discard -q %" PRIu64 " %" PRIu64, r.off, r.len);
	m->last.len = 0;
	if (end < m->d->size)
		end = align_down(end, m->d->grain);
	if (m->discard == SCRIPT_DISCARD_ZEROES && start < end)
		memset(m->d->bytes + start, 0, end - start);
}

static void
command(struct maker *m, enum script_kind kind)
{
	struct range r = pick_range(m);

	m->s->counts[kind]++;
	if (kind == SCRIPT_WRITE) {
		write_line(m, "write", r);
	} else if (kind == SCRIPT_WRITE_FUA) {
		write_line(m, "write -f", r);
	} else if (kind == SCRIPT_WRITEV) {
		write_vector(m, r);
	} else if (kind == SCRIPT_WRITE_ASYNC) {
		write_burst(m, r);
	} else if (kind == SCRIPT_ZERO || kind == SCRIPT_ZERO_UNMAP) {
		add(m->s, "write -q -z %s%" PRIu64 " %" PRIu64,
		    kind == SCRIPT_ZERO_UNMAP ? "-u " : "", r.off, r.len);
		fill(m, r, 0);
	} else if (kind == SCRIPT_DISCARD) {
		discard(m, r);
	} else if (kind == SCRIPT_READ) {
		add(m->s, "read -q %" PRIu64 " %" PRIu64, r.off, r.len);
	} else if (kind == SCRIPT_VERIFY) {
		add(m->s, "read -q -P %u %" PRIu64 " %" PRIu64, m->byte,
		    m->last.off, m->last.len);
	} else {
		add(m->s, "flush");
	}
}

void
script_make(struct script *s, struct disk *d, struct rng *rng,
	    unsigned commands, enum script_discard discard)
{
	struct maker m = {.s = s, .d = d, .rng = rng, .discard = discard};

	*s = (struct script){0};
	while (commands-- > 0 && s->n + COMMAND_LINES <= SCRIPT_LINES)
		command(&m, pick_kind(&m));
}
