/* SPDX-License-Identifier: MIT */
/*
 * Ways in which other engines have lost data, each as small as it can be: what
 * random tests meet by chance happens here on purpose.  docs/testing.md has the
 * list of all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "tests/image_check.h"
#include "tests/image_make.h"
#include "tests/sim/sim.h"

#define NAME    "disk"
#define CLUSTER (64 * KiB)
#define L2_AT   (4 * CLUSTER) /* header, refcount table, block, L1, L2 */

struct bed {
	struct loop *loop;
	struct image *img;
	uint8_t *buf, *back; /* a MiB each */
};

static int
setup(void **state)
{
	static struct sim_opts sim;
	struct bed *b = calloc(1, sizeof(*b));
	struct q2_err err;

	*state = b;
	sim = (struct sim_opts){.seed = 1};
	b->buf = calloc(1, MiB);
	b->back = calloc(1, MiB);
	return loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				NULL, &b->loop, &err);
}

static int
teardown(void **state)
{
	struct bed *b = *state;

	if (b->img)
		(void)q2_close((struct q2_image *)b->img, NULL);
	loop_free(b->loop);
	free(b->buf);
	free(b->back);
	free(b);
	return 0;
}

static enum image_cluster
same_state(void *arg, uint64_t cluster)
{
	(void)cluster;
	return *(const enum image_cluster *)arg;
}

/* A disk of 16 MiB whose clusters are all in one state. */
static void
make(struct bed *b, enum image_cluster state)
{
	struct image_make m = {.bytes = 16 * MiB,
			       .cluster_bits = 16,
			       .refcount_order = 4,
			       .state = same_state,
			       .arg = &state};

	assert_int_equal(image_make(b->loop, NAME, &m), 0);
}

static void
open_disk(struct bed *b)
{
	struct q2_open_opts o = {
		.size = sizeof(o), .driver = "qcow2", .flags = Q2_UNMAP};
	struct q2_image *img;
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)b->loop, NAME, &o, &img, &err) < 0)
		fail_msg("open: %s", err.text);
	b->img = (struct image *)img;
}

static struct q2_image *
disk(const struct bed *b)
{
	return (struct q2_image *)b->img;
}

static void
close_disk(struct bed *b)
{
	struct image_check check;
	struct q2_err err = {0};

	if (q2_close(disk(b), &err) < 0)
		fail_msg("close: %s", err.text);
	b->img = NULL;
	assert_int_equal(image_check(b->loop, NAME, &check), 0);
	if (check.corruptions || check.leaks)
		fail_msg("%lu leaks, %s", (unsigned long)check.leaks,
			 check.why);
}

/* Everything unlinked becomes free. */
static void
settle(struct bed *b)
{
	assert_int_equal(q2_flush(disk(b)), 0);
	while (!list_empty(&b->img->limbo.items) || b->img->limbo.working)
		assert_true(loop_run(b->loop, 0, 0) >= 0);
}

/* Bytes of the file, in a coroutine. */
struct bytes {
	struct bed *b;
	void *buf;
	uint64_t len, off;
	bool write;
};

static int Q2_CO
move_bytes(void *arg)
{
	struct bytes *m = arg;
	struct points points = {0};
	struct aio_file *f;
	int r = aio_open(m->b->loop, NAME, m->write ? 0 : AIO_RDONLY, &points,
			 &f, NULL);

	if (r < 0)
		return r;
	r = m->write ? file_write(f, AIO_HEADER, m->buf, m->len, m->off)
		     : file_read(f, AIO_HEADER, m->buf, m->len, m->off);
	aio_close(f);
	return r;
}

static void
get(struct bed *b, void *buf, uint64_t len, uint64_t off)
{
	struct bytes m = {b, buf, len, off, false};

	assert_int_equal(loop_call(b->loop, move_bytes, &m), 0);
}

static void
put(struct bed *b, void *buf, uint64_t len, uint64_t off)
{
	struct bytes m = {b, buf, len, off, true};

	assert_int_equal(loop_call(b->loop, move_bytes, &m), 0);
}

/* ---- a discard while a write is being linked ---------------------------- */

static struct late {
	struct bed *b;
	struct q2_req rq;
	bool armed, ended;
} late;

static void
late_done(struct q2_req *rq)
{
	(void)rq;
	late.ended = true;
}

/* The data is there, the entry is not. */
static int
submit_late(void *arg, enum point point)
{
	(void)arg;
	if (point == POINT_data_written && late.armed) {
		late.armed = false;
		q2_submit(disk(late.b), &late.rq);
	}
	return 0;
}

static void
one_late_request(struct bed *b, enum image_cluster state, enum q2_op op)
{
	bool settled;

	make(b, state);
	open_disk(b);
	b->img->points.hook = submit_late;
	late = (struct late){.b = b, .armed = true};
	late.rq = (struct q2_req){.op = op,
				  .flags = op == Q2_ZERO ? Q2_MAY_UNMAP : 0,
				  .len = CLUSTER,
				  .done = late_done};
	memset(b->buf, 0x11, MiB);
	assert_int_equal(q2_pwrite(disk(b), b->buf, 4096, 8192), 0);
	assert_false(late.armed);
	assert_int_equal(loop_run_until(b->loop, &late.ended), 0);
	assert_int_equal(late.rq.result, 0);
	settle(b);
	/* A cluster that was freed by mistake has another owner now. */
	memset(b->buf, 0x22, MiB);
	assert_int_equal(q2_pwrite(disk(b), b->buf, MiB, 8 * MiB), 0);
	assert_int_equal(q2_pread(disk(b), b->back, CLUSTER, 0), 0);
	settled = mem_is_zero(b->back, CLUSTER);
	memset(b->buf, 0x11, 4096);
	assert_true(settled || memcmp(b->back + 8192, b->buf, 4096) == 0);
	assert_true(mem_is_zero(b->back, 8192) &&
		    mem_is_zero(b->back + 12288, CLUSTER - 12288));
	close_disk(b);
}

static void
test_a_discard_while_a_write_is_being_linked(void **state)
{
	static const enum q2_op ops[] = {Q2_DISCARD, Q2_ZERO};

	for (int s = IMAGE_EMPTY; s <= IMAGE_SHARED; s++)
		for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
			if (s != IMAGE_NORMAL) /* written in place */
				one_late_request(*state, (enum image_cluster)s,
						 ops[i]);
}

/* ---- a discard of the file that takes its time -------------------------- */

/* Freed clusters are punched, and handed out again, at random speeds. */
static void
test_a_punch_never_hits_the_next_owner(void **state)
{
	struct bed *b = *state;
	struct sim_opts slow = {.delay_max = 40};

	make(b, IMAGE_NORMAL);
	open_disk(b);
	sim_set_chances(b->loop, &slow);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t freed = i % 16 * MiB / 2, taken = freed + 8 * CLUSTER;

		memset(b->buf, (int)i + 1, 4 * CLUSTER);
		assert_int_equal(q2_pzero(disk(b), 4 * CLUSTER, taken - MiB / 2,
					  Q2_MAY_UNMAP),
				 0);
		assert_int_equal(q2_flush(disk(b)), 0);
		/* Not settled: they leave limbo meanwhile. */
		for (unsigned turns = 0; turns < i % 40; turns++)
			assert_true(loop_run(b->loop, 0, 0) >= 0);
		assert_int_equal(q2_pwrite(disk(b), b->buf, 4 * CLUSTER, freed),
				 0);
		settle(b);
		assert_int_equal(q2_pread(disk(b), b->back, 4 * CLUSTER, freed),
				 0);
		assert_memory_equal(b->back, b->buf, 4 * CLUSTER);
	}
	assert_true(b->img->points.n.host_discards > 50);
	sim_set_chances(b->loop, &(struct sim_opts){0});
	close_disk(b);
}

/* ---- two entries with one cluster --------------------------------------- */

/* As a snapshot has it: clusters 0 and 1 are one, with two references. */
static void
share_first_cluster(struct bed *b)
{
	uint8_t entry[8], count[2];
	uint64_t host;

	get(b, entry, sizeof(entry), L2_AT);
	host = load_be64(entry) & ENTRY_OFFSET_MASK;
	/* What was cluster 1's is no longer used. */
	get(b, entry, sizeof(entry), L2_AT + 8);
	store_be16(count, 0);
	put(b, count, 2,
	    2 * CLUSTER + (load_be64(entry) & ENTRY_OFFSET_MASK) / CLUSTER * 2);
	store_be64(entry, host);
	put(b, entry, sizeof(entry), L2_AT);
	put(b, entry, sizeof(entry), L2_AT + 8);
	store_be16(count, 2);
	put(b, count, 2, 2 * CLUSTER + host / CLUSTER * 2);
	memset(b->buf, 0x77, CLUSTER);
	put(b, b->buf, CLUSTER, host);
}

static void
test_a_shared_cluster_is_copied_before_it_changes(void **state)
{
	struct bed *b = *state;
	struct q2_req rq = {.op = Q2_DISCARD, .done = late_done};

	for (unsigned op = 0; op < 3; op++) {
		make(b, IMAGE_NORMAL);
		share_first_cluster(b);
		open_disk(b);
		late.ended = false;
		memset(b->buf, 0x33, 512);
		if (op == 0)
			assert_int_equal(q2_pwrite(disk(b), b->buf, 512, 5120),
					 0);
		else if (op == 1)
			assert_int_equal(
				q2_pzero(disk(b), CLUSTER, 0, Q2_MAY_UNMAP), 0);
		rq.len = CLUSTER;
		if (op == 2) {
			q2_submit(disk(b), &rq);
			assert_int_equal(loop_run_until(b->loop, &late.ended),
					 0);
		}
		settle(b);
		/* New clusters, which are not the shared one. */
		memset(b->buf, 0x44, MiB);
		assert_int_equal(q2_pwrite(disk(b), b->buf, MiB, 8 * MiB), 0);
		memset(b->buf, 0x77, CLUSTER);
		assert_int_equal(q2_pread(disk(b), b->back, CLUSTER, CLUSTER),
				 0);
		assert_memory_equal(b->back, b->buf, CLUSTER);
		assert_int_equal(q2_pread(disk(b), b->back, CLUSTER, 0), 0);
		if (op == 0)
			memset(b->buf + 5120, 0x33, 512);
		else
			memset(b->buf, 0, CLUSTER);
		assert_memory_equal(b->back, b->buf, CLUSTER);
		close_disk(b);
	}
}

/* ---- what a preallocated zero cluster has ------------------------------- */

static void
test_a_preallocated_zero_cluster_keeps_its_place(void **state)
{
	struct bed *b = *state;
	struct q2_extent before, after;

	make(b, IMAGE_ZERO_ALLOC);
	open_disk(b);
	memset(b->buf, 0x55, CLUSTER);
	assert_int_equal(q2_map(disk(b), 0, CLUSTER, &before, NULL), 0);
	assert_true(before.zero && before.has_host);
	assert_int_equal(q2_pwrite(disk(b), b->buf, 512, 1024), 0);
	assert_int_equal(q2_map(disk(b), 0, CLUSTER, &after, NULL), 0);
	assert_true(!after.zero && after.host == before.host);
	assert_int_equal(b->img->points.n.clusters_alloc, 0);
	assert_int_equal(q2_pread(disk(b), b->back, CLUSTER, 0), 0);
	assert_true(mem_is_zero(b->back, 1024) &&
		    mem_is_zero(b->back + 1536, CLUSTER - 1536));
	close_disk(b);
}

/* ---- the header --------------------------------------------------------- */

#define HEADER_SHOWN 4096

/* A header of that length, with unknown bytes, extensions and features. */
static void
strange_header(struct bed *b, unsigned length, uint8_t *header)
{
	static const uint8_t extension[] = {0x12, 0x34, 0x56, 0x78, 0,   0,
					    0,    5,    'h',  'e',  'l', 'l',
					    'o',  0,    0,    0};

	get(b, header, HEADER_SHOWN, 0);
	memset(header + 104, 0, HEADER_SHOWN - 104);
	if (length > 112)
		memset(header + 112, 0xc3, length - 112);
	memcpy(header + length, extension, sizeof(extension));
	store_be32(header + 100, length);
	store_be64(header + HEADER_OFF_INCOMPAT + 8,
		   UINT64_C(1) << 63 | load_be64(header + 80));
	store_be64(header + HEADER_OFF_INCOMPAT + 16, UINT64_C(1) << 62);
	put(b, header, HEADER_SHOWN, 0);
}

/* Everything that changes the header in place, and all that does not. */
static void
use_disk(struct bed *b)
{
	struct q2_resize_opts o = {.size = sizeof(o),
				   .preallocation = Q2_PREALLOC_METADATA};

	open_disk(b);
	assert_int_equal(q2_pwrite(disk(b), b->buf, MiB, MiB), 0);
	assert_int_equal(q2_pzero(disk(b), MiB, 0, Q2_MAY_UNMAP), 0);
	settle(b);
	/* A longer L1 table, and a longer refcount table. */
	assert_int_equal(q2_resize(disk(b), 40 * GiB, &o, NULL), 0);
	close_disk(b);
}

static void
test_the_header_keeps_what_is_unknown(void **state)
{
	static const unsigned lengths[] = {104, 112, 120, 1024};
	struct bed *b = *state;
	uint8_t before[HEADER_SHOWN], after[HEADER_SHOWN];

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		make(b, IMAGE_EMPTY);
		strange_header(b, lengths[i], before);
		use_disk(b);
		get(b, after, sizeof(after), 0);
		assert_int_equal(load_be64(after + HEADER_OFF_SIZE), 40 * GiB);
		/* Size, L1 table and refcount table have changed, and unknown
		 * bits that must be cleared by whoever does not know them. */
		memcpy(before + HEADER_OFF_SIZE, after + HEADER_OFF_SIZE, 8);
		memcpy(before + HEADER_OFF_L1_SIZE, after + HEADER_OFF_L1_SIZE,
		       12);
		memcpy(before + HEADER_OFF_REFTABLE,
		       after + HEADER_OFF_REFTABLE, 12);
		store_be64(before + HEADER_OFF_INCOMPAT + 16, 0);
		assert_memory_equal(after, before, HEADER_SHOWN);
	}
}

/* ---- closing with requests in flight ------------------------------------ */

static unsigned ended;

static void
count_ended(struct q2_req *rq)
{
	ended += rq->result == 0;
}

static void
test_closing_waits_for_what_is_in_flight(void **state)
{
	static struct q2_req rq[32];
	static struct iovec iov[32];
	struct bed *b = *state;
	struct sim_opts slow = {.delay_max = 50};

	make(b, IMAGE_EMPTY);
	open_disk(b);
	sim_set_chances(b->loop, &slow);
	ended = 0;
	for (unsigned i = 0; i < 32; i++) {
		memset(b->buf + i * 4096, (int)i + 1, 4096);
		iov[i] = (struct iovec){b->buf + i * 4096, 4096};
		rq[i] = (struct q2_req){.op = i % 4 == 3 ? Q2_FLUSH : Q2_WRITE,
					.off = (uint64_t)i * 8192,
					.len = i % 4 == 3 ? 0 : 4096,
					.iov = &iov[i],
					.iovcnt = 1,
					.done = count_ended};
		q2_submit(disk(b), &rq[i]);
	}
	assert_true(ended < 32);
	close_disk(b);
	assert_int_equal(ended, 32);
	/* Nobody uses the memory any more, and all is in the file. */
	sim_set_chances(b->loop, &(struct sim_opts){0});
	open_disk(b);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(
			q2_pread(disk(b), b->back, 4096, (uint64_t)i * 8192),
			0);
		if (i % 4 != 3)
			assert_memory_equal(b->back, b->buf + i * 4096, 4096);
	}
	close_disk(b);
}

/* ---- files shorter than their clusters ---------------------------------- */

struct cut {
	struct loop *loop;
	uint64_t bytes; /* to be cut off, less than the file has */
};

static int Q2_CO
cut_file(void *arg)
{
	struct cut *cut = arg;
	struct points points = {0};
	struct aio_file *file;
	int r;

	r = aio_open(cut->loop, NAME, 0, &points, &file, NULL);
	if (r < 0)
		return r;
	r = file_truncate(file, (uint64_t)aio_size(file) - cut->bytes);
	aio_close(file);
	return r;
}

/* QEMU leaves such files where subclusters, or parts of an encrypted cluster,
 * were written.  The first write behind the end makes the file grow ahead of
 * need; what the next ones write there must not be cut off at close. */
static void
test_a_last_cluster_that_the_file_has_in_part(void **state)
{
	struct bed *b = *state;
	struct cut cut = {b->loop, CLUSTER - 512};

	make(b, IMAGE_EMPTY);
	open_disk(b);
	memset(b->buf, 1, CLUSTER);
	assert_int_equal(q2_pwrite(disk(b), b->buf, 512, 0), 0);
	close_disk(b);
	assert_int_equal(loop_call(b->loop, cut_file, &cut), 0);
	open_disk(b);
	for (uint64_t off = 4096; off < CLUSTER; off += 4096)
		assert_int_equal(q2_pwrite(disk(b), b->buf, 4096, off), 0);
	close_disk(b);
	open_disk(b);
	assert_int_equal(q2_pread(disk(b), b->back, CLUSTER - 4096, 4096), 0);
	assert_memory_equal(b->back, b->buf, CLUSTER - 4096);
	close_disk(b);
}

/* ---- raw data files ------------------------------------------------------ */

static int Q2_CO
fill_data(void *arg)
{
	struct points points = {0};
	struct aio_file *file;
	uint8_t *ones;
	int r;

	r = aio_open(arg, "data", AIO_CREATE, &points, &file, NULL);
	if (r < 0)
		return r;
	ones = malloc(CLUSTER);
	memset(ones, 1, CLUSTER);
	r = file_write(file, AIO_DATA, ones, CLUSTER, 0);
	free(ones);
	aio_close(file);
	return r;
}

struct look {
	struct loop *loop;
	uint8_t *bytes;
};

static int Q2_CO
read_data(void *arg)
{
	struct look *l = arg;
	struct points points = {0};
	struct aio_file *file;
	int r;

	r = aio_open(l->loop, "data", 0, &points, &file, NULL);
	if (r < 0)
		return r;
	r = file_read(file, AIO_DATA, l->bytes, CLUSTER, 0);
	aio_close(file);
	return r;
}

static void
set_ended(struct q2_req *rq)
{
	*(bool *)rq->user = true;
}

static void
discard(struct bed *b, uint64_t off, uint64_t len)
{
	bool is_done = false;
	struct q2_req rq = {.op = Q2_DISCARD,
			    .off = off,
			    .len = len,
			    .done = set_ended,
			    .user = &is_done};

	q2_submit(disk(b), &rq);
	while (!is_done)
		(void)q2_loop_run((struct q2_loop *)b->loop, 1, -1);
	assert_int_equal(rq.result, 0);
}

/* Blocks of the file are larger than clusters: there are no holes for the parts
 * of blocks, which whoever reads the file directly must see as zeros. */
static void
test_a_raw_data_file_is_zero_where_it_was_discarded(void **state)
{
	struct bed *b = *state, small = {.buf = b->buf, .back = b->back};
	enum image_cluster normal = IMAGE_NORMAL;
	struct image_make m = {.bytes = CLUSTER,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .state = same_state,
			       .arg = &normal,
			       .data_file = "data",
			       .data_file_raw = true};
	struct look look;

	assert_int_equal(loop_new_backend(backend_memory_new(4096, NULL), NULL,
					  &small.loop, NULL),
			 0);
	assert_int_equal(image_make(small.loop, NAME, &m), 0);
	assert_int_equal(loop_call(small.loop, fill_data, small.loop), 0);
	open_disk(&small);
	/* A part of a block, and a whole one with parts around it. */
	discard(&small, 512, 512);
	discard(&small, 7680, 8192);
	close_disk(&small);
	look = (struct look){small.loop, b->back};
	assert_int_equal(loop_call(small.loop, read_data, &look), 0);
	for (unsigned i = 0; i < CLUSTER; i++)
		assert_int_equal(b->back[i], (i < 512 || i >= 1024) &&
						     (i < 7680 || i >= 15872));
	loop_free(small.loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_discard_while_a_write_is_being_linked),
		TEST(test_a_punch_never_hits_the_next_owner),
		TEST(test_a_shared_cluster_is_copied_before_it_changes),
		TEST(test_a_preallocated_zero_cluster_keeps_its_place),
		TEST(test_the_header_keeps_what_is_unknown),
		TEST(test_closing_waits_for_what_is_in_flight),
		TEST(test_a_last_cluster_that_the_file_has_in_part),
		TEST(test_a_raw_data_file_is_zero_where_it_was_discarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
