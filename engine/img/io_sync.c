/* SPDX-License-Identifier: MIT */
/*
 * io_sync.c - io commands that wait: read, write, readv, writev, discard,
 * flush
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "engine/img/io.h"
#include "engine/img/msg.h"

/* ---- requests ---------------------------------------------------------- */

static void
set_flag(struct q2_req *rq)
{
	*(bool *)rq->user = true;
}

int
io_request(struct io *io, struct q2_req *rq)
{
	bool ended = false;

	rq->done = set_flag;
	/* cppcheck-suppress autoVariables ; this waits until it is done */
	rq->user = &ended;
	q2_submit(io->file.img, rq);
	while (!ended) {
		int r = io_turn(io);

		if (r < 0)
			return r;
	}
	return rq->result;
}

bool
io_is_forbidden(struct io *io, const struct q2_req *rq)
{
	static const uint8_t magic[4] = {'Q', 'F', 'I', 0xfb};
	uint8_t now[sizeof(magic)];
	size_t n;

	if (!io->probed_raw || rq->op != Q2_WRITE || rq->off >= sizeof(now) ||
	    !rq->len || q2_pread(io->file.img, now, sizeof(now), 0) < 0)
		return false;
	n = min_u64(rq->iov[0].iov_len, sizeof(now) - rq->off);
	memcpy(now + rq->off, rq->iov[0].iov_base, n);
	return memcmp(now, magic, sizeof(now)) == 0;
}

int
io_copy_on_read(struct io *io, const struct q2_req *rq)
{
	bool wanted = io->opts.copy_on_read || io->file.spec.copy_on_read;

	if (!wanted || rq->op != Q2_READ)
		return 0;
	io_drain(io);
	return q2_copy_on_read(io->file.img, rq->off, rq->len, NULL);
}

/* A request, its time, and what qemu-io says about it. */
struct transfer {
	const char *name; /* in "NAME failed" */
	const char *done; /* in "DONE n/n bytes" */
	struct q2_req rq;
	bool vm_state; /* -b: not the disk; one buffer */
	uint64_t ns;
};

static int
move_state(struct io *io, const struct q2_req *rq)
{
	struct q2_image *img = io->file.img;
	void *buf = rq->iov[0].iov_base;

	return rq->op == Q2_READ ? q2_vmstate_read(img, buf, rq->len, rq->off)
				 : q2_vmstate_write(img, buf, rq->len, rq->off);
}

/* Returns 0, or the error after having told it. */
static int
transfer(struct io *io, struct transfer *t)
{
	uint64_t start = io_now_ns();
	int r;

	if (t->vm_state)
		r = move_state(io, &t->rq);
	else if (io_is_forbidden(io, &t->rq))
		r = -EPERM;
	else
		r = io_copy_on_read(io, &t->rq);
	if (r == 0 && !t->vm_state)
		r = io_request(io, &t->rq);
	t->ns = io_now_ns() - start;
	if (r < 0)
		say("%s failed: %s\n", t->name, io_strerror(r));
	return r;
}

static struct q2_req
buf_request(enum q2_op op, const struct io_buf *buf, uint64_t off)
{
	return (struct q2_req){.op = op,
			       .off = off,
			       .len = buf->bytes,
			       .iov = buf->iov,
			       .iovcnt = buf->iovcnt};
}

/* ---- read -------------------------------------------------------------- */

struct read_args {
	const char *name; /* in "NAME failed" */
	bool terse, quiet, dump, vm_state;
	bool has_pattern, has_start, has_len;
	uint8_t pattern;
	uint64_t start, len; /* of the part that is verified */
	uint64_t off;
};

static int
parse_read_options(int argc, char **argv, struct read_args *a)
{
	int c;

	while ((c = getopt(argc, argv, "bCl:pP:qs:v")) != -1) {
		int r = 0;

		if (c == 'b')
			a->vm_state = true;
		else if (c == 'C')
			a->terse = true;
		else if (c == 'q')
			a->quiet = true;
		else if (c == 'v')
			a->dump = true;
		else if (c == 'l')
			r = io_number(optarg, &a->len);
		else if (c == 's')
			r = io_number(optarg, &a->start);
		else if (c == 'P')
			r = io_pattern(optarg, &a->pattern);
		else if (c != 'p')
			return io_usage(argv[0]);
		if (r < 0)
			return r;
		a->has_len |= c == 'l';
		a->has_start |= c == 's';
		a->has_pattern |= c == 'P';
	}
	return 0;
}

/* The part to verify, of len bytes that are read. */
static int
check_part(struct read_args *a, uint64_t len)
{
	if (!a->has_len && a->start <= len)
		a->len = len - a->start;
	if (a->start > len || a->len > len - a->start) {
		say("pattern verification range exceeds end of read data\n");
		return -EINVAL;
	}
	return 0;
}

static int
run_read(struct io *io, const struct read_args *a, const struct io_buf *buf)
{
	struct transfer t = {.name = a->name,
			     .done = "read",
			     .rq = buf_request(Q2_READ, buf, a->off)};
	int r;

	t.vm_state = a->vm_state;
	r = transfer(io, &t);
	if (r < 0)
		return r;
	if (a->has_pattern &&
	    !io_verify(buf, a->pattern, a->start, a->len, a->off))
		r = -EINVAL;
	if (a->quiet)
		return r;
	if (a->dump)
		io_dump(buf, a->off);
	io_report(t.done, &t.rq, t.ns, a->terse);
	return r;
}

int
io_cmd_read(struct io *io, int argc, char **argv)
{
	struct read_args a = {.name = "read"};
	struct io_buf buf;
	uint64_t len;
	int r = parse_read_options(argc, argv, &a);

	if (r < 0)
		return r;
	if (optind != argc - 2)
		return io_usage("read");
	if (io_number(argv[optind], &a.off) < 0 ||
	    io_length(argv[optind + 1], &len) < 0)
		return -EINVAL;
	if (!a.has_pattern && (a.has_len || a.has_start))
		return io_usage("read");
	if (check_part(&a, len) < 0)
		return -EINVAL;
	r = io_buf_init(&buf, io, 1, argv + optind + 1, IO_FILL_READ);
	if (r < 0)
		return r;
	r = run_read(io, &a, &buf);
	io_buf_done(&buf);
	return r;
}

int
io_cmd_readv(struct io *io, int argc, char **argv)
{
	struct read_args a = {.name = "readv"};
	struct io_buf buf;
	int c, r = 0;

	while ((c = getopt(argc, argv, "CP:qv")) != -1) {
		if (c == 'C')
			a.terse = true;
		else if (c == 'q')
			a.quiet = true;
		else if (c == 'v')
			a.dump = true;
		else if (c != 'P')
			return io_usage("readv");
		else if (io_pattern(optarg, &a.pattern) < 0)
			return -EINVAL;
		a.has_pattern |= c == 'P';
	}
	if (optind > argc - 2)
		return io_usage("readv");
	if (io_number(argv[optind], &a.off) < 0)
		return -EINVAL;
	optind++;
	r = io_buf_init(&buf, io, argc - optind, argv + optind, IO_FILL_READ);
	if (r < 0)
		return r;
	a.len = buf.bytes;
	r = run_read(io, &a, &buf);
	io_buf_done(&buf);
	return r;
}

/* ---- write ------------------------------------------------------------- */

struct write_args {
	bool terse, quiet, fua, zero, unmap, no_fallback;
	bool vm_state, compress;
	bool has_pattern;
	uint8_t pattern;
	const char *source;
	uint64_t off;
};

static int
parse_write_options(int argc, char **argv, struct write_args *a)
{
	int c;

	while ((c = getopt(argc, argv, "bcCfnpP:qs:uz")) != -1) {
		if (c == 'P' && io_pattern(optarg, &a->pattern) < 0)
			return -EINVAL;
		if (c == 's')
			a->source = optarg;
		a->vm_state |= c == 'b';
		a->compress |= c == 'c';
		a->terse |= c == 'C';
		a->fua |= c == 'f';
		a->no_fallback |= c == 'n';
		a->has_pattern |= c == 'P';
		a->quiet |= c == 'q';
		a->unmap |= c == 'u';
		a->zero |= c == 'z';
		if (c == '?')
			return io_usage("write");
	}
	return optind == argc - 2 ? 0 : io_usage("write");
}

/* Do the options go together? */
static int
check_write_options(const struct write_args *a)
{
	const char *why = NULL;

	if (a->vm_state && a->zero)
		why = "-b and -z cannot be specified at the same time";
	else if (a->fua && (a->vm_state || a->compress))
		why = "-f and -b or -c cannot be specified at the same time";
	else if (a->no_fallback && !a->zero)
		why = "-n requires -z to be specified";
	else if (a->unmap && !a->zero)
		why = "-u requires -z to be specified";
	else if (a->zero + a->has_pattern + (a->source != NULL) > 1)
		why = "Only one of -z, -P, and -s can be specified at the same "
		      "time";
	if (!why)
		return 0;
	say("%s\n", why);
	return -EINVAL;
}

static int
check_sectors(const char *what, uint64_t n)
{
	if (is_aligned(n, IO_SECTOR))
		return 0;
	say("%" PRIu64 " is not a sector-aligned value for '%s'\n", n, what);
	return -EINVAL;
}

static int
run_write(struct io *io, const struct write_args *a, const char *name,
	  struct q2_req rq)
{
	struct transfer t = {.name = name, .done = "wrote", .rq = rq};
	int r;

	t.vm_state = a->vm_state;
	t.rq.flags = (a->fua ? Q2_FUA : 0) | (a->unmap ? Q2_MAY_UNMAP : 0) |
		     (a->compress && !a->zero ? Q2_COMPRESSED : 0);
	r = transfer(io, &t);
	if (r == 0 && !a->quiet)
		io_report(t.done, &t.rq, t.ns, a->terse);
	return r;
}

static int
write_buffer(struct io *io, const struct write_args *a, char **lengths)
{
	struct io_buf buf;
	int r;

	r = io_buf_init(&buf, io, 1, lengths,
			a->has_pattern ? a->pattern : IO_FILL_WRITE);
	if (r < 0)
		return r;
	if (a->source)
		r = io_buf_load(&buf, a->source);
	if (r == 0)
		r = run_write(io, a, "write",
			      buf_request(Q2_WRITE, &buf, a->off));
	io_buf_done(&buf);
	return r;
}

int
io_cmd_write(struct io *io, int argc, char **argv)
{
	struct write_args a = {0};
	struct q2_req zero = {.op = Q2_ZERO};
	int r = parse_write_options(argc, argv, &a);

	if (r == 0)
		r = check_write_options(&a);
	if (r < 0)
		return r;
	if (io_number(argv[optind], &a.off) < 0 ||
	    io_length(argv[optind + 1], &zero.len) < 0)
		return -EINVAL;
	if ((a.vm_state || a.compress) &&
	    (check_sectors("offset", a.off) < 0 ||
	     check_sectors("count", zero.len) < 0))
		return -EINVAL;
	zero.off = a.off;
	return a.zero ? run_write(io, &a, "write", zero)
		      : write_buffer(io, &a, argv + optind + 1);
}

int
io_cmd_writev(struct io *io, int argc, char **argv)
{
	struct write_args a = {.pattern = IO_FILL_WRITE};
	struct io_buf buf;
	int c, r;

	while ((c = getopt(argc, argv, "CfqP:")) != -1) {
		if (c == 'P' && io_pattern(optarg, &a.pattern) < 0)
			return -EINVAL;
		a.terse |= c == 'C';
		a.fua |= c == 'f';
		a.quiet |= c == 'q';
		if (c == '?')
			return io_usage("writev");
	}
	if (optind > argc - 2)
		return io_usage("writev");
	if (io_number(argv[optind], &a.off) < 0)
		return -EINVAL;
	optind++;
	r = io_buf_init(&buf, io, argc - optind, argv + optind, a.pattern);
	if (r < 0)
		return r;
	r = run_write(io, &a, "writev", buf_request(Q2_WRITE, &buf, a.off));
	io_buf_done(&buf);
	return r;
}

/* ---- others ------------------------------------------------------------ */

int
io_cmd_discard(struct io *io, int argc, char **argv)
{
	struct transfer t = {
		.name = "discard", .done = "discard", .rq.op = Q2_DISCARD};
	bool terse = false, quiet = false;
	int c, r;

	while ((c = getopt(argc, argv, "Cq")) != -1) {
		terse |= c == 'C';
		quiet |= c == 'q';
		if (c == '?')
			return io_usage("discard");
	}
	if (optind != argc - 2)
		return io_usage("discard");
	if (io_number(argv[optind], &t.rq.off) < 0 ||
	    io_length(argv[optind + 1], &t.rq.len) < 0)
		return -EINVAL;
	r = transfer(io, &t);
	if (r == 0 && !quiet)
		io_report(t.done, &t.rq, t.ns, terse);
	return r;
}

int
io_cmd_flush(struct io *io, int argc, char **argv)
{
	struct q2_req rq = {.op = Q2_FLUSH};
	int r = io_request(io, &rq);

	(void)argc;
	(void)argv;
	/* qemu-io says nothing. */
	if (r < 0 && msg_role() == ROLE_QCOWIMG)
		say("flush failed: %s\n", io_strerror(r));
	return r;
}
