/* SPDX-License-Identifier: MIT */
/*
 * What an image promises beyond right bytes: what discards, lazy refcounts and
 * detect-zeroes cost, metadata that is kept from guest data, caches that
 * shrink, chains that are no chains.  On files in memory.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "tests/image_check.h"
#include "tests/image_make.h"

#define DISK_BYTES (16 * MiB)

struct bed {
	struct loop *loop;
	struct q2_image *img;
	uint8_t *buf; /* 1 MiB */
};

static enum image_cluster
all_normal(void *arg, uint64_t cluster)
{
	(void)arg;
	(void)cluster;
	return IMAGE_NORMAL;
}

static void
make(struct bed *b, const char *name, const struct image_make *m)
{
	struct image_make with_size = *m;

	with_size.bytes = DISK_BYTES;
	if (!with_size.cluster_bits)
		with_size.cluster_bits = 16;
	with_size.refcount_order = 4;
	assert_int_equal(image_make(b->loop, name, &with_size), 0);
}

static void
open_disk(struct bed *b, struct q2_open_opts opts)
{
	struct q2_err err = {0};

	opts.size = sizeof(opts);
	if (q2_open((struct q2_loop *)b->loop, "disk", &opts, &b->img, &err) <
	    0)
		fail_msg("open: %s", err.text);
}

static void
close_disk(struct bed *b)
{
	struct image_check c;
	struct q2_err err = {0};

	if (q2_close(b->img, &err) < 0)
		fail_msg("close: %s", err.text);
	b->img = NULL;
	assert_int_equal(image_check(b->loop, "disk", &c), 0);
	if (c.corruptions || c.leaks || c.dirty)
		fail_msg("%s", c.why);
}

static struct q2_stats
stats_of(const struct bed *b)
{
	struct q2_stats s;

	q2_stats(b->img, &s);
	return s;
}

static struct image *
inner(const struct bed *b)
{
	return (struct image *)b->img;
}

static void
set_ended(struct q2_req *rq)
{
	*(bool *)rq->user = true;
}

static int
discard(struct bed *b, uint64_t off, uint64_t len)
{
	bool ended = false;
	struct q2_req rq = {.op = Q2_DISCARD,
			    .off = off,
			    .len = len,
			    .done = set_ended,
			    .user = &ended};

	q2_submit(b->img, &rq);
	assert_int_equal(loop_run_until(b->loop, &ended), 0);
	return rq.result;
}

static int
setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct q2_err err;

	*state = b;
	b->buf = calloc(1, MiB);
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

/* ---- discard ----------------------------------------------------------- */

static void
test_discarding_what_was_never_written_costs_nothing(void **state)
{
	struct bed *b = *state;
	struct q2_stats before, after;

	make(b, "disk", &(struct image_make){0});
	open_disk(b, (struct q2_open_opts){.flags = Q2_UNMAP});
	before = stats_of(b);
	assert_int_equal(discard(b, 0, DISK_BYTES), 0);
	assert_int_equal(q2_flush(b->img), 0);
	after = stats_of(b);
	assert_int_equal(after.clusters_alloc, before.clusters_alloc);
	assert_int_equal(after.fdatasyncs, before.fdatasyncs);
	assert_int_equal(after.host_writes, before.host_writes);
	close_disk(b);
}

static void
test_discard_no_unref_keeps_clusters(void **state)
{
	struct bed *b = *state;
	uint64_t host;

	make(b, "disk", &(struct image_make){.state = all_normal});
	open_disk(b, (struct q2_open_opts){.flags = Q2_UNMAP,
					   .discard_no_unref = true});
	memset(b->buf, 7, MiB);
	assert_int_equal(q2_pwrite(b->img, b->buf, MiB, 0), 0);
	{
		struct q2_extent e;

		assert_int_equal(q2_map(b->img, 0, MiB, &e, NULL), 0);
		host = e.host;
		assert_int_equal(discard(b, 0, MiB), 0);
		assert_int_equal(q2_map(b->img, 0, MiB, &e, NULL), 0);
		assert_true(e.zero && e.has_host && e.host == host);
	}
	assert_int_equal(q2_pread(b->img, b->buf, MiB, 0), 0);
	assert_true(mem_is_zero(b->buf, MiB));
	assert_int_equal(stats_of(b).clusters_freed, 0);
	close_disk(b);
}

/* pass-discard-request off: freed, but the file keeps its blocks. */
static void
test_pass_discard_request(void **state)
{
	struct bed *b = *state;

	for (int pass = -1; pass <= 1; pass += 2) {
		make(b, "disk", &(struct image_make){.state = all_normal});
		open_disk(b,
			  (struct q2_open_opts){.flags = Q2_UNMAP,
						.pass_discard_request = pass});
		assert_int_equal(discard(b, 0, MiB), 0);
		assert_int_equal(q2_flush(b->img), 0);
		/* They leave limbo in turns of their own. */
		for (int i = 0; i < 100; i++)
			(void)loop_run(b->loop, 0, 0);
		assert_int_equal(stats_of(b).clusters_freed, 16);
		assert_int_equal(stats_of(b).host_discards > 0, pass > 0);
		close_disk(b);
	}
}

/* ---- zeros ------------------------------------------------------------- */

static void
test_detect_zeroes(void **state)
{
	struct bed *b = *state;

	make(b, "disk", &(struct image_make){0});
	open_disk(b, (struct q2_open_opts){.detect_zeroes = Q2_DETECT_ON});
	assert_int_equal(q2_pwrite(b->img, b->buf, MiB, 0), 0);
	/* The L2 table and nothing else. */
	assert_int_equal(stats_of(b).clusters_alloc, 1);
	assert_int_equal(stats_of(b).host_write_data_bytes, 0);
	b->buf[MiB - 1] = 1;
	assert_int_equal(q2_pwrite(b->img, b->buf, MiB, 0), 0);
	assert_int_equal(stats_of(b).clusters_alloc, 17);
	close_disk(b);
}

/* ---- lazy refcounts ---------------------------------------------------- */

static void
test_lazy_refcounts_stay_behind_until_the_close(void **state)
{
	struct bed *b = *state;
	struct q2_stats s;

	make(b, "disk", &(struct image_make){.lazy_refcounts = true});
	open_disk(b, (struct q2_open_opts){0});
	assert_int_equal(q2_pwrite(b->img, b->buf, MiB, 0), 0);
	assert_false(inner(b)->header.incompatible & INCOMPAT_DIRTY);
	assert_int_equal(q2_flush(b->img), 0);
	assert_true(inner(b)->header.incompatible & INCOMPAT_DIRTY);
	s = stats_of(b);
	assert_int_equal(s.host_write_refcount_bytes, 0);
	assert_true(s.host_write_l2_bytes > 0);
	/* Later flushes: data and new tables, then entries. */
	assert_int_equal(q2_pwrite(b->img, b->buf, MiB, MiB), 0);
	assert_int_equal(q2_flush(b->img), 0);
	assert_int_equal(stats_of(b).fdatasyncs - s.fdatasyncs, 2);
	assert_int_equal(stats_of(b).host_write_refcount_bytes, 0);
	close_disk(b); /* clean, and not dirty */
}

/* ---- metadata ---------------------------------------------------------- */

/* Point guest cluster 0 at the L2 table itself. */
static int Q2_CO
damage(void *arg)
{
	struct bed *b = arg;
	struct points points = {0};
	struct aio_file *f;
	uint8_t entry[8];
	int r = aio_open(b->loop, "disk", 0, &points, &f, NULL);

	if (r < 0)
		return r;
	/* header, refcount table, refcount block, L1, L2 */
	store_be64(entry, UINT64_C(4) << 16 | ENTRY_COPIED);
	r = file_write(f, AIO_L2, entry, sizeof(entry), UINT64_C(4) << 16);
	aio_close(f);
	return r;
}

static void
test_guest_data_never_reaches_metadata(void **state)
{
	struct q2_err err = {0};
	struct bed *b = *state;

	make(b, "disk", &(struct image_make){.state = all_normal});
	assert_int_equal(loop_call(b->loop, damage, b), 0);
	open_disk(b, (struct q2_open_opts){0});
	assert_int_equal(q2_pwrite(b->img, b->buf, 4096, 65536), 0);
	assert_int_equal(q2_pwrite(b->img, b->buf, 4096, 512), -EIO);
	assert_int_equal(stats_of(b).metadata_overlap, 1);
	assert_true(inner(b)->header.incompatible & INCOMPAT_CORRUPT);
	/* Nothing is written any more. */
	assert_int_equal(q2_pwrite(b->img, b->buf, 4096, 65536), -ENOMEDIUM);
	assert_true(q2_close(b->img, &err) < 0);
	b->img = NULL;
	assert_true(q2_open((struct q2_loop *)b->loop, "disk",
			    &(struct q2_open_opts){
				    .size = sizeof(struct q2_open_opts)},
			    &b->img, &err) < 0);
	assert_non_null(strstr(err.text, "corrupt"));
	b->img = NULL;
}

/* ---- caches ------------------------------------------------------------ */

static void
test_unused_slices_are_forgotten(void **state)
{
	struct bed *b = *state;
	uint64_t misses;

	make(b, "disk", &(struct image_make){.state = all_normal});
	open_disk(b, (struct q2_open_opts){.cache_clean_interval = 5});
	assert_int_equal(q2_pread(b->img, b->buf, 512, 0), 0);
	misses = stats_of(b).l2_misses;
	/* The first look finds it used, and a request comes with each. */
	inner(b)->trim_next = 0;
	assert_int_equal(q2_pread(b->img, b->buf, 512, 0), 0);
	assert_int_equal(stats_of(b).l2_misses, misses);
	inner(b)->l2.slots[0].used = false;
	inner(b)->trim_next = 0;
	assert_int_equal(q2_pread(b->img, b->buf, 512, 0), 0);
	assert_int_equal(stats_of(b).l2_misses, misses + 1);
	close_disk(b);
}

/* ---- chains ------------------------------------------------------------ */

static void
refuses(struct bed *b, const char *words)
{
	struct q2_open_opts opts = {.size = sizeof(opts)};
	struct q2_err err = {0};

	assert_true(q2_open((struct q2_loop *)b->loop, "disk", &opts, &b->img,
			    &err) < 0);
	b->img = NULL;
	if (!strstr(err.text, words))
		fail_msg("%s", err.text);
}

static void
test_chains_that_are_none(void **state)
{
	struct bed *b = *state;
	struct image_make over = {.backing_file = "base",
				  .backing_format = "qcow2"};
	struct image_make back = {.backing_file = "disk",
				  .backing_format = "qcow2"};

	make(b, "disk", &over);
	refuses(b, "Could not open backing file");
	make(b, "base", &back);
	refuses(b, "comes back to 'disk'");
	over.backing_file = "disk";
	make(b, "disk", &over);
	refuses(b, "comes back to 'disk'");
	over.backing_file = "nbd:localhost:10809";
	make(b, "disk", &over);
	refuses(b, "not the name of a plain file");
	over.backing_file = "json:{\"driver\":\"file\"}";
	make(b, "disk", &over);
	refuses(b, "not the name of a plain file");
	over.backing_file = "base";
	over.backing_format = "vmdk";
	make(b, "disk", &over);
	refuses(b, "Unknown driver 'vmdk'");
	/* Without what is below, it opens. */
	open_disk(b, (struct q2_open_opts){.no_backing = true});
}

static void
test_a_long_chain_is_read_to_the_bottom(void **state)
{
	struct bed *b = *state;
	char name[16], below[16];

	make(b, "l0", &(struct image_make){.cluster_bits = 12});
	for (unsigned i = 1; i <= 1000; i++) {
		struct image_make m = {.cluster_bits = 12,
				       .backing_format = "qcow2"};

		(void)snprintf(name, sizeof(name), "l%u", i);
		(void)snprintf(below, sizeof(below), "l%u", i - 1);
		m.backing_file = below;
		make(b, i == 1000 ? "disk" : name, &m);
	}
	open_disk(b, (struct q2_open_opts){.flags = Q2_RDONLY});
	b->buf[0] = 1;
	assert_int_equal(q2_pread(b->img, b->buf, 65536, 1234), 0);
	assert_true(mem_is_zero(b->buf, 65536));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_discarding_what_was_never_written_costs_nothing),
		TEST(test_discard_no_unref_keeps_clusters),
		TEST(test_pass_discard_request),
		TEST(test_detect_zeroes),
		TEST(test_lazy_refcounts_stay_behind_until_the_close),
		TEST(test_guest_data_never_reaches_metadata),
		TEST(test_unused_slices_are_forgotten),
		TEST(test_chains_that_are_none),
		TEST(test_a_long_chain_is_read_to_the_bottom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
