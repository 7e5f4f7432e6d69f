/* SPDX-License-Identifier: MIT */
/*
 * backend.h - what a backend must do; included by backends and tests only
 *
 * A backend moves bytes between memory and host files.  It is used by one
 * thread, its loop's.  It does not know alignment (its caller obeys
 * file->align and file->mem_align, which open() sets), does not retry, and may
 * transfer less than asked: loop.c continues short transfers and EINTR and
 * EAGAIN.
 *
 * Two rules for all of them:
 *
 *	1. The loop's thread never blocks but in poll().  What may block goes
 *	   to a pool of threads (host_submit(), loop_offload()).
 *	2. Nothing of the engine runs inside a backend: a completion stores its
 *	   result and puts the operation on loop->completed, and that is all.
 */
#ifndef Q2_AIO_BACKEND_H
#define Q2_AIO_BACKEND_H

#include "engine/aio/aio.h"

struct aio_backend {
	const struct aio_backend_ops *ops;
	struct loop *loop; /* set by loop_new_backend() before attach() */
	const char *name;  /* "io_uring", ..., as users write it */
};

struct aio_backend_ops {
	/* Called once, when the loop is there. */
	int (*attach)(struct aio_backend *b, struct loop *loop,
		      struct q2_err *err);
	/* Nothing is in flight. */
	void (*free)(struct aio_backend *b);

	/*
	 * Open path: fill fd, align, mem_align, is_block, priv of file.
	 * close() undoes it.
	 */
	int (*open)(struct aio_backend *b, const char *path,
		    struct aio_file *file, struct q2_err *err);
	void (*close)(struct aio_backend *b, struct aio_file *file);

	/*
	 * Take op, which asks for [off + moved, ...) through seg or iov: see
	 * aio_attempt().  Must not complete it from here, but may put it on
	 * loop->completed; never blocks unless the file is inline_io.
	 */
	void (*submit)(struct aio_backend *b, struct aio_op *op);
	/*
	 * Hand what was submitted to the kernel, wait until at least one
	 * operation completes or wake() is called or the timeout passes (0:
	 * do not wait, negative: no limit), set raw of the completed ones and
	 * append them to loop->completed.
	 */
	int (*poll)(struct aio_backend *b, int64_t timeout_ns);
	/* From any thread: make the current or next poll() return. */
	void (*wake)(struct aio_backend *b);
	/* Polls readable when poll() has something to do. */
	int (*fd)(struct aio_backend *b);

	int64_t (*size)(struct aio_backend *b, struct aio_file *file);
	int64_t (*allocated)(struct aio_backend *b, struct aio_file *file);
	int (*sync_dir)(struct aio_backend *b, struct aio_file *file);
	int (*extents)(struct aio_backend *b, struct aio_file *file,
		       struct aio_extent **ret_ext, size_t *ret_n);
	int (*lock)(struct aio_backend *b, struct aio_file *file,
		    enum aio_lock_mode mode, struct q2_err *err);

	/* Optional: memory registered with the kernel. */
	void *(*buf_alloc)(struct aio_backend *b, size_t bytes);
	void (*buf_free)(struct aio_backend *b, void *buf);
};

/* What the next attempt of op moves: *ret_len bytes in *ret_iov (*ret_cnt
 * entries) at file offset *ret_off. */
void aio_attempt(const struct aio_op *op, const struct iovec **ret_iov,
		 int *ret_cnt, uint64_t *ret_off, uint64_t *ret_len);

/* From poll() or submit(): op has ended with raw (bytes or negative errno). */
void aio_complete(struct aio_op *op, int64_t raw);

/* The backends. They return NULL with err set when they cannot be had. */
struct aio_backend *backend_uring_new(unsigned depth, struct q2_err *err);
struct aio_backend *backend_libaio_new(unsigned depth, struct q2_err *err);
struct aio_backend *backend_threads_new(struct q2_err *err);
/* Files in memory, by name, as long as the backend lives; align is what its
 * files ask for (1, 512, 4096). */
struct aio_backend *backend_memory_new(uint32_t align, struct q2_err *err);

#endif
