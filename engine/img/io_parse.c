/* SPDX-License-Identifier: MIT */
/*
 * io_parse.c - numbers, patterns and buffers of io commands; reports
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/img/io.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"

#define NS_PER_S UINT64_C(1000000000)

/* What -m moves a buffer by: no device reads there directly. */
#define MISALIGN_BYTES 16

/* ---- numbers ----------------------------------------------------------- */

int
io_number(const char *text, uint64_t *ret)
{
	uint64_t n = 0;
	int r = size_parse(text, &n);

	if (r == 0 && n > INT64_MAX)
		r = -ERANGE;
	if (r == -ERANGE)
		say("Parsing error: argument too large -- %s\n", text);
	else if (r < 0)
		say("Parsing error: non-numeric argument, or "
		    "extraneous/unrecognized suffix -- %s\n",
		    text);
	if (r < 0)
		return -EINVAL;
	*ret = n;
	return 0;
}

int
io_length(const char *text, uint64_t *ret)
{
	uint64_t n;

	if (io_number(text, &n) < 0)
		return -EINVAL;
	if (n > IO_REQUEST_MAX) {
		say("length cannot exceed %" PRIu64 ", given %s\n",
		    IO_REQUEST_MAX, text);
		return -EINVAL;
	}
	*ret = n;
	return 0;
}

int
io_pattern(const char *text, uint8_t *ret)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 0);
	if (end == text || *end || errno || n < 0 || n > UINT8_MAX) {
		say("%s is not a valid pattern byte\n", text);
		return -EINVAL;
	}
	*ret = (uint8_t)n;
	return 0;
}

/* ---- buffers ----------------------------------------------------------- */

/* The lengths of argv, one in each piece of iov. */
static int
parse_lengths(struct io_buf *buf, int n, char **argv)
{
	uint64_t len, total = 0;

	for (int i = 0; i < n; i++) {
		if (io_number(argv[i], &len) < 0)
			return -EINVAL;
		if (len > IO_REQUEST_MAX) {
			say("Argument '%s' exceeds maximum size %" PRIu64 "\n",
			    argv[i], IO_REQUEST_MAX);
			return -EINVAL;
		}
		total += len;
		if (total > IO_REQUEST_MAX) {
			say("The total number of bytes exceed the maximum size "
			    "%" PRIu64 "\n",
			    IO_REQUEST_MAX);
			return -EINVAL;
		}
		buf->iov[i].iov_len = len;
	}
	buf->bytes = total;
	return 0;
}

int
io_buf_init(struct io_buf *buf, const struct io *io, int n, char **argv,
	    uint8_t fill)
{
	uint8_t *at;

	*buf = (struct io_buf){.loop = io->file.loop, .iovcnt = n};
	buf->iov = calloc((size_t)n, sizeof(*buf->iov));
	if (!buf->iov) {
		say("no memory for %d buffers\n", n);
		return -ENOMEM;
	}
	if (parse_lengths(buf, n, argv) < 0) {
		io_buf_done(buf);
		return -EINVAL;
	}
	buf->memory = q2_buf_alloc(buf->loop, buf->bytes + MISALIGN_BYTES);
	if (!buf->memory) {
		say("no memory for %zu bytes\n", buf->bytes);
		io_buf_done(buf);
		return -ENOMEM;
	}
	at = buf->memory;
	at += io->misalign ? MISALIGN_BYTES : 0;
	buf->data = at;
	memset(buf->data, fill, buf->bytes);
	for (int i = 0; i < n; i++) {
		buf->iov[i].iov_base = at;
		at += buf->iov[i].iov_len;
	}
	return 0;
}

void
io_buf_done(struct io_buf *buf)
{
	q2_buf_free(buf->loop, buf->memory);
	free(buf->iov);
	*buf = (struct io_buf){0};
}

int
io_buf_load(struct io_buf *buf, const char *path)
{
	FILE *f = fopen(path, "re");
	size_t have, n;
	int r = 0;

	if (!f) {
		talk("%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	have = fread(buf->data, 1, buf->bytes, f);
	if (ferror(f)) {
		talk("%s: %s", path, strerror(errno));
		r = -EINVAL;
	} else if (!have && buf->bytes) {
		talk("%s: file is empty", path);
		r = -EINVAL;
	}
	(void)fclose(f);
	for (; r == 0 && have < buf->bytes; have += n) {
		n = min_u64(have, buf->bytes - have);
		memcpy(buf->data + have, buf->data, n);
	}
	return r;
}

bool
io_verify(const struct io_buf *buf, uint8_t pattern, size_t start, size_t len,
	  uint64_t off)
{
	const uint8_t *at = buf->data + start;

	if (!len || (at[0] == pattern && memcmp(at, at + 1, len - 1) == 0))
		return true;
	say("Pattern verification failed at offset %" PRIu64 ", %zu bytes\n",
	    off + start, len);
	return false;
}

void
io_dump(const struct io_buf *buf, uint64_t off)
{
	for (size_t i = 0; i < buf->bytes; i += 16) {
		size_t n = min_u64(16, buf->bytes - i);

		say("%08" PRIx64 ":  ", off + i);
		for (size_t k = 0; k < n; k++)
			say("%02x ", buf->data[i + k]);
		say(" ");
		for (size_t k = 0; k < n; k++) {
			uint8_t c = buf->data[i + k];

			say("%c", isalnum(c) ? c : '.');
		}
		say("\n");
	}
}

/* ---- reports ----------------------------------------------------------- */

uint64_t
io_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* "00.25 sec", or "0:00:02.88" from a second on and when asked for. */
static void
time_text(uint64_t ns, bool is_long, char text[SIZE_TEXT_MAX])
{
	unsigned hundredths = (unsigned)(ns % NS_PER_S / (NS_PER_S / 100));
	unsigned long s = (unsigned long)(ns / NS_PER_S);

	if (s || is_long)
		(void)snprintf(text, SIZE_TEXT_MAX, "%lu:%02lu:%02lu.%02u",
			       s / 3600, s / 60 % 60, s % 60, hundredths);
	else
		(void)snprintf(text, SIZE_TEXT_MAX, "00.%02u sec", hundredths);
}

void
io_report(const char *done, const struct q2_req *rq, uint64_t ns, bool terse)
{
	double seconds = (double)(ns ? ns : 1) / (double)NS_PER_S;
	double rate = (double)rq->len / seconds, ops = 1 / seconds;
	char time[SIZE_TEXT_MAX], size[SIZE_TEXT_MAX], speed[SIZE_TEXT_MAX];

	time_text(ns, terse, time);
	if (terse) {
		say("%" PRIu64 ",1,%s,%.3f,%.3f\n", rq->len, time, rate, ops);
		return;
	}
	size_io((double)rq->len, size);
	size_io(rate, speed);
	say("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", done,
	    rq->len, rq->len, rq->off);
	say("%s, 1 ops; %s (%s/sec and %.4f ops/sec)\n", size, time, speed,
	    ops);
}

const char *
io_strerror(int result)
{
	if (result == -EUCLEAN)
		return "the image is corrupt";
	if (result == -ENOMEDIUM && msg_role() == ROLE_QCOWIMG)
		return "the image was marked corrupt; repair it with check "
		       "-r all";
	return strerror(-result);
}
