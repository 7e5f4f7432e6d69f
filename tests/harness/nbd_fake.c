/* SPDX-License-Identifier: MIT */
/*
 * nbd_fake.c - an NBD server that does as told, and a client of it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/trial.h"
#include "tests/harness/nbd_fake.h"

/* ---- a server ---------------------------------------------------------- */

/* Numbers of the NBD protocol (doc/proto.md of the NBD project). */
#define MAGIC_INIT  0x4e42444d41474943ULL
#define MAGIC_OPT   0x49484156454F5054ULL
#define MAGIC_REP   0x3e889045565a9ULL
#define MAGIC_REQ   0x25609513U
#define MAGIC_REPLY 0x67446698U
enum {
	OPT_GO = 7,
	REP_ACK = 1,
	REP_INFO = 3,
	CMD_READ = 0,
	CMD_WRITE = 1,
	CMD_DISC = 2,
	CMD_FLUSH = 3,
};
#define REP_UNSUP 0x80000001U

static bool
get(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static bool
put(int fd, const void *buf, size_t len)
{
	return send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool
reply_option(int fd, uint32_t option, uint32_t type, const void *data,
	     uint32_t len)
{
	struct __attribute__((packed)) {
		uint64_t magic;
		uint32_t option, type, len;
	} head = {htobe64(MAGIC_REP), htobe32(option), htobe32(type),
		  htobe32(len)};

	return put(fd, &head, sizeof(head)) && (!len || put(fd, data, len));
}

static bool
shake_hands(struct nbd_fake *f)
{
	struct __attribute__((packed)) {
		uint64_t init, opt;
		uint16_t flags;
	} hello = {htobe64(MAGIC_INIT), htobe64(MAGIC_OPT), htobe16(3)};
	struct __attribute__((packed)) {
		uint16_t type;
		uint64_t bytes;
		uint16_t flags;
	} export = {0, htobe64(f->bytes), htobe16(f->flags)};
	struct __attribute__((packed)) {
		uint64_t magic;
		uint32_t option, len;
	} head;
	uint32_t client_flags, option;
	char data[4096];

	if (!put(f->fd, &hello, sizeof(hello)) ||
	    !get(f->fd, &client_flags, sizeof(client_flags)))
		return false;
	while (get(f->fd, &head, sizeof(head))) {
		uint32_t len = be32toh(head.len);

		option = be32toh(head.option);
		if (len > sizeof(data) || (len && !get(f->fd, data, len)))
			return false;
		if (option == OPT_GO)
			return reply_option(f->fd, option, REP_INFO, &export,
					    sizeof(export)) &&
			       reply_option(f->fd, option, REP_ACK, NULL, 0);
		if (!reply_option(f->fd, option, REP_UNSUP, NULL, 0))
			return false;
	}
	return false;
}

static bool
answer(struct nbd_fake *f, const struct nbd_pending *p)
{
	uint32_t error = p->off >= f->fail_from ? EIO : 0;
	struct __attribute__((packed)) {
		uint32_t magic, error;
		uint64_t cookie;
	} reply = {htobe32(MAGIC_REPLY), htobe32(error), p->cookie};

	if (!put(f->fd, &reply, sizeof(reply)))
		return false;
	return p->cmd != CMD_READ || error ||
	       put(f->fd, f->disk + p->off, p->len);
}

/* The last first: no client may rely on their order. */
static bool
answer_all(struct nbd_fake *f)
{
	while (f->npending > 0) {
		if (!answer(f, &f->pending[--f->npending]))
			return false;
	}
	return true;
}

static bool
serve_one(struct nbd_fake *f, const struct nbd_pending *p)
{
	if (p->cmd == CMD_WRITE && !get(f->fd, f->disk + p->off, p->len))
		return false;
	if (p->cmd == CMD_FLUSH) {
		f->flushes++;
		return answer(f, p);
	}
	f->requests++;
	f->pending[f->npending++] = *p;
	f->most = f->npending > f->most ? f->npending : f->most;
	if (f->drop_after && f->requests >= f->drop_after)
		return false;
	return f->npending < f->hold || answer_all(f);
}

static void *
serve(void *arg)
{
	struct nbd_fake *f = arg;
	struct __attribute__((packed)) {
		uint32_t magic;
		uint16_t flags, cmd;
		uint64_t cookie, off;
		uint32_t len;
	} rq;
	char byte;
	bool ok = !f->mute && shake_hands(f);

	if (f->mute)
		(void)get(f->fd, &byte, 1);
	while (ok && get(f->fd, &rq, sizeof(rq))) {
		struct nbd_pending p = {rq.cookie, be64toh(rq.off),
					be32toh(rq.len), be16toh(rq.cmd)};

		if (be32toh(rq.magic) != MAGIC_REQ || p.cmd == CMD_DISC ||
		    p.off + p.len > NBD_FAKE_BYTES)
			break;
		ok = serve_one(f, &p);
	}
	(void)close(f->fd);
	return NULL;
}

/* ---- a client ---------------------------------------------------------- */

void
nbd_meet(struct nbd_meeting *m, struct nbd_fake fake,
	 const struct nbd_want *want)
{
	struct q2_loop_opts opts = {.size = sizeof(opts), .aio = "threads"};
	int fds[2];

	*m = (struct nbd_meeting){.fake = fake};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	m->fake.fd = fds[0];
	m->fake.disk = calloc(1, NBD_FAKE_BYTES);
	assert_non_null(m->fake.disk);
	assert_int_equal(q2_loop_new(&opts, &m->loop, &m->err), 0);
	assert_int_equal(pthread_create(&m->thread, NULL, serve, &m->fake), 0);
	m->result = nbd_disk_of_socket(&m->disk, m->loop, fds[1], want,
				       &m->err);
}

int
nbd_part(struct nbd_meeting *m)
{
	struct q2_err err;
	int r = disk_close(&m->disk, &err);

	assert_int_equal(pthread_join(m->thread, NULL), 0);
	return r;
}

void
nbd_forget(struct nbd_meeting *m)
{
	q2_loop_free(m->loop);
	free(m->fake.disk);
}

/* One that does everything right, and at once. */
const struct nbd_fake nbd_fake_good = {
	.bytes = NBD_FAKE_BYTES,
	.flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH,
	.hold = 1,
	.fail_from = UINT64_MAX,
};

const struct nbd_want nbd_want_all = {.bytes = NBD_FAKE_BYTES, .write = true};

void
nbd_need(void)
{
	struct q2_err err;

	if (nbd_disk_check(&err) < 0) {
		print_message("%s\n", err.text);
		skip();
	}
}

const struct stream_spec nbd_writes = {
	.order = STREAM_ONCE,
	.write = true,
	.bs_bytes = 4096,
	.area_bytes = NBD_FAKE_BYTES,
	.stride_bytes = 64 * KiB,
	.ops = 64,
	.seed = 7,
};

int
nbd_turn(struct nbd_meeting *m, const struct stream_spec *spec, uint32_t depth,
	 struct job_turn *ret, struct hist *hist)
{
	struct job job;
	int r;

	hist_init(hist);
	assert_int_equal(job_init(&job, &m->disk, spec, depth, &m->err), 0);
	r = job_turn(&job, 1000, 0, hist, ret, &m->err);
	/* As trial_done() has it: what is in flight ends before its memory. */
	if (r < 0)
		disk_explain(&m->disk, &m->err);
	if (r < 0)
		(void)disk_close(&m->disk, NULL);
	job.disk = &(struct disk){.loop = m->loop};
	job_done(&job);
	return r;
}
