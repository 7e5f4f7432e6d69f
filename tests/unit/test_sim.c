/* SPDX-License-Identifier: MIT */
/* The simulator itself: what it records, and what crashes leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "tests/sim/sim.h"

#define BYTES 2048

/* One write, sync, one write and a discard that no sync covers. */
static int Q2_CO
script(void *arg)
{
	struct aio_file *f = arg;
	char buf[BYTES];
	int r;

	memset(buf, 'a', sizeof(buf));
	r = file_write(f, AIO_DATA, buf, sizeof(buf), 0);
	if (r == 0)
		r = file_sync(f);
	memset(buf, 'b', sizeof(buf));
	if (r == 0)
		r = file_write(f, AIO_DATA, buf, sizeof(buf), 0);
	return r;
}

static void
record(struct sim_log *log, unsigned shorten)
{
	struct sim_opts opts = {
		.seed = 1, .delay_max = 2, .shorten = shorten, .log = log};
	struct points points = {0};
	struct aio_file *f;
	struct loop *loop;

	sim_log_init(log);
	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(512, NULL), &opts),
				 NULL, &loop, NULL),
		0);
	assert_int_equal(aio_open(loop, "f", AIO_CREATE, &points, &f, NULL), 0);
	assert_int_equal(loop_call(loop, script, f), 0);
	aio_close(f);
	loop_free(loop);
}

struct reading {
	struct aio_file *f;
	char buf[BYTES];
};

static int Q2_CO
read_all(void *arg)
{
	struct reading *rd = arg;

	return file_read(rd->f, AIO_DATA, rd->buf, BYTES, 0);
}

/* Sectors hold only letters of allowed; returns the letter of each. */
static void
restore(const struct sim_log *log, struct sim_crash crash, char *ret)
{
	struct points points = {0};
	struct reading rd;
	struct loop *loop;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	assert_int_equal(sim_restore(log, &crash, "f", loop), 0);
	assert_int_equal(aio_open(loop, "f", 0, &points, &rd.f, NULL), 0);
	assert_int_equal(loop_call(loop, read_all, &rd), 0);
	for (int i = 0; i < BYTES; i++) {
		assert_int_equal(rd.buf[i], rd.buf[i / 512 * 512]);
		ret[i / 512] = rd.buf[i];
	}
	aio_close(rd.f);
	loop_free(loop);
}

static void
test_a_sync_makes_durable_what_was_complete(void **state)
{
	struct sim_log log;
	char got[4];

	(void)state;
	record(&log, 0);
	/* truncate, write, sync, write: two ticks each */
	assert_int_equal(log.n, 4);
	assert_int_equal(log.now, 8);
	for (uint64_t at = 0; at <= 8; at++) {
		restore(&log, (struct sim_crash){.at = at, .loss = SIM_DROP},
			got);
		assert_memory_equal(got, at < 6 ? "\0\0\0\0" : "aaaa", 4);
		restore(&log, (struct sim_crash){.at = at, .loss = SIM_KEEP},
			got);
		assert_memory_equal(
			got, at < 3 ? "\0\0\0\0" : (at < 7 ? "aaaa" : "bbbb"),
			4);
	}
	sim_log_done(&log);
}

static void
test_losses_are_kept_dropped_and_torn(void **state)
{
	struct sim_log log;
	char got[4];
	int kept = 0, dropped = 0, torn = 0;

	(void)state;
	record(&log, 0);
	for (uint64_t seed = 0; seed < 100; seed++) {
		restore(&log, (struct sim_crash){.at = 8, .seed = seed}, got);
		if (memcmp(got, "bbbb", 4) == 0)
			kept++;
		else if (memcmp(got, "aaaa", 4) == 0)
			dropped++;
		else
			torn++;
	}
	assert_true(kept > 10 && dropped > 10 && torn > 3);
	sim_log_done(&log);
}

static void
test_shortened_attempts_are_recorded_one_by_one(void **state)
{
	struct sim_log log;
	char got[4];

	(void)state;
	record(&log, 1000);
	assert_true(log.n > 4);
	restore(&log, (struct sim_crash){.at = log.now, .loss = SIM_KEEP}, got);
	assert_memory_equal(got, "bbbb", 4);
	sim_log_done(&log);
}

static void
test_the_nth_operation_fails(void **state)
{
	struct sim_opts opts = {.seed = 1};
	struct points points = {0};
	struct aio_file *f;
	struct loop *loop;
	uint64_t n = 0;
	int r;

	(void)state;
	do {
		assert_int_equal(
			loop_new_backend(
				sim_new(backend_memory_new(512, NULL), &opts),
				NULL, &loop, NULL),
			0);
		assert_int_equal(
			aio_open(loop, "f", AIO_CREATE, &points, &f, NULL), 0);
		sim_fail_nth(loop, SIM_ANY_KIND, ++n, -EIO, false);
		r = loop_call(loop, script, f);
		assert_int_equal(r, sim_has_failed(loop) ? -EIO : 0);
		/* A sync that has failed once fails for good. */
		assert_int_equal(f->sync_error, n == 2 ? -EIO : 0);
		aio_close(f);
		loop_free(loop);
	} while (r < 0);
	assert_int_equal(n, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sync_makes_durable_what_was_complete),
		cmocka_unit_test(test_losses_are_kept_dropped_and_torn),
		cmocka_unit_test(
			test_shortened_attempts_are_recorded_one_by_one),
		cmocka_unit_test(test_the_nth_operation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
