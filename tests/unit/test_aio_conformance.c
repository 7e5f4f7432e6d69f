/* SPDX-License-Identifier: MIT */
/* What every backend must do with bytes and with errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "tests/env.h"
#include "tests/sim/variant.h"

/* ---- one call, from the test's stack ----------------------------------- */

struct call {
	struct aio_file *file;
	enum aio_kind kind;
	void *buf;
	uint64_t len, off;
};

static int Q2_CO
run_call(void *arg)
{
	const struct call *c = arg;

	switch (c->kind) {
	case AIO_READ:
		return file_read(c->file, AIO_DATA, c->buf, c->len, c->off);
	case AIO_WRITE:
		return file_write(c->file, AIO_DATA, c->buf, c->len, c->off);
	case AIO_SYNC:
		return file_sync(c->file);
	case AIO_DISCARD:
		return file_discard(c->file, c->len, c->off);
	case AIO_ZERO:
		return file_zero(c->file, c->len, c->off, false);
	case AIO_TRUNCATE:
		return file_truncate(c->file, c->off);
	case AIO_ALLOCATE:
		return file_allocate(c->file, c->len, c->off);
	}
	return -EINVAL;
}

static int
call(struct aio_file *file, enum aio_kind kind, void *buf, uint64_t len,
     uint64_t off)
{
	struct call c = {file, kind, buf, len, off};

	return loop_call(file->loop, run_call, &c);
}

/* ---- any bytes at any place -------------------------------------------- */

/* Stripes that share blocks with their neighbours, each with its writer. */
#define WRITERS 8

struct sizes {
	uint64_t stripe;
	uint64_t len_max;
	uint64_t steps;
};
static const struct sizes few_bytes = {40013, 20000, 60};
/* Up to what files in memory have threads for: see host_place(). */
static const struct sizes many_bytes = {800011, 400000, 12};

struct writer {
	struct bed *bed;
	struct co_join *join;
	const struct sizes *sizes;
	struct rng rng;
	uint64_t start;
	char *model; /* of the whole area */
	char *buf;   /* len_max and some */
	int step;
};

static int Q2_CO
write_some(struct writer *w, uint64_t len, uint64_t off)
{
	/* Aligned, nearly aligned, and odd addresses. */
	char *p = w->buf + rng_below(&w->rng, 3) * rng_below(&w->rng, 600);

	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t r = rng_next(&w->rng);

		memcpy(p + i, &r, min_u64(8, len - i));
	}
	memcpy(w->model + off, p, len);
	return file_write(w->bed->file, AIO_DATA, p, len, off);
}

static int Q2_CO
read_some(struct writer *w, uint64_t len, uint64_t off)
{
	char *p = w->buf + rng_below(&w->rng, 3) * rng_below(&w->rng, 600);
	int r = file_read(w->bed->file, AIO_DATA, p, len, off);

	if (r == 0 && memcmp(p, w->model + off, len) != 0)
		r = -EILSEQ;
	return r;
}

static int Q2_CO
zero_some(struct writer *w, uint64_t len, uint64_t off)
{
	memset(w->model + off, 0, len);
	return file_zero(w->bed->file, len, off, false);
}

/* Each byte is as before or zero; afterwards it stays as it is. */
static int Q2_CO
discard_some(struct writer *w, uint64_t len, uint64_t off)
{
	int r = file_discard(w->bed->file, len, off);

	if (r == 0)
		r = file_read(w->bed->file, AIO_DATA, w->buf, len, off);
	for (uint64_t i = 0; r == 0 && i < len; i++)
		if (w->buf[i] != 0 && w->buf[i] != w->model[off + i])
			r = -EILSEQ;
	memcpy(w->model + off, w->buf, len);
	return r;
}

static int Q2_CO
one_step(struct writer *w)
{
	uint64_t max = w->sizes->len_max, stripe = w->sizes->stripe;
	uint64_t len = 1 + rng_below(&w->rng, max);
	uint64_t off = w->start + rng_below(&w->rng, stripe - len + 1);

	/* Where the neighbours are. */
	if (rng_below(&w->rng, 2) == 0)
		off = w->start + rng_below(&w->rng, 2) * (stripe - len);
	else if (rng_below(&w->rng, 2) == 0) {
		off = align_up(off, 4096);
		len = min_u64(align_up(len, 4096), max / 4096 * 4096);
		if (off + len > w->start + stripe)
			return 0;
	}
	switch (rng_below(&w->rng, 8)) {
	case 0:
		return zero_some(w, len, off);
	case 1:
		return discard_some(w, len, off);
	case 2:
		return file_sync(w->bed->file);
	case 3:
	case 4:
		return read_some(w, len, off);
	default:
		return write_some(w, len, off);
	}
}

static void Q2_CO
writer_main(void *arg)
{
	struct writer *w = arg;
	int steps = (int)test_rounds(w->sizes->steps), r = 0;

	for (w->step = 0; r == 0 && w->step < steps; w->step++)
		r = one_step(w);
	co_join_end(w->join, r);
}

static int Q2_CO
run_writers(void *arg)
{
	struct writer *w = arg;
	struct co_join join;

	co_join_init(&join);
	for (int i = 0; i < WRITERS; i++) {
		w[i].join = &join;
		co_join_add(&join);
		if (co_start(&w[i].bed->loop->sched, writer_main, &w[i]) < 0)
			co_join_end(&join, -ENOMEM);
	}
	return co_join_wait(&join);
}

static void
write_beside_each_other(const struct variant *v, const struct sizes *sizes)
{
	struct bed *bed = bed_open(v);
	uint64_t area = WRITERS * sizes->stripe;
	Q2_AUTO_FREE char *model = calloc(1, area);
	Q2_AUTO_FREE char *all = malloc(area + 1);
	struct writer w[WRITERS];

	assert_true(model && all);
	for (int i = 0; i < WRITERS; i++)
		w[i] = (struct writer){
			.bed = bed,
			.sizes = sizes,
			.rng = {rng_next(&bed->rng)},
			.start = (uint64_t)i * sizes->stripe,
			.model = model,
			.buf = mem_aligned(sizes->len_max + 2048),
		};
	assert_int_equal(loop_call(bed->loop, run_writers, w), 0);
	assert_int_equal(call(bed->file, AIO_READ, all + 1, area, 0), 0);
	assert_memory_equal(all + 1, model, area);
	for (int i = 0; i < WRITERS; i++)
		free(w[i].buf);
	bed_close(bed);
}

static void
test_neighbours_lose_no_byte(void **state)
{
	write_beside_each_other(*state, &few_bytes);
}

static void
test_large_neighbours_lose_no_byte(void **state)
{
	write_beside_each_other(*state, &many_bytes);
}

/* A whole write and two that lie within it, started together. */
#define WHOLE  8192
#define ROUNDS 40

struct part {
	struct bed *bed;
	struct co_join *join;
	char *buf;
	uint64_t len, off;
};

static void Q2_CO
write_part(void *arg)
{
	struct part *p = arg;

	co_join_end(p->join,
		    file_write(p->bed->file, AIO_DATA, p->buf, p->len, p->off));
}

static int Q2_CO
write_parts(void *arg)
{
	struct part *parts = arg;
	struct co_join join;

	co_join_init(&join);
	for (int i = 0; i < 3; i++) {
		parts[i].join = &join;
		co_join_add(&join);
		if (co_start(&parts[i].bed->loop->sched, write_part,
			     &parts[i]) < 0)
			co_join_end(&join, -ENOMEM);
	}
	return co_join_wait(&join);
}

static void
test_a_write_within_a_write_loses_nothing_around_it(void **state)
{
	struct bed *bed = bed_open(*state);
	Q2_AUTO_FREE char *whole = mem_aligned(WHOLE);
	Q2_AUTO_FREE char *got = mem_aligned(WHOLE);
	char one = 1, two = 2;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t base = rng_below(&bed->rng, 100) * WHOLE;
		struct part parts[3] = {
			{.bed = bed, .buf = whole, .len = WHOLE, .off = base},
			{.bed = bed, .buf = &one, .len = 1, .off = base + 100},
			{.bed = bed, .buf = &two, .len = 1, .off = base + 200},
		};
		char fill = (char)(3 + i);

		memset(whole, fill, WHOLE);
		assert_int_equal(loop_call(bed->loop, write_parts, parts), 0);
		assert_int_equal(call(bed->file, AIO_READ, got, WHOLE, base),
				 0);
		/* In any order. */
		assert_true(got[100] == 1 || got[100] == fill);
		assert_true(got[200] == 2 || got[200] == fill);
		got[100] = got[200] = fill;
		assert_memory_equal(got, whole, WHOLE);
	}
	bed_close(bed);
}

/* ---- lengths ----------------------------------------------------------- */

static bool
is_zero(const char *p, size_t n)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n == 0;
}

static void
test_there_are_zeros_beyond_the_end(void **state)
{
	struct bed *bed = bed_open(*state);
	Q2_AUTO_FREE char *buf = mem_aligned(1 * MiB);
	char hello[] = "hello";

	memset(buf, 'x', 1 * MiB);
	assert_int_equal(call(bed->file, AIO_READ, buf, 70001, 0), 0);
	assert_true(is_zero(buf, 70001));
	assert_int_equal(call(bed->file, AIO_WRITE, hello, 5, 9997), 0);
	assert_int_equal(call(bed->file, AIO_TRUNCATE, NULL, 0, 10000), 0);
	assert_int_equal(aio_size(bed->file), 10000);
	/* The end is within a sector, within the request, and before it. */
	memset(buf, 'x', 1 * MiB);
	assert_int_equal(call(bed->file, AIO_READ, buf, 1 * MiB, 0), 0);
	assert_true(is_zero(buf, 9997));
	assert_memory_equal(buf + 9997, "hel", 3);
	assert_true(is_zero(buf + 10000, 1 * MiB - 10000));
	memset(buf, 'x', 8192);
	assert_int_equal(call(bed->file, AIO_READ, buf, 8192, 1 * TiB), 0);
	assert_true(is_zero(buf, 8192));
	bed_close(bed);
}

static void
test_lengths_and_allocation(void **state)
{
	struct bed *bed = bed_open(*state);
	struct aio_file *f = bed->file;
	char buf[3] = "xyz";
	int64_t before;
	int r;

	assert_int_equal(call(f, AIO_TRUNCATE, NULL, 0, 3 * MiB), 0);
	assert_int_equal(aio_size(f), 3 * MiB);
	assert_int_equal(aio_allocated(f), 0);
	r = call(f, AIO_ALLOCATE, NULL, 1 * MiB, 2560 * KiB);
	assert_true(r == 0 || r == -ENOTSUP);
	if (r == 0) {
		assert_int_equal(aio_size(f), 3584 * KiB);
		assert_in_range(aio_allocated(f), 1 * MiB, 1280 * KiB);
	}
	assert_int_equal(call(f, AIO_WRITE, buf, 3, 1), 0);
	assert_int_equal(call(f, AIO_SYNC, NULL, 0, 0), 0);
	before = aio_allocated(f);
	r = call(f, AIO_DISCARD, NULL, 64 * KiB, 0);
	assert_int_equal(r, 0);
	if (!f->no_discard)
		assert_true(aio_allocated(f) < before);
	assert_int_equal(call(f, AIO_READ, buf, 3, 1), 0);
	if (!f->no_discard)
		assert_true(is_zero(buf, 3));
	assert_int_equal(call(f, AIO_TRUNCATE, NULL, 0, 1), 0);
	assert_int_equal(aio_size(f), 1);
	assert_int_equal(aio_sync_dir(f), 0);
	bed_close(bed);
}

/* A whole range may be zeroed without a write, and stays allocated. */
static void
test_native_zeroing(void **state)
{
	struct bed *bed = bed_open(*state);
	struct aio_file *f = bed->file;
	Q2_AUTO_FREE char *buf = mem_aligned(256 * KiB);

	memset(buf, 'x', 256 * KiB);
	assert_int_equal(call(f, AIO_WRITE, buf, 256 * KiB, 0), 0);
	assert_int_equal(call(f, AIO_ZERO, NULL, 200001, 10001), 0);
	assert_int_equal(call(f, AIO_READ, buf, 256 * KiB, 0), 0);
	assert_true(is_zero(buf + 10001, 200001));
	assert_int_equal(buf[10000], 'x');
	assert_int_equal(buf[210002], 'x');
	assert_int_equal(aio_size(f), 256 * KiB);
	bed_close(bed);
}

/* ---- errors ------------------------------------------------------------ */

static const enum aio_kind kinds[] = {AIO_READ, AIO_WRITE,    AIO_SYNC,
				      AIO_ZERO, AIO_TRUNCATE, AIO_ALLOCATE};

/* A bed whose backend does what sim_fail_nth() says, and nothing else. */
static struct bed *
open_obedient(void **state)
{
	static const struct sim_opts calm = {0};
	struct bed *bed;
	struct variant v = *(const struct variant *)*state;

	v.sim = true;
	bed = bed_open(&v);
	sim_set_chances(bed->loop, &calm);
	bed->v = *state;
	return bed;
}

static void
test_a_failure_is_reported_and_only_once(void **state)
{
	static const int errors[] = {-EIO, -ENOSPC, -EDQUOT};
	struct bed *bed = open_obedient(state);
	Q2_AUTO_FREE char *buf = mem_aligned(64 * KiB);

	memset(buf, 'x', 64 * KiB);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
			int r;

			sim_fail_nth(bed->loop, (int)kinds[k], 1, errors[e],
				     false);
			assert_int_equal(call(bed->file, kinds[k], buf,
					      64 * KiB, 64 * KiB),
					 errors[e]);
			assert_true(sim_has_failed(bed->loop));
			r = call(bed->file, kinds[k], buf, 64 * KiB, 64 * KiB);
			/* But a sync's failure stays. */
			if (kinds[k] == AIO_SYNC)
				assert_int_equal(r, errors[e]);
			else
				assert_true(r == 0 || r == -ENOTSUP);
			bed->file->sync_error = 0;
			bed->file->no_zero_range = false;
		}
	bed_close(bed);
}

static void
test_a_failed_sync_stays_failed(void **state)
{
	struct bed *bed = open_obedient(state);
	char byte = 'a';

	assert_int_equal(call(bed->file, AIO_SYNC, NULL, 0, 0), 0);
	sim_fail_nth(bed->loop, AIO_SYNC, 1, -EIO, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(call(bed->file, AIO_SYNC, NULL, 0, 0), -EIO);
	assert_int_equal(call(bed->file, AIO_WRITE, &byte, 1, 0), 0);
	bed_close(bed);
}

/* Interrupted or refused for ever: an error in the end, not a hang. */
static void
test_a_broken_device_ends_in_an_error(void **state)
{
	struct bed *bed = open_obedient(state);
	char byte;

	sim_fail_nth(bed->loop, AIO_READ, 1, -EAGAIN, true);
	assert_int_equal(call(bed->file, AIO_READ, &byte, 1, 0), -EIO);
	sim_fail_nth(bed->loop, AIO_WRITE, 1, -EINTR, true);
	assert_int_equal(call(bed->file, AIO_WRITE, &byte, 1, 0), -EIO);
	bed_close(bed);
}

/* A write that moves nothing would go on for ever. */
static void
test_a_write_of_no_byte_means_no_space(void **state)
{
	struct bed *bed = open_obedient(state);
	char byte = 'x';

	sim_fail_nth(bed->loop, AIO_WRITE, 1, 0, false);
	assert_int_equal(call(bed->file, AIO_WRITE, &byte, 1, 0), -ENOSPC);
	assert_int_equal(call(bed->file, AIO_WRITE, &byte, 1, 0), 0);
	bed_close(bed);
}

static void
test_a_missing_zero_range_is_written(void **state)
{
	struct bed *bed = open_obedient(state);
	Q2_AUTO_FREE char *buf = mem_aligned(64 * KiB);

	memset(buf, 'x', 64 * KiB);
	assert_int_equal(call(bed->file, AIO_WRITE, buf, 64 * KiB, 0), 0);
	sim_fail_nth(bed->loop, AIO_ZERO, 1, -EOPNOTSUPP, false);
	assert_int_equal(call(bed->file, AIO_ZERO, NULL, 60000, 100), 0);
	assert_true(bed->file->no_zero_range);
	assert_int_equal(call(bed->file, AIO_READ, buf, 64 * KiB, 0), 0);
	assert_true(is_zero(buf + 100, 60000));
	assert_int_equal(buf[99] + buf[60100], 'x' + 'x');
	bed_close(bed);
}

/* The kernel's own short write, at the limit of a file's length. */
static void
test_a_write_that_does_not_fit_fails(void **state)
{
	const struct variant *v = *state;
	struct bed *bed = bed_open(v);
	Q2_AUTO_FREE char *buf = mem_aligned(64 * KiB);
	struct rlimit old, small;
	int r;

	if (v->place == IN_MEMORY) {
		bed_close(bed);
		return;
	}
	memset(buf, 'x', 64 * KiB);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){32 * KiB, old.rlim_max};
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = call(bed->file, AIO_WRITE, buf, 64 * KiB, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(aio_size(bed->file), 32 * KiB);
	bed_close(bed);
}

static void
test_a_read_only_file_is_not_changed(void **state)
{
	struct bed *bed = bed_open(*state);
	struct aio_file *f = bed_open_more(bed, 1, AIO_CREATE);
	char byte = 'x';

	assert_int_equal(call(f, AIO_WRITE, &byte, 1, 0), 0);
	aio_close(f);
	f = bed_open_more(bed, 1, AIO_RDONLY);
	for (size_t k = 1; k < ARRAY_SIZE(kinds); k++)
		if (kinds[k] != AIO_SYNC)
			assert_int_equal(call(f, kinds[k], &byte, 1, 0),
					 -EBADF);
	byte = 0;
	assert_int_equal(call(f, AIO_READ, &byte, 1, 0), 0);
	assert_int_equal(byte, 'x');
	bed_close_more(bed, f);
	bed_close(bed);
}

int
main(void)
{
	static const struct variant_test tests[] = {
		{"neighbours lose no byte", test_neighbours_lose_no_byte,
		 false},
		{"large neighbours lose no byte",
		 test_large_neighbours_lose_no_byte, false},
		{"a write within a write loses nothing around it",
		 test_a_write_within_a_write_loses_nothing_around_it, false},
		{"there are zeros beyond the end",
		 test_there_are_zeros_beyond_the_end, false},
		{"lengths and allocation", test_lengths_and_allocation, false},
		{"native zeroing", test_native_zeroing, false},
		{"a failure is reported, and only once",
		 test_a_failure_is_reported_and_only_once, true},
		{"a failed sync stays failed", test_a_failed_sync_stays_failed,
		 true},
		{"a broken device ends in an error",
		 test_a_broken_device_ends_in_an_error, true},
		{"a write of no byte means no space",
		 test_a_write_of_no_byte_means_no_space, true},
		{"a missing zero range is written",
		 test_a_missing_zero_range_is_written, true},
		{"a write that does not fit fails",
		 test_a_write_that_does_not_fit_fails, false},
		{"a read-only file is not changed",
		 test_a_read_only_file_is_not_changed, false},
	};

	return variants_run(tests, ARRAY_SIZE(tests));
}
