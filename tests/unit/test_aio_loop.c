/* SPDX-License-Identifier: MIT */
/* What every backend must do as a loop: depth, many files, wakes, time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "tests/sim/variant.h"

#define BLOCK    4096
#define REQUESTS 600

/* ---- requests without coroutines --------------------------------------- */

struct request {
	struct aio_op op;
	struct iovec iov[2];
	struct batch *batch;
	char *buf;
};

struct batch {
	char *memory; /* of all buffers */
	struct bed *bed;
	unsigned left, errors;
	bool submitting, in_done; /* done() must see neither */
	bool over;
	struct request *again; /* done() submits it, once */
	struct request v[REQUESTS];
};

static void
submit(struct request *rq)
{
	struct batch *b = rq->batch;
	bool outer = b->submitting;

	b->submitting = true;
	aio_submit(&rq->op);
	b->submitting = outer;
}

static void
done(struct aio_op *op)
{
	struct request *rq = container_of(op, struct request, op);
	struct batch *b = rq->batch;

	if (b->submitting || b->in_done || op->result != 0)
		b->errors++;
	b->in_done = true;
	if (b->again == rq) {
		b->again = NULL;
		submit(rq);
	} else {
		b->left--;
		b->bed->loop->requests_done++;
		b->over = b->left == 0;
	}
	b->in_done = false;
}

static struct batch *
new_batch(struct bed *bed)
{
	struct batch *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->bed = bed;
	b->memory = mem_aligned(REQUESTS * (size_t)BLOCK);
	assert_non_null(b->memory);
	for (unsigned i = 0; i < REQUESTS; i++) {
		b->v[i].batch = b;
		b->v[i].buf = b->memory + i * (size_t)BLOCK;
	}
	return b;
}

static void
free_batch(struct batch *b)
{
	free(b->memory);
	free(b);
}

/* The first n blocks of file, each in an operation of one or two pieces. */
static void
start_batch(struct batch *b, enum aio_kind kind, struct aio_file *file,
	    unsigned n)
{
	b->left = n;
	b->over = false;
	b->errors = 0;
	for (unsigned i = 0; i < n; i++) {
		struct request *rq = &b->v[i];
		bool split = i % 3 == 0 && file->align <= BLOCK / 2;
		size_t first = split ? BLOCK / 2 : BLOCK;

		rq->iov[0] = (struct iovec){rq->buf, first};
		rq->iov[1] = (struct iovec){rq->buf + first, BLOCK - first};
		rq->op = (struct aio_op){.kind = kind,
					 .file = file,
					 .off = (uint64_t)i * BLOCK,
					 .len = BLOCK,
					 .iov = rq->iov,
					 .iovcnt = split ? 2 : 1,
					 .done = done};
		submit(rq);
	}
}

static void
fill(struct batch *b, unsigned n, unsigned salt)
{
	for (unsigned i = 0; i < n; i++)
		memset(b->v[i].buf, (int)(1 + (i + salt) % 255), BLOCK);
}

static bool
is_filled(const struct batch *b, unsigned n, unsigned salt)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < BLOCK; j++)
			if (b->v[i].buf[j] != (char)(1 + (i + salt) % 255))
				return false;
	return true;
}

static void
run_batch(struct batch *b, enum aio_kind kind, struct aio_file *file,
	  unsigned n)
{
	start_batch(b, kind, file, n);
	b->again = &b->v[n / 2];
	assert_int_equal(loop_run_until(b->bed->loop, &b->over), 0);
	assert_int_equal(b->errors, 0);
	assert_int_equal(b->left, 0);
}

static void
test_depth_has_no_limit(void **state)
{
	static const unsigned depths[] = {1, 2, 63, 64, 65, 129, REQUESTS};
	struct bed *bed = bed_open(*state);
	struct batch *b = new_batch(bed);

	for (unsigned i = 0; i < ARRAY_SIZE(depths); i++) {
		fill(b, depths[i], i);
		run_batch(b, AIO_WRITE, bed->file, depths[i]);
		fill(b, depths[i], i + 1);
		run_batch(b, AIO_READ, bed->file, depths[i]);
		assert_true(is_filled(b, depths[i], i));
	}
	assert_int_equal(bed->loop->inflight, 0);
	free_batch(b);
	bed_close(bed);
}

/* More than a table of registered files holds. */
#define FILES 70

static void
test_many_files_at_once(void **state)
{
	struct bed *bed = bed_open(*state);
	struct batch *b = new_batch(bed);
	struct aio_file *files[FILES];

	for (unsigned i = 0; i < FILES; i++) {
		files[i] = bed_open_more(bed, i, AIO_CREATE);
		fill(b, 4, i);
		run_batch(b, AIO_WRITE, files[i], 4);
	}
	/* Slots are used again, by other files. */
	for (unsigned i = 0; i < FILES; i += 2) {
		bed_close_more(bed, files[i]);
		files[i] = bed_open_more(bed, i, AIO_CREATE);
		fill(b, 4, i + 100);
		run_batch(b, AIO_WRITE, files[i], 4);
	}
	for (unsigned i = 0; i < FILES; i++) {
		run_batch(b, AIO_READ, files[i], 4);
		assert_true(is_filled(b, 4, i % 2 ? i : i + 100));
		bed_close_more(bed, files[i]);
	}
	free_batch(b);
	bed_close(bed);
}

/* ---- memory ------------------------------------------------------------ */

/* More than a table of registered memory holds. */
#define BUFS 1100

static void
use_buffer(struct bed *bed, char *buf, size_t bytes)
{
	struct batch *b = new_batch(bed);
	unsigned n = (unsigned)min_u64(bytes / BLOCK, 16);
	char *own[16];

	for (unsigned i = 0; i < n; i++) {
		own[i] = b->v[i].buf;
		b->v[i].buf = buf + (size_t)i * BLOCK;
	}
	fill(b, n, 7);
	run_batch(b, AIO_WRITE, bed->file, n);
	memset(buf, 0, bytes);
	run_batch(b, AIO_READ, bed->file, n);
	assert_true(is_filled(b, n, 7));
	for (unsigned i = 0; i < n; i++)
		b->v[i].buf = own[i];
	free_batch(b);
}

static void
test_memory_of_the_loop(void **state)
{
	struct bed *bed = bed_open(*state);
	static char *bufs[BUFS];
	char *big = loop_buf_alloc(bed->loop, 1 * MiB);

	assert_non_null(big);
	use_buffer(bed, big, 1 * MiB);
	use_buffer(bed, big + 1 * MiB - 3 * (size_t)BLOCK, 3 * (size_t)BLOCK);
	for (unsigned i = 0; i < BUFS; i++) {
		bufs[i] = loop_buf_alloc(bed->loop, 2 * (size_t)BLOCK);
		assert_non_null(bufs[i]);
		assert_int_equal((uintptr_t)bufs[i] % MEM_ALIGN, 0);
	}
	for (unsigned i = 0; i < BUFS; i += 123)
		use_buffer(bed, bufs[i], 2 * (size_t)BLOCK);
	for (unsigned i = 0; i < BUFS; i++)
		loop_buf_free(bed->loop, bufs[i]);
	use_buffer(bed, big, 1 * MiB);
	loop_buf_free(bed->loop, big);
	loop_buf_free(bed->loop, NULL);
	bed_close(bed);
}

/* ---- other threads ----------------------------------------------------- */

#define POSTERS 4
#define POSTS   300

struct posting {
	struct loop *loop;
	unsigned got; /* the loop's thread's */
	bool all;
	atomic_uint failed;
};

static void
posted(void *arg)
{
	struct posting *p = arg;

	p->all = ++p->got == POSTERS * POSTS;
}

static void *
poster(void *arg)
{
	struct posting *p = arg;

	for (int i = 0; i < POSTS; i++)
		if (loop_post(p->loop, posted, p) < 0)
			atomic_fetch_add(&p->failed, 1);
	return NULL;
}

static void
test_posts_arrive_with_and_without_requests(void **state)
{
	struct bed *bed = bed_open(*state);
	struct batch *b = new_batch(bed);

	for (int busy = 0; busy < 2; busy++) {
		struct posting p = {.loop = bed->loop};
		pthread_t t[POSTERS];

		for (int i = 0; i < POSTERS; i++)
			assert_int_equal(
				pthread_create(&t[i], NULL, poster, &p), 0);
		if (busy)
			run_batch(b, AIO_WRITE, bed->file, REQUESTS);
		assert_int_equal(loop_run_until(bed->loop, &p.all), 0);
		for (int i = 0; i < POSTERS; i++)
			(void)pthread_join(t[i], NULL);
		assert_int_equal(p.got, POSTERS * POSTS);
		assert_int_equal(atomic_load(&p.failed), 0);
	}
	free_batch(b);
	bed_close(bed);
}

struct offloaded {
	struct loop *loop;
	pthread_t owner;
	unsigned ran_elsewhere;
};

static int
elsewhere(void *arg)
{
	struct offloaded *o = arg;

	return pthread_equal(o->owner, pthread_self()) ? 0 : 1;
}

static int Q2_CO
offload_some(void *arg)
{
	struct offloaded *o = arg;

	for (int i = 0; i < 20; i++)
		o->ran_elsewhere += (unsigned)loop_offload(o->loop, elsewhere,
							   o);
	return 0;
}

static void
test_blocking_calls_run_in_other_threads(void **state)
{
	struct bed *bed = bed_open(*state);
	struct offloaded o = {.loop = bed->loop, .owner = pthread_self()};

	assert_int_equal(loop_call(bed->loop, offload_some, &o), 0);
	assert_int_equal(o.ran_elsewhere, bed->loop->inline_work ? 0 : 20);
	bed_close(bed);
}

/* ---- the descriptor ---------------------------------------------------- */

static bool
is_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLIN);
}

static void *
post_one(void *arg)
{
	struct posting *p = arg;

	if (loop_post(p->loop, posted, p) < 0)
		atomic_fetch_add(&p->failed, 1);
	return NULL;
}

/* Long enough for the slowest machine; never waited for when all is well. */
#define PATIENCE_MS 20000

static void
check_descriptor(const struct variant *v, unsigned depth)
{
	struct bed *bed = bed_open_deep(v, depth);
	struct batch *b = new_batch(bed);
	struct posting p = {.loop = bed->loop};
	pthread_t t[POSTERS];
	int fd = loop_fd(bed->loop);

	assert_true(fd >= 0);
	fill(b, REQUESTS, 3);
	start_batch(b, AIO_WRITE, bed->file, REQUESTS);
	b->again = &b->v[REQUESTS - 1];
	for (int i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, poster, &p), 0);
	assert_true(loop_run(bed->loop, 0, 0) >= 0);
	while (!b->over || !p.all) {
		assert_true(is_readable(fd, PATIENCE_MS));
		assert_true(loop_run(bed->loop, 0, 0) >= 0);
	}
	for (int i = 0; i < POSTERS; i++)
		(void)pthread_join(t[i], NULL);
	assert_int_equal(b->errors, 0);

	/* One wake at a time, while it sleeps. */
	for (int i = 0; i < 20; i++) {
		while (is_readable(fd, 0))
			(void)loop_run(bed->loop, 0, 0);
		p.got = 0;
		assert_int_equal(pthread_create(&t[0], NULL, post_one, &p), 0);
		while (p.got == 0) {
			assert_true(is_readable(fd, PATIENCE_MS));
			assert_true(loop_run(bed->loop, 0, 0) >= 0);
		}
		(void)pthread_join(t[0], NULL);
	}

	/* With nothing to do it falls silent; what is left of wakes may be
	 * seen a few times. */
	for (int i = 0; is_readable(fd, 0); i++) {
		assert_true(i < 10);
		assert_int_equal(loop_run(bed->loop, 0, 0), 0);
	}
	free_batch(b);
	bed_close(bed);
}

static void
test_the_descriptor_tells_when_to_run(void **state)
{
	check_descriptor(*state, 64);
	check_descriptor(*state, 1);
}

/* ---- time and counts --------------------------------------------------- */

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

static void
test_a_run_ends_in_time(void **state)
{
	struct bed *bed = bed_open(*state);
	struct batch *b = new_batch(bed);
	int64_t start = now_ms();

	assert_int_equal(loop_run(bed->loop, 1, 0), 0);
	assert_int_equal(loop_run(bed->loop, 0, -1), 0);
	assert_true(now_ms() - start < 5000);
	start = now_ms();
	assert_int_equal(loop_run(bed->loop, 1, 30 * 1000000), 0);
	assert_in_range(now_ms() - start, 29, 5000);

	/* At least min, however many batches that takes. */
	start_batch(b, AIO_WRITE, bed->file, REQUESTS);
	for (unsigned got = 0; got < REQUESTS;) {
		int n = loop_run(bed->loop, 1, -1);

		assert_true(n >= 1);
		got += (unsigned)n;
	}
	start_batch(b, AIO_WRITE, bed->file, REQUESTS);
	assert_int_equal(loop_run(bed->loop, REQUESTS, -1), REQUESTS);
	assert_true(b->over);
	free_batch(b);
	bed_close(bed);
}

static void
test_requests_and_system_calls_are_counted(void **state)
{
	const struct variant *v = *state;
	struct bed *bed = bed_open(v);
	struct batch *b = new_batch(bed);
	uint64_t calls, sqes;

	/* Warm: threads, pages, the first poll of an eventfd. */
	run_batch(b, AIO_WRITE, bed->file, REQUESTS);
	calls = bed->loop->syscalls;
	sqes = bed->loop->sqes;
	start_batch(b, AIO_READ, bed->file, 32);
	assert_int_equal(loop_run(bed->loop, 32, -1), 32);
	calls = bed->loop->syscalls - calls;
	sqes = bed->loop->sqes - sqes;
	if (v->place == IN_MEMORY)
		assert_int_equal(calls, 0);
	else
		assert_true(calls > 0);
	if (v->place == ON_DISK_DIRECT && strcmp(v->backend, "threads") != 0) {
		/* One for the batch, and at worst one for each completion. */
		assert_int_equal(sqes, 32);
		assert_true(calls <= 1 + 32);
	}
	assert_int_equal(bed->points.n.host_reads, 32);
	free_batch(b);
	bed_close(bed);
}

static void
test_the_depth_is_what_the_kernel_has_at_once(void **state)
{
	const struct variant *v = *state;
	struct bed *bed = bed_open_deep(v, 2);
	struct batch *b = new_batch(bed);
	uint64_t sqes = bed->loop->sqes;

	start_batch(b, AIO_WRITE, bed->file, 10);
	assert_true(loop_run(bed->loop, 0, 0) >= 0);
	/* And the poll of an eventfd. */
	if (v->place == ON_DISK_DIRECT && strcmp(v->backend, "threads") != 0)
		assert_in_range(bed->loop->sqes - sqes, 2, 3);
	assert_int_equal(loop_run_until(bed->loop, &b->over), 0);
	assert_int_equal(b->errors, 0);
	free_batch(b);
	bed_close(bed);
}

int
main(void)
{
	static const struct variant_test tests[] = {
		{"depth has no limit", test_depth_has_no_limit, false},
		{"many files at once", test_many_files_at_once, true},
		{"memory of the loop", test_memory_of_the_loop, true},
		{"posts arrive with and without requests",
		 test_posts_arrive_with_and_without_requests, false},
		{"blocking calls run in other threads",
		 test_blocking_calls_run_in_other_threads, false},
		{"the descriptor tells when to run",
		 test_the_descriptor_tells_when_to_run, true},
		{"a run ends in time", test_a_run_ends_in_time, true},
		{"the depth is what the kernel has at once",
		 test_the_depth_is_what_the_kernel_has_at_once, true},
		{"requests and system calls are counted",
		 test_requests_and_system_calls_are_counted, true},
	};

	return variants_run(tests, ARRAY_SIZE(tests));
}
