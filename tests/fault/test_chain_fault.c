/* SPDX-License-Identifier: MIT */
/*
 * The nth operation of a kind fails within an operation on a chain, for n = 1,
 * 2, ... until it ends before that; with each error, once or from then on.
 *
 *	- the guest reads what it read before, no file is corrupt
 *	- an error has a text; once the failure has passed, and unless the
 *	  image has become read-only, the same again does well
 *	- work can go on
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
#include "tests/chain_disk.h"
#include "tests/env.h"
#include "tests/sim/sim.h"

struct trial {
	struct chain_disk disk;
	const struct chain_op *op;
	enum aio_kind kind;
	int error;
	bool forever;
	uint64_t nth;
	struct q2_err err;
};

static uint64_t failures, refused, again;

static void __attribute__((noreturn))
complain(const struct trial *t, const char *why)
{
	fail_msg("%s, disk bits %u version %u: kind %d, number %" PRIu64
		 ", error %d, forever %d, seed %" PRIu64 ": %s (%s)",
		 t->op->name, t->disk.cluster_bits, t->disk.version, t->kind,
		 t->nth, t->error, t->forever, t->disk.seed, why, t->err.text);
	abort();
}

/* The failure has passed. */
static void
try_again(struct trial *t, struct loop *loop, struct q2_image *img)
{
	char why[256] = "";
	int r = -1;

	if (((struct image *)img)->failed == 0) {
		r = t->op->run(&t->disk, img, &t->err);
		again += r == 0;
	}
	/* Not if a layer below has latched. */
	if (q2_close(img, NULL) < 0 && r == 0 && !t->forever &&
	    t->kind != AIO_SYNC)
		complain(t, "close after the second attempt");
	if (chain_disk_go_on(&t->disk, loop, why, sizeof(why)) < 0)
		complain(t, why);
}

/* False: the operation and the close ended before the nth. */
static bool
run_trial(struct trial *t)
{
	struct sim_opts sim = {.seed = t->nth};
	struct loop *loop;
	struct q2_image *img;
	char why[256] = "";
	uint64_t leaks;
	bool hit;
	int r;

	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				 NULL, &loop, NULL),
		0);
	assert_int_equal(chain_disk_make(&t->disk, loop), 0);
	if (chain_disk_open(loop, &img, &t->err) < 0)
		complain(t, "open");
	t->err = (struct q2_err){0};
	sim_fail_nth(loop, (int)t->kind, t->nth, t->error, t->forever);
	r = t->op->run(&t->disk, img, &t->err);
	hit = sim_has_failed(loop);
	refused += r < 0;
	if (hit)
		sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
	if (r < 0 && (!hit || !t->err.text[0]))
		complain(t, "refused without a failure, or without a text");
	if (r < 0 && t->nth % 2) {
		try_again(t, loop, img);
	} else {
		(void)q2_close(img, NULL);
		hit = hit || sim_has_failed(loop);
		sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
		if (chain_disk_check(&t->disk, loop, &leaks, why, sizeof(why)) <
			    0 ||
		    chain_disk_go_on(&t->disk, loop, why, sizeof(why)) < 0)
			complain(t, why);
	}
	chain_disk_done(&t->disk);
	loop_free(loop);
	failures += hit;
	return hit;
}

static void
run_kinds(const struct trial *model)
{
	static const enum aio_kind kinds[] = {AIO_READ, AIO_WRITE, AIO_SYNC,
					      AIO_TRUNCATE, AIO_DISCARD};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct trial t = *model;

		t.kind = kinds[k];
		t.nth = 1;
		while (run_trial(&t))
			t.nth += test_stride();
	}
}

static void
test_op(void **state)
{
	const struct chain_op *op = *state;
	uint64_t seed = test_seed(1);

	failures = refused = again = 0;
	for (unsigned d = 0; d < n_chain_disks; d++)
		for (unsigned e = 0; e < 3; e++) {
			struct trial t = {.disk = chain_disks[d],
					  .op = op,
					  .error = e ? -EIO : -ENOSPC,
					  .forever = e == 2};

			if (op->applies && !op->applies(&t.disk))
				continue;
			t.disk.seed = seed + d;
			run_kinds(&t);
		}
	print_message("%" PRIu64 " failures, %" PRIu64 " refused, %" PRIu64
		      " done at the second attempt\n",
		      failures, refused, again);
	assert_true(failures > 5 && refused > 5);
}

int
main(void)
{
	struct CMUnitTest tests[32] = {{0}};

	assert(n_chain_ops <= ARRAY_SIZE(tests));
	for (unsigned i = 0; i < n_chain_ops; i++)
		tests[i] = (struct CMUnitTest){
			.name = chain_ops[i].name,
			.test_func = test_op,
			/* cmocka has no const here; it is only read. */
			.initial_state = (void *)(uintptr_t)&chain_ops[i]};
	test_keep_memory();
	return _cmocka_run_group_tests("chain", tests, n_chain_ops, NULL, NULL);
}
