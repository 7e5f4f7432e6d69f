/* SPDX-License-Identifier: MIT */
/*
 * The nth operation of a kind fails within a resize, for n = 1, 2, ... until
 * the resize ends before that; with each error, once or from then on.
 *
 *	- the image is the old one or the new one, whole, and the result says
 *	  which: 0 means the new one
 *	- a failure that leaves the image writable leaves no leak after a grow,
 *	  and the next resize does well
 *	- nothing hangs or asserts
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/image/image.h"
#include "tests/env.h"
#include "tests/resize_disk.h"
#include "tests/sim/sim.h"

struct trial {
	struct resize_disk disk;
	uint64_t new_bytes;
	enum q2_prealloc mode;
	enum aio_kind kind;
	int error;
	bool forever;
	uint64_t nth;
	char why[256];
	struct q2_err err;
};

static uint64_t failures, refused, latched, undone;

static void __attribute__((format(printf, 2, 3), noreturn))
complain(const struct trial *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_error("%s\n", text);
	fail_msg("kind %d, number %" PRIu64 ", error %d, forever %d: cluster "
		 "bits %u, order %u, %" PRIu64 " -> %" PRIu64 ", base %" PRIu64
		 ", data file %d, lazy %d, mode %d, "
		 "seed %" PRIu64,
		 t->kind, t->nth, t->error, t->forever, t->disk.cluster_bits,
		 t->disk.refcount_order, t->disk.bytes, t->new_bytes,
		 t->disk.base_bytes, t->disk.data_file + t->disk.data_raw,
		 t->disk.lazy, t->mode, t->disk.seed);
	abort();
}

static struct q2_image *
open_disk(struct trial *t, struct loop *loop)
{
	struct q2_image *img;

	if (resize_disk_open(loop, &img, t->why, sizeof(t->why)) < 0)
		complain(t, "%s", t->why);
	if (t->disk.lazy && resize_disk_fill_gaps(&t->disk, img) < 0)
		complain(t, "a write failed");
	return img;
}

static int
resize(struct trial *t, struct q2_image *img)
{
	struct q2_resize_opts o = {
		.size = sizeof(o), .preallocation = t->mode, .shrink = true};

	return q2_resize(img, t->new_bytes, &o, &t->err);
}

static bool
has_leaks(const struct resize_disk *d)
{
	return d->leak_bytes && d->leak_holes != 1;
}

/* What the file is after all; *ret_size. */
static void
judge(struct trial *t, struct loop *loop, uint64_t *ret_size,
      uint64_t *ret_leaks)
{
	*ret_size = resize_disk_check(&t->disk, t->new_bytes, loop, ret_leaks,
				      t->why, sizeof(t->why));
	if (!*ret_size)
		complain(t, "%s", t->why);
}

/* An error says which disk it is now. */
static void
check_text(const struct trial *t, uint64_t size)
{
	const char *text = t->err.text;

	if (strstr(text, "is unchanged") && size == t->disk.bytes)
		return;
	if (strstr(text, "has its new size") && size == t->new_bytes)
		return;
	if (strstr(text, "has its old or its new size"))
		return;
	complain(t, "the size is %" PRIu64 ", but: %s", size, text);
}

static void
check_result(struct trial *t, struct loop *loop, int r, int r_close,
	     uint64_t leaks_before)
{
	bool grows = t->new_bytes > t->disk.bytes;
	uint64_t size, leaks, later;

	judge(t, loop, &size, &leaks);
	if (r == 0 && size != t->new_bytes)
		complain(t, "resized, but the size is %" PRIu64, size);
	if (r < 0)
		check_text(t, size);
	if (r < 0 && r_close == 0 && grows && size != t->disk.bytes)
		complain(t, "not resized, but the size is %" PRIu64, size);
	if (resize_disk_go_on(&t->disk, loop, &later, t->why, sizeof(t->why)) <
	    0)
		complain(t, "going on: %s", t->why);
	/* Once only: what was begun could be undone.  Leaks behind the end of
	 * the file show only when it has become longer. */
	if (r < 0 && r_close == 0 && grows && !t->forever) {
		undone++;
		if (leaks != leaks_before || (later && !has_leaks(&t->disk)))
			complain(t,
				 "%" PRIu64 " leaks instead of %" PRIu64
				 ", later %" PRIu64,
				 leaks, leaks_before, later);
	}
}

/* The failure has passed: the same again must do well, unless the image has
 * become read-only. */
static int
try_again(struct trial *t, struct q2_image *img)
{
	if (((struct image *)img)->failed || q2_size(img) != t->disk.bytes)
		return -EIO;
	if (resize(t, img) < 0)
		complain(t, "the second attempt: %s", t->err.text);
	return 0;
}

/* False: the resize and the close ended before the nth. */
static bool
run_trial(struct trial *t)
{
	struct sim_opts sim = {.seed = t->nth};
	struct loop *loop;
	struct q2_image *img;
	uint64_t size, leaks;
	bool hit;
	int r, r_close;

	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				 NULL, &loop, NULL),
		0);
	assert_int_equal(resize_disk_make(&t->disk, loop), 0);
	judge(t, loop, &size, &leaks);
	img = open_disk(t, loop);
	sim_fail_nth(loop, (int)t->kind, t->nth, t->error, t->forever);
	r = resize(t, img);
	hit = sim_has_failed(loop);
	latched += ((struct image *)img)->failed != 0;
	refused += r < 0;
	if (hit)
		sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
	if (r < 0 && t->nth % 2)
		r = try_again(t, img);
	r_close = q2_close(img, NULL);
	hit = hit || sim_has_failed(loop);
	sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
	check_result(t, loop, r, r_close, leaks);
	resize_disk_done(&t->disk);
	loop_free(loop);
	failures += hit;
	return hit;
}

/* ---- the cases --------------------------------------------------------- */

static void
run_kinds(const struct trial *model)
{
	static const enum aio_kind kinds[] = {AIO_READ,     AIO_WRITE,
					      AIO_SYNC,     AIO_TRUNCATE,
					      AIO_ALLOCATE, AIO_DISCARD};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct trial t = *model;

		t.kind = kinds[k];
		t.nth = 1;
		while (run_trial(&t))
			t.nth += test_stride();
	}
}

static void
run_all(bool grows)
{
	uint64_t seed = test_seed(1), least = 50 / test_stride();

	failures = refused = latched = undone = 0;
	for (unsigned d = 0; d < n_resize_disks; d++)
		for (unsigned e = 0; e < 3; e++) {
			struct trial t = {
				.disk = resize_disks[d],
				.new_bytes = grows ? resize_disks[d].bytes +
							     65 * KiB
						   : 9 * KiB,
				.error = e ? -EIO : -ENOSPC,
				.forever = e == 2};

			/* Each kind of disk meets all modes but one. */
			if (grows)
				t.mode = (enum q2_prealloc)((d + e) % 4);
			t.disk.seed = seed + d;
			run_kinds(&t);
		}
	print_message("%" PRIu64 " failures, %" PRIu64 " resizes refused, "
		      "%" PRIu64 " latched, %" PRIu64 " undone\n",
		      failures, refused, latched, undone);
	assert_true(failures > least && refused > least &&
		    latched > least / 10);
}

static void
test_a_grow_that_fails_is_undone(void **state)
{
	(void)state;
	run_all(true);
	assert_true(undone > 50 / test_stride());
}

static void
test_a_shrink_that_fails_is_whole(void **state)
{
	(void)state;
	run_all(false);
}

/* ---- no memory --------------------------------------------------------- */

static unsigned no_memory;

static int
refuse_memory(void *arg, enum point point)
{
	(void)arg;
	if (point != POINT_reftable_grow)
		return 0;
	no_memory++;
	return -ENOMEM;
}

/* There is none for the larger refcount table, when all that it names is in
 * the file already. */
static void
grow_without_memory(struct trial *t)
{
	uint64_t size, leaks, later, now;
	struct q2_image *img;
	struct loop *loop;
	int r;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	assert_int_equal(resize_disk_make(&t->disk, loop), 0);
	judge(t, loop, &size, &leaks);
	img = open_disk(t, loop);
	((struct image *)img)->points.hook = refuse_memory;
	no_memory = 0;
	r = resize(t, img);
	((struct image *)img)->points.hook = NULL;
	if (r != (no_memory ? -ENOMEM : 0))
		complain(t, "result %d", r);
	if (q2_close(img, NULL) < 0)
		complain(t, "close");
	judge(t, loop, &size, &now);
	if (no_memory && (size != t->disk.bytes || now != leaks))
		complain(t,
			 "size %" PRIu64 ", %" PRIu64 " leaks instead of "
			 "%" PRIu64,
			 size, now, leaks);
	if (resize_disk_go_on(&t->disk, loop, &later, t->why, sizeof(t->why)) <
	    0)
		complain(t, "going on: %s", t->why);
	if (no_memory && later && !has_leaks(&t->disk))
		complain(t, "%" PRIu64 " leaks later", later);
	resize_disk_done(&t->disk);
	loop_free(loop);
}

static void
test_a_grow_without_memory_is_undone(void **state)
{
	uint64_t seed = test_seed(1);
	unsigned n = 0;

	(void)state;
	for (unsigned d = 0; d < n_resize_disks; d++)
		for (unsigned mode = 0; mode < 4; mode++) {
			struct trial t = {.disk = resize_disks[d],
					  .mode = (enum q2_prealloc)mode};

			/* So much that some of the tables must grow. */
			t.disk.seed = seed + d;
			t.new_bytes = t.disk.bytes + 4 * MiB;
			grow_without_memory(&t);
			n += no_memory;
		}
	print_message("%u times no memory\n", n);
	assert_true(n > 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_grow_that_fails_is_undone),
		cmocka_unit_test(test_a_shrink_that_fails_is_whole),
		cmocka_unit_test(test_a_grow_without_memory_is_undone),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
