/* SPDX-License-Identifier: MIT */
/*
 * io_aio.c - io commands that do not wait: aio_read, aio_write, aio_flush
 *
 * A request stays in flight while the next commands run.  Its report comes
 * when it is done, which is not before another command turns the loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/img/io.h"
#include "engine/img/msg.h"

/* One in flight; it frees itself when it is done. */
struct aio_request {
	struct q2_req rq;
	struct io *io;
	struct io_buf buf;
	uint64_t start_ns;
	bool terse, quiet, dump, fua, zero, unmap, invalid;
	bool has_pattern;
	uint8_t pattern;
};

static void
end(struct aio_request *a)
{
	a->io->in_flight--;
	io_buf_done(&a->buf);
	free(a);
}

static void
read_done(struct q2_req *rq)
{
	struct aio_request *a = rq->user;
	uint64_t ns = io_now_ns() - a->start_ns;

	if (rq->result < 0) {
		say("readv failed: %s\n", io_strerror(rq->result));
		end(a);
		return;
	}
	if (a->has_pattern)
		(void)io_verify(&a->buf, a->pattern, 0, a->buf.bytes, rq->off);
	if (!a->quiet && a->dump)
		io_dump(&a->buf, rq->off);
	if (!a->quiet)
		io_report("read", rq, ns, a->terse);
	end(a);
}

static void
write_done(struct q2_req *rq)
{
	struct aio_request *a = rq->user;

	if (rq->result < 0)
		say("aio_write failed: %s\n", io_strerror(rq->result));
	else if (!a->quiet)
		io_report("wrote", rq, io_now_ns() - a->start_ns, a->terse);
	end(a);
}

/* a belongs to the engine from here on. */
static int
submit(struct aio_request *a)
{
	int r = io_copy_on_read(a->io, &a->rq);

	a->rq.user = a;
	if (r < 0) {
		/* Reported as the request's own error. */
		a->io->in_flight++;
		a->rq.result = r;
		a->rq.done(&a->rq);
		return 0;
	}
	a->start_ns = io_now_ns();
	a->io->in_flight++;
	q2_submit(a->io->file.img, &a->rq);
	/* Hand it to the kernel now; nobody else turns the loop. */
	r = q2_loop_run(a->io->file.loop, 0, 0);
	return r < 0 ? r : 0;
}

void
io_drain(struct io *io)
{
	while (io->in_flight)
		if (io_turn(io) < 0)
			return;
}

int
io_cmd_aio_flush(struct io *io, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	io_drain(io);
	return 0;
}

/* A request with what both commands set before the options. */
static struct aio_request *
new_request(struct io *io, enum q2_op op, void (*done)(struct q2_req *rq))
{
	struct aio_request *a = calloc(1, sizeof(*a));

	if (!a) {
		say("no memory for a request\n");
		return NULL;
	}
	a->io = io;
	a->rq.op = op;
	a->rq.done = done;
	return a;
}

/* The letters are those of both commands; getopt has sorted out others. */
static int
parse_options(struct aio_request *a, const char *letters, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, letters)) != -1) {
		if (c == 'P' && io_pattern(optarg, &a->pattern) < 0)
			return -EINVAL;
		a->has_pattern |= c == 'P';
		a->terse |= c == 'C';
		a->fua |= c == 'f';
		a->invalid |= c == 'i';
		a->quiet |= c == 'q';
		a->unmap |= c == 'u';
		a->dump |= c == 'v';
		a->zero |= c == 'z';
		if (c == '?')
			return io_usage(argv[0]);
	}
	return optind <= argc - 2 ? 0 : io_usage(argv[0]);
}

/* The offset and the lengths, which make the buffer. */
static int
parse_buffer(struct aio_request *a, int argc, char **argv, uint8_t fill)
{
	int n = argc - optind - 1, r;

	r = io_number(argv[optind], &a->rq.off);
	if (r == 0)
		r = io_buf_init(&a->buf, a->io, n, argv + optind + 1, fill);
	if (r < 0)
		return r;
	a->rq.len = a->buf.bytes;
	a->rq.iov = a->buf.iov;
	a->rq.iovcnt = a->buf.iovcnt;
	return 0;
}

/* -i of QEMU counts a request that never happens; here nothing counts. */
static int
inject_invalid(const char *what)
{
	say("injecting invalid %s request\n", what);
	return 0;
}

static int
start_read(struct aio_request *a, int argc, char **argv)
{
	int r = parse_options(a, "CP:iqv", argc, argv);

	if (r == 0 && a->invalid) {
		free(a);
		return inject_invalid("read");
	}
	if (r == 0)
		r = parse_buffer(a, argc, argv, IO_FILL_READ);
	if (r == 0)
		return submit(a);
	free(a);
	return r;
}

int
io_cmd_aio_read(struct io *io, int argc, char **argv)
{
	struct aio_request *a = new_request(io, Q2_READ, read_done);

	return a ? start_read(a, argc, argv) : -ENOMEM;
}

/* The single length that -z takes; there is no buffer. */
static int
parse_zero(struct aio_request *a, int argc, char **argv)
{
	if (optind != argc - 2) {
		say("-z supports only a single length parameter\n");
		return -EINVAL;
	}
	if (io_number(argv[optind], &a->rq.off) < 0 ||
	    io_length(argv[optind + 1], &a->rq.len) < 0)
		return -EINVAL;
	a->rq.op = Q2_ZERO;
	return 0;
}

static int
start_write(struct aio_request *a, int argc, char **argv)
{
	int r = parse_options(a, "CfiP:quz", argc, argv);

	if (r == 0 && a->unmap && !a->zero) {
		say("-u requires -z to be specified\n");
		r = -EINVAL;
	}
	if (r == 0 && a->invalid) {
		free(a);
		return inject_invalid("write");
	}
	a->rq.flags = (a->fua ? Q2_FUA : 0) | (a->unmap ? Q2_MAY_UNMAP : 0);
	if (r == 0 && a->zero)
		r = parse_zero(a, argc, argv);
	else if (r == 0)
		r = parse_buffer(a, argc, argv,
				 a->has_pattern ? a->pattern : IO_FILL_WRITE);
	if (r == 0 && io_is_forbidden(a->io, &a->rq)) {
		say("aio_write failed: %s\n", io_strerror(-EPERM));
		r = -EPERM;
	}
	if (r == 0)
		return submit(a);
	io_buf_done(&a->buf);
	free(a);
	return r;
}

int
io_cmd_aio_write(struct io *io, int argc, char **argv)
{
	struct aio_request *a = new_request(io, Q2_WRITE, write_done);

	return a ? start_write(a, argc, argv) : -ENOMEM;
}
