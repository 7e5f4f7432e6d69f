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
/* Commands that write compressed clusters before all else, at most. */
#define FIRST_COMMANDS 3

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
	[SCRIPT_COMPRESS] = "compressed writes",
};

/* How often, of the sum of all. */
static const unsigned weights[SCRIPT_KINDS] = {
	[SCRIPT_WRITE] = 8,     [SCRIPT_WRITEV] = 2,
	[SCRIPT_WRITE_FUA] = 2, [SCRIPT_WRITE_ASYNC] = 2,
	[SCRIPT_ZERO] = 4,      [SCRIPT_ZERO_UNMAP] = 4,
	[SCRIPT_DISCARD] = 4,   [SCRIPT_READ] = 2,
	[SCRIPT_VERIFY] = 3,    [SCRIPT_FLUSH] = 2,
	[SCRIPT_COMPRESS] = 4,
};

struct range {
	uint64_t off, len;
};

struct maker {
	struct script *s;
	struct disk *d;
	struct rng *rng;
	struct script_how how;
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
	if (kind == SCRIPT_DISCARD && m->how.discard == SCRIPT_NO_DISCARD)
		return SCRIPT_WRITE;
	if (kind == SCRIPT_COMPRESS &&
	    m->how.compress != SCRIPT_COMPRESS_ANYTIME)
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
mark(struct maker *m, struct range r, unsigned marks)
{
	if (!m->d->marks)
		return;
	for (uint64_t i = r.off / DISK_SECTOR; i * DISK_SECTOR < r.off + r.len;
	     i++)
		m->d->marks[i] |= (uint8_t)marks;
}

static void
fill(struct maker *m, struct range r, uint8_t byte)
{
	mark(m, r, DISK_TOUCHED | DISK_CHANGED | DISK_MAYBE);
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
	mark(m, r, DISK_TOUCHED | DISK_MAYBE);
	if (end < m->d->size)
		end = align_down(end, m->d->grain);
	if (m->how.discard == SCRIPT_DISCARD_ZEROES && start < end) {
		memset(m->d->bytes + start, 0, end - start);
		mark(m, (struct range){start, end - start}, DISK_CHANGED);
	}
}

static bool
is_fresh(const struct maker *m, uint64_t cluster_off)
{
	uint64_t end = min_u64(cluster_off + m->d->cluster, m->d->size);

	for (uint64_t i = cluster_off / DISK_SECTOR; i * DISK_SECTOR < end; i++)
		if (m->d->marks[i] & DISK_TOUCHED)
			return false;
	return true;
}

/* Whole clusters from one by chance on, as many as are fresh; the last may be
 * cut by the disk's end. */
static void
compress(struct maker *m)
{
	uint64_t cluster = m->d->cluster;
	uint64_t off = align_down(rng_below(m->rng, m->d->size), cluster);
	uint64_t n = 1 + rng_below(m->rng, max_u64(4, 32768 / cluster));
	struct range r = {off, 0};

	for (; n > 0 && off < m->d->size; n--, off += cluster) {
		if (!is_fresh(m, off))
			break;
		r.len = min_u64(off + cluster, m->d->size) - r.off;
	}
	if (r.len == 0)
		return;
	m->s->counts[SCRIPT_COMPRESS]++;
	write_line(m, "write -c", r);
}

static void
command(struct maker *m, enum script_kind kind)
{
	struct range r = pick_range(m);

	if (kind == SCRIPT_COMPRESS) {
		compress(m);
		return;
	}
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
	    unsigned commands, struct script_how how)
{
	struct maker m = {.s = s, .d = d, .rng = rng, .how = how};

	*s = (struct script){0};
	if (how.compress == SCRIPT_COMPRESS_FIRST)
		for (unsigned i = 0; i < FIRST_COMMANDS; i++)
			compress(&m);
	while (commands-- > 0 && s->n + COMMAND_LINES <= SCRIPT_LINES)
		command(&m, pick_kind(&m));
}
