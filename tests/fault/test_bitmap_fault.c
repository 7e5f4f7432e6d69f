/* SPDX-License-Identifier: MIT */
/*
 * The nth operation of a kind fails while bitmaps are changed, or the guest
 * writes, for n = 1, 2, ... until that ends before; with each error, once or
 * from then on.
 *
 *	- no bitmap that can be used misses a change; what was done is there,
 *	  and what was refused is as before
 *	- a failure that has passed leaves no leak, and the next attempt does
 *	  well
 *	- a close that could not store a bitmap says so
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
#include "tests/bitmap_disk.h"
#include "tests/env.h"
#include "tests/fault/faults.h"
#include "tests/sim/sim.h"

struct trial {
	struct bitmap_disk disk;
	struct fault fault;
	struct q2_err err, close_err;
};

static uint64_t failures, refused, latched, retried, unstored;

static void __attribute__((format(printf, 2, 3), noreturn))
complain(const struct trial *t, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_error("%s\n", text);
	fail_msg("kind %d, number %" PRIu64 ", error %d, forever %d: %s",
		 t->fault.kind, t->fault.nth, t->fault.error, t->fault.forever,
		 bitmap_disk_text(&t->disk));
	abort();
}

static bool
is_resize(const struct trial *t)
{
	return t->disk.op == OP_GROW || t->disk.op == OP_SHRINK;
}

static void
check_result(struct trial *t, struct loop *loop, int r, int r_close)
{
	bool atomic = t->disk.op < OP_WRITE;
	char why[512] = "";
	uint64_t leaks;
	int now = bitmap_disk_check(&t->disk, loop, &leaks, why, sizeof(why));

	if (now < 0)
		complain(t, "%s (%s; %s)", why, t->err.text, t->close_err.text);
	if (r == 0 && r_close == 0 && now != NOW_AFTER)
		complain(t, "done, but the bitmaps are %d", now);
	if (r == 0 && atomic && now != NOW_AFTER)
		complain(t, "it is said to be durable: %s", t->close_err.text);
	if (r < 0 && atomic && now == NOW_AFTER &&
	    !strstr(t->err.text, "old one or the new one"))
		complain(t, "refused, but done: %s", t->err.text);
	if (now == NOW_IN_USE && r_close == 0 && !is_resize(t))
		complain(t, "a close that does not tell");
	if (now == NOW_IN_USE && r_close < 0) {
		unstored++;
		if (!strstr(t->close_err.text, "bitmaps could not be stored"))
			complain(t, "closed with: %s", t->close_err.text);
	}
	/* What cannot be read, such as an old table, is let go of. */
	if (r_close == 0 && !t->fault.forever && atomic && leaks &&
	    t->fault.kind != AIO_READ)
		complain(t, "%" PRIu64 " leaks after: %s", leaks, t->err.text);
	if (bitmap_disk_go_on(&t->disk, loop, why, sizeof(why)) < 0)
		complain(t, "%s", why);
}

/* The failure has passed: the same again must do well, unless the image takes
 * no more writes. */
static int
try_again(struct trial *t, struct q2_image *img, int r)
{
	if (((struct image *)img)->failed || t->disk.op >= OP_WRITE)
		return r;
	if (bitmap_disk_run(&t->disk, img, &t->err) < 0)
		complain(t, "the second attempt: %s", t->err.text);
	retried++;
	return 0;
}

static int
open_or_not(struct trial *t, struct loop *loop, struct q2_image **ret)
{
	sim_fail_nth(loop, (int)t->fault.kind, t->fault.nth, t->fault.error,
		     t->fault.forever);
	return bitmap_disk_open(loop, 0, ret, &t->err);
}

/* False: it all ended before the nth. */
static bool
run_trial(struct trial *t)
{
	struct sim_opts sim = {.seed = t->fault.nth};
	struct q2_image *img = NULL;
	struct loop *loop;
	int r, r_close = 0;
	bool hit;

	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				 NULL, &loop, NULL),
		0);
	assert_int_equal(bitmap_disk_make(&t->disk, loop), 0);
	r = open_or_not(t, loop, &img);
	if (r == 0)
		r = bitmap_disk_run(&t->disk, img, &t->err);
	hit = sim_has_failed(loop);
	refused += r < 0;
	if (hit && t->fault.nth % 2)
		sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
	if (img) {
		latched += ((struct image *)img)->failed != 0;
		if (r < 0 && hit && t->fault.nth % 2)
			r = try_again(t, img, r);
		r_close = q2_close(img, &t->close_err);
	}
	hit = hit || sim_has_failed(loop);
	sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
	check_result(t, loop, r, r_close);
	bitmap_disk_done(&t->disk);
	loop_free(loop);
	failures += hit;
	return hit;
}

/* arg: the disk, with the operation. */
static bool
run_fault(const struct fault *fault, void *arg)
{
	struct trial t = {.fault = *fault, .disk = *(struct bitmap_disk *)arg};

	return run_trial(&t);
}

static void
test_a_failure_leaves_no_bitmap_that_misses_a_change(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_bitmap_disks; i++)
		for (int op = 0; op < N_OPS; op++) {
			struct bitmap_disk disk = bitmap_disks[i];

			disk.op = (enum bitmap_disk_op)op;
			disk.seed = 1;
			faults_all(run_fault, &disk);
		}
	print_message("%" PRIu64 " failures, %" PRIu64 " refused, %" PRIu64
		      " latched, %" PRIu64 " retried, %" PRIu64 " unstored\n",
		      failures, refused, latched, retried, unstored);
	assert_true(failures > 500 / test_stride() && refused && latched &&
		    retried && unstored);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_failure_leaves_no_bitmap_that_misses_a_change),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
