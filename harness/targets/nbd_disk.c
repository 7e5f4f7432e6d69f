/* SPDX-License-Identifier: MIT */
#include "harness/targets/nbd_disk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "harness/clock.h"

#ifdef HAVE_LIBNBD

#include "harness/targets/nbd_lib.h"

struct nbd_disk {
	const struct nbd_lib *lib;
	struct nbd_handle *handle;
	/* Done, and not yet told; linked by q2_req.priv[0]. */
	struct q2_req *first, *last;
	bool closing; /* nobody waits for what still comes */
	bool silent;  /* the server has not answered in time */
	unsigned patience_ms;
	char error[256];
};

int
nbd_disk_check(struct q2_err *err)
{
	return nbd_lib(err) ? 0 : -ENOTSUP;
}

const char *
nbd_disk_error(const struct nbd_disk *nbd)
{
	return nbd->error;
}

/* Keep the reason, return -errno; libnbd does not always have one. */
static int
failure(struct nbd_disk *nbd)
{
	const char *text = nbd->lib->get_error();
	int code = nbd->lib->get_errno();

	if (text && !nbd->error[0])
		(void)snprintf(nbd->error, sizeof(nbd->error), "%s", text);
	return code > 0 ? -code : -EIO;
}

/* ---- waiting ----------------------------------------------------------- */

/* As long as a server that works may need to open an export, and to do one of
 * the requests that wait. */
#define CONNECT_MS 30000
#define REQUEST_MS 120000

static int
gave_up(struct nbd_disk *nbd, unsigned patience_ms)
{
	nbd->silent = true;
	(void)snprintf(nbd->error, sizeof(nbd->error),
		       "the server has not answered for %u s",
		       (patience_ms + 999) / 1000);
	return -ETIMEDOUT;
}

/* Until something has come, at most until end_ns. */
static int
wait_until(struct nbd_disk *nbd, uint64_t end_ns, unsigned patience_ms)
{
	uint64_t now = clock_ns();

	if (now >= end_ns)
		return gave_up(nbd, patience_ms);
	/* Not 0, which would spin. */
	return nbd->lib->poll(nbd->handle,
			      (int)((end_ns - now) / 1000000 + 1)) < 0
		       ? failure(nbd)
		       : 0;
}

/* After a connection was begun: until the server has shaken hands. */
static int
wait_connected(struct nbd_disk *nbd)
{
	unsigned ms = nbd->patience_ms ? nbd->patience_ms : CONNECT_MS;
	uint64_t end_ns = clock_ns() + (uint64_t)ms * 1000000;
	int r = 0;

	while (r == 0 && nbd->lib->aio_is_connecting(nbd->handle) > 0)
		r = wait_until(nbd, end_ns, ms);
	if (r == 0 && nbd->lib->aio_is_ready(nbd->handle) <= 0)
		r = failure(nbd);
	return r;
}

/* ---- requests ---------------------------------------------------------- */

static struct q2_req *
next_of(const struct q2_req *rq)
{
	return (struct q2_req *)(uintptr_t)rq->priv[0];
}

static void
add_done(struct nbd_disk *nbd, struct q2_req *rq, int result)
{
	rq->result = result;
	rq->priv[0] = 0;
	if (nbd->first)
		nbd->last->priv[0] = (uintptr_t)rq;
	else
		nbd->first = rq;
	nbd->last = rq;
}

/* Called with the handle's lock held: no call of libnbd may come from here, so
 * done() has to wait. */
static int
/* NOLINTNEXTLINE(readability-non-const-parameter): libnbd's type */
completed(void *user, int *error)
{
	struct q2_req *rq = user;
	struct nbd_disk *nbd = (struct nbd_disk *)(uintptr_t)rq->priv[1];

	if (!nbd->closing)
		add_done(nbd, rq, -*error);
	return 1; /* libnbd may forget it */
}

static void
nbd_submit(struct disk *disk, struct q2_req *rq)
{
	struct nbd_disk *nbd = disk->nbd;
	nbd_completion_callback callback = NBD_NULL_COMPLETION;
	int64_t r;

	assert(rq->iovcnt == 1 && (rq->op == Q2_READ || rq->op == Q2_WRITE));
	callback.callback = completed;
	callback.user_data = rq;
	rq->priv[1] = (uintptr_t)nbd;
	if (rq->op == Q2_WRITE)
		r = nbd->lib->aio_pwrite(nbd->handle, rq->iov->iov_base,
					 rq->len, rq->off, callback, 0);
	else
		r = nbd->lib->aio_pread(nbd->handle, rq->iov->iov_base, rq->len,
					rq->off, callback, 0);
	if (r < 0)
		add_done(nbd, rq, failure(nbd));
}

static int
nbd_run(struct disk *disk)
{
	struct nbd_disk *nbd = disk->nbd;
	struct q2_req *rq, *next;
	unsigned ms = nbd->patience_ms ? nbd->patience_ms : REQUEST_MS;
	uint64_t end_ns = clock_ns() + (uint64_t)ms * 1000000;
	int n = 0, r = 0;

	while (!nbd->first && r >= 0)
		r = wait_until(nbd, end_ns, ms);
	/* A connection that breaks hands back all that was in flight. */
	if (!nbd->first)
		return r;
	rq = nbd->first;
	nbd->first = NULL;
	for (; rq; rq = next, n++) {
		next = next_of(rq);
		rq->done(rq);
	}
	return n;
}

static int
nbd_flush_all(struct disk *disk)
{
	struct nbd_disk *nbd = disk->nbd;

	return nbd->lib->flush(nbd->handle, 0) < 0 ? failure(nbd) : 0;
}

/* ---- life -------------------------------------------------------------- */

static void
drop(struct nbd_disk *nbd)
{
	nbd->closing = true;
	nbd->lib->close(nbd->handle);
	free(nbd);
}

static int
nbd_disk_close(struct disk *disk, struct q2_err *err)
{
	struct nbd_disk *nbd = disk->nbd;
	int r = 0;

	nbd->closing = true;
	if (!nbd->silent && nbd->lib->aio_is_ready(nbd->handle) > 0 &&
	    nbd->lib->shutdown(nbd->handle, 0) < 0)
		r = q2_fail(err, failure(nbd), "leaving the NBD server: %s",
			    nbd->error);
	drop(nbd);
	return r;
}

static int
make(const struct nbd_want *want, struct nbd_disk **ret_nbd, struct q2_err *err)
{
	const struct nbd_lib *lib = nbd_lib(err);
	struct nbd_disk *nbd;

	if (!lib)
		return -ENOTSUP;
	nbd = calloc(1, sizeof(*nbd));
	if (nbd)
		nbd->handle = lib->create();
	if (!nbd || !nbd->handle) {
		free(nbd);
		(void)q2_fail(err, -ENOMEM, "no memory for an NBD client");
		return -ENOMEM;
	}
	nbd->lib = lib;
	nbd->patience_ms = want->patience_ms;
	/* Buffers are ours, and are initialised. */
	(void)lib->set_pread_initialize(nbd->handle, false);
	*ret_nbd = nbd;
	return 0;
}

/* Images are whole MiB, of at least 16. */
static int
too_small(uint64_t has, uint64_t needs, struct q2_err *err)
{
	char how[64] = "";

	if (has >= 16 * MiB)
		(void)snprintf(how, sizeof(how),
			       ", or use --image-size %" PRIu64 "m or less",
			       has / MiB);
	return q2_fail(err, -EINVAL,
		       "the export has %" PRIu64 " bytes and the work needs "
		       "%" PRIu64 "; export %" PRIu64 "m%s",
		       has, needs, div_up(needs, MiB), how);
}

static int
check_size(struct nbd_disk *nbd, const struct nbd_want *want,
	   struct q2_err *err)
{
	int64_t bytes = nbd->lib->get_size(nbd->handle);

	if (bytes < 0)
		return q2_fail(err, failure(nbd), "the export has no size: %s",
			       nbd->error);
	if ((uint64_t)bytes < want->bytes)
		return too_small((uint64_t)bytes, want->bytes, err);
	if (want->exactly && (uint64_t)bytes != want->bytes)
		return q2_fail(err, -EINVAL,
			       "the export has %" PRId64
			       " bytes, not the %" PRIu64
			       " that its image was made with",
			       bytes, want->bytes);
	return 0;
}

static int
check(struct nbd_disk *nbd, const struct nbd_want *want, struct q2_err *err)
{
	int r = check_size(nbd, want, err);

	if (r < 0)
		return r;
	if (want->write && nbd->lib->is_read_only(nbd->handle) != 0)
		return q2_fail(err, -EROFS,
			       "the export is read-only, and the work writes");
	if (want->write && nbd->lib->can_flush(nbd->handle) != 1)
		return q2_fail(err, -ENOTSUP,
			       "the server cannot flush (NBD_CMD_FLUSH): the "
			       "end of a write pass would not be on the disk; "
			       "use a server that can");
	return 0;
}

/* From a connection that stands, or not (r < 0), to the disk. */
static int
finish(struct disk *disk, struct q2_loop *loop, struct nbd_disk *nbd,
       const struct nbd_want *want, struct q2_err *err)
{
	int r = check(nbd, want, err);

	if (r < 0) {
		drop(nbd);
		return r;
	}
	*disk = (struct disk){
		.submit = nbd_submit,
		.run = nbd_run,
		.flush = nbd_flush_all,
		.close = nbd_disk_close,
		.loop = loop,
		.nbd = nbd,
	};
	return 0;
}

int
nbd_disk_of_uri(struct disk *disk, struct q2_loop *loop, const char *uri,
		const struct nbd_want *want, struct q2_err *err)
{
	struct nbd_disk *nbd;
	int r = make(want, &nbd, err);

	if (r < 0)
		return r;
	r = nbd->lib->aio_connect_uri(nbd->handle, uri) < 0
		    ? failure(nbd)
		    : wait_connected(nbd);
	if (r < 0) {
		r = q2_fail(err, r, "cannot reach %s: %s; is the server there?",
			    uri, nbd->error);
		drop(nbd);
		return r;
	}
	r = finish(disk, loop, nbd, want, err);
	return r < 0 ? err_prefix(err, r, "%s", uri) : 0;
}

int
nbd_disk_of_socket(struct disk *disk, struct q2_loop *loop, int fd,
		   const struct nbd_want *want, struct q2_err *err)
{
	struct nbd_disk *nbd;
	int r = make(want, &nbd, err);

	if (r < 0) {
		(void)close(fd);
		return r;
	}
	/* libnbd has the descriptor from here on, whatever comes of it. */
	r = nbd->lib->aio_connect_socket(nbd->handle, fd) < 0
		    ? failure(nbd)
		    : wait_connected(nbd);
	if (r < 0) {
		r = q2_fail(err, r, "no NBD server answers: %s", nbd->error);
		drop(nbd);
		return r;
	}
	return finish(disk, loop, nbd, want, err);
}

#else /* without libnbd */

int
nbd_disk_check(struct q2_err *err)
{
	return q2_fail(err, -ENOTSUP,
		       "this program was built without libnbd; install "
		       "libnbd-dev and build it again");
}

const char *
nbd_disk_error(const struct nbd_disk *nbd)
{
	(void)nbd;
	return "";
}

int
nbd_disk_of_uri(struct disk *disk, struct q2_loop *loop, const char *uri,
		const struct nbd_want *want, struct q2_err *err)
{
	(void)disk;
	(void)loop;
	(void)uri;
	(void)want;
	return nbd_disk_check(err);
}

int
nbd_disk_of_socket(struct disk *disk, struct q2_loop *loop, int fd,
		   const struct nbd_want *want, struct q2_err *err)
{
	(void)disk;
	(void)loop;
	(void)want;
	(void)close(fd);
	return nbd_disk_check(err);
}

#endif
