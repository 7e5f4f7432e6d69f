/* SPDX-License-Identifier: MIT */
/* Coroutines, wait queues, mutex and join; clean under ASan and TSan too. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/co/sync.h"

/* cmocka's assertions jump: bodies record here, tests assert afterwards. */
struct trace {
	struct co_sched sched;
	struct co_queue queue;
	struct co_mutex mutex;
	struct co_join join;
	struct co *parked;
	char text[64];
	unsigned inside, inside_max, runs;
	int joined;
};

static void
note(struct trace *t, char c)
{
	size_t n = strlen(t->text);

	if (n + 1 < sizeof(t->text))
		t->text[n] = c;
}

static int
setup(void **state)
{
	static struct trace t;

	t = (struct trace){0};
	co_sched_init(&t.sched);
	co_queue_init(&t.queue);
	co_mutex_init(&t.mutex);
	co_join_init(&t.join);
	*state = &t;
	return 0;
}

static int
teardown(void **state)
{
	struct trace *t = *state;

	co_sched_done(&t->sched);
	return 0;
}

static void
park_twice(void *arg)
{
	struct trace *t = arg;

	note(t, 'a');
	t->parked = co_self();
	co_park();
	note(t, 'b');
	t->parked = co_self();
	co_park();
	note(t, 'c');
}

static void
test_a_coroutine_runs_until_it_parks_and_goes_on_after_a_wake(void **state)
{
	struct trace *t = *state;

	assert_null(co_self());
	assert_int_equal(co_start(&t->sched, park_twice, t), 0);
	assert_string_equal(t->text, "a");
	assert_int_equal(t->sched.n_live, 1);
	assert_int_equal(co_run_ready(&t->sched), 0);
	co_wake(t->parked);
	assert_string_equal(t->text, "a");
	assert_int_equal(co_run_ready(&t->sched), 1);
	assert_string_equal(t->text, "ab");
	co_wake(t->parked);
	assert_int_equal(co_run_ready(&t->sched), 1);
	assert_string_equal(t->text, "abc");
	assert_int_equal(t->sched.n_live, 0);
}

/* Enough stack to notice if two coroutines shared one. */
static void
fill_stack(void *arg)
{
	struct trace *t = arg;
	volatile unsigned char bytes[8192];
	unsigned char mine = (unsigned char)++t->runs;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = mine;
	co_queue_wait(&t->queue);
	for (size_t i = 0; i < sizeof(bytes); i++)
		if (bytes[i] != mine)
			t->joined = -1;
	t->inside++;
}

static void
test_many_coroutines_keep_their_stacks_and_stacks_are_reused(void **state)
{
	struct trace *t = *state;

	for (int round = 0; round < 3; round++) {
		t->inside = 0;
		for (int i = 0; i < 200; i++)
			assert_int_equal(co_start(&t->sched, fill_stack, t), 0);
		assert_int_equal(t->sched.n_live, 200);
		co_queue_wake_all(&t->queue);
		assert_int_equal(co_run_ready(&t->sched), 200);
		assert_int_equal(t->inside, 200);
		assert_int_equal(t->joined, 0);
		assert_int_equal(t->sched.n_idle, 200);
	}
}

static void
wait_once(void *arg)
{
	struct trace *t = arg;
	char name = (char)('0' + t->runs++);

	co_queue_wait(&t->queue);
	note(t, name);
}

static void
test_a_queue_wakes_in_the_order_of_waiting(void **state)
{
	struct trace *t = *state;

	for (int i = 0; i < 3; i++)
		assert_int_equal(co_start(&t->sched, wait_once, t), 0);
	assert_true(co_queue_wake(&t->queue));
	(void)co_run_ready(&t->sched);
	assert_string_equal(t->text, "0");
	co_queue_wake_all(&t->queue);
	(void)co_run_ready(&t->sched);
	assert_string_equal(t->text, "012");
	assert_false(co_queue_wake(&t->queue));
	assert_true(co_queue_empty(&t->queue));
}

static void
locked_section(void *arg)
{
	struct trace *t = arg;

	co_mutex_lock(&t->mutex);
	t->inside++;
	t->inside_max = (unsigned)max_u64(t->inside_max, t->inside);
	co_reschedule();
	t->inside--;
	t->runs++;
	co_mutex_unlock(&t->mutex);
}

static void
test_a_mutex_lets_one_in_at_a_time_and_everybody_in_the_end(void **state)
{
	struct trace *t = *state;

	for (int i = 0; i < 20; i++)
		assert_int_equal(co_start(&t->sched, locked_section, t), 0);
	(void)co_run_ready(&t->sched);
	assert_int_equal(t->runs, 20);
	assert_int_equal(t->inside_max, 1);
	assert_false(t->mutex.held);
}

static void
join_child(void *arg)
{
	struct trace *t = arg;
	unsigned me = t->runs++;

	co_reschedule();
	co_join_end(&t->join, me == 1 ? -EIO : me == 2 ? -ENOSPC : 0);
}

static void
join_parent(void *arg)
{
	struct trace *t = arg;

	for (int i = 0; i < 4; i++) {
		co_join_add(&t->join);
		(void)co_start(&t->sched, join_child, t);
	}
	t->joined = co_join_wait(&t->join);
	note(t, 'j');
}

static void
test_a_join_waits_for_all_children_and_returns_the_first_error(void **state)
{
	struct trace *t = *state;

	assert_int_equal(co_start(&t->sched, join_parent, t), 0);
	assert_string_equal(t->text, "");
	(void)co_run_ready(&t->sched);
	assert_string_equal(t->text, "j");
	assert_int_equal(t->joined, -EIO);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_coroutine_runs_until_it_parks_and_goes_on_after_a_wake),
		TEST(test_many_coroutines_keep_their_stacks_and_stacks_are_reused),
		TEST(test_a_queue_wakes_in_the_order_of_waiting),
		TEST(test_a_mutex_lets_one_in_at_a_time_and_everybody_in_the_end),
		TEST(test_a_join_waits_for_all_children_and_returns_the_first_error),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
