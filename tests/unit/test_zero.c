/* SPDX-License-Identifier: MIT */
/*
 * Zeros over a part of a cluster: what is the image's own after it, whatever
 * lies below, and that no write into the same cluster is lost.  On files in
 * memory.
 */
#include <errno.h>
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

#define CLUSTER    65536
#define DISK_BYTES (16 * CLUSTER + 3072) /* the last one is short */

struct bed {
	struct loop *loop;
	struct q2_image *img;
	uint8_t *buf; /* 2 clusters */
};

static void
open_image(struct bed *b, const char *name)
{
	struct q2_open_opts opts = {.size = sizeof(opts)};
	struct q2_err err = {0};

	if (q2_open((struct q2_loop *)b->loop, name, &opts, &b->img, &err) < 0)
		fail_msg("open: %s", err.text);
}

static void
close_image(struct bed *b, const char *name)
{
	struct image_check c;
	struct q2_err err = {0};

	if (q2_close(b->img, &err) < 0)
		fail_msg("close: %s", err.text);
	b->img = NULL;
	assert_int_equal(image_check(b->loop, name, &c), 0);
	if (c.corruptions || c.leaks)
		fail_msg("%s", c.why);
}

static void
make(struct bed *b, const char *name, const struct image_make *m)
{
	struct image_make full = *m;

	full.bytes = DISK_BYTES;
	full.cluster_bits = 16;
	full.refcount_order = 4;
	assert_int_equal(image_make(b->loop, name, &full), 0);
}

/* A base with 512 bytes of 7 at the end of each odd cluster, and over it a disk
 * as m says, which is opened. */
static void
make_chain(struct bed *b, const struct image_make *m)
{
	struct image_make over = *m;

	make(b, "base", &(struct image_make){0});
	open_image(b, "base");
	memset(b->buf, 7, 512);
	for (uint64_t c = 1; c < 16; c += 2)
		assert_int_equal(
			q2_pwrite(b->img, b->buf, 512, (c + 1) * CLUSTER - 512),
			0);
	close_image(b, "base");
	over.backing_file = "base";
	over.backing_format = "qcow2";
	make(b, "disk", &over);
	open_image(b, "disk");
}

static int
setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct q2_err err;

	*state = b;
	b->buf = calloc(2, CLUSTER);
	return loop_new_backend(backend_memory_new(1, &err), NULL, &b->loop,
				&err);
}

static int
teardown(void **state)
{
	struct bed *b = *state;
	struct q2_err err;

	if (b->img)
		(void)q2_close(b->img, &err);
	loop_free(b->loop);
	free(b->buf);
	free(b);
	return 0;
}

static void
zero(struct bed *b, uint64_t off, uint64_t len)
{
	assert_int_equal(q2_pzero(b->img, len, off, 0), 0);
}

/* What there is at off, as far as it goes within len bytes. */
static struct q2_extent
extent_at(struct bed *b, uint64_t off, uint64_t len)
{
	struct q2_extent e;

	assert_int_equal(q2_map(b->img, off, len, &e, NULL), 0);
	return e;
}

/* Is all of [off, off + len) zeros by their flag, in the image itself? */
static bool
is_marked(struct bed *b, uint64_t off, uint64_t len)
{
	struct q2_extent e = extent_at(b, off, len);

	return e.len == len && e.present && e.zero && !e.depth;
}

static bool
is_data(struct bed *b, uint64_t off, uint64_t len)
{
	struct q2_extent e = extent_at(b, off, len);

	return e.len == len && e.present && e.data && !e.depth;
}

static bool
is_below(struct bed *b, uint64_t off, uint64_t len)
{
	struct q2_extent e = extent_at(b, off, len);

	return e.len == len && e.depth == 1;
}

static struct q2_stats
stats_of(const struct bed *b)
{
	struct q2_stats s;

	q2_stats(b->img, &s);
	return s;
}

/* ---- marks ------------------------------------------------------------- */

static void
test_a_part_marks_its_cluster(void **state)
{
	struct bed *b = *state;

	make_chain(b, &(struct image_make){0});
	zero(b, 512, 512);
	assert_true(is_marked(b, 0, CLUSTER));
	/* Two ends, in clusters of their own. */
	zero(b, 4 * CLUSTER - 100, 200);
	/* The base has something at the end of cluster 3. */
	assert_true(is_data(b, 3 * CLUSTER, CLUSTER));
	assert_true(is_marked(b, 4 * CLUSTER, CLUSTER));
	assert_true(is_below(b, 5 * CLUSTER, CLUSTER - 512));
	/* Around whole ones; the rest of cluster 7 is what it had. */
	zero(b, 6 * CLUSTER + 1, CLUSTER + CLUSTER - 1);
	assert_true(is_marked(b, 6 * CLUSTER, 2 * CLUSTER));
	zero(b, 8 * CLUSTER + 1, CLUSTER + CLUSTER - 514);
	assert_true(is_marked(b, 8 * CLUSTER, CLUSTER));
	assert_true(is_data(b, 9 * CLUSTER, CLUSTER));
	/* The end of the disk ends its cluster. */
	zero(b, 16 * CLUSTER + 1024, 1024);
	assert_true(is_marked(b, 16 * CLUSTER, 3072));
	zero(b, 14 * CLUSTER, 2 * CLUSTER + 3072);
	assert_true(is_marked(b, 14 * CLUSTER, 2 * CLUSTER + 3072));
	close_image(b, "disk");
}

static void
test_without_a_base_too(void **state)
{
	struct bed *b = *state;

	make(b, "disk", &(struct image_make){0});
	open_image(b, "disk");
	zero(b, CLUSTER - 512, 1024);
	assert_true(is_marked(b, 0, 2 * CLUSTER));
	/* The L2 table and nothing else. */
	assert_int_equal(stats_of(b).clusters_alloc, 1);
	assert_int_equal(stats_of(b).host_write_data_bytes, 0);
	close_image(b, "disk");
}

/* Beside other bytes zeros are written, also where zeros shone through. */
static void
test_beside_data_zeros_are_data(void **state)
{
	struct bed *b = *state;

	make_chain(b, &(struct image_make){0});
	zero(b, CLUSTER, 512);
	assert_true(is_data(b, CLUSTER, CLUSTER));
	assert_int_equal(q2_pread(b->img, b->buf, CLUSTER, CLUSTER), 0);
	assert_true(mem_is_zero(b->buf, CLUSTER - 512));
	for (unsigned i = CLUSTER - 512; i < CLUSTER; i++)
		assert_int_equal(b->buf[i], 7);
	/* Once written, zeros beside zeros are bytes like any other. */
	zero(b, 2 * CLUSTER - 512, 512);
	zero(b, CLUSTER, 512);
	assert_true(is_data(b, CLUSTER, CLUSTER));
	close_image(b, "disk");
}

static enum image_cluster
all_zero_alloc(void *arg, uint64_t cluster)
{
	(void)arg;
	(void)cluster;
	return IMAGE_ZERO_ALLOC;
}

static void
test_a_place_is_kept(void **state)
{
	struct bed *b = *state;
	uint64_t host;

	make_chain(b, &(struct image_make){.state = all_zero_alloc});
	host = extent_at(b, CLUSTER, CLUSTER).host;
	zero(b, CLUSTER + 512, 512);
	assert_true(is_marked(b, CLUSTER, CLUSTER));
	assert_int_equal(extent_at(b, CLUSTER, CLUSTER).host, host);
	close_image(b, "disk");
}

static void
test_subclusters_are_marked_one_by_one(void **state)
{
	struct bed *b = *state;

	make_chain(b, &(struct image_make){.extended_l2 = true});
	zero(b, 2 * CLUSTER - 2048 - 512, 2048 + 512 + 2048 + 512);
	/* Of the base's cluster 1 nobody knows that it is zeros. */
	assert_true(is_below(b, CLUSTER, CLUSTER - 4096));
	assert_true(is_data(b, 2 * CLUSTER - 4096, 2048));
	assert_true(is_marked(b, 2 * CLUSTER - 2048, 2048));
	assert_true(is_marked(b, 2 * CLUSTER, 4096));
	assert_true(is_below(b, 2 * CLUSTER + 4096, CLUSTER - 4096));
	/* In a cluster that has a place. */
	memset(b->buf, 1, 512);
	assert_int_equal(q2_pwrite(b->img, b->buf, 512, 4 * CLUSTER), 0);
	zero(b, 4 * CLUSTER + 4096 + 512, 512);
	assert_true(is_below(b, 4 * CLUSTER + 2048, 2048));
	assert_true(is_marked(b, 4 * CLUSTER + 4096, 2048));
	zero(b, 4 * CLUSTER + 512, 512);
	assert_true(is_data(b, 4 * CLUSTER, 2048));
	close_image(b, "disk");
}

static void
test_version_2(void **state)
{
	struct bed *b = *state;

	/* There zeros over a base are data, or the base may change them. */
	make_chain(b, &(struct image_make){.version = 2});
	zero(b, 512, 512);
	assert_true(is_data(b, 0, CLUSTER));
	zero(b, 2 * CLUSTER, CLUSTER);
	assert_true(is_data(b, 2 * CLUSTER, CLUSTER));
	close_image(b, "disk");
	/* Without one nothing is zeros. */
	make(b, "disk", &(struct image_make){.version = 2});
	open_image(b, "disk");
	zero(b, 512, 2 * CLUSTER);
	assert_int_equal(stats_of(b).clusters_alloc, 0);
	close_image(b, "disk");
}

/* ---- damage ------------------------------------------------------------ */

/* The base's L1 entry names what cannot be an L2 table. */
static int Q2_CO
damage(void *arg)
{
	struct bed *b = arg;
	struct points points = {0};
	struct aio_file *f;
	uint8_t entry[8];
	int r = aio_open(b->loop, "base", 0, &points, &f, NULL);

	if (r < 0)
		return r;
	/* header, refcount table, refcount block, L1 */
	store_be64(entry, 513 | ENTRY_COPIED);
	r = file_write(f, AIO_L1, entry, sizeof(entry), 3 * CLUSTER);
	aio_close(f);
	return r;
}

static void
test_a_base_that_cannot_be_read(void **state)
{
	struct bed *b = *state;
	struct q2_err err;

	make_chain(b, &(struct image_make){0});
	close_image(b, "disk");
	assert_int_equal(loop_call(b->loop, damage, b), 0);
	open_image(b, "disk");
	/* Nobody can say what is beside it; of a whole one nobody asks. */
	assert_int_equal(q2_pzero(b->img, 512, 512, 0), -EIO);
	zero(b, CLUSTER, CLUSTER);
	assert_int_equal(q2_pread(b->img, b->buf, 512, 0), -EIO);
	assert_int_equal(q2_pread(b->img, b->buf, CLUSTER, CLUSTER), 0);
	assert_true(mem_is_zero(b->buf, CLUSTER));
	assert_int_equal(q2_close(b->img, &err), 0);
	b->img = NULL;
}

/* ---- at the same time -------------------------------------------------- */

#define SECTOR 512
#define PARTS  (CLUSTER / SECTOR)

struct many {
	struct bed *b;
	unsigned left, errors;
	bool ended;
	struct q2_req rq[PARTS];
	struct iovec iov[PARTS];
};

static void
one_done(struct q2_req *rq)
{
	struct many *m = rq->user;

	m->errors += rq->result < 0;
	m->ended = --m->left == 0;
}

/* Every part of a cluster at once, in an order that multiplier makes: zeros
 * if bit i of which is set, else ones. */
static void
all_parts(struct bed *b, uint64_t cluster, unsigned multiplier, uint64_t which)
{
	Q2_AUTO_FREE struct many *m = calloc(1, sizeof(*m));
	uint8_t *have = b->buf + CLUSTER;

	m->b = b;
	m->left = PARTS;
	memset(b->buf, 1, SECTOR);
	for (unsigned i = 0; i < PARTS; i++) {
		unsigned at = i * multiplier % PARTS;
		bool zeros = which >> (at % 64) & 1;

		m->iov[i] = (struct iovec){b->buf, SECTOR};
		m->rq[i] = (struct q2_req){
			.op = zeros ? Q2_ZERO : Q2_WRITE,
			.off = cluster * CLUSTER + (uint64_t)at * SECTOR,
			.len = SECTOR,
			.iov = zeros ? NULL : &m->iov[i],
			.iovcnt = !zeros,
			.done = one_done,
			.user = m,
		};
		q2_submit(b->img, &m->rq[i]);
	}
	assert_int_equal(loop_run_until(b->loop, &m->ended), 0);
	assert_int_equal(m->errors, 0);
	assert_int_equal(q2_pread(b->img, have, CLUSTER, cluster * CLUSTER), 0);
	for (unsigned at = 0; at < PARTS; at++)
		for (unsigned i = 0; i < SECTOR; i++)
			assert_int_equal(have[at * SECTOR + i],
					 !(which >> (at % 64) & 1));
}

static void
test_no_write_is_lost_beside_zeros(void **state)
{
	struct bed *b = *state;
	uint64_t which[] = {1, UINT64_C(1) << 63, ~UINT64_C(1),
			    UINT64_C(0x5555555555555555),
			    UINT64_C(0xfe7f00ff0180ffa5)};

	for (unsigned ext = 0; ext < 2; ext++) {
		for (unsigned w = 0; w < ARRAY_SIZE(which); w++) {
			make_chain(b, &(struct image_make){.extended_l2 = ext});
			for (uint64_t c = 0; c < 16; c++)
				all_parts(b, c, 1 + 2 * (unsigned)(c / 2),
					  which[w]);
			close_image(b, "disk");
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_part_marks_its_cluster),
		TEST(test_without_a_base_too),
		TEST(test_beside_data_zeros_are_data),
		TEST(test_a_place_is_kept),
		TEST(test_subclusters_are_marked_one_by_one),
		TEST(test_version_2),
		TEST(test_a_base_that_cannot_be_read),
		TEST(test_no_write_is_lost_beside_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
