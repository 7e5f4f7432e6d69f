/* SPDX-License-Identifier: MIT */
/*
 * test_repair_fault.c - the nth operation of a kind fails inside a repair, for
 * n = 1, 2, ... until the repair ends before that
 *
 * The repair says so.  The file is no worse than before, as it is and after a
 * power cut, and a second repair makes it whole.
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

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "tests/damage.h"
#include "tests/env.h"
#include "tests/sim/sim.h"

struct trial {
	const struct damage *damage;
	enum repairer by;
	enum aio_kind kind;
	uint64_t nth;
	int error;
	struct damaged d;
	struct damage_found before;
	struct sim_log log;
};

static void
judge(const struct trial *t, struct loop *loop, const char *when)
{
	struct damage_found now;
	struct q2_check left;
	const char *wrong = NULL;

	if (damage_check(loop, &now) < 0)
		wrong = "cannot be checked";
	else if (now.lost > t->before.lost)
		wrong = "is worse";
	else if (!damage_content_is_same(loop, t->damage, &t->d, false))
		wrong = "has another content";
	else if (damage_repair(loop, BY_ALL, &left) < 0)
		wrong = "cannot be repaired";
	else if (!damage_content_is_same(loop, t->damage, &t->d, true))
		wrong = "has another content after the second repair";
	else if (damage_check(loop, &now) < 0 || now.check.corruptions ||
		 now.check.leaks || now.check.check_errors)
		wrong = "is not clean after the second repair";
	if (wrong)
		fail_msg("%s, by %d, operation of kind %d, number %" PRIu64
			 ", error %d: the image %s %s",
			 t->damage->name, t->by, t->kind, t->nth, t->error,
			 wrong, when);
}

static void
judge_after_power_cut(const struct trial *t, enum sim_loss loss)
{
	struct sim_crash crash = {
		.at = t->log.now, .seed = t->nth, .loss = loss};
	struct loop *loop;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	assert_int_equal(sim_restore(&t->log, &crash, DAMAGE_FILE, loop), 0);
	judge(t, loop, "after a power cut");
	loop_free(loop);
}

/* What has failed was not needed: where refcounts are made anew, the old ones
 * need not be read, and a file that cannot grow is repaired without. */
static void
judge_success(const struct trial *t, struct loop *loop,
	      const struct q2_check *left)
{
	struct damage_found now;

	assert_int_equal(damage_check(loop, &now), 0);
	if (t->kind == AIO_WRITE || t->kind == AIO_SYNC ||
	    (now.lost && t->by != BY_LEAKS) || now.check.check_errors ||
	    now.check.corruptions > left->corruptions)
		fail_msg("%s, by %d: operation of kind %d, number %" PRIu64
			 ", failed, the repair did not",
			 t->damage->name, t->by, t->kind, t->nth);
}

/* Returns false once the operation does not exist. */
static bool
fail_one(struct trial *t)
{
	struct sim_opts sim = {.seed = t->nth, .log = &t->log};
	struct q2_check left = {0};
	struct loop *loop;
	bool failed;
	int r;

	sim_log_init(&t->log);
	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				 NULL, &loop, NULL),
		0);
	assert_int_equal(damage_make(loop, t->damage, 10, 4, &t->d), 0);
	assert_int_equal(damage_check(loop, &t->before), 0);
	/* Once the file has grown, the block itself is counted. */
	t->before.lost += strcmp(t->damage->name, "block outside") == 0;
	sim_fail_nth(loop, (int)t->kind, t->nth, t->error, false);
	r = damage_repair(loop, t->by, &left);
	failed = sim_has_failed(loop);
	sim_fail_nth(loop, SIM_ANY_KIND, 0, 0, false);
	if (failed && r == 0 && !left.check_errors)
		judge_success(t, loop, &left);
	if (failed) {
		judge_after_power_cut(t, SIM_DROP);
		judge_after_power_cut(t, SIM_KEEP);
		judge_after_power_cut(t, SIM_SOME);
		judge(t, loop, "as it is");
	}
	loop_free(loop);
	damage_done(&t->d);
	sim_log_done(&t->log);
	return failed;
}

static void
test_an_operation_that_fails_makes_nothing_worse(void **state)
{
	static const enum aio_kind kinds[] = {AIO_READ, AIO_WRITE, AIO_SYNC,
					      AIO_TRUNCATE};
	unsigned failures[ARRAY_SIZE(kinds)] = {0};

	(void)state;
	for (unsigned i = 0; i < n_damages * REPAIRERS; i++) {
		enum repairer by = i % REPAIRERS;

		if (by == BY_OPENING && !damages[i / REPAIRERS].dirty)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			struct trial t = {
				.damage = &damages[i / REPAIRERS],
				.by = by,
				.kind = kinds[k],
				.nth = 1,
				.error = i % 2 ? -EIO : -ENOSPC,
			};

			while (fail_one(&t)) {
				t.nth++;
				failures[k]++;
			}
		}
	}
	print_message("%u reads, %u writes, %u syncs, %u truncates failed\n",
		      failures[0], failures[1], failures[2], failures[3]);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		assert_in_range(failures[k], 1, 10000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_an_operation_that_fails_makes_nothing_worse),
	};

	test_keep_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
