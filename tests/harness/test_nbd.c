/* SPDX-License-Identifier: MIT */
/*
 * Disks behind the NBD protocol: against a server of our own that does as told
 * (answers late, out of order, with errors, or goes away), and against qemu-nbd
 * where that is installed.
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
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/job.h"
#include "harness/targets/nbd_disk.h"
#include "harness/targets/process.h"
#include "harness/targets/qemu.h"
#include "harness/trial.h"
#include "harness/trial_spec.h"
#include "workloads/content.h"

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
	HAS_FLAGS = 1,
	READ_ONLY = 2,
	SEND_FLUSH = 4,
};
#define REP_UNSUP 0x80000001U

#define PENDING_MAX 64
#define DISK_BYTES  (4 * MiB)

struct pending {
	uint64_t cookie, off;
	uint32_t len;
	uint16_t cmd;
};

struct fake {
	int fd;
	uint16_t flags;
	uint64_t bytes;     /* as announced */
	unsigned hold;      /* answer only when so many are there; 0: at once */
	uint64_t fail_from; /* offset from which requests fail with EIO */
	unsigned drop_after; /* requests, then hang up; 0: never */
	bool mute;           /* say nothing until the client has gone */
	/* what happened */
	unsigned requests, flushes, most;
	struct pending pending[PENDING_MAX];
	unsigned npending;
	unsigned char *disk;
};

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
shake_hands(struct fake *f)
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
answer(struct fake *f, const struct pending *p)
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
answer_all(struct fake *f)
{
	while (f->npending > 0) {
		if (!answer(f, &f->pending[--f->npending]))
			return false;
	}
	return true;
}

static bool
serve_one(struct fake *f, const struct pending *p)
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
	struct fake *f = arg;
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
		struct pending p = {rq.cookie, be64toh(rq.off), be32toh(rq.len),
				    be16toh(rq.cmd)};

		if (be32toh(rq.magic) != MAGIC_REQ || p.cmd == CMD_DISC ||
		    p.off + p.len > DISK_BYTES)
			break;
		ok = serve_one(f, &p);
	}
	(void)close(f->fd);
	return NULL;
}

/* ---- a client ---------------------------------------------------------- */

struct meeting {
	struct fake fake;
	pthread_t thread;
	struct q2_loop *loop;
	struct disk disk;
	struct q2_err err;
	int result; /* of connecting */
};

static void
meet(struct meeting *m, struct fake fake, const struct nbd_want *want)
{
	struct q2_loop_opts opts = {.size = sizeof(opts), .aio = "threads"};
	int fds[2];

	*m = (struct meeting){.fake = fake};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	m->fake.fd = fds[0];
	m->fake.disk = calloc(1, DISK_BYTES);
	assert_non_null(m->fake.disk);
	assert_int_equal(q2_loop_new(&opts, &m->loop, &m->err), 0);
	assert_int_equal(pthread_create(&m->thread, NULL, serve, &m->fake), 0);
	m->result = nbd_disk_of_socket(&m->disk, m->loop, fds[1], want,
				       &m->err);
}

/* After this the server's fields are ours to look at. */
static int
part(struct meeting *m)
{
	struct q2_err err;
	int r = disk_close(&m->disk, &err);

	assert_int_equal(pthread_join(m->thread, NULL), 0);
	return r;
}

static void
forget(struct meeting *m)
{
	q2_loop_free(m->loop);
	free(m->fake.disk);
}

/* One that does everything right, and at once. */
static const struct fake good = {
	.bytes = DISK_BYTES,
	.flags = HAS_FLAGS | SEND_FLUSH,
	.hold = 1,
	.fail_from = UINT64_MAX,
};

static const struct nbd_want want_all = {.bytes = DISK_BYTES, .write = true};

static void
need_libnbd(void **state)
{
	struct q2_err err;

	(void)state;
	if (nbd_disk_check(&err) < 0) {
		print_message("%s\n", err.text);
		skip();
	}
}

static const struct stream_spec writes = {
	.order = STREAM_ONCE,
	.write = true,
	.bs_bytes = 4096,
	.area_bytes = DISK_BYTES,
	.stride_bytes = 64 * KiB,
	.ops = 64,
	.seed = 7,
};

static int
turn(struct meeting *m, const struct stream_spec *spec, uint32_t depth,
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

/* ---- tests ------------------------------------------------------------- */

static void
test_iodepth_requests_are_in_flight_and_may_come_back_in_any_order(void **state)
{
	struct job_turn did;
	unsigned char expected[4096];
	struct stream_op op;
	struct stream stream;
	struct hist hist;
	struct meeting m;
	struct fake fake = good;

	need_libnbd(state);
	fake.hold = 16;
	/* Nothing is answered before 16 are there: 15 would wait for ever. */
	meet(&m, fake, &want_all);
	assert_int_equal(m.result, 0);
	assert_int_equal(turn(&m, &writes, 16, &did, &hist), 0);
	assert_int_equal(did.ops, 64);
	assert_int_equal(did.bytes, 64 * 4096);
	assert_int_equal(hist.count, 64);
	assert_int_equal(m.disk.flush(&m.disk), 0);
	assert_int_equal(part(&m), 0);
	assert_int_equal(m.fake.most, 16);
	assert_int_equal(m.fake.flushes, 1);
	/* Each block is where it belongs. */
	assert_int_equal(stream_init(&stream, &writes, NULL), 0);
	while (stream_next(&stream, &op)) {
		content_fill(expected, op.len, op.off, writes.seed);
		assert_memory_equal(m.fake.disk + op.off, expected, op.len);
	}
	forget(&m);
}

static void
test_an_error_of_the_server_names_the_request(void **state)
{
	struct job_turn did;
	struct hist hist;
	struct meeting m;
	struct fake fake = good;

	need_libnbd(state);
	fake.fail_from = MiB;
	meet(&m, fake, &want_all);
	assert_int_equal(turn(&m, &writes, 8, &did, &hist), -EIO);
	assert_non_null(strstr(m.err.text, "a write of 4096 bytes at "));
	(void)part(&m);
	forget(&m);
}

static void
test_a_server_that_goes_away_is_an_error_and_no_hang(void **state)
{
	struct job_turn did;
	struct hist hist;
	struct meeting m;
	struct fake fake = good;

	need_libnbd(state);
	fake.hold = 60;
	fake.drop_after = 8;
	meet(&m, fake, &want_all);
	assert_true(turn(&m, &writes, 8, &did, &hist) < 0);
	assert_non_null(strstr(m.err.text, "failed"));
	(void)part(&m);
	assert_int_equal(m.fake.requests, 8);
	forget(&m);
}

/* The server is there and says nothing: before the handshake, and after one
 * request of two. */
static void
test_a_silent_server_is_given_up(void **state)
{
	struct nbd_want want = {
		.bytes = DISK_BYTES, .write = true, .patience_ms = 50};
	struct fake mute = good, waits = good;
	struct job_turn did;
	struct hist hist;
	struct meeting m;

	need_libnbd(state);
	mute.mute = true;
	meet(&m, mute, &want);
	assert_int_equal(m.result, -ETIMEDOUT);
	assert_non_null(strstr(m.err.text, "has not answered for 1 s"));
	(void)part(&m);
	forget(&m);

	waits.hold = 60;
	meet(&m, waits, &want);
	assert_int_equal(m.result, 0);
	assert_int_equal(turn(&m, &writes, 8, &did, &hist), -ETIMEDOUT);
	(void)part(&m);
	forget(&m);
}

static void
refused(struct fake fake, const struct nbd_want *want, int code,
	const char *words)
{
	struct meeting m;

	meet(&m, fake, want);
	assert_int_equal(m.result, code);
	if (!strstr(m.err.text, words))
		fail_msg("'%s' is not in: %s", words, m.err.text);
	(void)part(&m);
	forget(&m);
}

static void
test_what_cannot_be_used_is_refused_with_the_reason(void **state)
{
	struct nbd_want exactly = {.bytes = MiB, .exactly = true};
	struct nbd_want more = {.bytes = DISK_BYTES + 512};
	struct fake cannot_flush = good, read_only = good;

	need_libnbd(state);
	cannot_flush.flags = HAS_FLAGS;
	read_only.flags |= READ_ONLY;
	refused(cannot_flush, &want_all, -ENOTSUP, "cannot flush");
	refused(read_only, &want_all, -EROFS, "read-only");
	refused(good, &more, -EINVAL, "export 5m");
	refused(good, &exactly, -EINVAL, "has 4194304 bytes, not the 1048576");
}

static void
test_a_bad_uri_is_told(void **state)
{
	struct nbd_want want = {.bytes = 512};
	struct q2_err err;
	struct disk disk;

	need_libnbd(state);
	assert_true(nbd_disk_of_uri(&disk, NULL, "http://x", &want, &err) < 0);
	assert_non_null(strstr(err.text, "http://x"));
	assert_true(nbd_disk_of_uri(&disk, NULL, "nbd+unix:///?socket=/none",
				    &want, &err) < 0);
	assert_non_null(strstr(err.text, "cannot reach nbd+unix:///"));
}

/* What a server holds is somebody's. */
static void
test_an_export_is_overwritten_only_where_that_is_said(void **state)
{
	static const char text[] =
		"{'schema':1,'label':'x','target':'nbd','uri':'nbd://h',"
		"'image_size':1048576,'cache':'none','path':'-','round':1,"
		"'disk_size':1048576,'passes':[{'name':'p','op':'stream',"
		"'order':'once','write':true,'bs':4096,'iodepth':1,"
		"'area_off':0,'area_bytes':1048576,'stride':65536,'ops':8,"
		"'seed':'1','turns':1,'slice_ops':8}]}";
	char json_text[sizeof(text)];
	struct trial_spec spec;
	struct trial trial;
	struct q2_err err;
	json_t *json, *pass;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		json_text[i] = (char)(text[i] == '\'' ? '"' : text[i]);
	json = json_loads(json_text, 0, NULL);
	assert_non_null(json);
	assert_int_equal(trial_spec_parse(json, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.text, "overwrite what is in nbd://h"));
	(void)json_object_set_new(json, "overwrite", json_true());
	assert_int_equal(trial_spec_parse(json, &spec, &err), 0);
	assert_string_equal(spec.image.uri, "nbd://h");
	trial_spec_done(&spec);
	/* Reading needs no leave; making an image is nothing it could do. */
	(void)json_object_del(json, "overwrite");
	pass = json_array_get(json_object_get(json, "passes"), 0);
	(void)json_object_set_new(pass, "write", json_false());
	assert_int_equal(trial_spec_parse(json, &spec, &err), 0);
	trial_spec_done(&spec);
	(void)json_object_set_new(pass, "op", json_string("create"));
	assert_int_equal(trial_spec_parse(json, &spec, &err), 0);
	assert_int_equal(trial_init(&trial, &spec, &err), 0);
	assert_int_equal(trial_begin(&trial, 0, &err), -EINVAL);
	assert_string_equal(err.text, "pass p: target nbd makes no image");
	trial_done(&trial);
	trial_spec_done(&spec);
	(void)json_object_del(json, "uri");
	assert_int_equal(trial_spec_parse(json, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.text, "uri"));
	json_decref(json);
}

/* ---- with QEMU --------------------------------------------------------- */

static char folder[] = "/var/tmp/q2-nbd.XXXXXX";
static char path[64];

static const struct target_image small = {
	.virtual_bytes = DISK_BYTES,
	.prealloc = Q2_PREALLOC_METADATA,
	.cluster_size = 64 * KiB,
	.cache = Q2_CACHE_WRITEBACK,
};

static void
need_qemu(void **state)
{
	char version[TARGET_VERSION];
	struct q2_err err;

	need_libnbd(state);
	if (qemu_check(version, &err) < 0) {
		print_message("%s\n", err.text);
		skip();
	}
	assert_int_equal(strncmp(version, "QEMU ", 5), 0);
}

static struct q2_loop *
loop_of_threads(void)
{
	struct q2_loop_opts opts = {.size = sizeof(opts), .aio = "threads"};
	struct q2_loop *loop;

	assert_int_equal(q2_loop_new(&opts, &loop, NULL), 0);
	return loop;
}

static void
test_qemu_writes_what_our_engine_reads(void **state)
{
	struct q2_loop *loop;
	struct meeting m = {.loop = NULL};
	unsigned char expected[4096], got[4096];
	struct stream stream;
	struct stream_op op;
	struct q2_image *img;
	struct job_turn did;
	struct hist hist;

	need_qemu(state);
	loop = m.loop = loop_of_threads();
	assert_int_equal(
		target_create(&target_qemu, loop, path, &small, NULL, &m.err),
		0);
	if (target_open(&target_qemu, loop, path, &small, &m.disk, &m.err) < 0)
		fail_msg("%s", m.err.text);
	assert_int_equal(turn(&m, &writes, 16, &did, &hist), 0);
	assert_int_equal(did.ops, 64);
	assert_int_equal(m.disk.flush(&m.disk), 0);
	assert_int_equal(disk_close(&m.disk, &m.err), 0);
	assert_int_equal(q2_open(loop, path, NULL, &img, &m.err), 0);
	assert_int_equal(stream_init(&stream, &writes, NULL), 0);
	while (stream_next(&stream, &op)) {
		content_fill(expected, op.len, op.off, writes.seed);
		assert_int_equal(q2_pread(img, got, op.len, op.off), 0);
		assert_memory_equal(got, expected, op.len);
	}
	assert_int_equal(q2_close(img, &m.err), 0);
	q2_loop_free(loop);
}

/* The words of a process, in one line. */
static void
command_line(pid_t pid, char *text, size_t size)
{
	char name[64];
	size_t n;
	FILE *f;

	(void)snprintf(name, sizeof(name), "/proc/%d/cmdline", (int)pid);
	f = fopen(name, "r");
	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	(void)fclose(f);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)(text[i] ? text[i] : ' ');
	text[n] = '\0';
}

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in '%s'", part, text);
}

static void
test_every_option_reaches_qemu(void **state)
{
	const struct target_image image = {
		.virtual_bytes = DISK_BYTES,
		.cluster_size = 32 * KiB,
		.extended_l2 = true,
		.refcount_bits = 8,
		.lazy_refcounts = true,
		.l2_cache_size = MiB,
		.l2_cache_entry_size = 8 * KiB,
		.refcount_cache_size = 256 * KiB,
		.cache_clean_interval = UINT_MAX,
		.cache = Q2_CACHE_UNSAFE,
		.unmap = true,
		.detect_zeroes = Q2_DETECT_UNMAP,
	};
	struct target_image old = {.virtual_bytes = DISK_BYTES,
				   .cluster_size = 64 * KiB,
				   .compat = 2};
	char comma[sizeof(path) + 8], text[4096];
	struct q2_info info;
	struct q2_image *img;
	struct q2_loop *loop;
	struct q2_err err;
	struct disk disk;

	need_qemu(state);
	loop = loop_of_threads();
	(void)snprintf(comma, sizeof(comma), "%s,x", path);
	assert_int_equal(
		target_create(&target_qemu, loop, comma, &image, NULL, &err),
		0);
	assert_int_equal(q2_open(loop, comma, NULL, &img, &err), 0);
	assert_int_equal(q2_info(img, &info, &err), 0);
	assert_int_equal(q2_close(img, &err), 0);
	assert_int_equal(info.cluster_size, 32 * KiB);
	assert_int_equal(info.refcount_bits, 8);
	assert_true(info.extended_l2 && info.lazy_refcounts);
	if (target_open(&target_qemu, loop, comma, &image, &disk, &err) < 0)
		fail_msg("%s", err.text);
	command_line(disk.server->pid, text, sizeof(text));
	assert_int_equal(disk_close(&disk, &err), 0);
	assert_has(text, " --cache=unsafe ");
	assert_has(text, " --discard=unmap ");
	assert_has(text, " --detect-zeroes=unmap ");
	assert_has(text, ",l2-cache-size=1048576,l2-cache-entry-size=8192,"
			 "refcount-cache-size=262144,cache-clean-interval=0,");
	assert_has(text, "image,,x ");
	assert_int_equal(unlink(comma), 0);
	assert_int_equal(
		target_create(&target_qemu, loop, path, &old, NULL, &err), 0);
	assert_int_equal(q2_open(loop, path, NULL, &img, &err), 0);
	assert_int_equal(q2_info(img, &info, &err), 0);
	assert_int_equal(q2_close(img, &err), 0);
	assert_int_equal(info.compat, 2);
	q2_loop_free(loop);
}

static void
test_why_qemu_will_not_is_in_the_error(void **state)
{
	struct target_image other = small;
	struct q2_loop *loop;
	struct q2_err err;
	struct disk disk;

	need_qemu(state);
	loop = loop_of_threads();
	assert_int_equal(
		target_create(&target_qemu, loop, path, &small, NULL, &err), 0);
	other.virtual_bytes = MiB;
	assert_int_equal(
		target_open(&target_qemu, loop, path, &other, &disk, &err),
		-EINVAL);
	assert_non_null(strstr(err.text, "not the 1048576"));
	assert_int_equal(truncate(path, 4), 0);
	assert_true(target_open(&target_qemu, loop, path, &small, &disk, &err) <
		    0);
	assert_non_null(strstr(err.text, "qemu-nbd ended with status 1"));
	assert_non_null(strstr(err.text, path));
	other.cluster_size = 3;
	assert_true(target_create(&target_qemu, loop, path, &other, NULL,
				  &err) < 0);
	assert_non_null(strstr(err.text, "qemu-img ended with status 1"));
	q2_loop_free(loop);
}

/* A process that has a server and is killed; the server's pid comes out of
 * to. */
static void
hold_a_server(int to)
{
	struct q2_loop *loop = loop_of_threads();
	struct q2_err err;
	struct disk disk;

	if (target_create(&target_qemu, loop, path, &small, NULL, &err) < 0 ||
	    target_open(&target_qemu, loop, path, &small, &disk, &err) < 0)
		_exit(1);
	(void)!write(to, &disk.server->pid, sizeof(disk.server->pid));
	for (;;)
		(void)pause();
}

static void
test_the_server_dies_with_a_client_that_is_killed(void **state)
{
	struct pollfd gone = {.events = POLLIN};
	pid_t child, server = 0;
	int to[2];

	need_qemu(state);
	assert_int_equal(pipe(to), 0);
	child = fork();
	if (child == 0)
		hold_a_server(to[1]);
	(void)close(to[1]);
	assert_int_equal(read(to[0], &server, sizeof(server)), sizeof(server));
	(void)close(to[0]);
	gone.fd = (int)syscall(SYS_pidfd_open, server, 0);
	assert_true(gone.fd >= 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	/* Twenty seconds are a machine's worst day, not a measurement. */
	assert_int_equal(poll(&gone, 1, 20000), 1);
	(void)close(gone.fd);
}

static void
test_a_program_that_is_not_there_is_told(void **state)
{
	char name[] = "q2-no-such-program";
	char *const argv[] = {name, NULL};
	struct q2_err err;

	(void)state;
	assert_int_equal(process_run(argv, NULL, 0, &err), -ENOENT);
	assert_non_null(
		strstr(err.text, "q2-no-such-program is not installed"));
}

static void
test_a_program_that_fails_is_quoted(void **state)
{
	char name[] = "sh", dash[] = "-c",
	     script[] = "echo one; echo two >&2; exit 3",
	     killed[] = "kill -9 $$";
	char *argv[] = {name, dash, script, NULL};
	char text[32];
	struct q2_err err;

	(void)state;
	assert_int_equal(process_run(argv, text, sizeof(text), &err), -EPIPE);
	assert_string_equal(err.text, "sh ended with status 3: one two");
	assert_string_equal(text, "one two");
	argv[2] = killed;
	assert_int_equal(process_run(argv, NULL, 0, &err), -EPIPE);
	assert_non_null(strstr(err.text, "killed by signal 9"));
}

static int
make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/image", folder);
	return 0;
}

/* Sockets are gone too, or this fails. */
static int
remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_iodepth_requests_are_in_flight_and_may_come_back_in_any_order),
		cmocka_unit_test(test_an_error_of_the_server_names_the_request),
		cmocka_unit_test(
			test_a_server_that_goes_away_is_an_error_and_no_hang),
		cmocka_unit_test(test_a_silent_server_is_given_up),
		cmocka_unit_test(
			test_what_cannot_be_used_is_refused_with_the_reason),
		cmocka_unit_test(test_a_bad_uri_is_told),
		cmocka_unit_test(
			test_an_export_is_overwritten_only_where_that_is_said),
		cmocka_unit_test(test_qemu_writes_what_our_engine_reads),
		cmocka_unit_test(test_every_option_reaches_qemu),
		cmocka_unit_test(test_why_qemu_will_not_is_in_the_error),
		cmocka_unit_test(
			test_the_server_dies_with_a_client_that_is_killed),
		cmocka_unit_test(test_a_program_that_is_not_there_is_told),
		cmocka_unit_test(test_a_program_that_fails_is_quoted),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
