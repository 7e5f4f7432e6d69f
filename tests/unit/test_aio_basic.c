/* SPDX-License-Identifier: MIT */
/* The loop, memory files, and byte-granular I/O on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/backend.h"
#include "engine/base/err.h"
#include "engine/base/num.h"

struct ctx {
	struct loop *loop;
	struct aio_file *file;
	struct points points;
};

static void
open_memory(struct ctx *c, uint32_t align)
{
	struct q2_err err;

	memset(c, 0, sizeof(*c));
	assert_int_equal(loop_new_backend(backend_memory_new(align, NULL), NULL,
					  &c->loop, &err),
			 0);
	assert_int_equal(
		aio_open(c->loop, "f", AIO_CREATE, &c->points, &c->file, &err),
		0);
}

static void
close_memory(struct ctx *c)
{
	aio_close(c->file);
	loop_free(c->loop);
}

struct io {
	struct ctx *c;
	char *buf;
	uint64_t len, off;
};

static int Q2_CO
do_write(void *arg)
{
	struct io *io = arg;

	return file_write(io->c->file, AIO_DATA, io->buf, io->len, io->off);
}

static int Q2_CO
do_read(void *arg)
{
	struct io *io = arg;

	return file_read(io->c->file, AIO_DATA, io->buf, io->len, io->off);
}

static int Q2_CO
do_zero(void *arg)
{
	struct io *io = arg;

	return file_zero(io->c->file, io->len, io->off, false);
}

static int Q2_CO
do_discard(void *arg)
{
	struct io *io = arg;

	return file_discard(io->c->file, io->len, io->off);
}

static int Q2_CO
do_truncate(void *arg)
{
	struct io *io = arg;

	return file_truncate(io->c->file, io->len);
}

static int Q2_CO
do_allocate(void *arg)
{
	struct io *io = arg;

	return file_allocate(io->c->file, io->len, io->off);
}

static void
check_bytes(struct ctx *c)
{
	char out[20000], in[20000], model[40000] = {0};
	struct io w = {c, out + 3, 9001, 777};
	struct io r = {c, in, 20000, 0};

	memset(out, 'x', sizeof(out));
	memcpy(model + 777, out, 9001);
	assert_int_equal(loop_call(c->loop, do_write, &w), 0);
	/* Beyond the end there are zeros. */
	assert_int_equal(loop_call(c->loop, do_read, &r), 0);
	assert_memory_equal(in, model, 20000);

	w.len = 5000;
	w.off = 1000;
	memset(model + 1000, 0, 5000);
	assert_int_equal(loop_call(c->loop, do_zero, &w), 0);
	assert_int_equal(loop_call(c->loop, do_read, &r), 0);
	assert_memory_equal(in, model, 20000);
}

static void
test_any_byte_at_any_alignment(void **state)
{
	struct ctx c;

	(void)state;
	for (uint32_t align = 1; align <= 4096; align *= 8) {
		open_memory(&c, align);
		check_bytes(&c);
		close_memory(&c);
	}
}

static void
test_sparse_file_has_extents(void **state)
{
	struct ctx c;
	char page[4096] = "hello";
	struct io w = {&c, page, 4096, 4 * GiB - 4096};
	struct aio_extent *ext;
	size_t n;

	(void)state;
	open_memory(&c, 1);
	assert_int_equal(loop_call(c.loop, do_write, &w), 0);
	w.off = 0;
	w.len = 8 * MiB;
	assert_int_equal(loop_call(c.loop, do_allocate, &w), 0);
	w.off = 4096;
	w.len = 4096;
	assert_int_equal(loop_call(c.loop, do_discard, &w), 0);
	assert_int_equal(aio_size(c.file), 4 * GiB);
	assert_int_equal(aio_allocated(c.file), 8 * MiB);
	assert_int_equal(aio_extents(c.file, &ext, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(ext[0].state, AIO_EXT_UNWRITTEN);
	assert_int_equal(ext[0].len, 4096);
	assert_int_equal(ext[1].state, AIO_EXT_HOLE);
	assert_int_equal(ext[2].state, AIO_EXT_UNWRITTEN);
	assert_int_equal(ext[2].len, 8 * MiB - 8192);
	assert_int_equal(ext[3].state, AIO_EXT_HOLE);
	assert_int_equal(ext[4].state, AIO_EXT_WRITTEN);
	assert_int_equal(ext[4].off, 4 * GiB - 4096);
	free(ext);

	/* Shorter and longer again: zeros, not the old bytes. */
	w.len = 4 * GiB - 4090;
	assert_int_equal(loop_call(c.loop, do_truncate, &w), 0);
	w.len = 4 * GiB;
	assert_int_equal(loop_call(c.loop, do_truncate, &w), 0);
	w.off = 4 * GiB - 4096;
	w.len = 4096;
	assert_int_equal(loop_call(c.loop, do_read, &w), 0);
	assert_memory_equal(page, "hello\0\0", 7);
	close_memory(&c);
}

static void
test_counts_once_by_class(void **state)
{
	struct ctx c;
	char buf[8192] = {0};
	struct io w = {&c, buf, 8192, 0};

	(void)state;
	open_memory(&c, 512);
	assert_int_equal(loop_call(c.loop, do_write, &w), 0);
	assert_int_equal(c.points.n.host_writes, 1);
	assert_int_equal(c.points.n.host_write_data_bytes, 8192);
	assert_int_equal(loop_call(c.loop, do_read, &w), 0);
	assert_int_equal(c.points.n.host_reads, 1);
	assert_int_equal(c.points.n.host_read_data_bytes, 8192);
	close_memory(&c);
}

static int
offloaded(void *arg)
{
	*(pthread_t *)arg = pthread_self();
	return -42;
}

static int Q2_CO
offloader(void *arg)
{
	struct ctx *c = arg;
	pthread_t where = pthread_self();
	int r = loop_offload(c->loop, offloaded, &where);

	return pthread_equal(where, pthread_self()) ? 0 : r;
}

static void
set_flag(void *arg)
{
	*(bool *)arg = true;
}

static void *
poster(void *arg)
{
	void **a = arg;

	(void)loop_post(a[0], set_flag, a[1]);
	return NULL;
}

static void
test_other_threads(void **state)
{
	struct ctx c;
	bool flag = false;
	pthread_t t;

	(void)state;
	open_memory(&c, 1);
	assert_int_equal(loop_call(c.loop, offloader, &c), -42);

	void *args[] = {c.loop, &flag};
	assert_int_equal(pthread_create(&t, NULL, poster, args), 0);
	assert_int_equal(loop_run_until(c.loop, &flag), 0);
	(void)pthread_join(t, NULL);
	close_memory(&c);
}

static void
test_run_returns_when_nothing_is_to_do(void **state)
{
	struct ctx c;

	(void)state;
	open_memory(&c, 1);
	assert_int_equal(loop_run(c.loop, 0, -1), 0);
	assert_int_equal(loop_run(c.loop, 1, 0), 0);
	assert_int_equal(loop_run(c.loop, 1, 1000), 0);
	close_memory(&c);
}

static void
test_missing_file_is_named(void **state)
{
	struct ctx c;
	struct aio_file *f;
	struct q2_err err;

	(void)state;
	open_memory(&c, 1);
	assert_int_equal(aio_open(c.loop, "no", 0, &c.points, &f, &err),
			 -ENOENT);
	assert_string_equal(err.text,
			    "Could not open 'no': No such file or directory");
	close_memory(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_byte_at_any_alignment),
		cmocka_unit_test(test_sparse_file_has_extents),
		cmocka_unit_test(test_counts_once_by_class),
		cmocka_unit_test(test_other_threads),
		cmocka_unit_test(test_run_returns_when_nothing_is_to_do),
		cmocka_unit_test(test_missing_file_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
