/* SPDX-License-Identifier: MIT */
/*
 * test_create_data.c - rules N1 and X1: whenever the creation of an image with
 * an external data file is cut off, the image is none, or complete with all of
 * its data file; and where there was another image with another content of the
 * data file before, it is that one, with that content
 *
 * What a crash leaves of the two files is chosen independently.  Q2_SEED
 * replays a run.
 */
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
#include "engine/format/plan.h"
#include "engine/manage/manage.h"
#include "tests/env.h"
#include "tests/sim/sim.h"

#define IMAGE "disk.qcow2"
#define DATA  "disk.data"

/* What the old data file holds. */
#define OLD_BYTE 0x5a

struct call {
	struct loop *loop;
	const struct q2_create_opts *opts;
	struct q2_create_result result;
	struct q2_err err;
};

static int Q2_CO
run_create(void *arg)
{
	struct call *c = arg;

	return create_image(c->loop, IMAGE, c->opts, &c->result, &c->err);
}

static void
create(struct loop *loop, const struct q2_create_opts *o)
{
	struct call c = {.loop = loop, .opts = o};

	if (loop_call(loop, run_create, &c) < 0)
		fail_msg("create: %s", c.err.text);
	assert_true(c.result.fdatasyncs <= 2);
}

/* ---- whole files ------------------------------------------------------- */

struct bytes {
	uint8_t *p; /* NULL: the file is not there */
	uint64_t len;
};

struct transfer {
	struct aio_file *file;
	struct bytes b;
};

static int Q2_CO
read_all(void *arg)
{
	struct transfer *t = arg;

	return file_read(t->file, AIO_DATA, t->b.p, t->b.len, 0);
}

static int Q2_CO
write_all(void *arg)
{
	struct transfer *t = arg;
	int r = file_write(t->file, AIO_DATA, t->b.p, t->b.len, 0);

	return r < 0 ? r : file_sync(t->file);
}

/* The caller frees it. */
static struct bytes
content(struct loop *loop, const char *name)
{
	struct points points = {0};
	struct transfer t = {0};

	if (aio_open(loop, name, AIO_RDONLY, &points, &t.file, NULL) < 0)
		return t.b;
	t.b.len = (uint64_t)aio_size(t.file);
	t.b.p = calloc(1, t.b.len + 4);
	assert_int_equal(loop_call(loop, read_all, &t), 0);
	aio_close(t.file);
	return t.b;
}

/* Fill the data file with what must not get lost while the image is there. */
static void
spoil(struct loop *loop)
{
	struct points points = {0};
	struct transfer t = {0};

	assert_int_equal(aio_open(loop, DATA, 0, &points, &t.file, NULL), 0);
	t.b.len = (uint64_t)aio_size(t.file);
	t.b.p = malloc(t.b.len + 1);
	memset(t.b.p, OLD_BYTE, t.b.len);
	assert_int_equal(loop_call(loop, write_all, &t), 0);
	aio_close(t.file);
	free(t.b.p);
}

static bool
is_filled(const struct bytes *b, uint8_t byte)
{
	for (uint64_t i = 0; i < b->len; i++)
		if (b->p[i] != byte)
			return false;
	return true;
}

/* ---- crashes ----------------------------------------------------------- */

enum state {
	NONE,
	OLD,
	NEW,
	STATES
};

struct test {
	struct plan old, new;
	uint64_t old_data, new_data; /* lengths of the data files */
	struct sim_log log;
	unsigned seen[STATES];
};

static bool
is_image(const struct plan *p, const struct bytes *got)
{
	uint64_t meta = align_up(p->metadata_bytes, p->geom.cluster_size);
	uint8_t *want = malloc(meta);
	bool same;

	assert_non_null(want);
	plan_encode(p, 0, meta, want);
	same = got->len >= p->file_bytes &&
	       memcmp(got->p, want, p->metadata_bytes) == 0;
	free(want);
	return same;
}

/* Half an image, or one with another's data, is BAD. */
static int
judge(const struct test *t, const struct bytes *image, const struct bytes *data)
{
	if (!image->p || load_be32(image->p) != HEADER_MAGIC)
		return NONE;
	if (is_image(&t->new, image))
		return data->len >= t->new_data &&
				       data->len < t->new_data + 4096 &&
				       is_filled(data, 0)
			       ? NEW
			       : -1;
	if (t->old_data && is_image(&t->old, image))
		return data->len >= t->old_data && is_filled(data, OLD_BYTE)
			       ? OLD
			       : -1;
	return -1;
}

static void
crash_at(struct test *t, uint64_t at, enum sim_loss image_loss,
	 enum sim_loss data_loss, uint64_t seed)
{
	struct sim_crash image = {.at = at, .loss = image_loss, .seed = seed};
	struct sim_crash data = {.at = at, .loss = data_loss, .seed = ~seed};
	struct bytes a, b;
	struct loop *loop;
	int state;

	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &loop, NULL),
			 0);
	assert_int_equal(sim_restore(&t->log, &image, IMAGE, loop), 0);
	assert_int_equal(sim_restore(&t->log, &data, DATA, loop), 0);
	a = content(loop, IMAGE);
	b = content(loop, DATA);
	state = judge(t, &a, &b);
	free(a.p);
	free(b.p);
	loop_free(loop);
	if (state < 0)
		fail_msg("half an image after a crash at %" PRIu64
			 ", losses %d and %d, Q2_SEED=%" PRIu64,
			 at, image_loss, data_loss, seed);
	t->seen[state]++;
}

/*
 * Nothing is drawn for an image that replaces another: a file system that
 * loses the emptying of a file loses what was written to it afterwards.
 */
static void
crash_everywhere(struct test *t, uint64_t from, uint64_t seed)
{
	enum sim_loss most = t->old_data ? SIM_KEEP : SIM_SOME;

	for (uint64_t at = from; at <= t->log.now; at++) {
		for (unsigned i = 0; i < 4; i++) {
			enum sim_loss loss = i & 2 ? SIM_DROP : SIM_KEEP;

			crash_at(t, at, loss, i & 1 ? SIM_DROP : SIM_KEEP, 0);
			crash_at(t, at, i & 1 ? loss : most, SIM_SOME,
				 rng_derive(seed, i));
		}
	}
}

static struct loop *
new_loop(struct test *t, uint32_t align, uint64_t seed)
{
	struct sim_opts sim = {.seed = seed, .delay_max = 3, .log = &t->log};
	struct loop *loop;

	sim_log_init(&t->log);
	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(align, NULL), &sim),
				 NULL, &loop, NULL),
		0);
	return loop;
}

static uint64_t
data_length(struct loop *loop)
{
	struct bytes b = content(loop, DATA);

	free(b.p);
	return b.len;
}

/* old may be NULL: there was nothing before. */
static void
run(const struct q2_create_opts *old, const struct q2_create_opts *new,
    uint32_t align, uint64_t seed)
{
	struct test t = {0};
	struct loop *loop = new_loop(&t, align, seed);
	uint64_t from = 0;

	if (old) {
		assert_int_equal(plan_make(old, &t.old, NULL), 0);
		create(loop, old);
		spoil(loop);
		t.old_data = data_length(loop);
		from = t.log.now;
	}
	assert_int_equal(plan_make(new, &t.new, NULL), 0);
	create(loop, new);
	t.new_data = new->virtual_size;
	assert_in_range(data_length(loop), t.new_data, t.new_data + 65536);
	t.new_data = data_length(loop);
	loop_free(loop);
	crash_everywhere(&t, from, seed);
	/* All must have been met, or nothing was tested. */
	assert_true(t.seen[NONE] > 0 && t.seen[NEW] > 0);
	assert_int_equal(t.seen[OLD] > 0, old != NULL);
	sim_log_done(&t.log);
}

static const uint32_t aligns[] = {1, 512, 4096};

static struct q2_create_opts
with_data_file(enum q2_prealloc mode, uint32_t cluster)
{
	return (struct q2_create_opts){
		.size = sizeof(struct q2_create_opts),
		.virtual_size = 200 * KiB,
		.cluster_size = cluster,
		.preallocation = mode,
		.data_file = DATA,
	};
}

static void
test_a_new_image_comes_with_all_its_data(void **state)
{
	uint64_t seed = test_seed(1);

	(void)state;
	for (unsigned mode = 0; mode < 4; mode++) {
		for (size_t a = 0; a < ARRAY_SIZE(aligns); a++) {
			struct q2_create_opts o = with_data_file(mode, 4096);

			run(NULL, &o, aligns[a], seed++);
			o.data_file_raw = true;
			o.cluster_size = 512;
			run(NULL, &o, aligns[a], seed++);
		}
	}
}

static void
test_a_replaced_image_goes_before_its_data(void **state)
{
	struct q2_create_opts old = with_data_file(Q2_PREALLOC_METADATA, 65536);
	uint64_t seed = test_seed(2);

	(void)state;
	old.virtual_size = 100 * KiB;
	for (unsigned mode = 0; mode < 4; mode++) {
		for (size_t a = 0; a < ARRAY_SIZE(aligns); a++) {
			struct q2_create_opts o = with_data_file(mode, 4096);

			run(&old, &o, aligns[a], seed++);
		}
	}
}

/* ---- failures ---------------------------------------------------------- */

/* An error ends with no image, and with the old data or none. */
static bool
fail_nth(enum aio_kind kind, unsigned nth)
{
	struct q2_create_opts old = with_data_file(Q2_PREALLOC_METADATA, 4096);
	struct q2_create_opts o = with_data_file(
		kind == AIO_ALLOCATE ? Q2_PREALLOC_FALLOC : Q2_PREALLOC_FULL,
		4096);
	struct sim_opts sim = {.seed = nth};
	struct call c = {.opts = &o};
	struct bytes image, data;
	bool failed;
	int r;

	assert_int_equal(
		loop_new_backend(sim_new(backend_memory_new(1, NULL), &sim),
				 NULL, &c.loop, NULL),
		0);
	create(c.loop, &old);
	spoil(c.loop);
	sim_fail_nth(c.loop, (int)kind, nth, -EIO, false);
	r = loop_call(c.loop, run_create, &c);
	failed = sim_has_failed(c.loop);
	assert_int_equal(r, failed ? -EIO : 0);
	image = content(c.loop, IMAGE);
	data = content(c.loop, DATA);
	if (failed) {
		assert_int_equal(image.len, 0);
		assert_true(data.len == 0 || is_filled(&data, OLD_BYTE));
		assert_non_null(strstr(c.err.text, "disk."));
	}
	free(image.p);
	free(data.p);
	loop_free(c.loop);
	return failed;
}

static void
test_every_failure_leaves_no_image(void **state)
{
	static const enum aio_kind kinds[] = {AIO_WRITE, AIO_SYNC, AIO_TRUNCATE,
					      AIO_ALLOCATE};
	unsigned failures = 0;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (unsigned nth = 1; fail_nth(kinds[k], nth); nth++)
			failures++;
	assert_in_range(failures, 8, 100);
}

static void
test_the_image_is_not_its_own_data_file(void **state)
{
	struct q2_create_opts o = with_data_file(Q2_PREALLOC_OFF, 4096);
	struct call c = {.opts = &o};

	(void)state;
	o.data_file = IMAGE;
	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &c.loop, NULL),
			 0);
	assert_int_equal(loop_call(c.loop, run_create, &c), -EINVAL);
	assert_string_equal(c.err.text,
			    "the data file 'disk.qcow2' is the image itself");
	loop_free(c.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_image_comes_with_all_its_data),
		cmocka_unit_test(test_a_replaced_image_goes_before_its_data),
		cmocka_unit_test(test_every_failure_leaves_no_image),
		cmocka_unit_test(test_the_image_is_not_its_own_data_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
