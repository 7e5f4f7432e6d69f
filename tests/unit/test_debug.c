/* SPDX-License-Identifier: MIT */
/* Rules and breakpoints of blkdebug, on a file in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/backend.h"
#include "engine/aio/debug.h"
#include "engine/base/num.h"

struct ctx {
	struct loop *loop;
	struct aio_file *file;
	struct points points;
	struct debug *d;
};

static char said[256];

static void
note(void *arg, const char *text)
{
	(void)arg;
	(void)strncat(said, text, sizeof(said) - strlen(said) - 1);
	(void)strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

static void
begin(struct ctx *c, const struct debug_rule *rules, size_t n)
{
	memset(c, 0, sizeof(*c));
	said[0] = 0;
	assert_int_equal(loop_new_backend(backend_memory_new(1, NULL), NULL,
					  &c->loop, NULL),
			 0);
	assert_int_equal(
		aio_open(c->loop, "f", AIO_CREATE, &c->points, &c->file, NULL),
		0);
	c->d = debug_new();
	assert_non_null(c->d);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(debug_add(c->d, &rules[i]), 0);
	assert_int_equal(debug_attach(c->d, c->file, true, note, NULL), 0);
}

static void
finish(struct ctx *c)
{
	aio_close(c->file);
	loop_free(c->loop);
	debug_free(c->d);
}

struct io {
	struct aio_op op;
	struct iovec iov;
	char byte[512];
	bool done;
};

static void
io_done(struct aio_op *op)
{
	container_of(op, struct io, op)->done = true;
}

static void
start(struct ctx *c, struct io *io, enum aio_kind kind, uint64_t off)
{
	memset(io, 0, sizeof(*io));
	io->iov = (struct iovec){io->byte, sizeof(io->byte)};
	io->op = (struct aio_op){.kind = kind,
				 .cls = AIO_DATA,
				 .file = c->file,
				 .off = off,
				 .len = kind == AIO_SYNC ? 0 : sizeof(io->byte),
				 .iov = &io->iov,
				 .iovcnt = 1,
				 .done = io_done};
	aio_submit(&io->op);
}

static int
run(struct ctx *c, enum aio_kind kind, uint64_t off)
{
	struct io io;

	start(c, &io, kind, off);
	assert_int_equal(loop_run_until(c->loop, &io.done), 0);
	return io.op.result;
}

/* The errors that are on stay until an event chooses others. */
static void
test_errors_stay_until_the_next_choice(void **state)
{
	static const struct debug_rule rules[] = {
		{.action = DEBUG_INJECT,
		 .event = DEBUG_write_aio,
		 .iotypes = DEBUG_IO_ALL,
		 .error = ENOSPC},
		{.action = DEBUG_INJECT,
		 .event = DEBUG_l2_load,
		 .iotypes = DEBUG_IO_ALL,
		 .error = 0},
	};
	struct ctx c;

	(void)state;
	begin(&c, rules, 2);
	assert_int_equal(run(&c, AIO_READ, 0), 0);
	assert_int_equal(run(&c, AIO_WRITE, 0), -ENOSPC);
	assert_int_equal(run(&c, AIO_READ, 0), -ENOSPC);
	assert_int_equal(POINT_HIT(&c.points, l2_load), 0);
	assert_int_equal(run(&c, AIO_READ, 0), 0);
	finish(&c);
}

static void
test_sector_kind_and_once(void **state)
{
	static const struct debug_rule rules[] = {
		{.action = DEBUG_INJECT,
		 .event = DEBUG_none,
		 .iotypes = 1U << DEBUG_IO_WRITE,
		 .error = EIO,
		 .has_sector = true,
		 .sector = 3},
		{.action = DEBUG_INJECT,
		 .event = DEBUG_none,
		 .iotypes = 1U << DEBUG_IO_FLUSH,
		 .error = EDOM,
		 .once = true},
	};
	struct ctx c;

	(void)state;
	begin(&c, rules, 2);
	assert_int_equal(run(&c, AIO_WRITE, 1024), 0);
	assert_int_equal(run(&c, AIO_WRITE, 1536), -EIO);
	assert_int_equal(run(&c, AIO_WRITE, 1025), -EIO);
	assert_int_equal(run(&c, AIO_WRITE, 2048), 0);
	assert_int_equal(run(&c, AIO_READ, 1536), 0);
	assert_int_equal(run(&c, AIO_WRITE, 1536), -EIO);
	/* A failed sync stays failed, whoever failed it. */
	assert_int_equal(run(&c, AIO_SYNC, 0), -EDOM);
	assert_int_equal(run(&c, AIO_SYNC, 0), -EDOM);
	finish(&c);
}

/* All rules of an event see the state from before it. */
static void
test_states(void **state)
{
	static const struct debug_rule rules[] = {
		{.action = DEBUG_SET_STATE,
		 .event = DEBUG_write_aio,
		 .state = 1,
		 .new_state = 2},
		{.action = DEBUG_SET_STATE,
		 .event = DEBUG_write_aio,
		 .state = 2,
		 .new_state = 5},
		{.action = DEBUG_INJECT,
		 .event = DEBUG_write_aio,
		 .state = 5,
		 .iotypes = DEBUG_IO_ALL,
		 .error = EIO,
		 .once = true},
	};
	struct ctx c;

	(void)state;
	begin(&c, rules, 3);
	assert_int_equal(run(&c, AIO_WRITE, 0), 0);
	assert_int_equal(run(&c, AIO_WRITE, 0), 0);
	assert_int_equal(run(&c, AIO_WRITE, 0), -EIO);
	assert_int_equal(run(&c, AIO_WRITE, 0), 0);
	finish(&c);
}

static void
test_a_request_is_held_and_goes_on(void **state)
{
	struct io a, b, other;
	struct ctx c;

	(void)state;
	begin(&c, NULL, 0);
	assert_int_equal(debug_break(c.d, "no_such", "A"), -ENOENT);
	assert_int_equal(debug_break(c.d, "write_aio", "A"), 0);
	assert_int_equal(debug_break(c.d, "pwritev", "B"), 0);
	start(&c, &a, AIO_WRITE, 0);
	assert_true(debug_is_held(c.d, "A") && debug_is_held(c.d, "B"));
	/* Each stops one request; others pass. */
	start(&c, &other, AIO_WRITE, 512);
	assert_int_equal(loop_run_until(c.loop, &other.done), 0);
	assert_false(a.done);
	assert_int_equal(debug_resume(c.d, "C"), -ENOENT);
	assert_int_equal(debug_resume(c.d, "A"), 0);
	assert_int_equal(loop_run(c.loop, 0, 0), 0);
	assert_false(a.done);
	assert_int_equal(debug_remove_break(c.d, "B"), 0);
	assert_int_equal(loop_run_until(c.loop, &a.done), 0);
	assert_int_equal(a.op.result, 0);
	assert_int_equal(debug_remove_break(c.d, "B"), -ENOENT);
	/* A point without a request of its own stops the next one. */
	assert_int_equal(debug_break(c.d, "cow_read", "D"), 0);
	assert_int_equal(POINT_HIT(&c.points, cow_read), 0);
	start(&c, &b, AIO_READ, 0);
	assert_string_equal(debug_held(c.d), "D");
	debug_let_go(c.d);
	assert_int_equal(loop_run_until(c.loop, &b.done), 0);
	assert_string_equal(said, "Suspended request 'A'\n"
				  "Suspended request 'B'\n"
				  "Resuming request 'A'\n"
				  "Resuming request 'B'\n"
				  "Suspended request 'D'\n"
				  "Resuming request 'D'\n");
	finish(&c);
}

static void
test_the_end_of_a_write_is_an_event(void **state)
{
	static const struct debug_rule rules[] = {
		{.action = DEBUG_INJECT,
		 .event = DEBUG_pwritev_done,
		 .iotypes = DEBUG_IO_ALL,
		 .error = EXDEV},
	};
	struct ctx c;

	(void)state;
	begin(&c, rules, 1);
	assert_int_equal(run(&c, AIO_READ, 0), 0);
	assert_int_equal(run(&c, AIO_WRITE, 0), 0);
	assert_int_equal(run(&c, AIO_READ, 0), -EXDEV);
	finish(&c);
}

/* QEMU's enumeration has so many. */
static void
test_names(void **state)
{
	(void)state;
	assert_int_equal(DEBUG_EVENTS, 48);
	assert_int_equal(debug_find_event("l1_update"), DEBUG_l1_update);
	assert_int_equal(debug_find_event("none"), DEBUG_none);
	assert_int_equal(debug_find_event(""), -1);
	assert_int_equal(debug_find_iotype("block-status"),
			 DEBUG_IO_BLOCK_STATUS);
	assert_int_equal(debug_find_iotype("reads"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors_stay_until_the_next_choice),
		cmocka_unit_test(test_sector_kind_and_once),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_a_request_is_held_and_goes_on),
		cmocka_unit_test(test_the_end_of_a_write_is_an_event),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
