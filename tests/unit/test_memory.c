/* SPDX-License-Identifier: MIT */
/*
 * Memory is bounded by the options, not by the image: requests all over a disk
 * of a TiB take what the caches may have, and little else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/q2.h"
#include "tests/env.h"

#define DISK_BYTES  TiB
#define CACHE_BYTES (256 * KiB)
#define REQUEST     4096
#define SLACK_KIB   2048

struct bed {
	char dir[64], path[96];
	struct q2_loop *loop;
	void *buf;
};

static uint64_t
peak_kib(void)
{
	struct rusage use;

	assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
	return (uint64_t)use.ru_maxrss;
}

static int
set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct bed *b = calloc(1, sizeof(*b));
	struct q2_loop_opts opts = {.size = sizeof(opts), .aio = "threads"};
	struct q2_err err;

	assert_non_null(b);
	(void)snprintf(b->dir, sizeof(b->dir), "%.40s/q2-memory.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->path, sizeof(b->path), "%s/disk", b->dir);
	assert_int_equal(q2_loop_new(&opts, &b->loop, &err), 0);
	b->buf = q2_buf_alloc(b->loop, REQUEST);
	assert_non_null(b->buf);
	*state = b;
	return 0;
}

static int
tear_down(void **state)
{
	struct bed *b = *state;

	q2_buf_free(b->loop, b->buf);
	q2_loop_free(b->loop);
	(void)unlink(b->path);
	(void)rmdir(b->dir);
	free(b);
	return 0;
}

static struct q2_image *
make_and_open(const struct bed *b, struct q2_create_opts create)
{
	struct q2_open_opts opts = {
		.size = sizeof(opts),
		.driver = "qcow2",
		.cache = Q2_CACHE_UNSAFE,
		.flags = Q2_UNMAP,
		.l2_cache_size = CACHE_BYTES,
		.refcount_cache_size = CACHE_BYTES,
	};
	struct q2_image *img;
	struct q2_err err;

	create.size = sizeof(create);
	create.virtual_size = DISK_BYTES;
	if (q2_create(b->loop, b->path, &create, NULL, &err) < 0)
		fail_msg("create: %s", err.text);
	if (q2_open(b->loop, b->path, &opts, &img, &err) < 0)
		fail_msg("open: %s", err.text);
	return img;
}

static void
all_over(const struct bed *b, struct q2_image *img, struct rng *rng,
	 unsigned requests)
{
	for (unsigned i = 0; i < requests; i++) {
		uint64_t off = rng_below(rng, DISK_BYTES / REQUEST) * REQUEST;
		int r = 0;

		switch (i % 4) {
		case 0:
			r = q2_pwrite(img, b->buf, REQUEST, off);
			break;
		case 1:
			r = q2_pzero(img, MiB, off & ~(MiB - 1), 0);
			break;
		default:
			r = q2_pread(img, b->buf, REQUEST, off);
		}
		assert_int_equal(r, 0);
	}
}

/* After a warm-up that fills the caches, nothing may grow. */
static void
stays_bounded(void **state, struct q2_create_opts create, uint64_t grow_kib)
{
	struct bed *b = *state;
	struct rng rng = {test_seed(31)};
	struct q2_image *img = make_and_open(b, create);
	unsigned rounds = test_rounds(8000);
	uint64_t before, after;
	struct q2_err err;

	all_over(b, img, &rng, 1000);
	before = peak_kib();
	all_over(b, img, &rng, rounds);
	after = peak_kib();
	print_message("%u requests: %llu KiB, then %llu KiB\n", rounds,
		      (unsigned long long)before, (unsigned long long)after);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range(after - before, 0, grow_kib);
#else
	/* Freed memory is kept by the sanitizer. */
	(void)grow_kib;
#endif
	assert_int_equal(q2_close(img, &err), 0);
}

static void
test_reads_and_writes_of_an_empty_tebibyte(void **state)
{
	stays_bounded(state, (struct q2_create_opts){0}, SLACK_KIB);
}

static void
test_reads_and_writes_of_a_preallocated_tebibyte(void **state)
{
	stays_bounded(
		state,
		(struct q2_create_opts){.preallocation = Q2_PREALLOC_METADATA},
		SLACK_KIB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_reads_and_writes_of_an_empty_tebibyte, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			test_reads_and_writes_of_a_preallocated_tebibyte,
			set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
