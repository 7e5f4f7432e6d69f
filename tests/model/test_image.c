/* SPDX-License-Identifier: MIT */
/*
 * The image layer against a plain array of bytes, on a memory file: random
 * requests of every kind, several in flight, with the smallest caches, and
 * reopened between bursts; images of every cluster size, refcount width,
 * version and feature.  Requests in flight do not overlap here; those that do
 * are the business of tests/crash.  Q2_SEED replays a run.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/image/image.h"
#include "tests/env.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

/* Ends within a cluster. */
#define DISK_BYTES (2 * MiB - 1536)
#define DEPTH      8
#define BURSTS     8
#define BURST_OPS  120

#define KINDS (Q2_FLUSH + 1)

static const char *const names[KINDS] = {"read", "write", "zero", "discard",
					 "flush"};

/* Of all runs. */
static uint64_t counts[KINDS], fast, slow, joins, copies, freed;
static uint64_t packed, unpacked; /* compressed writes done, and refused */
static uint64_t features[10];     /* runs with each: see count_features() */

/* What kind of image. */
struct kind {
	unsigned cluster_bits, refcount_order, version;
	uint32_t align;
	enum q2_zero zero;
	bool extended_l2, lazy, data_file, data_raw, no_unref, compress;
	unsigned crypt_method; /* 1: AES, 2: LUKS */
	enum q2_detect_zeroes detect;
	uint64_t base_bytes; /* of the backing file; 0: none */
};

struct model {
	struct loop *loop;
	struct q2_image *img;
	struct rng rng;
	uint64_t seed;
	struct kind kind;
	uint8_t *bytes; /* what the disk must hold */
	uint8_t *base;  /* what the backing file holds */
	bool *busy;     /* sectors with a request in flight */
	unsigned running;
	int error;
	char why[128];
};

struct op {
	struct q2_req rq;
	struct iovec iov;
	struct model *m;
	uint8_t *buf;
};

/* ---- images ------------------------------------------------------------ */

static enum image_cluster
cluster_state(void *arg, uint64_t cluster)
{
	const struct model *m = arg;
	uint64_t dice = rng_derive(m->seed, cluster);

	/* Half of the disk, in every state. */
	if (cluster << m->kind.cluster_bits >= DISK_BYTES / 2)
		return IMAGE_EMPTY;
	if (m->kind.version == 2)
		return dice % 2 ? IMAGE_NORMAL : IMAGE_SHARED;
	return (enum image_cluster)(dice % (IMAGE_SHARED + 1));
}

static struct image_make
plan(struct model *m)
{
	const struct kind *k = &m->kind;

	return (struct image_make){
		.bytes = DISK_BYTES,
		.cluster_bits = k->cluster_bits,
		.refcount_order = k->refcount_order,
		/* An empty table has no room for many small clusters. */
		.reftable_clusters = k->cluster_bits == 9 ? 64 : 0,
		.state = m->seed % 2 ? cluster_state : NULL,
		.arg = m,
		.version = k->version,
		.extended_l2 = k->extended_l2,
		.sub_seed = m->seed,
		.lazy_refcounts = k->lazy,
		.data_file = k->data_file ? "data" : NULL,
		.data_file_raw = k->data_raw,
		.backing_file = k->base_bytes ? "base" : NULL,
		.backing_format = k->base_bytes ? "raw" : NULL,
		.crypt_method = k->crypt_method,
	};
}

struct file {
	struct model *m;
	const char *name;
	const uint8_t *bytes; /* NULL: zeros */
	uint64_t len;
};

static int Q2_CO
make_file(void *arg)
{
	struct file *f = arg;
	struct points points = {0};
	struct aio_file *file;
	int r;

	r = aio_open(f->m->loop, f->name, AIO_CREATE, &points, &file, NULL);
	if (r < 0)
		return r;
	r = file_truncate(file, align_up(f->len, file->align));
	if (r == 0 && f->bytes)
		r = file_write(file, AIO_DATA, f->bytes, f->len, 0);
	aio_close(file);
	return r;
}

/* The image, the files that belong to it, and what a guest sees of it. */
static int
make_disk(struct model *m)
{
	const struct kind *k = &m->kind;
	struct image_make make = plan(m);
	/* What nothing was written to may hold anything. */
	struct file data = {m, "data", m->seed % 2 ? NULL : m->base,
			    DISK_BYTES};
	struct file base = {m, "base", m->base, k->base_bytes};
	int r = image_make(m->loop, "disk", &make);

	for (uint64_t i = 0; i < DISK_BYTES; i += 512)
		memset(m->base + i, (uint8_t)(rng_derive(m->seed, i / 512) | 1),
		       512);
	if (r == 0 && k->data_file)
		r = loop_call(m->loop, make_file, &data);
	if (r == 0 && k->base_bytes)
		r = loop_call(m->loop, make_file, &base);
	for (uint64_t i = 0; i < k->base_bytes; i += 512) {
		enum cluster_kind kind = image_make_kind(&make, i);

		if (kind == CLUSTER_UNALLOCATED ||
		    kind == CLUSTER_UNALLOCATED_AT)
			memcpy(m->bytes + i, m->base + i, 512);
	}
	return r;
}

/* ---- requests ---------------------------------------------------------- */

static void
record(struct model *m, const char *what, uint64_t off, int r)
{
	if (m->error)
		return;
	m->error = r < 0 ? r : -1;
	(void)snprintf(m->why, sizeof(m->why), "%s at %" PRIu64 ": %d", what,
		       off, r);
}

static void
set_busy(struct model *m, const struct q2_req *rq, bool busy)
{
	for (uint64_t c = rq->off >> 9;
	     rq->len && c <= (rq->off + rq->len - 1) >> 9; c++)
		m->busy[c] = busy;
}

/* What the request has done to the disk, or what it should have read. */
static void
apply(struct model *m, const struct op *op)
{
	const struct q2_req *rq = &op->rq;
	uint64_t size = UINT64_C(1) << (m->kind.cluster_bits -
					(m->kind.extended_l2 ? 5 : 0));
	uint64_t first = align_up(rq->off, size);
	uint64_t end = rq->off + rq->len;

	if (end < DISK_BYTES)
		end = align_down(end, size);

	switch (rq->op) {
	case Q2_READ:
		if (memcmp(m->bytes + rq->off, op->buf, rq->len) != 0)
			record(m, "wrong bytes", rq->off, 1);
		break;
	case Q2_WRITE:
		memcpy(m->bytes + rq->off, op->buf, rq->len);
		break;
	case Q2_ZERO:
		memset(m->bytes + rq->off, 0, rq->len);
		break;
	case Q2_DISCARD:
		/* Whole subclusters go; what is left of others stays.  In
		 * version 2 the backing file would come back. */
		if (first < end &&
		    (m->kind.version == 3 || !m->kind.base_bytes))
			memset(m->bytes + first, 0, end - first);
		break;
	case Q2_FLUSH:
		break;
	}
}

static void
op_done(struct q2_req *rq)
{
	struct op *op = container_of(rq, struct op, rq);
	struct model *m = op->m;

	if ((rq->flags & Q2_COMPRESSED) &&
	    (rq->result == -EIO || rq->result == -ENOTSUP))
		/* What is there stays. */
		unpacked++;
	else if (rq->result < 0)
		record(m, names[rq->op], rq->off, rq->result);
	else
		apply(m, op);
	packed += (rq->flags & Q2_COMPRESSED) && rq->result == 0;
	set_busy(m, rq, false);
	m->running--;
	free(op->buf);
	free(op);
}

/* A random place that no other operation in flight touches, so that the array
 * says what must be read. */
static bool
pick_place(struct model *m, struct op *op)
{
	uint64_t max = rng_below(&m->rng, 4) ? 8 * KiB : 120 * KiB;
	uint64_t off = rng_below(&m->rng, DISK_BYTES);
	uint64_t len = 1 + rng_below(&m->rng, max);
	uint64_t cluster = UINT64_C(1) << m->kind.cluster_bits;

	if (rng_below(&m->rng, 2)) {
		off = align_down(off, 4096);
		len = align_up(len, 4096);
	}
	if (op->rq.flags & Q2_COMPRESSED) {
		off = align_down(off, cluster);
		len = align_up(len, cluster);
	}
	op->rq.off = off;
	op->rq.len = len = min_u64(len, DISK_BYTES - off);
	for (uint64_t c = off >> 9; c <= (off + len - 1) >> 9; c++)
		if (m->busy[c])
			return false;
	set_busy(m, &op->rq, true);
	return true;
}

static enum q2_op
pick_kind(struct model *m)
{
	static const enum q2_op kinds[] = {
		Q2_FLUSH, Q2_ZERO,  Q2_ZERO,  Q2_DISCARD, Q2_READ,  Q2_READ,
		Q2_READ,  Q2_READ,  Q2_WRITE, Q2_WRITE,   Q2_WRITE, Q2_WRITE,
		Q2_WRITE, Q2_WRITE, Q2_WRITE, Q2_WRITE};

	return kinds[rng_below(&m->rng, ARRAY_SIZE(kinds))];
}

/* Random bytes; zeros now and then, for those who look for them; and runs of
 * one byte, which can be packed. */
static void
fill(struct model *m, struct op *op)
{
	bool runs = (op->rq.flags & Q2_COMPRESSED) && rng_below(&m->rng, 4);
	uint64_t word, n;

	if (rng_below(&m->rng, 8) == 0) {
		memset(op->buf, 0, op->rq.len);
		return;
	}
	for (uint64_t i = 0; i < op->rq.len; i += n) {
		n = min_u64(runs ? 32 : sizeof(word), op->rq.len - i);
		word = rng_next(&m->rng);
		if (runs)
			memset(op->buf + i, (uint8_t)word, n);
		else
			memcpy(op->buf + i, &word, n);
	}
}

static void
start_op(struct model *m)
{
	struct op *op = calloc(1, sizeof(*op));

	op->m = m;
	op->rq.op = pick_kind(m);
	if (op->rq.op == Q2_WRITE && rng_below(&m->rng, 4) == 0)
		op->rq.flags = Q2_COMPRESSED;
	if (op->rq.op != Q2_FLUSH && !pick_place(m, op)) {
		free(op);
		return;
	}
	if (op->rq.op == Q2_ZERO && rng_below(&m->rng, 2))
		op->rq.flags = Q2_MAY_UNMAP;
	op->buf = malloc(op->rq.len + 1);
	fill(m, op);
	if (op->rq.op == Q2_READ || op->rq.op == Q2_WRITE) {
		op->iov = (struct iovec){op->buf, op->rq.len};
		op->rq.iov = &op->iov;
		op->rq.iovcnt = 1;
	}
	op->rq.done = op_done;
	m->running++;
	counts[op->rq.op]++;
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
	while (m->running)
		(void)loop_run(m->loop, 0, 0);
}

static void
open_model(struct model *m)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = "qcow2",
		.zero = m->kind.zero,
		.flags = Q2_UNMAP,
		.discard_no_unref = m->kind.no_unref,
		.compress = m->kind.compress,
		.detect_zeroes = m->kind.detect,
		.pass_discard_other = m->seed % 3 ? 0 : 1,
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
		.key = m->kind.crypt_method ? IMAGE_KEY : NULL,
		.key_len = strlen(IMAGE_KEY),
	};
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)m->loop, "disk", &opts, &m->img, &err) <
	    0)
		fail_msg("open: %s", err.text);
}

/* Every refcount equals the number of references: no leak, no corruption. */
static void
close_model(struct model *m, const char *text)
{
	struct image_check c;
	struct q2_err err = {0};
	struct q2_stats n;

	q2_stats(m->img, &n);
	fast += n.fast_requests;
	slow += n.slow_requests;
	joins += n.alloc_join;
	copies += n.cow_read;
	freed += n.clusters_freed;
	if (q2_close(m->img, &err) < 0)
		fail_msg("close: %s", err.text);
	assert_int_equal(image_check(m->loop, "disk", &c), 0);
	if (c.corruptions || c.leaks)
		fail_msg("%" PRIu64 " leaks, %" PRIu64 " corruptions: %s (%s)",
			 c.leaks, c.corruptions, c.why, text);
}

static void
count_features(const struct kind *k)
{
	features[0] += k->version == 2;
	features[1] += k->extended_l2;
	features[2] += k->lazy;
	features[3] += k->data_file && !k->data_raw;
	features[4] += k->data_raw;
	features[5] += k->base_bytes > 0;
	features[6] += k->no_unref;
	features[7] += k->crypt_method == 1;
	features[8] += k->crypt_method == 2;
	features[9] += k->compress;
}

/* Fill in what cluster size, alignment and zero policy leave open. */
static void
choose_kind(struct kind *k, struct rng *rng, bool has_entries)
{
	k->version = 3;
	switch (rng_below(rng, 8)) {
	case 0:
		k->version = 2;
		break;
	case 1:
	case 2:
		k->extended_l2 = k->cluster_bits >= 14;
		break;
	case 3:
		k->lazy = true;
		break;
	case 4:
		k->data_file = true;
		k->data_raw = rng_below(rng, 2);
		break;
	default:
		break;
	}
	k->refcount_order = k->version == 2 ? 4 : (unsigned)rng_below(rng, 7);
	if (!k->data_raw && rng_below(rng, 3) == 0)
		k->base_bytes = rng_below(rng, 2)
					? DISK_BYTES
					: align_down(rng_below(rng, DISK_BYTES),
						     4096) +
						  512;
	k->base_bytes = min_u64(k->base_bytes, DISK_BYTES);
	k->no_unref = k->version == 3 && rng_below(rng, 6) == 0;
	k->compress = !k->data_file && rng_below(rng, 4) == 0;
	k->detect = (enum q2_detect_zeroes)(rng_below(rng, 4) % 3);
	/* A data file has not got zeros in it where there are entries. */
	if (rng_below(rng, 4) == 0 && (!k->data_file || !has_entries))
		k->crypt_method = 1 + (unsigned)rng_below(rng, 2);
	/* These are not compressed. */
	k->compress = k->compress && !k->crypt_method;
}

static void
describe(const struct model *m, char *text, size_t bytes)
{
	const struct kind *k = &m->kind;

	(void)snprintf(
		text, bytes,
		"cluster %u, width %u, align %u, zero %d, version %u, "
		"extended %d, lazy %d, data file %d raw %d, no-unref "
		"%d, compress %d, detect-zeroes %d, encryption %u, base of %" PRIu64
		", seed %" PRIu64,
		1U << k->cluster_bits, 1U << k->refcount_order, k->align,
		k->zero, k->version, k->extended_l2, k->lazy, k->data_file,
		k->data_raw, k->no_unref, k->compress, k->detect,
		k->crypt_method, k->base_bytes, m->seed);
}

static void
run_model(const struct kind *kind, uint64_t seed)
{
	struct q2_err err = {0};
	struct model m = {.rng.state = seed, .seed = seed, .kind = *kind};
	/* Of all runs, one after the other. */
	static uint8_t bytes[DISK_BYTES], base[DISK_BYTES];
	static bool busy[DISK_BYTES / 512 + 1];
	char text[512];

	choose_kind(&m.kind, &m.rng, seed % 2);
	count_features(&m.kind);
	memset(bytes, 0, sizeof(bytes));
	m.bytes = bytes;
	m.base = base;
	m.busy = busy;
	describe(&m, text, sizeof(text));
	assert_int_equal(
		loop_new_backend(backend_memory_new(m.kind.align, &err),
				 &(struct loop_opts){0}, &m.loop, &err),
		0);
	assert_int_equal(make_disk(&m), 0);
	for (unsigned i = test_rounds(BURSTS); i-- > 0 && !m.error;) {
		open_model(&m);
		burst(&m);
		close_model(&m, text);
	}
	if (m.error)
		fail_msg("%s (%s)", m.why, text);
	loop_free(m.loop);
}

static void
run_all(uint64_t seed, unsigned rounds)
{
	static const unsigned bits[] = {9, 11, 12, 14, 16, 18, 21};
	static const uint32_t aligns[] = {1, 512, 4096};
	struct kind k = {0};
	uint64_t n = 0;

	for (unsigned i = 0; i < rounds; i++)
		for (size_t b = 0; b < ARRAY_SIZE(bits); b++)
			for (size_t a = 0; a < ARRAY_SIZE(aligns); a++)
				for (int z = Q2_ZERO_HOLE; z <= Q2_ZERO_WRITE;
				     z++) {
					k.cluster_bits = bits[b];
					k.align = aligns[a];
					k.zero = (enum q2_zero)z;
					run_model(&k, rng_derive(seed, n++));
				}
}

static void
test_random_requests_equal_a_plain_array(void **state)
{
	(void)state;
	run_all(test_seed(1), 3);
	for (int i = 0; i < KINDS; i++) {
		print_message("%s %" PRIu64 ", ", names[i], counts[i]);
		assert_true(counts[i] > 0);
	}
	print_message("fast %" PRIu64 ", slow %" PRIu64 ", joined %" PRIu64
		      ", copied %" PRIu64 ", freed %" PRIu64 "\n",
		      fast, slow, joins, copies, freed);
	print_message("compressed %" PRIu64 ", not where something was %" PRIu64
		      "\n",
		      packed, unpacked);
	assert_true(fast && slow && joins && copies && freed && packed);
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		assert_true(features[i] > 0);
	print_message("runs with version 2: %" PRIu64 ", extended L2: %" PRIu64
		      ", lazy refcounts: %" PRIu64 ", data file: %" PRIu64
		      ", raw one: %" PRIu64 ", backing file: %" PRIu64
		      ", discard-no-unref: %" PRIu64 ", AES: %" PRIu64
		      ", LUKS: %" PRIu64 ", compress: %" PRIu64 "\n",
		      features[0], features[1], features[2], features[3],
		      features[4], features[5], features[6], features[7],
		      features[8], features[9]);
}

static void
test_random_requests_with_a_fresh_seed(void **state)
{
	(void)state;
	run_all(test_seed((uint64_t)time(NULL)), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_requests_equal_a_plain_array),
		cmocka_unit_test(test_random_requests_with_a_fresh_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
