/* SPDX-License-Identifier: MIT */
/*
 * What is unlinked and not free yet stays within 64 MiB and what is under way,
 * however much a guest unlinks and whatever keeps it from being freed: a long
 * request (I1), or commits that fail (F1).
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/aio/backend.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "tests/image_check.h"
#include "tests/image_make.h"
#include "tests/sim/sim.h"

#define NAME  "disk"
#define DEPTH 8

/* Requests of one kind over the whole disk, DEPTH at a time. */
struct work {
	struct image *img;
	enum q2_op op;
	uint64_t len, step, next; /* a request of len each step */
	uint64_t most;            /* bytes in limbo, after any turn */
	unsigned left, errors;
	struct q2_req rq[DEPTH];
	struct iovec iov;
};

static uint8_t content[4096];

static enum image_cluster
normal(void *arg, uint64_t cluster)
{
	(void)arg;
	(void)cluster;
	return IMAGE_NORMAL;
}

static enum image_cluster
shared(void *arg, uint64_t cluster)
{
	(void)arg;
	(void)cluster;
	return IMAGE_SHARED;
}

/* A disk of which every cluster is allocated. */
static struct image *
setup(uint64_t bytes, enum image_cluster (*state)(void *arg, uint64_t cluster))
{
	struct image_make m = {.bytes = bytes,
			       .cluster_bits = 16,
			       .refcount_order = 4,
			       .state = state};
	struct q2_open_opts o = {.size = sizeof(o),
				 .driver = "qcow2",
				 .flags = Q2_UNMAP,
				 .l2_cache_size = 8192,
				 .l2_cache_entry_size = 4096};
	struct sim_opts sim = {.seed = 1};
	struct loop *loop;
	struct q2_image *img;
	struct q2_err err = {0};

	memset(content, 0x5a, sizeof(content));
	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				 NULL, &loop, NULL),
		0);
	assert_int_equal(image_make(loop, NAME, &m), 0);
	if (q2_open((struct q2_loop *)loop, NAME, &o, &img, &err) < 0)
		fail_msg("open: %s", err.text);
	return (struct image *)img;
}

static void
teardown(struct image *img)
{
	struct loop *loop = img->loop;
	struct image_check check;
	struct q2_err err = {0};

	if (q2_close((struct q2_image *)img, &err) < 0)
		fail_msg("close: %s", err.text);
	assert_int_equal(image_check(loop, NAME, &check), 0);
	assert_int_equal(check.corruptions, 0);
	assert_int_equal(check.leaks, 0);
	loop_free(loop);
}

static void
submit_next(struct work *w, struct q2_req *rq)
{
	void (*done)(struct q2_req * rq) = rq->done;

	*rq = (struct q2_req){.op = w->op,
			      .flags = w->op == Q2_ZERO ? Q2_MAY_UNMAP : 0,
			      .off = w->next,
			      .len = w->len,
			      .iov = &w->iov,
			      .iovcnt = 1,
			      .done = done,
			      .user = w};
	w->next += w->step;
	w->left++;
	q2_submit((struct q2_image *)w->img, rq);
}

static void
request_done(struct q2_req *rq)
{
	struct work *w = rq->user;

	w->left--;
	w->errors += rq->result < 0;
	if (w->next < w->img->size)
		submit_next(w, rq);
}

static void
start(struct work *w)
{
	w->iov = (struct iovec){content, w->len};
	for (unsigned i = 0; i < DEPTH && w->next < w->img->size; i++) {
		w->rq[i].done = request_done;
		submit_next(w, &w->rq[i]);
	}
}

static void
turn(struct work *w, unsigned turns)
{
	for (unsigned i = 0; i < turns && w->left; i++) {
		assert_true(loop_run(w->img->loop, 0, 0) >= 0);
		w->most = max_u64(w->most, w->img->limbo.bytes);
	}
}

static void
finish(struct work *w)
{
	turn(w, 10000000);
	assert_int_equal(w->left, 0);
}

#define MAX_WAITING (64 * MiB)

static void
test_one_long_discard(void **state)
{
	struct work w = {.img = setup(GiB, normal),
			 .op = Q2_DISCARD,
			 .len = GiB,
			 .step = GiB};

	(void)state;
	start(&w);
	finish(&w);
	assert_int_equal(w.errors, 0);
	assert_true(w.most > 0 && w.most <= 2 * MAX_WAITING);
	assert_true(w.img->points.n.clusters_freed >= 14 * 1024);
	teardown(w.img);
}

/* An old request keeps all that was unlinked later from being freed. */
static void
check_behind_a_request(struct work *w, uint64_t in_flight)
{
	uint64_t old = limbo_enter(&w->img->limbo);

	start(w);
	turn(w, 100000);
	/* They wait for it, and nothing grows. */
	assert_int_equal(w->left, DEPTH);
	assert_true(w->most > MAX_WAITING &&
		    w->most <= MAX_WAITING + in_flight);
	assert_int_equal(w->img->points.n.clusters_freed, 0);
	limbo_leave(w->img, old);
	finish(w);
	assert_int_equal(w->errors, 0);
	assert_true(w->most <= MAX_WAITING + in_flight);
	teardown(w->img);
}

static void
test_zeroes_behind_a_long_request(void **state)
{
	struct work w = {.img = setup(512 * MiB, normal),
			 .op = Q2_ZERO,
			 .len = 8 * MiB,
			 .step = 8 * MiB};

	(void)state;
	check_behind_a_request(&w, DEPTH * w.len);
}

static void
test_copies_behind_a_long_request(void **state)
{
	struct work w = {.img = setup(128 * MiB, shared),
			 .op = Q2_WRITE,
			 .len = 4096,
			 .step = 64 * KiB};

	(void)state;
	check_behind_a_request(&w, DEPTH * w.step);
}

static void
test_when_no_commit_succeeds(void **state)
{
	struct work w = {.img = setup(512 * MiB, normal),
			 .op = Q2_DISCARD,
			 .len = 8 * MiB,
			 .step = 8 * MiB};
	uint64_t refused;

	(void)state;
	sim_fail_nth(w.img->loop, AIO_WRITE, 1, -EIO, true);
	start(&w);
	finish(&w);
	assert_true(w.errors > 0);
	assert_true(w.most <= MAX_WAITING + DEPTH * w.len);
	/* The disk works again: what was refused is done when asked again. */
	sim_fail_nth(w.img->loop, SIM_ANY_KIND, 0, 0, false);
	refused = w.errors;
	w.next = w.errors = 0;
	start(&w);
	finish(&w);
	assert_int_equal(w.errors, 0);
	assert_true(refused > 0 && w.img->points.n.clusters_freed >=
					   512 * MiB / (64 * KiB) - 2 * 1024);
	teardown(w.img);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_long_discard),
		cmocka_unit_test(test_zeroes_behind_a_long_request),
		cmocka_unit_test(test_copies_behind_a_long_request),
		cmocka_unit_test(test_when_no_commit_succeeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
