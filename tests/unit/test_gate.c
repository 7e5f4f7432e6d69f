/* SPDX-License-Identifier: MIT */
/*
 * The gate (I2): an operation on the whole image waits for the requests that
 * run, and those that come meanwhile wait for it.
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
#include "engine/image/image.h"
#include "tests/sim/sim.h"

#define N 24

struct bench {
	struct loop *loop;
	struct image *img;
	struct q2_req rq[N];
	struct iovec iov[N];
	uint8_t buf[N][4096];
	unsigned done, done_at_raise;
	bool raised, hold, lowered;
	struct co *holder;
};

static void
count(struct q2_req *rq)
{
	struct bench *b = rq->user;

	assert_int_equal(rq->result, 0);
	/* None ends while an operation has the image. */
	assert_false(b->raised);
	b->done++;
}

static void
submit(struct bench *b, unsigned i, enum q2_op op)
{
	b->iov[i] = (struct iovec){b->buf[i], sizeof(b->buf[i])};
	b->rq[i] = (struct q2_req){.op = op,
				   .off = i * UINT64_C(70000),
				   .len = sizeof(b->buf[i]),
				   .iov = &b->iov[i],
				   .iovcnt = 1,
				   .done = count,
				   .user = b};
	q2_submit((struct q2_image *)b->img, &b->rq[i]);
}

static void
operation(void *arg)
{
	struct bench *b = arg;

	gate_raise(&b->img->gate);
	b->raised = true;
	b->done_at_raise = b->done;
	if (b->hold) {
		b->holder = co_self();
		co_park();
	}
	b->raised = false;
	gate_lower(&b->img->gate, b->loop);
	b->lowered = true;
}

static int
setup(void **state)
{
	struct q2_create_opts co = {.size = sizeof(co),
				    .virtual_size = 4 * MiB,
				    .cluster_size = 4096};
	struct sim_opts sim = {.seed = 1, .delay_max = 4};
	struct bench *b = calloc(1, sizeof(*b));
	struct q2_image *img;

	*state = b;
	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				 NULL, &b->loop, NULL),
		0);
	assert_int_equal(
		q2_create((struct q2_loop *)b->loop, "disk", &co, NULL, NULL),
		0);
	assert_int_equal(
		q2_open((struct q2_loop *)b->loop, "disk", NULL, &img, NULL),
		0);
	b->img = (struct image *)img;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	assert_int_equal(q2_close((struct q2_image *)b->img, NULL), 0);
	loop_free(b->loop);
	free(b);
	return 0;
}

static void
turn(struct bench *b, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		assert_true(loop_run(b->loop, 0, 0) >= 0);
}

static void
test_running_requests_drain_and_new_ones_wait(void **state)
{
	struct bench *b = *state;

	b->hold = true;
	for (unsigned i = 0; i < N / 2; i++)
		submit(b, i, Q2_WRITE);
	assert_int_equal(co_start(&b->loop->sched, operation, b), 0);
	assert_false(b->raised);
	for (unsigned i = N / 2; i < N; i++)
		submit(b, i, i % 2 ? Q2_READ : Q2_WRITE);
	while (!b->raised)
		turn(b, 1);
	assert_int_equal(b->done_at_raise, N / 2);
	/* However long the operation takes. */
	turn(b, 1000);
	assert_int_equal(b->done, N / 2);
	assert_int_equal(b->img->requests, N / 2);
	co_wake(b->holder);
	while (b->done < N)
		turn(b, 1);
	assert_true(b->lowered);
}

static void
test_two_operations_follow_each_other(void **state)
{
	struct bench *b = *state, other = {.loop = b->loop, .img = b->img};

	b->hold = true;
	submit(b, 0, Q2_WRITE);
	assert_int_equal(co_start(&b->loop->sched, operation, b), 0);
	assert_int_equal(co_start(&b->loop->sched, operation, &other), 0);
	while (!b->raised)
		turn(b, 1);
	submit(b, 1, Q2_WRITE);
	turn(b, 100);
	assert_false(other.raised);
	co_wake(b->holder);
	while (!other.lowered || b->done < 2)
		turn(b, 1);
	assert_true(b->lowered);
}

/* Requests in flight, and a done() that goes on submitting, around a resize. */
static void
go_on(struct q2_req *rq)
{
	struct bench *b = rq->user;

	b->done++;
	if (rq->result < 0)
		abort();
	if (b->done < 200)
		submit(b, (unsigned)(rq - b->rq), Q2_WRITE);
	if (b->done < 200)
		rq->done = go_on;
}

static void
test_a_resize_among_requests(void **state)
{
	struct bench *b = *state;
	struct q2_resize_opts o = {.size = sizeof(o),
				   .shrink = true,
				   .preallocation = Q2_PREALLOC_METADATA};

	for (unsigned i = 0; i < N; i++) {
		submit(b, i, Q2_WRITE);
		b->rq[i].done = go_on;
	}
	assert_int_equal(
		q2_resize((struct q2_image *)b->img, 8 * MiB, &o, NULL), 0);
	assert_int_equal(q2_size((struct q2_image *)b->img), 8 * MiB);
	o.preallocation = Q2_PREALLOC_OFF;
	assert_int_equal(
		q2_resize((struct q2_image *)b->img, 3 * MiB, &o, NULL), 0);
	while (b->img->requests)
		turn(b, 1);
	assert_true(b->done >= 200);
	/* A request is judged by the size that it meets. */
	assert_int_equal(
		q2_pwrite((struct q2_image *)b->img, b->buf[0], 512, 3 * MiB),
		-EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_running_requests_drain_and_new_ones_wait, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_two_operations_follow_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_resize_among_requests,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
