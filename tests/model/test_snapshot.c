/* SPDX-License-Identifier: MIT */
/*
 * Snapshots against arrays of bytes, on a memory file: random writes, zeroes
 * and discards, some in flight when a snapshot is taken; snapshots taken,
 * applied and deleted; the state of a machine; other sizes of the disk.  After
 * each burst the image is closed: every cluster has as many references as its
 * refcount says, COPIED is set where it can be, and each snapshot reads as it
 * was taken.  Q2_SEED replays a run.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

#define DISK_MAX  (768 * KiB)
#define STATE_MAX (96 * KiB)
#define SNAPS     6
#define DEPTH     6
#define BURSTS    10
#define BURST_OPS 40

/* What a disk, and a snapshot, holds. */
struct content {
	uint64_t size;
	uint8_t bytes[DISK_MAX];
	uint8_t state[STATE_MAX];
};

struct model {
	struct loop *loop;
	struct q2_image *img;
	struct rng rng;
	unsigned cluster_bits, refcount_order, version;
	uint32_t align;
	bool extended_l2, lazy;
	struct content now;
	struct content snaps[SNAPS]; /* in the order of the table */
	char names[SNAPS][8];
	unsigned n;
	unsigned running;
	int error;
	struct op *busy[DEPTH];
};

struct op {
	struct q2_req rq;
	struct iovec iov;
	struct model *m;
	uint8_t *buf;
};

/* Of all runs. */
static uint64_t taken, applied, deleted, resized, states, copied_tables,
	refused;

static const char *
text_of(const struct model *m)
{
	static char text[160];

	(void)snprintf(text, sizeof(text),
		       "cluster bits %u, order %u, version %u, align %u%s%s",
		       m->cluster_bits, m->refcount_order, m->version, m->align,
		       m->extended_l2 ? ", extended" : "",
		       m->lazy ? ", lazy" : "");
	return text;
}

/* ---- requests ---------------------------------------------------------- */

static bool
overlaps(const struct model *m, const struct q2_req *rq)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (m->busy[i] &&
		    ranges_overlap(align_down(rq->off, 512),
				   align_up(rq->len, 512) + 512,
				   align_down(m->busy[i]->rq.off, 512),
				   align_up(m->busy[i]->rq.len, 512) + 512))
			return true;
	return false;
}

static void
op_done(struct q2_req *rq)
{
	struct op *op = container_of(rq, struct op, rq);
	struct model *m = op->m;

	if (rq->result < 0 &&
	    !((rq->flags & Q2_COMPRESSED) && rq->result == -EIO))
		m->error = rq->result;
	if (rq->op == Q2_READ &&
	    memcmp(op->buf, m->now.bytes + rq->off, rq->len) != 0)
		m->error = -1;
	if (rq->result == 0 && rq->op == Q2_WRITE)
		memcpy(m->now.bytes + rq->off, op->buf, rq->len);
	if (rq->op == Q2_ZERO)
		memset(m->now.bytes + rq->off, 0, rq->len);
	for (unsigned i = 0; i < DEPTH; i++)
		if (m->busy[i] == op)
			m->busy[i] = NULL;
	m->running--;
	free(op->buf);
	free(op);
}

static void
drain(struct model *m)
{
	while (m->running)
		(void)loop_run(m->loop, 0, 0);
	if (m->error)
		fail_msg("a request: %d (%s)", m->error, text_of(m));
}

/* Bytes that pack, now and then. */
static void
fill(struct model *m, struct op *op)
{
	bool runs = rng_below(&m->rng, 2);
	uint8_t byte = 0;

	for (uint64_t i = 0; i < op->rq.len; i++) {
		if (!runs || i % 64 == 0)
			byte = (uint8_t)rng_next(&m->rng);
		op->buf[i] = byte;
	}
}

static void
pick(struct model *m, struct op *op)
{
	uint64_t cluster = UINT64_C(1) << m->cluster_bits;
	uint64_t max = rng_below(&m->rng, 3) ? 8 * KiB : 120 * KiB;
	static const enum q2_op kinds[] = {Q2_WRITE, Q2_WRITE, Q2_WRITE,
					   Q2_WRITE, Q2_ZERO,  Q2_READ};

	op->rq.op = kinds[rng_below(&m->rng, ARRAY_SIZE(kinds))];
	op->rq.off = rng_below(&m->rng, m->now.size);
	op->rq.len = 1 + rng_below(&m->rng, max);
	if (op->rq.op == Q2_WRITE && rng_below(&m->rng, 4) == 0) {
		op->rq.flags = Q2_COMPRESSED;
		op->rq.off = align_down(op->rq.off, cluster);
		op->rq.len = align_up(op->rq.len, cluster);
	}
	if (op->rq.op == Q2_ZERO && rng_below(&m->rng, 2))
		op->rq.flags = Q2_MAY_UNMAP;
	op->rq.len = min_u64(op->rq.len, m->now.size - op->rq.off);
}

static void
start_op(struct model *m)
{
	struct op *op = calloc(1, sizeof(*op));

	op->m = m;
	pick(m, op);
	if (overlaps(m, &op->rq)) {
		free(op);
		return;
	}
	op->buf = malloc(op->rq.len + 1);
	fill(m, op);
	op->iov = (struct iovec){op->buf, op->rq.len};
	if (op->rq.op != Q2_ZERO) {
		op->rq.iov = &op->iov;
		op->rq.iovcnt = 1;
	}
	op->rq.done = op_done;
	for (unsigned i = 0; i < DEPTH; i++) {
		if (!m->busy[i]) {
			m->busy[i] = op;
			break;
		}
	}
	m->running++;
	q2_submit(m->img, &op->rq);
}

static void
burst(struct model *m)
{
	for (int i = 0; i < BURST_OPS && !m->error; i++) {
		start_op(m);
		while (m->running >= DEPTH && !m->error)
			(void)loop_run(m->loop, 0, 0);
	}
	/* Some stay in flight: what comes next waits for them. */
	if (rng_below(&m->rng, 2))
		drain(m);
}

/* ---- snapshots --------------------------------------------------------- */

static int
expect_ok(struct model *m, int r, const char *what, const struct q2_err *err)
{
	drain(m);
	if (r < 0)
		fail_msg("%s: %s (%s)", what, err->text, text_of(m));
	return r;
}

static void
take(struct model *m)
{
	static unsigned serial;
	struct q2_snapshot_opts opts = {.size = sizeof(opts)};
	struct q2_err err = {0};
	int r;

	if (m->n == SNAPS)
		return;
	(void)snprintf(m->names[m->n], sizeof(m->names[0]), "s%u",
		       serial++ % 10000);
	opts.name = m->names[m->n];
	r = q2_snapshot_create(m->img, &opts, &err);
	/* Too many for the width, or a host cluster with many packed ones. */
	if (r == -EINVAL && m->refcount_order < 3) {
		drain(m);
		refused++;
		return;
	}
	expect_ok(m, r, "create", &err);
	m->snaps[m->n++] = m->now;
	taken++;
}

static void
apply(struct model *m)
{
	unsigned i = (unsigned)rng_below(&m->rng, SNAPS);
	struct q2_err err = {0};
	int r;

	if (i >= m->n)
		return;
	r = q2_snapshot_apply(m->img, i, &err);
	if (r == -EINVAL && m->refcount_order < 3) {
		drain(m);
		refused++;
		return;
	}
	expect_ok(m, r, "apply", &err);
	m->now = m->snaps[i];
	assert_int_equal(q2_size(m->img), m->now.size);
	applied++;
}

static void delete (struct model *m)
{
	unsigned i = (unsigned)rng_below(&m->rng, SNAPS);
	struct q2_err err = {0};

	if (i >= m->n)
		return;
	expect_ok(m, q2_snapshot_delete(m->img, i, &err), "delete", &err);
	m->n--;
	for (; i < m->n; i++) {
		m->snaps[i] = m->snaps[i + 1];
		strcpy(m->names[i], m->names[i + 1]);
	}
	deleted++;
}

static void
write_state(struct model *m)
{
	uint64_t off = rng_below(&m->rng, STATE_MAX);
	uint64_t len = 1 + rng_below(&m->rng, STATE_MAX - off);
	uint8_t back[STATE_MAX];

	drain(m);
	for (uint64_t i = 0; i < len; i++)
		m->now.state[off + i] = (uint8_t)rng_next(&m->rng);
	assert_int_equal(q2_vmstate_write(m->img, m->now.state + off, len, off),
			 0);
	assert_int_equal(q2_vmstate_read(m->img, back, STATE_MAX, 0), 0);
	assert_memory_equal(back, m->now.state, STATE_MAX);
	states++;
}

/* A grow or a shrink forgets the state: it lies behind the end. */
static void
resize(struct model *m)
{
	uint64_t size = 512 * (1 + rng_below(&m->rng, DISK_MAX / 512));
	struct q2_resize_opts opts = {.size = sizeof(opts), .shrink = true};
	struct q2_err err = {0};

	if (m->version < 3 || size == m->now.size)
		return;
	drain(m);
	expect_ok(m, q2_resize(m->img, size, &opts, &err), "resize", &err);
	if (size < m->now.size)
		memset(m->now.bytes + size, 0, m->now.size - size);
	m->now.size = size;
	memset(m->now.state, 0, STATE_MAX);
	resized++;
}

static void
operate(struct model *m)
{
	switch (rng_below(&m->rng, 12)) {
	case 0:
	case 1:
	case 2:
	case 3:
		take(m);
		break;
	case 4:
	case 5:
		apply(m);
		break;
	case 6:
	case 7:
	case 8:
		delete (m);
		break;
	case 9:
		write_state(m);
		break;
	case 10:
		resize(m);
		break;
	default:
		break;
	}
}

/* ---- opening and looking ----------------------------------------------- */

static struct q2_image *
open_image(struct model *m, unsigned flags)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = "qcow2",
		.flags = flags,
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
	};
	struct q2_image *img;
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)m->loop, "disk", &opts, &img, &err) < 0)
		fail_msg("open: %s (%s)", err.text, text_of(m));
	return img;
}

static void
compare(struct model *m, struct q2_image *img, const struct content *want,
	const char *name)
{
	static uint8_t bytes[DISK_MAX], state[STATE_MAX];
	uint64_t size = min_u64(q2_size(img), want->size);

	assert_int_equal(q2_pread(img, bytes, size, 0), 0);
	for (uint64_t i = 0; i < size; i++)
		if (bytes[i] != want->bytes[i])
			fail_msg("%s: byte %" PRIu64 " is %u, not %u (%s)",
				 name, i, bytes[i], want->bytes[i], text_of(m));
	/* Where it is depends on the disk's size. */
	if (q2_size(img) != want->size)
		return;
	assert_int_equal(q2_vmstate_read(img, state, STATE_MAX, 0), 0);
	if (memcmp(state, want->state, STATE_MAX) != 0)
		fail_msg("%s: another state (%s)", name, text_of(m));
}

static void
look_at_snapshots(struct model *m)
{
	for (unsigned i = 0; i < m->n; i++) {
		struct q2_image *img = open_image(m, Q2_RDONLY);
		struct q2_snapshot sn;
		struct q2_err err = {0};

		assert_int_equal(q2_snapshot_count(img), m->n);
		sn = q2_snapshot_get(img, i);
		assert_string_equal(sn.name, m->names[i]);
		assert_int_equal(sn.disk_bytes, m->snaps[i].size);
		if (q2_snapshot_load(img, sn.id, sn.name, &err) < 0)
			fail_msg("load: %s", err.text);
		compare(m, img, &m->snaps[i], sn.name);
		assert_int_equal(q2_close(img, NULL), 0);
	}
}

static void
close_model(struct model *m)
{
	struct image_check c;
	struct q2_stats n;
	struct q2_err err = {0};

	drain(m);
	compare(m, m->img, &m->now, "the disk");
	q2_stats(m->img, &n);
	copied_tables += n.l2_copy;
	if (q2_close(m->img, &err) < 0)
		fail_msg("close: %s", err.text);
	assert_int_equal(image_check(m->loop, "disk", &c), 0);
	if (c.corruptions || c.leaks || c.copied_clear)
		fail_msg("%" PRIu64 " corruptions, %" PRIu64 " leaks, %" PRIu64
			 " COPIED clear: %s (%s)",
			 c.corruptions, c.leaks, c.copied_clear, c.why,
			 text_of(m));
	assert_int_equal(c.snapshots, m->n);
	look_at_snapshots(m);
}

static void
choose(struct model *m)
{
	static const uint32_t aligns[] = {1, 512, 4096};

	m->version = rng_below(&m->rng, 6) ? 3 : 2;
	m->cluster_bits = 9 + (unsigned)rng_below(&m->rng, 8);
	m->refcount_order = m->version == 2
				    ? 4
				    : 1 + (unsigned)rng_below(&m->rng, 6);
	m->extended_l2 = m->version == 3 && m->cluster_bits >= 14 &&
			 rng_below(&m->rng, 2);
	m->lazy = m->version == 3 && rng_below(&m->rng, 4) == 0;
	m->align = aligns[rng_below(&m->rng, 3)];
	m->now.size = DISK_MAX - 512 * (1 + rng_below(&m->rng, 200));
}

static void
run(uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));
	struct image_make make;

	assert_non_null(m);
	m->rng.state = seed;
	choose(m);
	make = (struct image_make){
		.bytes = m->now.size,
		.cluster_bits = m->cluster_bits,
		.refcount_order = m->refcount_order,
		.reftable_clusters = m->cluster_bits == 9 ? 8 : 0,
		.version = m->version,
		.extended_l2 = m->extended_l2,
		.lazy_refcounts = m->lazy,
	};
	assert_int_equal(loop_new_backend(backend_memory_new(m->align, NULL),
					  NULL, &m->loop, NULL),
			 0);
	assert_int_equal(image_make(m->loop, "disk", &make), 0);
	m->img = open_image(m, Q2_UNMAP);
	for (unsigned i = 0; i < BURSTS; i++) {
		burst(m);
		operate(m);
		if (rng_below(&m->rng, 3) == 0) {
			close_model(m);
			m->img = open_image(m, Q2_UNMAP);
		}
	}
	close_model(m);
	loop_free(m->loop);
	free(m);
}

static void
test_snapshots_are_arrays_of_bytes(void **state)
{
	uint64_t seed = test_seed(1);
	unsigned rounds = test_rounds(150);

	(void)state;
	for (unsigned i = 0; i < rounds; i++)
		run(rng_derive(seed, i));
	print_message("%" PRIu64 " taken, %" PRIu64 " applied, %" PRIu64
		      " deleted, %" PRIu64 " refused; %" PRIu64
		      " other sizes, %" PRIu64 " states, %" PRIu64
		      " tables copied\n",
		      taken, applied, deleted, refused, resized, states,
		      copied_tables);
	assert_true(taken > rounds && applied && deleted && refused &&
		    resized && states && copied_tables > rounds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshots_are_arrays_of_bytes),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
