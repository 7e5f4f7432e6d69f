/* SPDX-License-Identifier: MIT */
/*
 * Requests through q2.h on files in memory: which take the fast path, what a
 * flush costs (rule E2), that writes into one new cluster go on side by side
 * (A3), that flushes share a commit, and what is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/q2.h"

#define MANY 32

struct disk {
	struct q2_loop *loop;
	struct q2_image *img;
	struct q2_req rq[MANY];
	struct iovec iov[MANY];
	unsigned left;
	uint8_t *buf;
};

static void
reopen(struct disk *d, const struct q2_open_opts *opts)
{
	struct q2_err err = {0};

	if (d->img && q2_close(d->img, &err) < 0)
		fail_msg("close: %s", err.text);
	if (q2_open(d->loop, "disk", opts, &d->img, &err) < 0)
		fail_msg("open: %s", err.text);
}

static int
setup(void **state)
{
	struct q2_loop_opts lo = {.size = sizeof(lo), .aio = "memory"};
	struct q2_create_opts co = {.size = sizeof(co),
				    .virtual_size = 64 * MiB};
	struct disk *d = calloc(1, sizeof(*d));
	struct q2_err err = {0};

	*state = d;
	if (q2_loop_new(&lo, &d->loop, &err) < 0 ||
	    q2_create(d->loop, "disk", &co, NULL, &err) < 0)
		fail_msg("%s", err.text);
	d->buf = calloc(1, MiB);
	reopen(d, NULL);
	return 0;
}

static int
teardown(void **state)
{
	struct disk *d = *state;
	struct q2_err err = {0};

	if (q2_close(d->img, &err) < 0)
		fail_msg("close: %s", err.text);
	q2_loop_free(d->loop);
	free(d->buf);
	free(d);
	return 0;
}

static struct q2_stats
stats_of(struct disk *d)
{
	struct q2_stats s;

	q2_stats(d->img, &s);
	return s;
}

static void
count_down(struct q2_req *rq)
{
	struct disk *d = rq->user;

	d->left--;
}

/* n requests of len bytes, one after the other on the disk, all at once. */
static void
submit_many(struct disk *d, enum q2_op op, unsigned n, uint64_t off, size_t len)
{
	d->left = n;
	for (unsigned i = 0; i < n; i++) {
		d->iov[i] = (struct iovec){d->buf + i * len, len};
		d->rq[i] = (struct q2_req){
			.op = op,
			.off = op == Q2_FLUSH ? 0 : off + i * len,
			.len = op == Q2_FLUSH ? 0 : len,
			.iov = &d->iov[i],
			.iovcnt = 1,
			.done = count_down,
			.user = d,
		};
		q2_submit(d->img, &d->rq[i]);
		assert_int_equal(d->left, n);
	}
	while (d->left)
		assert_true(q2_loop_run(d->loop, 1, -1) >= 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(d->rq[i].result, 0);
}

static void
test_a_flush_costs_what_the_rules_say(void **state)
{
	struct disk *d = *state;
	uint64_t before = stats_of(d).fdatasyncs;

	assert_int_equal(q2_flush(d->img), 0);
	assert_int_equal(stats_of(d).fdatasyncs - before, 0);

	/* A new L2 table, refcounts, data; then the L1 entry. */
	assert_int_equal(q2_pwrite(d->img, d->buf, 4096, 0), 0);
	assert_int_equal(q2_flush(d->img), 0);
	assert_int_equal(stats_of(d).fdatasyncs - before, 2);

	/* In place: data only. */
	assert_int_equal(q2_pwrite(d->img, d->buf, 4096, 0), 0);
	assert_int_equal(q2_flush(d->img), 0);
	assert_int_equal(stats_of(d).fdatasyncs - before, 3);

	/* An ordinary allocating flush. */
	assert_int_equal(q2_pwrite(d->img, d->buf, 4096, MiB), 0);
	assert_int_equal(q2_flush(d->img), 0);
	assert_int_equal(stats_of(d).fdatasyncs - before, 5);
	assert_int_equal(q2_flush(d->img), 0);
	assert_int_equal(stats_of(d).fdatasyncs - before, 5);
}

static void
test_flushes_share_commits(void **state)
{
	struct disk *d = *state;
	uint64_t before;

	submit_many(d, Q2_WRITE, 16, 0, 64 * KiB);
	before = stats_of(d).fdatasyncs;
	submit_many(d, Q2_FLUSH, MANY, 0, 0);
	/* The first commit, and at most one more that the others join. */
	assert_true(stats_of(d).fdatasyncs - before >= 2);
	assert_true(stats_of(d).fdatasyncs - before <= 4);
}

static void
test_writes_into_a_new_cluster_join(void **state)
{
	struct disk *d = *state;
	struct q2_stats s;

	for (size_t i = 0; i < 64 * KiB; i++)
		d->buf[i] = (uint8_t)(i * 7 / 5);
	submit_many(d, Q2_WRITE, 16, 10 * MiB, 4 * KiB);
	s = stats_of(d);
	assert_int_equal(s.alloc_join, 15);
	/* The cluster, and its L2 table. */
	assert_int_equal(s.clusters_alloc, 2);
	assert_int_equal(s.host_write_cow_bytes, 0);
	assert_int_equal(q2_pread(d->img, d->buf + MiB / 2, 64 * KiB, 10 * MiB),
			 0);
	assert_memory_equal(d->buf, d->buf + MiB / 2, 64 * KiB);
}

static void
test_the_fast_path_is_taken(void **state)
{
	struct disk *d = *state;
	uint64_t fast;

	/* Known to be zero; then in place; a run of clusters in one read. */
	fast = stats_of(d).fast_requests;
	submit_many(d, Q2_READ, 4, 0, 4 * KiB);
	assert_int_equal(stats_of(d).fast_requests - fast, 4);
	submit_many(d, Q2_WRITE, 1, 0, MiB);
	assert_int_equal(stats_of(d).fast_requests - fast, 4);
	submit_many(d, Q2_WRITE, 16, 0, 4 * KiB);
	submit_many(d, Q2_READ, 1, 0, MiB);
	assert_int_equal(stats_of(d).fast_requests - fast, 21);
}

static void
test_durable_writes(void **state)
{
	struct disk *d = *state;
	struct q2_open_opts through = {.size = sizeof(through),
				       .cache = Q2_CACHE_WRITETHROUGH};
	uint64_t syncs;

	assert_int_equal(q2_pwrite(d->img, d->buf, 4096, 0), 0);
	assert_int_equal(q2_flush(d->img), 0);
	syncs = stats_of(d).fdatasyncs;
	d->left = 1;
	d->iov[0] = (struct iovec){d->buf, 4096};
	d->rq[0] = (struct q2_req){.op = Q2_WRITE,
				   .flags = Q2_FUA,
				   .len = 4096,
				   .iov = d->iov,
				   .iovcnt = 1,
				   .done = count_down,
				   .user = d};
	q2_submit(d->img, &d->rq[0]);
	while (d->left)
		assert_true(q2_loop_run(d->loop, 1, -1) >= 0);
	assert_int_equal(d->rq[0].result, 0);
	assert_int_equal(stats_of(d).fdatasyncs - syncs, 1);

	reopen(d, &through);
	assert_int_equal(q2_pwrite(d->img, d->buf, 4096, 0), 0);
	assert_int_equal(stats_of(d).fdatasyncs, 1);
	assert_int_equal(q2_pwrite(d->img, d->buf, 4096, 5 * MiB), 0);
	assert_int_equal(stats_of(d).fdatasyncs, 3);
}

static void
test_unsafe_never_syncs(void **state)
{
	struct disk *d = *state;
	struct q2_open_opts opts = {.size = sizeof(opts),
				    .cache = Q2_CACHE_UNSAFE};

	reopen(d, &opts);
	submit_many(d, Q2_WRITE, 16, 0, 4 * KiB);
	assert_int_equal(q2_flush(d->img), 0);
	assert_int_equal(stats_of(d).fdatasyncs, 0);
}

static void
test_wrong_requests_fail(void **state)
{
	struct disk *d = *state;
	struct q2_open_opts ro = {.size = sizeof(ro), .flags = Q2_RDONLY};

	assert_int_equal(q2_pwrite(d->img, d->buf, 4096, 64 * MiB - 512), -EIO);
	assert_int_equal(q2_pread(d->img, d->buf, 1, UINT64_MAX), -EIO);
	assert_int_equal(q2_pread(d->img, d->buf, 0, 64 * MiB), 0);
	reopen(d, &ro);
	assert_int_equal(q2_pwrite(d->img, d->buf, 4096, 0), -EPERM);
	assert_int_equal(q2_pzero(d->img, 4096, 0, 0), -EPERM);
	assert_int_equal(q2_pread(d->img, d->buf, 4096, 0), 0);
	assert_int_equal(q2_flush(d->img), 0);
}

static void
test_the_null_driver_does_nothing(void **state)
{
	struct disk *d = *state;
	struct q2_open_opts opts = {
		.size = sizeof(opts), .driver = "null", .virtual_size = MiB};

	reopen(d, &opts);
	assert_int_equal(q2_size(d->img), MiB);
	submit_many(d, Q2_WRITE, 8, 0, 4 * KiB);
	submit_many(d, Q2_FLUSH, 8, 0, 0);
	assert_int_equal(stats_of(d).host_writes, 0);
	assert_int_equal(stats_of(d).guest_writes, 8);
}

static void
test_bad_options_are_named(void **state)
{
	struct disk *d = *state;
	struct q2_open_opts opts = {.size = sizeof(opts), .driver = "vmdk"};
	struct q2_image *img;
	struct q2_err err = {0};

	assert_int_equal(q2_open(d->loop, "disk", &opts, &img, &err), -EINVAL);
	assert_string_equal(err.text, "Unknown driver 'vmdk'");
	opts = (struct q2_open_opts){.size = sizeof(opts),
				     .l2_cache_size = 2 * MiB,
				     .cache_size = MiB};
	assert_int_equal(q2_open(d->loop, "disk", &opts, &img, &err), -EINVAL);
	assert_string_equal(err.text,
			    "l2-cache-size may not exceed cache-size");
	opts = (struct q2_open_opts){.size = sizeof(opts),
				     .l2_cache_entry_size = 1000};
	assert_int_equal(q2_open(d->loop, "disk", &opts, &img, &err), -EINVAL);
	assert_int_equal(q2_open(d->loop, "nothing", NULL, &img, &err),
			 -ENOENT);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_flush_costs_what_the_rules_say),
		TEST(test_flushes_share_commits),
		TEST(test_writes_into_a_new_cluster_join),
		TEST(test_the_fast_path_is_taken),
		TEST(test_durable_writes),
		TEST(test_unsafe_never_syncs),
		TEST(test_wrong_requests_fail),
		TEST(test_the_null_driver_does_nothing),
		TEST(test_bad_options_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
