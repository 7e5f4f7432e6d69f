/* SPDX-License-Identifier: MIT */
/*
 * The image layer against a plain array of bytes, on a memory file: random
 * reads, writes and flushes, several in flight, with the smallest caches, and
 * reopened between bursts.  Q2_SEED replays a run.
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
#include "engine/image/io.h"
#include "engine/image/open.h"

#define DISK_BYTES (2 * MiB)
#define DEPTH      8
#define BURSTS     12
#define BURST_OPS  120

struct model {
	struct loop *loop;
	struct image *img;
	struct rng rng;
	unsigned cluster_bits;
	enum q2_zero zero;
	uint8_t *bytes; /* what the disk must hold */
	bool *busy;     /* sectors with a write in flight */
	unsigned reads, writes, flushes;
	unsigned running;
	int error;
	char why[128];
};

struct op {
	struct model *m;
	uint64_t off, len;
	uint8_t *buf;
	unsigned kind; /* 0 read, 1 write, 2 flush */
};

/* An empty image: header, refcount table, one refcount block, L1. */
static int Q2_CO
make_image(void *arg)
{
	struct model *m = arg;
	uint64_t cluster = UINT64_C(1) << m->cluster_bits;
	struct geom g = geom_init(m->cluster_bits, 4, false, DISK_BYTES);
	uint64_t l1_bytes = geom_l1_entries(&g, DISK_BYTES) * 8;
	uint64_t l1_clusters = div_up(l1_bytes, cluster);
	/* A table large enough that it need not grow here. */
	uint64_t rt_clusters = 8;
	uint64_t used = 1 + rt_clusters + 1 + l1_clusters;
	struct header h = {
		.version = 3,
		.cluster_bits = m->cluster_bits,
		.virtual_size = DISK_BYTES,
		.l1_entries = (uint32_t)(l1_bytes / 8),
		.l1_offset = (2 + rt_clusters) * cluster,
		.reftable_offset = cluster,
		.reftable_clusters = (uint32_t)rt_clusters,
		.refcount_order = 4,
		.header_length = HEADER_OUR_BYTES,
	};
	struct points points = {0};
	struct aio_file *f;
	uint8_t *all = calloc(used, cluster);
	struct q2_err err;
	int r;

	r = header_encode(&h, all, cluster, &err);
	store_be64(all + cluster, (1 + rt_clusters) * cluster);
	for (uint64_t i = 0; i < used; i++)
		store_be16(all + (1 + rt_clusters) * cluster + 2 * i, 1);
	if (r == 0)
		r = aio_open(m->loop, "disk", AIO_CREATE, &points, &f, &err);
	if (r == 0) {
		r = file_write(f, AIO_HEADER, all, used * cluster, 0);
		aio_close(f);
	}
	free(all);
	return r;
}

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
run_op(void *arg)
{
	struct op *op = arg;
	struct model *m = op->m;
	struct iovec iov = {op->buf, op->len};
	int r;

	if (op->kind == 2) {
		r = cache_commit(m->img);
	} else if (op->kind == 1) {
		r = image_write(m->img, iov_iter_init(&iov, 1), op->off);
		memcpy(m->bytes + op->off, op->buf, op->len);
	} else {
		r = image_read(m->img, iov_iter_init(&iov, 1), op->off);
		if (r == 0 && memcmp(m->bytes + op->off, op->buf, op->len) != 0)
			record(m, "wrong bytes", op->off, 1);
	}
	if (r < 0)
		record(m, op->kind == 1 ? "write" : "read or flush", op->off,
		       r);
	if (op->kind != 2)
		for (uint64_t s = op->off / 512;
		     s <= (op->off + op->len - 1) / 512; s++)
			m->busy[s] = false;
	free(op->buf);
	free(op);
	m->running--;
}

/* A random place whose sectors no other operation in flight touches, so that
 * the array says what must be read. */
static bool
pick_place(struct model *m, struct op *op)
{
	uint64_t max = rng_below(&m->rng, 4) ? 8 * KiB : 200 * KiB;

	op->off = rng_below(&m->rng, DISK_BYTES);
	op->len = 1 + rng_below(&m->rng, max);
	if (rng_below(&m->rng, 2)) {
		op->off = align_down(op->off, 4096);
		op->len = align_up(op->len, 4096);
	}
	op->len = min_u64(op->len, DISK_BYTES - op->off);
	for (uint64_t s = op->off / 512; s <= (op->off + op->len - 1) / 512;
	     s++)
		if (m->busy[s])
			return false;
	for (uint64_t s = op->off / 512; s <= (op->off + op->len - 1) / 512;
	     s++)
		m->busy[s] = true;
	return true;
}

static void
start_op(struct model *m)
{
	struct op *op = calloc(1, sizeof(*op));
	uint64_t dice = rng_below(&m->rng, 20);

	op->m = m;
	op->kind = dice == 0 ? 2 : dice < 13 ? 1 : 0;
	if (op->kind != 2 && !pick_place(m, op)) {
		free(op);
		return;
	}
	op->buf = malloc(op->len + 1);
	for (uint64_t i = 0; i < op->len; i++)
		op->buf[i] = (uint8_t)rng_next(&m->rng);
	m->running++;
	m->reads += op->kind == 0;
	m->writes += op->kind == 1;
	m->flushes += op->kind == 2;
	(void)co_start(&m->loop->sched, run_op, op);
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

/* Every refcount equals the number of references: no leak, no corruption. */
static int Q2_CO
count_references(void *arg)
{
	struct model *m = arg;
	struct image *img = m->img;
	uint64_t cluster = img->geom.cluster_size;
	uint64_t n = align_up(img->alloc.file_bytes, cluster) / cluster + 1;
	uint8_t *refs = calloc(n, 1);
	uint64_t count;

	refs[0]++;
	for (uint64_t i = 0; i < img->header.reftable_clusters; i++)
		refs[img->header.reftable_offset / cluster + i]++;
	for (uint64_t i = 0; i < div_up(img->l1.bytes, cluster); i++)
		refs[img->header.l1_offset / cluster + i]++;
	for (uint32_t i = 0; i < img->reftable.n; i++)
		if (img->reftable.entries[i])
			refs[img->reftable.entries[i] / cluster]++;
	for (uint32_t i = 0; i < img->l1.n; i++)
		if (img->l1.entries[i] & ENTRY_OFFSET_MASK)
			refs[(img->l1.entries[i] & ENTRY_OFFSET_MASK) /
			     cluster]++;
	for (uint64_t off = 0; off < img->size; off += cluster) {
		struct q2_extent ext;
		int r = image_map(img, off, cluster, &ext);

		if (r < 0)
			record(m, "map", off, r);
		else if (ext.has_host)
			refs[ext.host / cluster]++;
	}
	for (uint64_t i = 0; i < n; i++)
		if (alloc_refcount(img, i, &count) < 0 || count != refs[i])
			record(m, "refcount of cluster", i, (int)count + 1);
	free(refs);
	return 0;
}

static void
open_model(struct model *m)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.zero = m->zero,
		.l2_cache_size = 1024,
		.l2_cache_entry_size = 512,
	};
	struct q2_err err = {0};

	if (image_open(m->loop, "disk", &opts, &m->img, &err) < 0)
		fail_msg("open: %s", err.text);
}

static void
run_model(unsigned cluster_bits, uint32_t align, enum q2_zero zero,
	  uint64_t seed)
{
	struct q2_err err = {0};
	struct model m = {
		.rng.state = seed, .cluster_bits = cluster_bits, .zero = zero};

	print_message("cluster %u, align %u, zero %d, Q2_SEED=%" PRIu64 "\n",
		      1U << cluster_bits, align, zero, seed);
	m.bytes = calloc(1, DISK_BYTES);
	m.busy = calloc(DISK_BYTES / 512 + 1, sizeof(*m.busy));
	assert_int_equal(loop_new_backend(backend_memory_new(align, &err),
					  &(struct loop_opts){0}, &m.loop,
					  &err),
			 0);
	assert_int_equal(loop_call(m.loop, make_image, &m), 0);
	for (int i = 0; i < BURSTS && !m.error; i++) {
		open_model(&m);
		burst(&m);
		(void)loop_call(m.loop, count_references, &m);
		if (image_close(m.img, &err) < 0)
			fail_msg("close: %s", err.text);
	}
	if (m.error)
		fail_msg("%s (reads %u, writes %u, flushes %u)", m.why, m.reads,
			 m.writes, m.flushes);
	assert_true(m.reads && m.writes && m.flushes);
	loop_free(m.loop);
	free(m.bytes);
	free(m.busy);
}

static void
test_random_requests_equal_a_plain_array(void **state)
{
	static const unsigned bits[] = {9, 12, 16, 18};
	static const uint32_t aligns[] = {1, 512, 4096};
	const char *env = getenv("Q2_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);

	(void)state;
	for (size_t b = 0; b < ARRAY_SIZE(bits); b++)
		for (size_t a = 0; a < ARRAY_SIZE(aligns); a++)
			for (int z = Q2_ZERO_HOLE; z <= Q2_ZERO_WRITE; z++)
				run_model(bits[b], aligns[a], (enum q2_zero)z,
					  seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_requests_equal_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
