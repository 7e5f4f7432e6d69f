/* SPDX-License-Identifier: MIT */
/*
 * The nth operation of a kind fails within an operation on snapshots, for n =
 * 1, 2, ... until that ends before; with each error, once or from then on.
 *
 *	- the disk and each snapshot are as before or as after, and the result
 *	  says which: 0 means after, and so does a text that says so
 *	- a failure that has passed and leaves the image writable leaves no
 *	  leak when nothing was done, and the next attempt does well
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
#include "tests/fault/faults.h"
#include "tests/sim/sim.h"
#include "tests/snapshot_disk.h"

struct trial {
	struct snapshot_disk disk;
	struct fault fault;
	struct q2_err err;
};

static uint64_t failures, refused, latched, undone, retried;

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
		 snapshot_disk_text(&t->disk));
	abort();
}

/* Does the text say what the image is: before (0) or after (1)? */
static bool
text_is_right(const struct trial *t, int now)
{
	const char *text = t->err.text;
	unsigned version = now ? t->disk.after.version : t->disk.before.version;
	char said[64];

	if (t->disk.op == OP_AMEND) {
		(void)snprintf(said, sizeof(said), "the image is of version %u",
			       version);
		return strstr(text, said) || strstr(text, "version 2 or 3") ||
		       strstr(text, "version 3 or 2");
	}
	if (strstr(text, "is unchanged") || strstr(text, "holds what it held,"))
		return now == 0;
	if (strstr(text, "snapshot has been taken") ||
	    strstr(text, "snapshot is deleted") ||
	    strstr(text, "image holds the snapshot, but"))
		return now == 1;
	return strstr(text, "Could not write the header: ") != NULL;
}

static void
check_result(struct trial *t, struct loop *loop, int r, int r_close)
{
	char why[512] = "";
	uint64_t leaks;
	int now = snapshot_disk_check(&t->disk, loop, &leaks, why, sizeof(why));

	if (now < 0)
		complain(t, "%s (%s)", why, t->err.text);
	if (r == 0 && now != 1)
		complain(t, "done, but the image is as before");
	if (r < 0 && !text_is_right(t, now))
		complain(t, "the image is as %s, but: %s",
			 now ? "after" : "before", t->err.text);
	if (r < 0 && now == 0 && r_close == 0 && !t->fault.forever) {
		undone++;
		if (leaks && !strstr(t->err.text, "check -r leaks frees"))
			complain(t, "%" PRIu64 " leaks after: %s", leaks,
				 t->err.text);
	}
	if (snapshot_disk_go_on(&t->disk, now == 1, loop, why, sizeof(why)) < 0)
		complain(t, "%s", why);
}

/* The failure has passed: the same again must do well, unless the image takes
 * no more writes, or it was done. */
static int
try_again(struct trial *t, struct q2_image *img, int r)
{
	if (((struct image *)img)->failed || !text_is_right(t, 0))
		return r;
	if (snapshot_disk_run(&t->disk, img, &t->err) < 0)
		complain(t, "the second attempt: %s", t->err.text);
	retried++;
	return 0;
}

/* False: the operation and the close ended before the nth. */
static bool
run_trial(struct trial *t)
{
	struct sim_opts sim = {.seed = t->fault.nth};
	struct q2_image *img;
	struct loop *loop;
	char why[256];
	int r, r_close;
	bool hit;

	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				 NULL, &loop, NULL),
		0);
	assert_int_equal(snapshot_disk_make(&t->disk, loop), 0);
	if (snapshot_disk_open(loop, &img, why, sizeof(why)) < 0)
		complain(t, "%s", why);
	sim_fail_nth(loop, (int)t->fault.kind, t->fault.nth, t->fault.error,
		     t->fault.forever);
	r = snapshot_disk_run(&t->disk, img, &t->err);
	hit = sim_has_failed(loop);
	latched += ((struct image *)img)->failed != 0;
	refused += r < 0;
	if (hit)
		sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
	if (r < 0 && t->fault.nth % 2)
		r = try_again(t, img, r);
	r_close = q2_close(img, NULL);
	hit = hit || sim_has_failed(loop);
	sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
	check_result(t, loop, r, r_close);
	snapshot_disk_done(&t->disk);
	loop_free(loop);
	failures += hit;
	return hit;
}

/* arg: the disk, with the operation. */
static bool
run_fault(const struct fault *fault, void *arg)
{
	struct trial t = {.fault = *fault,
			  .disk = *(struct snapshot_disk *)arg};

	return run_trial(&t);
}

static void
test_a_failure_leaves_before_or_after_and_says_which(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_snapshot_disks; i++)
		for (int op = 0; op < N_OPS; op++) {
			struct snapshot_disk disk = snapshot_disks[i];

			disk.op = (enum snapshot_disk_op)op;
			disk.seed = 1;
			if (!snapshot_disk_can(&disk, disk.op))
				continue;
			faults_all(run_fault, &disk);
		}
	print_message("%" PRIu64 " failures, %" PRIu64 " refused, %" PRIu64
		      " latched, %" PRIu64 " undone, %" PRIu64 " retried\n",
		      failures, refused, latched, undone, retried);
	assert_true(failures > 500 / test_stride() && refused && latched &&
		    undone && retried);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_failure_leaves_before_or_after_and_says_which),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
