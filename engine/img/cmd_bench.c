/* SPDX-License-Identifier: MIT */
/*
 * cmd_bench.c - qcowimg bench: time a stream of requests
 *
 * Options, output and the order of requests are those of qemu-img bench, so
 * that both can be run with one command line.  A request that would not fit
 * before the image's end starts at 0 instead, where QEMU's fails.
 *
 * A finished request submits the next one from its done(): all of one turn of
 * the loop go to the kernel at once.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/list.h"
#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"

enum {
	OPT_PATTERN = OPT_FIRST_OWN,
	OPT_FLUSH_INTERVAL,
	OPT_NO_DRAIN,
};

struct bench_args {
	struct cmd_common common;
	const char *filename;
	uint64_t count, depth, pattern, flush_interval;
	uint64_t bytes, step, offset;
	bool writes, no_drain;
};

/* ---- the command line -------------------------------------------------- */

/* A whole number from low to high. */
static int
take_number(const char *what, uint64_t low, uint64_t high, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(optarg, &end, 0);
	if (errno || end == optarg || *end || strchr(optarg, '-') ||
	    *ret < low || *ret > high)
		return complain("Invalid %s specified", what);
	return CMD_GO_ON;
}

static int
take_size(const char *what, uint64_t high, uint64_t *ret)
{
	if (size_argument(what, optarg, ret) < 0)
		return 1;
	if (*ret > high)
		return complain("Invalid %s specified. Must be between 0 and "
				"%" PRIu64 ".",
				what, high);
	return CMD_GO_ON;
}

static int
take_option(int c, char **argv, struct bench_args *args)
{
	struct file_opts *f = &args->common.file;

	switch (c) {
	case 'c':
		return take_number("request count", 0, INT_MAX, &args->count);
	case 'd':
		return take_number("queue depth", 1, INT_MAX, &args->depth);
	case 's':
		return take_size("buffer size", INT_MAX, &args->bytes);
	case 'S':
		return take_size("step_size", INT_MAX, &args->step);
	case 'o':
		return take_size("offset", INT64_MAX, &args->offset);
	case OPT_PATTERN:
		return take_number("pattern byte", 0, 255, &args->pattern);
	case OPT_FLUSH_INTERVAL:
		return take_number("flush interval", 0, INT_MAX,
				   &args->flush_interval);
	case OPT_NO_DRAIN:
		args->no_drain = true;
		break;
	case 'w':
		args->writes = true;
		break;
	case 'n':
		f->aio = "native";
		break;
	case 'i':
		f->aio = file_parse_aio(optarg);
		if (!f->aio)
			return complain("Invalid aio option: %s", optarg);
		break;
	case 't':
		if (!file_parse_cache(optarg, &f->open.cache))
			return complain("Invalid cache mode");
		break;
	default:
		return cmd_common_option(c, argv, &args->common);
	}
	return CMD_GO_ON;
}

static const struct manual_option options[] = {
	{'c', NULL, "COUNT", NULL, "requests (75000)"},
	{'d', NULL, "DEPTH", NULL, "in flight at once (64)"},
	{'s', NULL, "SIZE", NULL, "of a request (4096)"},
	{'S', NULL, "STEP", NULL,
	 "from one request's offset to the next one's (SIZE)"},
	{'o', NULL, "OFFSET", NULL, "of the first request"},
	{'w', NULL, NULL, NULL, "write"},
	{OPT_PATTERN, "pattern", "BYTE", NULL, "with -w: what is written (0)"},
	{OPT_FLUSH_INTERVAL, "flush-interval", "N", NULL,
	 "with -w: a flush after each N requests, which wait for it"},
	{OPT_NO_DRAIN, "no-drain", NULL, NULL,
	 "with --flush-interval: requests do not wait"},
	MANUAL_SHORT_FORMAT,
	{'t', NULL, "CACHE", MANUAL_CACHES,
	 "none, writeback (the default), writethrough, directsync or unsafe"},
	{'i', NULL, "AIO", "io_uring native threads",
	 "io_uring, native (libaio) or threads"},
	{'n', NULL, NULL, NULL, "short for -i native"},
	{'q', NULL, NULL, NULL, NULL},
	MANUAL_SHARE,
	MANUAL_IMAGE_OPTS,
	{OPT_AIO, "aio", "AIO", MANUAL_AIOS, NULL},
	MANUAL_HELP,
};

const struct manual manual_bench = {
	.name = "bench",
	.operands = "FILE",
	.brief = "time a stream of requests",
	.text = "Time a stream of requests.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error.\n",
};

static int
parse(int argc, char **argv, struct bench_args *ret)
{
	int c, status;

	while ((c = manual_next(&manual_bench, argc, argv)) != -1) {
		status = take_option(c, argv, ret);
		if (status != CMD_GO_ON)
			return status;
	}
	status = cmd_one_file(argc, argv, &ret->filename);
	if (status != CMD_GO_ON)
		return status;
	if (!ret->writes && ret->flush_interval)
		return complain("--flush-interval is only available in write "
				"tests");
	if (ret->flush_interval && ret->flush_interval < ret->depth)
		return complain("Flush interval can't be smaller than depth");
	if (!ret->step)
		ret->step = ret->bytes;
	return CMD_GO_ON;
}

/* ---- requests ---------------------------------------------------------- */

struct slot {
	struct q2_req rq;
	struct iovec iov;
	struct slot *next_free;
};

struct bench {
	const struct bench_args *args;
	struct q2_image *img;
	uint64_t size; /* of the image */
	uint64_t left; /* requests not finished */
	uint64_t in_flight;
	uint64_t offset; /* of the next request */
	unsigned flushes;
	int failed;
	uint8_t *buf;
	struct slot *slots, *free;
};

static void submit_more(struct bench *b);

static void
flush_done(struct q2_req *rq)
{
	struct bench *b = rq->user;

	b->flushes--;
	if (rq->result < 0 && !b->failed)
		b->failed = rq->result;
	free(rq);
	if (!b->args->no_drain)
		submit_more(b);
}

static void
submit_flush(struct bench *b)
{
	struct q2_req *rq = calloc(1, sizeof(*rq));

	if (!rq) {
		b->failed = -ENOMEM;
		return;
	}
	rq->op = Q2_FLUSH;
	rq->done = flush_done;
	rq->user = b;
	b->flushes++;
	q2_submit(b->img, rq);
}

static void
request_done(struct q2_req *rq)
{
	struct slot *slot = container_of(rq, struct slot, rq);
	uint64_t interval;
	struct bench *b = rq->user;

	if (rq->result < 0 && !b->failed)
		b->failed = rq->result;
	slot->next_free = b->free;
	b->free = slot;
	b->left--;
	b->in_flight--;
	interval = b->args->flush_interval;
	/* Those in flight are finished before a flush, and more are started
	 * after it. */
	if (interval && (b->left - b->in_flight) % interval == 0) {
		if (b->args->no_drain || !b->in_flight)
			submit_flush(b);
		if (!b->args->no_drain)
			return;
	}
	submit_more(b);
}

/* Where the request after that at off begins. */
static uint64_t
next_offset(const struct bench *b, uint64_t off)
{
	off += b->args->step;
	if (off >= b->size)
		off = b->size ? off % b->size : 0;
	return b->args->bytes > b->size - off ? 0 : off;
}

static void
submit_more(struct bench *b)
{
	while (!b->failed && b->left > b->in_flight && b->free) {
		struct slot *slot = b->free;

		b->free = slot->next_free;
		b->in_flight++;
		slot->rq.off = b->offset;
		b->offset = next_offset(b, b->offset);
		q2_submit(b->img, &slot->rq);
	}
}

/* ---- a run ------------------------------------------------------------- */

static int
prepare(struct bench *b, struct q2_loop *loop)
{
	const struct bench_args *a = b->args;
	uint64_t n = min_u64(a->depth, a->count);

	b->slots = calloc(n ? n : 1, sizeof(*b->slots));
	/* One for all, as QEMU has it: its bytes are of no interest, and what
	 * is measured is not how long memory takes to bring them. */
	b->buf = q2_buf_alloc(loop, a->bytes ? a->bytes : 1);
	if (!b->slots || !b->buf)
		return -ENOMEM;
	memset(b->buf, a->writes ? (int)a->pattern : 0, a->bytes);
	for (uint64_t i = n; i-- > 0;) {
		struct slot *slot = &b->slots[i];

		slot->iov = (struct iovec){b->buf, a->bytes};
		slot->rq = (struct q2_req){
			.op = a->writes ? Q2_WRITE : Q2_READ,
			.len = a->bytes,
			.iov = &slot->iov,
			.iovcnt = 1,
			.done = request_done,
			.user = b,
		};
		slot->next_free = b->free;
		b->free = slot;
	}
	return 0;
}

static double
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
print_head(const struct bench_args *a)
{
	say("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
	    " in parallel (starting at offset %" PRIu64 ", step size %" PRIu64
	    ")\n",
	    a->count, a->writes ? "write" : "read", a->bytes, a->depth,
	    a->offset, a->step);
	if (a->flush_interval)
		say("Sending flush every %" PRIu64 " requests\n",
		    a->flush_interval);
	(void)msg_flush();
}

static int
run_requests(struct bench *b, struct q2_loop *loop)
{
	double begun = now(), ended;
	int r = 0;

	submit_more(b);
	while (r >= 0 && b->left && !b->failed)
		r = q2_loop_run(loop, 1, -1);
	ended = now();
	/* What is in flight uses our memory. */
	while (r >= 0 && (b->in_flight || b->flushes))
		r = q2_loop_run(loop, 1, -1);
	if (r < 0 && !b->failed)
		b->failed = r;
	if (b->failed)
		return complain("Failed request: %s", strerror(-b->failed));
	say("Run completed in %3.3f seconds.\n", ended - begun);
	return 0;
}

static int
bench(const struct bench_args *args, const struct file *file)
{
	struct bench b = {
		.args = args,
		.img = file->img,
		.size = q2_size(file->img),
		.left = args->count,
		.offset = args->offset,
	};
	int status;

	print_head(args);
	if (prepare(&b, file->loop) < 0)
		status = complain("no memory for %" PRIu64
				  " requests of %" PRIu64 " bytes",
				  args->depth, args->bytes);
	else
		status = run_requests(&b, file->loop);
	q2_buf_free(file->loop, b.buf);
	free(b.slots);
	return status;
}

int
cmd_bench(int argc, char **argv)
{
	struct bench_args args = {.count = 75000, .depth = 64, .bytes = 4096};
	struct file file;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	if (!args.writes)
		args.common.file.open.flags |= Q2_RDONLY;
	status = file_open_or_complain(args.filename, &args.common.file, &file);
	if (status == 0)
		status = file_end(&file, bench(&args, &file));
	return status;
}
